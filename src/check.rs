//! One question by the gateway becomes a verdict. It knows no HTTP framework, no gRPC and no store's protocol.

mod challenge;
mod headers;
mod own_paths;
mod own_token;
mod pass;
mod tokens;

use std::convert::identity;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};
use thiserror::Error;

use crate::bearer::{BearerError, Sources};
use crate::clock::Clock;
use crate::config::{Access, Challenge, Settings};
use crate::cookie::{CookieNames, SecretCookies, Upstream};
use crate::identity::UserId;
use crate::mint::{Mint, MintError};
use crate::refresh::Renewals;
use crate::rules::{Rule, Rules};
use crate::session::{Live, SessionCookie, Sessions, StoreError};

pub use challenge::Kind;
pub use own_paths::OwnPaths;
pub use pass::{Pass, Whom};

use headers::OwnedHeaders;
use own_paths::OwnPath;
use own_token::OwnTokens;
use pass::{Holder, NoPass, Passes};
use tokens::AtOnce;

/// One question: may this request pass, and as whom?
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Its host, with or without a port.
    pub host: &'a str,
    /// Its path and query, as sent.
    pub target: &'a str,
    /// Those of its headers that the gateway forwards.
    pub headers: &'a HeaderMap,
}

impl fmt::Debug for Question<'_> {
    /// Without the headers and the query: tokens and cookies are in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "Question({} {}{path})", self.method, self.host)
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The request may pass.
    Allow(Allow),
    /// Nobody is signed in, and somebody must be.
    SignIn(SignIn),
    /// Somebody is signed in, and may not pass.
    Deny(Deny),
    /// The request is malformed (400), or brings a token for us that is no good (401).
    Refuse(Refusal),
}

/// How a request passes: which of its headers are set, replaced and removed.
#[derive(Clone, Debug)]
pub struct Allow {
    /// The headers that we own.
    pub pass: Arc<Pass>,
    /// The `Cookie` header.
    pub cookie: Upstream,
    /// Headers that were sent, and which some servers take for ours: the workload must not read them either.
    pub lookalikes: Vec<HeaderName>,
    /// Why it passes.
    pub reason: AllowReason,
}

/// Why a request passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowReason {
    /// Somebody is signed in and admitted.
    Session,
    /// A bearer token's user is admitted.
    Bearer,
    /// A user is admitted for whom the proxy in front vouches.
    FrontProxy,
    /// The rule lets everyone pass.
    Public,
    /// Nobody is signed in, where nobody needs to be.
    Anonymous,
    /// A path of our own.
    OwnPath,
    /// A CORS preflight that the rule lets pass.
    Preflight,
}

/// What somebody gets who is not signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// How to say it.
    pub challenge: Challenge,
    /// What kind of request it is.
    pub kind: Kind,
    /// Where to sign in: `/oauth2/start?rd=…`, absolute where the request came to another host than the public one.
    pub login: String,
    /// Why nobody is signed in.
    pub reason: SignInReason,
}

/// Why nobody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInReason {
    /// No session cookie.
    NoCookie,
    /// A cookie that is not ours, or not any more (its key is gone).
    CookieInvalid,
    /// The session has ended.
    SessionEnded,
}

/// Somebody is signed in and may not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// Who it is.
    pub user: UserId,
    /// What the rule asks for, in plain words.
    pub reason: String,
    /// What kind of request it is.
    pub kind: Kind,
    /// The rule, for the log.
    pub rule: String,
}

/// Why a request is refused whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The path means different things to different servers.
    #[error("the path can be read in more than one way, and not all readings fall under the same rule")]
    AmbiguousPath,
    /// Two session cookies.
    #[error("two session cookies were sent; one of them was put there by somebody else")]
    TwoCookies,
    /// A token of ours that a workload received, sent in again where the mesh would believe it.
    #[error("it carries a token that was made for another request")]
    OwnToken,
    /// Two credentials in one place.
    #[error("two credentials were sent in one place, and not everybody agrees which of them counts")]
    TwoCredentials,
    /// A session's value in an `Authorization` that the workload would read.
    #[error("it would show the secret of a session to a workload")]
    SessionForWorkload,
    /// A token for us that is no good (RFC 6750 section 3.1, `invalid_token`).
    #[error("the token is refused: {0}")]
    BadToken(String),
}

/// Nothing could be decided. The request does not pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// The session store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token could be minted.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// What it takes to verify a token cannot be had.
    #[error(transparent)]
    Issuer(BearerError),
}

/// Decides.
pub struct Check {
    rules: Rules,
    own_paths: OwnPaths,
    cookies: CookieNames,
    secret_cookies: SecretCookies,
    sessions: Arc<Sessions>,
    mint: Mint,
    passes: Passes,
    owned: OwnedHeaders,
    own_tokens: OwnTokens,
    renewals: Renewals,
    /// None where nobody comes without a browser: then nobody looks.
    sources: Option<Arc<Sources>>,
    clock: Arc<dyn Clock>,
}

/// What the cookie says, before the store is asked.
enum Cookie {
    Nobody(SignInReason),
    Somebody(SessionCookie),
}

impl Check {
    /// A check by these settings.
    #[must_use]
    pub fn new(
        settings: &Settings,
        sessions: Arc<Sessions>,
        mint: Mint,
        renewals: Renewals,
        sources: Option<Arc<Sources>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let owned = OwnedHeaders::new(settings);
        let cookies = CookieNames::new(&settings.cookie);
        let of_proxy = settings.bearer.front_proxy.iter().flat_map(|proxy| proxy.kind.cookies());
        let others = of_proxy.map(|name| (*name).to_owned()).chain(settings.cookie.hide.clone());
        Self {
            rules: Rules::new(&settings.rules, settings.unauthenticated, ports_of(settings)),
            own_paths: OwnPaths::new(settings),
            secret_cookies: SecretCookies::new(cookies.clone(), others),
            cookies,
            sessions,
            mint,
            passes: Passes::new(&owned),
            owned,
            own_tokens: OwnTokens::new(settings.token.issuer.clone()),
            renewals,
            sources,
            clock,
        }
    }

    /// The same where our own paths are answered before anybody asks: what remains of them belongs to workloads.
    #[must_use]
    pub fn without_own_paths(mut self) -> Self {
        self.own_paths.let_none_pass();
        self
    }

    /// Answers without any I/O, if that can be done: a signed-in request whose session and token are at hand.
    #[must_use]
    pub fn answer_at_once(&self, question: &Question<'_>) -> Option<Verdict> {
        if self.own_paths.find(question.host, question.target).is_some() {
            return None;
        }
        let rule = self.rules.select(question.host, question.method.as_str(), question.target).ok()?;
        let without_identity = matches!(rule.access, Access::Public)
            || (rule.preflight_pass && Kind::of(question.method, question.headers) == Kind::Preflight);
        if without_identity {
            return None;
        }
        let now = self.clock.now();
        if let Some(sources) = &self.sources {
            match self.known_by_token(sources, question, rule, now) {
                AtOnce::Nothing => {}
                AtOnce::Pass(verdict) => return Some(verdict),
                AtOnce::Later => return None,
            }
        }
        let cookie = self.sessions.prove(self.cookies.find_session(question.headers).ok()??).ok()?;
        let live = self.sessions.cached(cookie.key, now)?;
        if live.session.renew_at <= now {
            return None;
        }
        let pass = self.passes.find(&self.mint, cookie.key, rule, &live, now)?;
        Some(self.allow(question, pass, AllowReason::Session))
    }

    /// Answers.
    ///
    /// # Errors
    /// If the session store does not answer, or no token can be minted. The request must not pass then.
    pub async fn answer(&self, question: &Question<'_>) -> Result<Verdict, CheckError> {
        if let Some(path) = self.own_paths.find(question.host, question.target) {
            return Ok(self.own_path(question, path));
        }
        let Ok(rule) = self.rules.select(question.host, question.method.as_str(), question.target) else {
            return Ok(Verdict::Refuse(Refusal::AmbiguousPath));
        };
        let kind = Kind::of(question.method, question.headers);
        if matches!(rule.access, Access::Public) {
            return Ok(self.without_identity(question, rule, AllowReason::Public));
        }
        if kind == Kind::Preflight && rule.preflight_pass {
            return Ok(self.without_identity(question, rule, AllowReason::Preflight));
        }
        if let Some(sources) = &self.sources
            && let Some(verdict) = self.by_token(sources, question, rule, kind).await?
        {
            return Ok(verdict);
        }
        let cookie = match self.cookies.find_session(question.headers) {
            Err(_) => return Ok(Verdict::Refuse(Refusal::TwoCookies)),
            Ok(None) => Cookie::Nobody(SignInReason::NoCookie),
            Ok(Some(value)) => match self.sessions.prove(value) {
                Err(_) => Cookie::Nobody(SignInReason::CookieInvalid),
                Ok(cookie) => Cookie::Somebody(cookie),
            },
        };
        let reason = match cookie {
            Cookie::Nobody(reason) => reason,
            Cookie::Somebody(cookie) => match self.sessions.find(&cookie).await? {
                Some(live) => return self.somebody(question, rule, kind, &cookie, &live),
                None => SignInReason::SessionEnded,
            },
        };
        if let Some(sources) = self.sources.as_ref().filter(|_| rule.keep_authorization)
            && let Some(verdict) = self.by_kept_token(sources, question, rule, kind).await?
        {
            return Ok(verdict);
        }
        if matches!(rule.access, Access::Optional) {
            return Ok(self.without_identity(question, rule, AllowReason::Anonymous));
        }
        Ok(Verdict::SignIn(SignIn {
            challenge: kind.challenge(rule.unauthenticated),
            kind,
            login: self.own_paths.login(question.host, question.target),
            reason,
        }))
    }

    /// Where people go who asked `question` while it could not be answered.
    #[must_use]
    pub fn unavailable(&self, question: &Question<'_>) -> String {
        self.own_paths.unavailable(question.host, question.target)
    }

    fn somebody(
        &self,
        question: &Question<'_>,
        rule: &Rule,
        kind: Kind,
        cookie: &SessionCookie,
        live: &Arc<Live>,
    ) -> Result<Verdict, CheckError> {
        let pass = self.pass_of(rule, kind, cookie, live)?;
        Ok(pass.map_or_else(identity, |pass| self.allow(question, pass, AllowReason::Session)))
    }

    /// The pass of somebody who is signed in; or a denial.
    fn pass_of(
        &self,
        rule: &Rule,
        kind: Kind,
        cookie: &SessionCookie,
        live: &Arc<Live>,
    ) -> Result<Result<Arc<Pass>, Verdict>, CheckError> {
        let now = self.clock.now();
        if live.session.renew_at <= now {
            self.renewals.hand_over(cookie, now);
        }
        let holder = Holder::from(&**live);
        if let Err(deny) = admits(rule, kind, &holder) {
            return Ok(Err(deny));
        }
        if let Some(pass) = self.passes.find(&self.mint, cookie.key, rule, live, now) {
            return Ok(Ok(pass));
        }
        let pass = self.make_pass(rule, kind, &holder)?;
        if let Ok(pass) = &pass {
            self.passes.keep(cookie.key, rule, pass);
        }
        Ok(pass)
    }

    /// A new pass; or a denial, if the user is too much for a token.
    fn make_pass(
        &self,
        rule: &Rule,
        kind: Kind,
        holder: &Holder<'_>,
    ) -> Result<Result<Arc<Pass>, Verdict>, CheckError> {
        match Pass::make(&self.owned, &self.mint, rule, holder) {
            Ok(pass) => Ok(Ok(Arc::new(pass))),
            Err(error @ (NoPass::Header(_) | NoPass::Mint(MintError::TooLarge { .. }))) => {
                Ok(Err(deny(rule, kind, holder, error.to_string())))
            }
            Err(NoPass::Mint(error)) => Err(error.into()),
        }
    }

    fn own_path(&self, question: &Question<'_>, path: OwnPath) -> Verdict {
        let cookie = match path {
            OwnPath::Browser => self.secret_cookies.for_ourselves(question.headers),
            OwnPath::Keys => self.secret_cookies.upstream(question.headers),
        };
        let lookalikes = self.owned.lookalikes(question.headers);
        Verdict::Allow(Allow { pass: self.passes.nobody(false), cookie, lookalikes, reason: AllowReason::OwnPath })
    }

    fn without_identity(&self, question: &Question<'_>, rule: &Rule, reason: AllowReason) -> Verdict {
        self.allow(question, self.passes.nobody(rule.keep_authorization), reason)
    }

    fn allow(&self, question: &Question<'_>, pass: Arc<Pass>, reason: AllowReason) -> Verdict {
        // Where our own token is set, that is the one which the mesh finds first.
        let replayed = (pass.keeps_authorization() && self.own_tokens.are_in_headers(question.headers))
            || (!pass.sets_token() && self.own_tokens.are_in_query(question.target));
        if replayed {
            return Verdict::Refuse(Refusal::OwnToken);
        }
        let sources = self.sources.as_ref().filter(|_| pass.keeps_authorization());
        if sources.is_some_and(|sources| self.sessions_are_shown(sources, question)) {
            return Verdict::Refuse(Refusal::SessionForWorkload);
        }
        let cookie = self.secret_cookies.upstream(question.headers);
        Verdict::Allow(Allow { pass, cookie, lookalikes: self.owned.lookalikes(question.headers), reason })
    }
}

fn admits(rule: &Rule, kind: Kind, holder: &Holder<'_>) -> Result<(), Verdict> {
    rule.admits(holder.identity).map_err(|not_admitted| deny(rule, kind, holder, not_admitted.to_string()))
}

fn deny(rule: &Rule, kind: Kind, holder: &Holder<'_>, reason: String) -> Verdict {
    Verdict::Deny(Deny { user: holder.identity.user.clone(), reason, kind, rule: rule.name().to_owned() })
}

/// The ports that browsers write behind a host of ours.
fn ports_of(settings: &Settings) -> Vec<String> {
    let origins = std::iter::once(&settings.public_url).chain(&settings.hosts);
    origins.filter_map(url::Url::port).map(|port| port.to_string()).collect()
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").finish_non_exhaustive()
    }
}
