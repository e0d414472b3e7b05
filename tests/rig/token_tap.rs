//! A tap on the way to a token endpoint: what goes there and what comes back passes unchanged, and is written down.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::keycloak;

/// A refresh token's use.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    pub(crate) spent: String,
    pub(crate) status: StatusCode,
    /// The one in the answer.
    pub(crate) next: Option<String>,
}

/// A running tap.
pub(crate) struct TokenTap {
    port: u16,
    seen: Arc<Seen>,
    serving: AbortHandle,
}

struct Seen {
    token_url: String,
    /// The refresh token that the sign-in gave, and what became of it.
    first: Mutex<Option<String>>,
    renewals: Mutex<Vec<Renewal>>,
}

impl TokenTap {
    /// Starts one before this endpoint.
    pub(crate) async fn before(token_url: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Seen { token_url, first: Mutex::default(), renewals: Mutex::default() });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { port, seen, serving }
    }

    /// Where to send what is for the endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// The refresh token of the sign-in; there is one in a test.
    pub(crate) fn first(&self) -> String {
        self.seen.first.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("a sign-in")
    }

    /// All renewals, in order.
    pub(crate) fn renewals(&self) -> Vec<Renewal> {
        self.seen.renewals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for TokenTap {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(seen): State<Arc<Seen>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let spent = url::form_urlencoded::parse(&form).find(|(name, _)| name == "refresh_token");
    let spent = spent.map(|(_, value)| value.into_owned());
    let mut request = Request::post(&seen.token_url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(credentials) = headers.get(AUTHORIZATION) {
        request = request.header(AUTHORIZATION, credentials);
    }
    let request = request.body(String::from_utf8_lossy(&form).into_owned()).expect("a request");
    let (status, answer) = keycloak::send(request).await;
    let next = answer["refresh_token"].as_str().map(str::to_owned);
    match spent {
        Some(spent) => {
            let mut renewals = seen.renewals.lock().unwrap_or_else(PoisonError::into_inner);
            renewals.push(Renewal { spent, status, next });
        }
        None => *seen.first.lock().unwrap_or_else(PoisonError::into_inner) = next,
    }
    (status, [(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}
