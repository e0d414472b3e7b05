//! The admin port: is it alive, is it ready and what is missing, what has it counted. It decides nothing and finds
//! nothing out by itself; who builds the house hands it the answers. Behind a token: which sessions are there, and their
//! end.

mod sessions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use crate::identity::ProviderId;
use crate::metrics::{self, Metrics};

pub use sessions::SessionsDoor;

/// What the admin door answers from.
#[derive(Clone)]
pub struct AdminState {
    /// What has been counted.
    pub metrics: Arc<Metrics>,
    /// Tells how things are now. It is asked for each `/readyz`, so it must not wait for anything.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether the process is on its way out.
    pub draining: bool,
    /// The session store.
    pub store: Part,
    /// The keys that sign tokens.
    pub keys: Part,
    /// The identity providers. Sessions live on without them, so they do not count; they are only told of.
    pub providers: Vec<(ProviderId, Part)>,
    /// The sources of bearers, and the proxy in front. They do not count either: whoever is signed in stays so.
    pub sources: Vec<(ProviderId, Part)>,
}

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It does its work.
    Ready,
    /// It does not, for this reason, and what is in memory goes on without it for so long.
    Grace(String, Duration),
    /// It does not, for this reason (nothing secret: the admin port asks nobody who they are).
    Missing(String),
}

impl Readiness {
    /// Whether requests should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let store_will_do = matches!(self.store, Part::Ready | Part::Grace(..));
        !self.draining && store_will_do && self.keys == Part::Ready
    }
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").finish_non_exhaustive()
    }
}

/// `/livez`, `/readyz`, `/metrics`.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(async || ([(CACHE_CONTROL, "no-store")], "alive\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(counted))
        .with_state(state)
}

/// The same, and readiness on every other path, as authservice's probes ask for it.
pub fn router_in_authservices_place(state: AdminState) -> Router {
    router(state.clone()).fallback(move || ready(State(state.clone())))
}

async fn ready(State(state): State<AdminState>) -> Response {
    let readiness = (state.readiness)();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let each = |parts: &[(ProviderId, Part)]| -> Map<String, Value> {
        parts.iter().map(|(id, part)| (id.to_string(), describe(part))).collect()
    };
    let body = json!({
        "ready": readiness.is_ready(),
        "draining": readiness.draining,
        "store": describe(&readiness.store),
        "keys": describe(&readiness.keys),
        "providers": each(&readiness.providers),
        "sources": each(&readiness.sources),
    });
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body:#}\n")).into_response()
}

async fn counted(State(state): State<AdminState>) -> Response {
    let headers = [(CONTENT_TYPE, metrics::CONTENT_TYPE), (CACHE_CONTROL, "no-store")];
    (headers, state.metrics.encode()).into_response()
}

fn describe(part: &Part) -> Value {
    match part {
        Part::Ready => "ready".into(),
        Part::Grace(reason, left) => format!("grace for {}s: {reason}", left.as_secs()).into(),
        Part::Missing(reason) => format!("missing: {reason}").into(),
    }
}
