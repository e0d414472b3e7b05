//! A site of somebody else's, over TLS: it says whatever a test has it say, under every name of the rig.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::tls::TlsListener;

/// Beside the gateway's own host: to browsers both are one site.
pub(crate) const SIBLING: &str = "evil.example.test";
/// Another site.
pub(crate) const STRANGER: &str = "evil.elsewhere.test";

/// A running site.
pub(crate) struct Hostile {
    port: u16,
    pages: Arc<Pages>,
    serving: AbortHandle,
}

type Pages = Mutex<HashMap<String, Page>>;

#[derive(Clone)]
struct Page {
    cookies: Vec<String>,
    html: String,
}

impl Hostile {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let pages = Arc::new(Pages::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&pages));
        let serving = tokio::spawn(async move { axum::serve(TlsListener::new(listener), router).await }).abort_handle();
        Self { port, pages, serving }
    }

    /// Has it say this at a path from now on, and set these cookies, each a whole `Set-Cookie`.
    pub(crate) fn says(&self, path: &str, cookies: &[String], html: &str) {
        let html = format!("<!doctype html><title>Hostile</title><body>{html}");
        let page = Page { cookies: cookies.to_vec(), html };
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), page);
    }

    /// The address of a path at one of its names.
    pub(crate) fn at(&self, name: &str, path: &str) -> String {
        format!("https://{name}:{}{path}", self.port)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(pages): State<Arc<Pages>>, uri: Uri) -> Response {
    let page = pages.lock().unwrap_or_else(PoisonError::into_inner).get(uri.path()).cloned();
    let Some(Page { cookies, html }) = page else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = Html(html).into_response();
    for cookie in cookies {
        let cookie = HeaderValue::try_from(cookie.into_bytes()).expect("a header value");
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
