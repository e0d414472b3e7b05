//! The check as nginx, Caddy and Traefik ask it: by a sub-request to one path, which tells of the original one in
//! `X-Forwarded-*`. Anybody could write those, so only the configured proxies are believed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use ipnet::IpNet;

use super::answer::{Answer, Answers, Settled};
use super::peer::Peer;
use super::problem::Problem;
use crate::check::{Allow, Question};
use crate::clock::Clock;
use crate::config::Settings;
use crate::cookie::Upstream;
use crate::entropy::Entropy;
use crate::metrics::{CheckDoor as Door, CheckReason};
use crate::request_ids::RequestIds;

/// Where proxies ask.
pub const PATH: &str = "/forward-auth";

// Not `x-forwarded-proto`: which scheme browsers use is what `public_url` says.
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// How often at most an untrusted peer is logged, in seconds.
const LOG_EVERY: u64 = 60;

/// The door that proxies ask.
pub struct ForwardAuthDoor {
    answers: Arc<Answers>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    trusted: Vec<IpNet>,
    home: String,
    silent_until: AtomicU64,
}

/// What the proxy makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// It lets 2xx pass, and hands everything else to the client.
    PassesOn,
    /// nginx: it lets 2xx pass, knows 401 and 403, and takes everything else for an error.
    KnowsTwoRefusals,
    /// nginx again, which has been refused and fetches what to tell the client. No header of an allow may go there.
    Fetches,
}

impl ForwardAuthDoor {
    /// A door to `answers`.
    #[must_use]
    pub fn new(settings: &Settings, answers: Arc<Answers>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            answers,
            clock,
            entropy,
            trusted: settings.trusted_proxies.clone(),
            home: settings.public_url.as_str().trim_end_matches('/').to_owned(),
            silent_until: AtomicU64::new(0),
        }
    }

    /// The door's one path.
    pub fn router(self) -> Router {
        Router::new().route(PATH, any(ask)).with_state(Arc::new(self))
    }

    async fn answer(&self, asked: &Parts) -> Response {
        if let Err(peer) = self.believes(asked) {
            self.answers.count_refused(Door::ForwardAuth, CheckReason::UntrustedProxy);
            return self.problem(&Problem::untrusted_proxy(), asked, || self.warn_of(peer));
        }
        let caller = match Caller::of(asked.uri.query()) {
            Ok(caller) => caller,
            Err(what) => return self.badly_asked(what, asked),
        };
        let response = match Original::described_by(&asked.headers) {
            Ok(original) => self.answer_about(&original, caller, &asked.headers).await,
            Err(what) => self.badly_asked(what, asked),
        };
        if caller == Caller::KnowsTwoRefusals { in_two_refusals(response) } else { response }
    }

    async fn answer_about(&self, original: &Original<'_>, caller: Caller, headers: &HeaderMap) -> Response {
        let Original { method, host, target } = original;
        let question = Question { method, host, target, headers };
        let allow = if let Some(allow) = self.answers.answer_at_once(Door::ForwardAuth, &question) {
            allow
        } else {
            match self.answers.answer(Door::ForwardAuth, &question).await {
                Answer::Allow(allow) => allow,
                Answer::Instead(response) => return self.led_home(response),
            }
        };
        if caller == Caller::Fetches { self.answers.overtaken(&question) } else { allowed(&allow, headers) }
    }

    fn believes(&self, asked: &Parts) -> Result<(), Option<IpAddr>> {
        let Peer(peer) = Peer::of(&asked.extensions);
        let trusted = peer.is_some_and(|peer| self.trusted.iter().any(|network| network.contains(&peer)));
        if trusted { Ok(()) } else { Err(peer) }
    }

    fn warn_of(&self, peer: Option<IpAddr>) {
        let now = self.clock.now().as_secs();
        let silent_until = self.silent_until.load(Ordering::Relaxed);
        let next = now.saturating_add(LOG_EVERY);
        let exchange = || self.silent_until.compare_exchange(silent_until, next, Ordering::Relaxed, Ordering::Relaxed);
        if now >= silent_until && exchange().is_ok() {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(
                peer,
                "a proxy that is not trusted asks for forward auth: add its address to trusted_proxies"
            );
        }
    }

    fn badly_asked(&self, what: String, asked: &Parts) -> Response {
        self.answers.count_refused(Door::ForwardAuth, CheckReason::Unreadable);
        let problem = Problem::badly_asked(what);
        self.problem(&problem, asked, || tracing::warn!(reason = problem.what, "a proxy's question cannot be answered"))
    }

    fn problem(&self, problem: &Problem, asked: &Parts, log: impl FnOnce()) -> Response {
        let ids = RequestIds::of(&asked.headers, &*self.entropy);
        ids.span().in_scope(log);
        problem.to_json(ids.request_id())
    }

    /// Traefik resolves a relative location against the address at which it asks us.
    fn led_home(&self, mut response: Response) -> Response {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let absolute = location.filter(|location| location.starts_with('/')).map(|path| format!("{}{path}", self.home));
        if let Some(absolute) = absolute.and_then(|absolute| HeaderValue::try_from(absolute).ok()) {
            response.headers_mut().insert(LOCATION, absolute);
        }
        response
    }
}

impl Caller {
    fn of(query: Option<&str>) -> Result<Self, String> {
        match query {
            None | Some("") => Ok(Self::PassesOn),
            Some("answer=401") => Ok(Self::KnowsTwoRefusals),
            Some("answer=refusal") => Ok(Self::Fetches),
            Some(_) => Err(format!(
                "{PATH} takes no query but answer=401 or answer=refusal; for Caddy to leave the client's out, write {PATH}?"
            )),
        }
    }
}

/// The request that the proxy asks about.
struct Original<'a> {
    method: Method,
    host: &'a str,
    target: &'a str,
}

impl<'a> Original<'a> {
    fn described_by(headers: &'a HeaderMap) -> Result<Self, String> {
        let method = only(headers, &FORWARDED_METHOD)?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{FORWARDED_METHOD} is no method."))?;
        Ok(Self { method, host: only(headers, &FORWARDED_HOST)?, target: only(headers, &FORWARDED_URI)? })
    }
}

/// The only value of a header. Of two, one may be the client's.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| format!("{name} is missing."))?;
    if values.next().is_some() {
        return Err(format!("{name} is there twice."));
    }
    value.to_str().ok().filter(|text| !text.is_empty()).ok_or_else(|| format!("{name} is empty, or no text."))
}

/// Every header of ours has a value, if need be an empty one: such proxies take over what they find in the answer, and
/// some leave the client's own where they find nothing.
fn allowed(allow: &Allow, sent: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    // No cache may hand this to somebody else.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for value in sent.get_all(AUTHORIZATION) {
        headers.append(AUTHORIZATION, value.clone());
    }
    // What is neither set nor unset is the client's to keep; without one, it is nobody's.
    headers.entry(AUTHORIZATION).or_insert(BLANK);
    for (name, value) in allow.pass.set() {
        headers.insert(name.clone(), value.clone());
    }
    for name in allow.pass.unset() {
        headers.insert(name.clone(), BLANK);
    }
    let cookie = match &allow.cookie {
        Upstream::AsSent => joined(sent.get_all(COOKIE).iter().map(HeaderValue::as_bytes)),
        Upstream::Removed | Upstream::Rest(_) => Settled::by(allow).cookie,
    };
    headers.insert(COOKIE, cookie.unwrap_or(BLANK));
    response
}

const BLANK: HeaderValue = HeaderValue::from_static("");

/// HTTP/2 sends cookies one by one (RFC 9113 section 8.2.3).
fn joined<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&values.collect::<Vec<_>>().join(&b"; "[..])).ok()
}

/// 403 stays, and every other refusal becomes 401: nginx's `auth_request` knows no third.
fn in_two_refusals(mut response: Response) -> Response {
    if !matches!(response.status(), StatusCode::OK | StatusCode::FORBIDDEN) {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    response
}

async fn ask(State(door): State<Arc<ForwardAuthDoor>>, request: Request<Body>) -> Response {
    // What a proxy may have sent along is not read.
    door.answer(&request.into_parts().0).await
}

impl std::fmt::Debug for ForwardAuthDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForwardAuthDoor").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}
