use std::sync::Arc;

use countersign::config::TlsFiles;
use countersign::server::{self, Limits};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::peer::{GREETING, Server, answer, say, start, start_with};

/// Asks for the greeting over HTTP/2, without TLS upgrade or other preliminaries.
async fn greeting_over_http2<S>(socket: S) -> (http::Version, String)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut client, connection) = handshake.await.expect("a handshake");
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://here/hello").body(Empty::<Bytes>::new()).expect("a request");
    let response = client.send_request(request).await.expect("an answer");
    let version = response.version();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    drop(client);
    connection.abort();
    (version, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn one_port_speaks_http1_and_http2_in_cleartext() {
    let server = start(Limits::default()).await;
    let greeting = server.ask(GREETING).await;
    assert!(greeting.starts_with("HTTP/1.1 200 OK\r\n") && greeting.ends_with("hello 127.0.0.1"), "{greeting}");
    let greeting = greeting_over_http2(server.connect().await).await;
    assert_eq!(greeting, (http::Version::HTTP_2, "hello 127.0.0.1".into()));
}

#[tokio::test]
async fn tls_offers_both_by_alpn() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["here".to_owned()]).expect("a certificate");
    let files = TlsFiles { certificate: directory.path().join("chain.pem"), key: directory.path().join("key.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).expect("written");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    let server = start_with(Limits::default(), Some(server::tls(&files).expect("TLS"))).await;

    let mut socket = connect_tls(&server, &made, b"http/1.1").await;
    say(&mut socket, GREETING).await;
    let greeting = answer(&mut socket).await;
    assert!(greeting.starts_with("HTTP/1.1 200 OK\r\n") && greeting.ends_with("hello 127.0.0.1"), "{greeting}");

    let socket = connect_tls(&server, &made, b"h2").await;
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(greeting_over_http2(socket).await, (http::Version::HTTP_2, "hello 127.0.0.1".into()));
}

#[tokio::test]
async fn tls_files_that_do_not_fit_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("written");
    let one = rcgen::generate_simple_self_signed(["here".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["here".to_owned()]).expect("a certificate");
    write("chain.pem", &one.cert.pem());
    write("key.pem", &one.signing_key.serialize_pem());
    write("other.pem", &other.signing_key.serialize_pem());
    write("empty.pem", "");
    let error = |certificate: &str, key: &str| {
        let files = TlsFiles { certificate: path(certificate), key: path(key) };
        let error = server::tls(&files).expect_err("a refusal").to_string();
        error.replace(&*directory.path().to_string_lossy(), "")
    };
    let says = |error: String, start: &str| assert!(error.starts_with(start), "{error}");
    says(error("away.pem", "key.pem"), "/away.pem: no certificate can be read (");
    says(error("empty.pem", "key.pem"), "/empty.pem: no certificate can be read (there is none in it); write a PEM");
    says(error("chain.pem", "away.pem"), "/away.pem: no private key can be read (");
    says(error("chain.pem", "chain.pem"), "/chain.pem: no private key can be read (");
    says(error("chain.pem", "other.pem"), "/chain.pem and /other.pem cannot be used together: ");
}

async fn connect_tls(
    server: &Server,
    made: &rcgen::CertifiedKey<rcgen::KeyPair>,
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(made.cert.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = rustls::pki_types::ServerName::try_from("here").expect("a name");
    let socket = server.connect().await;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake")
}
