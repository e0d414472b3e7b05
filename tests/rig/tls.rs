//! TLS for the hosts of the rig: one certificate, which Chromium is told to take for good.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertifiedKey, KeyPair, PublicKeyData};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

static CERTIFIED: LazyLock<CertifiedKey<KeyPair>> = LazyLock::new(|| {
    let hosts = ["*.example.test", "*.elsewhere.test"].map(str::to_owned);
    rcgen::generate_simple_self_signed(hosts).expect("a certificate")
});

/// What Chromium knows it by (`--ignore-certificate-errors-spki-list`), so that all else about TLS is as usual.
pub(crate) fn fingerprint() -> String {
    BASE64_STANDARD.encode(digest(&SHA256, &CERTIFIED.signing_key.subject_public_key_info()))
}

/// What a listener of Envoy's needs to speak it.
pub(crate) fn transport_socket() -> Value {
    let inline = |text: String| json!({"inline_string": text});
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [{
                "certificate_chain": inline(CERTIFIED.cert.pem()),
                "private_key": inline(CERTIFIED.signing_key.serialize_pem()),
            }]},
        },
    })
}

/// Accepts connections and puts TLS on them; who does not speak it is dropped.
pub(crate) struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    pub(crate) fn new(listener: TcpListener) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(CERTIFIED.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![CERTIFIED.cert.der().clone()], key)
            .expect("a key for the certificate");
        Self { listener, acceptor: Arc::new(config).into() }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            // A browser opens connections ahead, and says nothing there: they must not keep others waiting.
            let shaken = tokio::time::timeout(crate::part::PATIENCE / 10, self.acceptor.accept(stream)).await;
            if let Ok(Ok(stream)) = shaken {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
