//! The workload behind Envoy: it answers with the request as it arrived, as a page or as JSON, and echoes web sockets.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A request as the workload received it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Every header, in order, repeated ones too.
    pub(crate) headers: Vec<(String, String)>,
}

impl Received {
    /// All values of a header, whose name is compared exactly: `kubeflow_userid` is another one.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header.
    pub(crate) fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref other => panic!("one {name} expected, received {other:?} among {:?}", self.headers),
        }
    }
}

/// A running workload.
pub(crate) struct Backend {
    port: u16,
    serving: AbortHandle,
}

impl Backend {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(|request: Request| async { Ok::<_, Infallible>(answer(request).await) });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { port, serving }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(request: Request) -> Response {
    if request.headers().contains_key(SEC_WEBSOCKET_KEY) {
        return echo(request);
    }
    let (request, body) = request.into_parts();
    // To its end: who answers before, and hangs up, lets a proxy fail that is still sending.
    if body.collect().await.is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let received = Received {
        method: request.method.to_string(),
        path: request.uri.to_string(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
    };
    let json = serde_json::to_string(&received).expect("JSON");
    let navigated = request.method == Method::GET && received.all("accept").iter().any(|it| it.contains("text/html"));
    if navigated {
        // Chromium shows the text of the element as it is; `<` in a header must not end it.
        let escaped = json.replace('&', "&amp;").replace('<', "&lt;");
        let page = format!("<!doctype html><title>The workload</title><pre id=received>{escaped}</pre>");
        ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
    } else {
        ([(CONTENT_TYPE, "application/json")], json).into_response()
    }
}

fn echo(mut request: Request) -> Response {
    let accept = derive_accept_key(request.headers()[SEC_WEBSOCKET_KEY].as_bytes());
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(&mut request).await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() || socket.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .expect("a response")
}
