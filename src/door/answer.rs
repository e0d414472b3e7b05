//! The answers of the check's doors: whoever asks, a verdict is counted, logged and said in the same words. How an
//! allow is written differs from door to door, so that is left to them.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tracing::Instrument;

use super::pages::{self, Page, Pages};
use super::problem::{Problem, forbidden_json, sentence, sign_in_json};
use crate::check::{
    Allow, AllowReason, Check, CheckError, Deny, Kind, Question, Refusal, SignIn, SignInReason, Verdict,
};
use crate::config::{Challenge, Settings};
use crate::cookie::Upstream;
use crate::entropy::Entropy;
use crate::metrics::{CheckDoor, CheckReason, CheckVerdict, Metrics};
use crate::request_ids::RequestIds;

/// The check, and how its verdicts are told.
pub struct Answers {
    check: Check,
    pages: Arc<Pages>,
    metrics: Arc<Metrics>,
    entropy: Arc<dyn Entropy>,
    sign_out: String,
    warned: AtomicBool,
}

/// What a door is to write.
#[derive(Debug)]
pub enum Answer {
    /// The request may pass, with its headers settled as [`Settled`] says.
    Allow(Allow),
    /// It may not: what its sender gets in its place.
    Instead(Response),
}

/// What becomes of an admitted request's headers.
#[derive(Clone)]
pub struct Settled<'a> {
    /// These take the place of whatever was sent under their names.
    pub set: &'a [(HeaderName, HeaderValue)],
    /// The `cookie` header, if another one than was sent.
    pub cookie: Option<HeaderValue>,
    /// The names of those that are taken away, comma-separated; `cookie` too, if nothing of it is left.
    pub remove: Cow<'a, HeaderValue>,
}

impl Answers {
    /// The answers of `check`.
    #[must_use]
    pub fn new(
        settings: &Settings,
        check: Check,
        pages: Arc<Pages>,
        metrics: Arc<Metrics>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let sign_out = format!("{}/sign_out", settings.path_prefix);
        Self { check, pages, metrics, entropy, sign_out, warned: AtomicBool::new(false) }
    }

    /// Answers what needs no I/O: nearly every check there is.
    #[must_use]
    pub fn answer_at_once(&self, door: CheckDoor, question: &Question<'_>) -> Option<Allow> {
        // At debug each decision is a line, and lines are written on the longer way.
        if tracing::enabled!(tracing::Level::DEBUG) {
            return None;
        }
        let begun = Instant::now();
        let Some(Verdict::Allow(allow)) = self.check.answer_at_once(question) else { return None };
        self.metrics.check(door, CheckVerdict::Allow, reason_of(allow.reason), begun.elapsed());
        Some(allow)
    }

    /// Answers. Request and trace ids are read from the question's headers.
    pub async fn answer(&self, door: CheckDoor, question: &Question<'_>) -> Answer {
        let ids = RequestIds::of(question.headers, &*self.entropy);
        let span = ids.span();
        self.answer_within(door, question, ids.request_id()).instrument(span).await
    }

    /// Counts a question that is refused before anybody looks at the request that it is about.
    pub fn count_refused(&self, door: CheckDoor, reason: CheckReason) {
        self.metrics.check(door, CheckVerdict::Refuse, reason, Duration::ZERO);
    }

    /// What to say in the place of an allow that comes too late: the gateway has told the sender otherwise already.
    #[must_use]
    pub fn overtaken(&self, question: &Question<'_>) -> Response {
        let ids = RequestIds::of(question.headers, &*self.entropy);
        let problem = Problem::overtaken();
        if Kind::of(question.method, question.headers).is_seen() {
            problem.to_page(&self.pages, &pages::nonce(&*self.entropy), ids.request_id(), None)
        } else {
            problem.to_json(ids.request_id())
        }
    }

    /// The answer to a question that cannot be read: whatever it is about does not pass.
    #[must_use]
    pub fn unreadable(&self, door: CheckDoor) -> Response {
        self.metrics.check(door, CheckVerdict::Refuse, CheckReason::Unreadable, Duration::ZERO);
        tracing::info!(door = door.as_str(), reason = "the check cannot be read", "refused");
        Problem::unreadable().to_json(RequestIds::of(&HeaderMap::new(), &*self.entropy).request_id())
    }

    async fn answer_within(&self, door: CheckDoor, question: &Question<'_>, request_id: &str) -> Answer {
        let begun = Instant::now();
        let answer = self.check.answer(question).await;
        let (verdict, reason) = counted(&answer);
        self.metrics.check(door, verdict, reason, begun.elapsed());
        tracing::debug!(
            verdict = verdict.as_str(),
            reason = reason.as_str(),
            method = %question.method,
            host = question.host,
            path = question.target.split('?').next(),
            "check"
        );
        let kind = Kind::of(question.method, question.headers);
        Answer::Instead(match answer {
            Ok(Verdict::Allow(allow)) => return Answer::Allow(allow),
            Ok(Verdict::SignIn(sign_in)) => self.sign_in(&sign_in, request_id),
            Ok(Verdict::Deny(deny)) => self.denied(&deny, request_id),
            Ok(Verdict::Refuse(refusal)) => self.refused(&refusal, kind, request_id),
            Err(error) if blanks_server_errors(door) => self.undecided_by_detour(&error, question, kind, request_id),
            Err(error) => self.undecided(&error, question, kind, request_id),
        })
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

    fn refused(&self, refusal: &Refusal, kind: Kind, request_id: &str) -> Response {
        tracing::info!(reason = %refusal, "refused");
        let problem = Problem::from(refusal);
        // Programs that send tokens often say nothing of what they accept.
        let is_program = kind == Kind::Unknown && matches!(refusal, Refusal::BadToken(_));
        if kind.is_seen() && !is_program {
            problem.to_page(&self.pages, &pages::nonce(&*self.entropy), request_id, None)
        } else {
            problem.to_json(request_id)
        }
    }

    fn undecided(&self, error: &CheckError, question: &Question<'_>, kind: Kind, request_id: &str) -> Response {
        // What is away says so itself, once; this is one line for each of its many requests.
        tracing::warn!(%error, "a check could not be decided");
        let problem = Problem::from(error);
        if kind.is_seen() {
            // The answer stands where the page would be, so that is where to try again. But `//host` leads elsewhere.
            let retry = Some(question.target).filter(|target| stays_here(target));
            problem.to_page(&self.pages, &pages::nonce(&*self.entropy), request_id, retry)
        } else {
            problem.to_json(request_id)
        }
    }

    /// People are sent to a page of ours, and programs get a 401.
    fn undecided_by_detour(
        &self,
        error: &CheckError,
        question: &Question<'_>,
        kind: Kind,
        request_id: &str,
    ) -> Response {
        tracing::warn!(%error, "a check could not be decided");
        if kind.is_seen() {
            redirect(&self.check.unavailable(question))
        } else {
            Problem::from(error).to_json_through_envoy(request_id)
        }
    }
}

impl<'a> Settled<'a> {
    /// What an allow says of them.
    #[must_use]
    pub fn by(allow: &'a Allow) -> Self {
        let (cookie, nothing_left) = match &allow.cookie {
            Upstream::AsSent => (None, false),
            Upstream::Removed => (None, true),
            // What cannot stand in a header again is not sent on.
            Upstream::Rest(rest) => {
                let rest = HeaderValue::try_from(rest).ok();
                let nothing_left = rest.is_none();
                (rest, nothing_left)
            }
        };
        Self { set: allow.pass.set(), cookie, remove: with(allow.pass.remove(nothing_left), &allow.lookalikes) }
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// Names are tokens, so that a list of them can stand in a header.
fn with<'a>(remove: &'a HeaderValue, lookalikes: &[HeaderName]) -> Cow<'a, HeaderValue> {
    if lookalikes.is_empty() {
        return Cow::Borrowed(remove);
    }
    let names = lookalikes.iter().map(|name| name.as_str().as_bytes());
    let all: Vec<&[u8]> = std::iter::once(remove.as_bytes()).chain(names).collect();
    HeaderValue::from_bytes(&all.join(&b","[..])).map_or(Cow::Borrowed(remove), Cow::Owned)
}

/// Envoy makes a blank 403 of any 5xx that its HTTP check is answered with.
const fn blanks_server_errors(door: CheckDoor) -> bool {
    matches!(door, CheckDoor::Http)
}

/// Whether a browser that is given `target` as a link stays on this host. To it, `\\` is a slash.
fn stays_here(target: &str) -> bool {
    target.strip_prefix('/').is_some_and(|rest| !rest.starts_with(['/', '\\']))
}

fn redirect(location: &str) -> Response {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Our own locations are ASCII; a value that is none must not become an allow.
    let Ok(location) = HeaderValue::try_from(location) else { return StatusCode::BAD_REQUEST.into_response() };
    headers.insert(LOCATION, location);
    (StatusCode::FOUND, headers).into_response()
}

const fn reason_of(reason: AllowReason) -> CheckReason {
    match reason {
        AllowReason::Session => CheckReason::Session,
        AllowReason::Bearer => CheckReason::Bearer,
        AllowReason::FrontProxy => CheckReason::FrontProxy,
        AllowReason::Public => CheckReason::Public,
        AllowReason::Anonymous => CheckReason::Anonymous,
        AllowReason::OwnPath => CheckReason::Own,
        AllowReason::Preflight => CheckReason::Preflight,
    }
}

const fn counted(answer: &Result<Verdict, CheckError>) -> (CheckVerdict, CheckReason) {
    match answer {
        Ok(Verdict::Allow(allow)) => (CheckVerdict::Allow, reason_of(allow.reason)),
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
        Ok(Verdict::Refuse(Refusal::TwoCredentials)) => (CheckVerdict::Refuse, CheckReason::TwoCredentials),
        Ok(Verdict::Refuse(Refusal::SessionForWorkload)) => (CheckVerdict::Refuse, CheckReason::SessionForWorkload),
        Ok(Verdict::Refuse(Refusal::BadToken(_))) => (CheckVerdict::Refuse, CheckReason::BadToken),
        Err(CheckError::Store(_)) => (CheckVerdict::Error, CheckReason::StoreUnavailable),
        Err(CheckError::Issuer(_)) => (CheckVerdict::Error, CheckReason::IssuerUnavailable),
        Err(CheckError::Mint(_)) => (CheckVerdict::Error, CheckReason::KeysUnavailable),
    }
}
