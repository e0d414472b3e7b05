//! The check over HTTP, as Envoy's `ext_authz` asks it: any method, the original path behind a prefix.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, COOKIE, HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use tracing::Instrument;

use super::pages::{self, Page, Pages};
use super::problem::{Problem, forbidden_json, sentence, sign_in_json};
use crate::check::{
    Allow, AllowReason, Check, CheckError, Deny, Kind, Question, Refusal, SignIn, SignInReason, Verdict,
};
use crate::config::{Challenge, Settings};
use crate::cookie::Upstream;
use crate::entropy::Entropy;
use crate::metrics::{CheckDoor as Door, CheckReason, CheckVerdict, Metrics};
use crate::request_ids::RequestIds;

const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// The door that gateways ask.
pub struct CheckDoor {
    check: Check,
    pages: Arc<Pages>,
    metrics: Arc<Metrics>,
    entropy: Arc<dyn Entropy>,
    prefix: String,
    sign_out: String,
    warned: AtomicBool,
}

impl CheckDoor {
    /// A door to `check`.
    #[must_use]
    pub fn new(
        settings: &Settings,
        check: Check,
        pages: Arc<Pages>,
        metrics: Arc<Metrics>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let own = &settings.path_prefix;
        Self {
            check,
            pages,
            metrics,
            entropy,
            prefix: settings.check_prefix.clone(),
            sign_out: format!("{own}/sign_out"),
            warned: AtomicBool::new(false),
        }
    }

    /// Whether a request is a check.
    #[must_use]
    pub fn is_for<B>(&self, request: &Request<B>) -> bool {
        self.target(request).is_some()
    }

    /// Answers what needs no I/O: nearly every check there is.
    #[must_use]
    pub fn answer_at_once<B>(&self, request: &Request<B>) -> Option<Response> {
        // At debug each decision is a line, and lines are written on the longer way.
        if tracing::enabled!(tracing::Level::DEBUG) {
            return None;
        }
        let begun = Instant::now();
        let Some(Verdict::Allow(allow)) = self.check.answer_at_once(&self.question(request)?) else { return None };
        self.metrics.check(Door::Http, CheckVerdict::Allow, CheckReason::Session, begun.elapsed());
        Some(allowed(&allow))
    }

    /// Answers.
    pub async fn answer(&self, request: Request<()>) -> Response {
        let ids = RequestIds::of(request.headers(), &*self.entropy);
        let span = ids.span();
        self.answer_within(&request, ids.request_id()).instrument(span).await
    }

    async fn answer_within(&self, request: &Request<()>, request_id: &str) -> Response {
        let begun = Instant::now();
        let Some(question) = self.question(request) else { return StatusCode::NOT_FOUND.into_response() };
        let answer = self.check.answer(&question).await;
        let (verdict, reason) = counted(&answer);
        self.metrics.check(Door::Http, verdict, reason, begun.elapsed());
        tracing::debug!(
            verdict = verdict.as_str(),
            reason = reason.as_str(),
            method = %question.method,
            host = question.host,
            path = question.target.split('?').next(),
            "check"
        );
        let kind = Kind::of(question.method, question.headers);
        match answer {
            Ok(Verdict::Allow(allow)) => allowed(&allow),
            Ok(Verdict::SignIn(sign_in)) => self.sign_in(&sign_in, request_id),
            Ok(Verdict::Deny(deny)) => self.denied(&deny, request_id),
            Ok(Verdict::Refuse(refusal)) => self.refused(refusal, kind, request_id),
            Err(error) => self.undecided(&error, &question, kind, request_id),
        }
    }

    fn sign_in(&self, sign_in: &SignIn, request_id: &str) -> Response {
        if sign_in.kind == Kind::Unknown && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the gateway forwards neither accept nor sec-fetch-mode, so pages and scripts cannot be told apart: \
                 list them in its includeRequestHeadersInCheck (allowed_headers in Envoy's own configuration)"
            );
        }
        let href = &sign_in.login;
        match sign_in.challenge {
            Challenge::Redirect => redirect(href),
            Challenge::Page => {
                let page =
                    if sign_in.kind == Kind::Framed { Page::FramedSignIn { href } } else { Page::SignIn { href } };
                self.pages.render(StatusCode::UNAUTHORIZED, page, &pages::nonce(&*self.entropy))
            }
            Challenge::Unauthorized => sign_in_json(StatusCode::UNAUTHORIZED, href, request_id),
            Challenge::Forbidden => sign_in_json(StatusCode::FORBIDDEN, href, request_id),
        }
    }

    fn denied(&self, deny: &Deny, request_id: &str) -> Response {
        tracing::info!(user = %deny.user, rule = deny.rule, reason = deny.reason, "denied");
        if !deny.kind.is_seen() {
            return forbidden_json(&deny.reason, request_id);
        }
        let (user, reason, sign_out_href) = (deny.user.as_str(), &*sentence(&deny.reason), &*self.sign_out);
        let page = Page::Forbidden { user, reason, sign_out_href, request_id };
        self.pages.render(StatusCode::FORBIDDEN, page, &pages::nonce(&*self.entropy))
    }

    fn refused(&self, refusal: Refusal, kind: Kind, request_id: &str) -> Response {
        tracing::info!(reason = %refusal, "refused");
        let problem = Problem::from(&refusal);
        if kind.is_seen() {
            problem.to_page(&self.pages, &pages::nonce(&*self.entropy), request_id, None)
        } else {
            problem.to_json(request_id)
        }
    }

    /// Envoy makes a blank 403 of any 5xx, so people are sent to a page of ours, and programs get a 401.
    fn undecided(&self, error: &CheckError, question: &Question<'_>, kind: Kind, request_id: &str) -> Response {
        tracing::error!(%error, "a check could not be decided");
        if kind.is_seen() {
            redirect(&self.check.unavailable(question))
        } else {
            Problem::from(error).to_json_through_envoy(request_id)
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
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(allow.pass.set().len() + 2);
    for (name, value) in allow.pass.set() {
        headers.insert(name.clone(), value.clone());
    }
    let nothing_left = match &allow.cookie {
        Upstream::AsSent => false,
        Upstream::Removed => true,
        // What cannot stand in a header again is not sent on.
        Upstream::Rest(rest) => match HeaderValue::try_from(rest) {
            Ok(rest) => headers.insert(COOKIE, rest).is_some(),
            Err(_) => true,
        },
    };
    headers.insert(REMOVE, allow.pass.remove(nothing_left).clone());
    response
}

fn redirect(location: &str) -> Response {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Our own locations are ASCII; a value that is none must not become an allow.
    let Ok(location) = HeaderValue::try_from(location) else { return StatusCode::BAD_REQUEST.into_response() };
    headers.insert(LOCATION, location);
    (StatusCode::FOUND, headers).into_response()
}

const fn counted(answer: &Result<Verdict, CheckError>) -> (CheckVerdict, CheckReason) {
    match answer {
        Ok(Verdict::Allow(allow)) => (
            CheckVerdict::Allow,
            match allow.reason {
                AllowReason::Session => CheckReason::Session,
                AllowReason::Public => CheckReason::Public,
                AllowReason::Anonymous => CheckReason::Anonymous,
                AllowReason::OwnPath => CheckReason::Own,
                AllowReason::Preflight => CheckReason::Preflight,
            },
        ),
        Ok(Verdict::SignIn(sign_in)) => (
            CheckVerdict::SignIn,
            match sign_in.reason {
                SignInReason::NoCookie => CheckReason::NoSession,
                SignInReason::CookieInvalid => CheckReason::BadCookie,
                SignInReason::SessionEnded => CheckReason::SessionEnded,
            },
        ),
        Ok(Verdict::Deny(_)) => (CheckVerdict::Deny, CheckReason::NotAdmitted),
        Ok(Verdict::Refuse(Refusal::AmbiguousPath)) => (CheckVerdict::Refuse, CheckReason::AmbiguousPath),
        Ok(Verdict::Refuse(Refusal::TwoCookies)) => (CheckVerdict::Refuse, CheckReason::TwoCookies),
        Ok(Verdict::Refuse(Refusal::OwnToken)) => (CheckVerdict::Refuse, CheckReason::OwnToken),
        Err(CheckError::Store(_)) => (CheckVerdict::Error, CheckReason::StoreUnavailable),
        Err(CheckError::Mint(_)) => (CheckVerdict::Error, CheckReason::KeysUnavailable),
    }
}
