//! The check over HTTP, as Envoy's `ext_authz` asks it: any method, the original path behind a prefix.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, Request, StatusCode, Uri};

use super::answer::{Answer, Answers, Settled};
use crate::check::{Allow, Question};
use crate::config::Settings;
use crate::metrics::CheckDoor as Door;

const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// The door that gateways ask.
pub struct CheckDoor {
    answers: Arc<Answers>,
    prefix: String,
}

impl CheckDoor {
    /// A door to `answers`.
    #[must_use]
    pub fn new(settings: &Settings, answers: Arc<Answers>) -> Self {
        Self { answers, prefix: settings.check_prefix.clone() }
    }

    /// Whether a request is a check.
    #[must_use]
    pub fn is_for<B>(&self, request: &Request<B>) -> bool {
        self.target(request).is_some()
    }

    /// Answers what needs no I/O: nearly every check there is.
    #[must_use]
    pub fn answer_at_once<B>(&self, request: &Request<B>) -> Option<Response> {
        let allow = self.answers.answer_at_once(Door::Http, &self.question(request)?)?;
        Some(allowed(&allow))
    }

    /// Answers.
    pub async fn answer(&self, request: Request<()>) -> Response {
        let Some(question) = self.question(&request) else { return StatusCode::NOT_FOUND.into_response() };
        match self.answers.answer(Door::Http, &question).await {
            Answer::Allow(allow) => allowed(&allow),
            Answer::Instead(response) => response,
        }
    }

    fn question<'a, B>(&self, request: &'a Request<B>) -> Option<Question<'a>> {
        let headers = request.headers();
        let host = only_host(headers, request.uri()).unwrap_or_default();
        Some(Question { method: request.method(), host, target: self.target(request)?, headers })
    }

    fn target<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        let sent = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        match sent.strip_prefix(&*self.prefix)? {
            "" => Some("/"),
            target if target.starts_with(['/', '*', '?']) => Some(target),
            _ => None,
        }
    }
}

impl std::fmt::Debug for CheckDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckDoor").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The one host that a request names. Two that differ are none: gateways do not agree which of them counts.
fn only_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let mut named =
        headers.get_all(HOST).iter().map(|host| host.to_str().ok()).chain(uri.authority().map(|a| Some(a.as_str())));
    let first = named.next()??;
    named.all(|other| other == Some(first)).then_some(first)
}

fn allowed(allow: &Allow) -> Response {
    let settled = Settled::by(allow);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(settled.set.len() + 2);
    for (name, value) in settled.set {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(cookie) = settled.cookie {
        headers.insert(COOKIE, cookie);
    }
    headers.insert(REMOVE, settled.remove.into_owned());
    response
}
