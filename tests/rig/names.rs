//! The names that a cluster's DNS would know, as a forward proxy: whoever asks for one is led to a port of this machine.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// The running proxy.
pub(crate) struct Names {
    port: u16,
    serving: AbortHandle,
}

impl Names {
    /// Starts one that knows these, each with its port: `dex.auth.svc.cluster.local:5556`.
    pub(crate) async fn start(known: &[(&str, u16)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let known: Arc<HashMap<String, u16>> =
            Arc::new(known.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect());
        let router = Router::new().fallback(move |request: Request| forward(Arc::clone(&known), request));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { port, serving }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn forward(known: Arc<HashMap<String, u16>>, mut request: Request) -> Response {
    let Some(port) = request.uri().authority().and_then(|name| known.get(name.as_str())) else {
        return (StatusCode::BAD_GATEWAY, format!("nobody is called so: {}", request.uri())).into_response();
    };
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let address: Uri = format!("http://127.0.0.1:{port}{path}").parse().expect("an address");
    *request.uri_mut() = address;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    match client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
