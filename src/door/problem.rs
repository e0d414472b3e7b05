//! The one table from errors to answers: which status, who can mend it, and what to do.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::pages::{AtFault, Page, Pages};
use crate::check::{CheckError, Refusal};
use crate::idp::IdpError;
use crate::login::{CrossSite, LoginError, LogoutRefused};
use crate::metrics::{LoginOutcome, LogoutOutcome};
use crate::session::StoreError;

/// How long to wait before trying again what could not be done, in seconds, where nothing tells it better.
pub const SOON: Option<u32> = Some(5);

/// The word for somebody who may not enter: trying again as the same person is of no use.
const NOT_ADMITTED: &str = "not_admitted";

/// An error as it is told to whoever is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// A word for programs.
    pub code: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What happened. It may quote an identity provider; templates escape it.
    pub what: String,
    /// Who can mend it.
    pub who: AtFault,
    /// What to do.
    pub hint: &'static str,
    /// After how many seconds the same thing may go well, if it ever does.
    pub retry_after: Option<u32>,
}

/// What is said to a bearer whose token is no good (RFC 6750 section 3).
const INVALID_TOKEN: &str = "invalid_token";

/// The JSON form.
#[derive(Serialize)]
struct Json<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    request_id: &'a str,
}

impl Problem {
    /// A sign-out that the store did not confirm. Nobody may walk away from a shared computer believing otherwise.
    #[must_use]
    pub fn not_signed_out() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "not_signed_out",
            title: "You are not signed out",
            what: "The gateway cannot reach the place where it keeps sessions, so yours was not ended.".into(),
            who: AtFault::Operator,
            hint: "Try again in a moment. On a shared computer, stay until it says that you are signed out.",
            retry_after: SOON,
        }
    }

    /// Sessions whose end the store did not confirm.
    #[must_use]
    pub fn not_ended() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "not_ended",
            title: "Not every session was ended",
            what:
                "The gateway cannot reach the place where it keeps sessions, so some of those that you wanted to end \
                   may go on."
                    .into(),
            who: AtFault::Operator,
            hint: "Try again in a moment, and look whether they are gone.",
            retry_after: SOON,
        }
    }

    /// A form that does not say, or not in one way, what is to be done.
    #[must_use]
    pub fn unclear_form() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "unclear_form",
            title: "Nothing was done",
            what: "The form does not say what is to be done.".into(),
            who: AtFault::Browser,
            hint: "Open the page again, and use its buttons.",
            retry_after: None,
        }
    }

    /// A proxy's question that is not believed: anybody could say such a thing of a request.
    #[must_use]
    pub fn untrusted_proxy() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "untrusted_proxy",
            title: "The proxy that asks is not trusted",
            what: "Its address is not among trusted_proxies, so what it says of the request is not believed.".into(),
            who: AtFault::Operator,
            hint: "Add the proxy's address to trusted_proxies in Countersign's config; the log tells it.",
            retry_after: None,
        }
    }

    /// A proxy's question that does not say, or not in one way, what is asked for.
    #[must_use]
    pub fn badly_asked(what: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "badly_asked",
            title: "The proxy does not say which request it asks about",
            what,
            who: AtFault::Operator,
            hint: "Compare the proxy's configuration with the examples.",
            retry_after: None,
        }
    }

    /// A check that cannot be read, so that nobody knows what passes if it does.
    #[must_use]
    pub fn unreadable() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "unreadable",
            title: "The request cannot be understood safely",
            what: "What the proxy in front asks about it is not well-formed.".into(),
            who: AtFault::Browser,
            hint: "Check the address and the program that sent it.",
            retry_after: None,
        }
    }

    /// A request that could not be decided a moment ago, and could be by now.
    #[must_use]
    pub fn overtaken() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "overtaken",
            title: "Please try again",
            what: "A moment ago the gateway could not let this request pass; now it could.".into(),
            who: AtFault::Operator,
            hint: "Load the page again.",
            retry_after: SOON,
        }
    }

    /// The page. `retry` is where to try again, if that makes sense.
    #[must_use]
    pub fn to_page(&self, pages: &Pages, nonce: &str, request_id: &str, retry: Option<&str>) -> Response {
        let Self { title, what, who, hint, .. } = self;
        let retry_label = if self.code == NOT_ADMITTED { "Sign in as somebody else" } else { "Try again" };
        let page = Page::Error { title, what, who: *who, hint, request_id, retry, retry_label };
        let mut response = pages.render(self.status, page, nonce);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        self.challenge(&mut response);
        response
    }

    /// The JSON answer.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> Response {
        self.to_json_with(self.status, request_id)
    }

    /// The JSON answer as 401, for a caller that makes a blank 403 of any 5xx (Envoy's `ext_authz` over HTTP).
    #[must_use]
    pub fn to_json_through_envoy(&self, request_id: &str) -> Response {
        let status = if self.status.is_server_error() { StatusCode::UNAUTHORIZED } else { self.status };
        self.to_json_with(status, request_id)
    }

    fn to_json_with(&self, status: StatusCode, request_id: &str) -> Response {
        let retry_after = self.retry_after;
        let message = format!("{}: {}", self.title, self.what);
        let json = Json { error: self.code, message: &message, login_url: None, retry_after, request_id };
        let mut response = json_answer(status, &json);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        self.challenge(&mut response);
        response
    }

    fn challenge(&self, response: &mut Response) {
        if self.code == INVALID_TOKEN {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
    }
}

/// 401 or 403 for a program that nobody is signed in for, with the way to the login.
#[must_use]
pub fn sign_in_json(status: StatusCode, login_url: &str, request_id: &str) -> Response {
    let message = "nobody is signed in: open login_url in a browser, or send a session's cookie";
    json_answer(
        status,
        &Json { error: "sign_in_required", message, login_url: Some(login_url), retry_after: None, request_id },
    )
}

/// 403 for a program whose user is not admitted.
#[must_use]
pub fn forbidden_json(reason: &str, request_id: &str) -> Response {
    json_answer(
        StatusCode::FORBIDDEN,
        &Json { error: "forbidden", message: reason, login_url: None, retry_after: None, request_id },
    )
}

fn json_answer(status: StatusCode, json: &Json<'_>) -> Response {
    // Plain fields always become JSON.
    let body = serde_json::to_string(json).unwrap_or_default();
    let fixed: [(HeaderName, &str); 2] = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    let mut response = (status, fixed, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl From<&CheckError> for Problem {
    fn from(error: &CheckError) -> Self {
        match error {
            CheckError::Store(error) => Self::from(error),
            CheckError::Issuer(_) => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "issuer_unavailable",
                title: "Your token cannot be verified",
                what: "The gateway cannot reach those who could say whether it is good, so it lets nobody pass by it."
                    .into(),
                who: AtFault::IdentityProvider,
                hint: "Try again in a moment.",
                retry_after: SOON,
            },
            CheckError::Mint(_) => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "keys_unavailable",
                title: "Requests cannot be vouched for",
                what: "The gateway has no key to sign with at the moment.".into(),
                who: AtFault::Operator,
                hint: "Try again in a moment. If it lasts, tell whoever runs this site: the signing keys need a look.",
                retry_after: SOON,
            },
        }
    }
}

impl From<&StoreError> for Problem {
    fn from(_: &StoreError) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "store_unavailable",
            title: "Sessions are out of reach",
            what: "The gateway cannot reach the place where it keeps sessions, so it lets nobody pass.".into(),
            who: AtFault::Operator,
            hint: "You are still signed in. Try again in a moment. If it lasts, tell whoever runs this site.",
            retry_after: SOON,
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let (code, hint) = match refusal {
            Refusal::AmbiguousPath => {
                ("ambiguous_path", "Check the address: something in it (%2F, .., //, ;, \\) can be read in two ways.")
            }
            Refusal::TwoCookies => ("two_cookies", "Clear this site's cookies in your browser, then sign in again."),
            Refusal::OwnToken => {
                ("own_token", "Leave the token out: who you are is told by your session, not by a token from the mesh.")
            }
            Refusal::TwoCredentials => ("two_credentials", "Send one."),
            Refusal::SessionForWorkload => {
                ("session_for_workload", "Send the session's cookie here, as a browser does.")
            }
            Refusal::BadToken(_) => (INVALID_TOKEN, "Get a new token from its issuer, for this site."),
        };
        let (status, title) = match refusal {
            Refusal::BadToken(_) => (StatusCode::UNAUTHORIZED, "Your token is no good here"),
            _ => (StatusCode::BAD_REQUEST, "The request cannot be understood safely"),
        };
        Self {
            status,
            code,
            title,
            what: sentence(&refusal.to_string()),
            who: AtFault::Browser,
            hint,
            retry_after: None,
        }
    }
}

impl From<&CrossSite> for Problem {
    fn from(_: &CrossSite) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "cross_site",
            title: "Not from this site",
            what: "Another site tried to sign you out, so nothing was done.".into(),
            who: AtFault::Browser,
            hint: "To sign out, open the sign-out page of this site and confirm there.",
            retry_after: None,
        }
    }
}

impl From<&LoginError> for Problem {
    fn from(error: &LoginError) -> Self {
        let what = sentence(&error.to_string());
        match error {
            LoginError::Store(error) => Self::from(error),
            LoginError::Provider(error) => Self::from(error),
            LoginError::TwoCookies => Self::from(&Refusal::TwoCookies),
            LoginError::BrowserSent(_) => Self {
                status: StatusCode::BAD_REQUEST,
                code: "broken_callback",
                title: "That was no answer of a sign-in",
                what,
                who: AtFault::Browser,
                hint: "Start again from the page that you wanted to see.",
                retry_after: None,
            },
            LoginError::InPassing => Self {
                status: StatusCode::FORBIDDEN,
                code: "cross_site",
                title: "Not from this site",
                what,
                who: AtFault::Browser,
                hint: "To sign in, open this site in a window of its own.",
                retry_after: None,
            },
            LoginError::FlowGone(_) => Self {
                status: StatusCode::BAD_REQUEST,
                code: "flow_gone",
                title: "This sign-in is over",
                what,
                who: AtFault::Browser,
                hint: "Sign in again. If that does not help, let your browser keep this site's cookies.",
                retry_after: None,
            },
            LoginError::Busy => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "busy",
                title: "Too many people are signing in",
                what,
                who: AtFault::IdentityProvider,
                hint: "Try again in a moment.",
                retry_after: SOON,
            },
            LoginError::TooMany { too_many, .. } => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                code: "too_many_sign_ins",
                title: "Too many people are signing in",
                what,
                who: AtFault::Operator,
                hint: "Wait a little, then sign in again. Whoever is signed in already goes on working meanwhile. If it \
                       lasts, tell whoever runs this site what stands above.",
                retry_after: Some(u32::try_from(too_many.wait.as_secs()).unwrap_or(u32::MAX)),
            },
            LoginError::UnknownProvider => Self {
                status: StatusCode::NOT_FOUND,
                code: "unknown_provider",
                title: "No such identity provider",
                what,
                who: AtFault::Browser,
                hint: "Start again from the page that you wanted to see.",
                retry_after: None,
            },
            LoginError::ProviderSaidNo { .. } => Self {
                status: StatusCode::FORBIDDEN,
                code: "provider_said_no",
                title: "The identity provider did not sign you in",
                what,
                who: AtFault::IdentityProvider,
                hint: "Sign in again. If it says no once more, ask whoever runs the identity provider.",
                retry_after: None,
            },
            LoginError::NotAdmitted { .. } => Self {
                status: StatusCode::FORBIDDEN,
                code: NOT_ADMITTED,
                title: "You may not enter here",
                what,
                who: AtFault::Operator,
                hint: "Sign in with another account, or ask whoever runs this site to admit you.",
                retry_after: None,
            },
        }
    }
}

impl From<&IdpError> for Problem {
    fn from(error: &IdpError) -> Self {
        // Where a provider was called, and how that failed, is for the log: anybody may open this page.
        let what = match error {
            IdpError::Unreachable { provider, .. } => format!("The identity provider {provider} does not answer."),
            _ => sentence(&error.to_string()),
        };
        let told = |status, code, title, who, hint| Self {
            status,
            code,
            title,
            what,
            who,
            hint,
            retry_after: SOON.filter(|_| status == StatusCode::SERVICE_UNAVAILABLE),
        };
        match error {
            IdpError::Unreachable { .. } => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unreachable",
                "The identity provider is away",
                AtFault::IdentityProvider,
                "Try again in a moment. Whoever is signed in already goes on working meanwhile.",
            ),
            IdpError::Misbehaved { .. } | IdpError::ChangedUser { .. } => told(
                StatusCode::BAD_GATEWAY,
                "provider_misbehaved",
                "The identity provider's answer cannot be believed",
                AtFault::IdentityProvider,
                "Nobody was signed in. Tell whoever runs the identity provider what stands above.",
            ),
            IdpError::GrantRefused { .. } => told(
                StatusCode::BAD_REQUEST,
                "grant_refused",
                "The identity provider did not accept the sign-in",
                AtFault::IdentityProvider,
                "Sign in again: its code was too old, or used already.",
            ),
            IdpError::Misconfigured { .. } => told(
                StatusCode::BAD_GATEWAY,
                "provider_misconfigured",
                "The identity provider does not know this site",
                AtFault::Operator,
                "Tell whoever runs this site: the client id, the secret or the redirect URI needs a look.",
            ),
            IdpError::UnusableIdentity { .. } => told(
                StatusCode::FORBIDDEN,
                "identity_unusable",
                "The identity provider does not say who you are",
                AtFault::Operator,
                "Tell whoever runs this site what stands above: a claim or a setting is missing.",
            ),
        }
    }
}

/// What an operator is told who was not given what they asked for.
#[must_use]
pub fn admin_problem(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({"error": code, "message": message}).to_string();
    let mut response = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What a provider is told whose logout was not done (OIDC Back-Channel Logout section 2.8: 400, whatever the reason).
#[must_use]
pub fn refused_logout(error: &LogoutRefused) -> Response {
    let (code, description) = match error {
        LogoutRefused::UnknownProvider
        | LogoutRefused::Malformed(_)
        | LogoutRefused::WrongIssuer(_)
        | LogoutRefused::Replayed(_)
        | LogoutRefused::Token(IdpError::Misbehaved { .. }) => ("invalid_request", error.to_string()),
        // What was called, and how that failed, is for the log.
        LogoutRefused::Token(_) => ("temporarily_unavailable", "the token cannot be judged at the moment".to_owned()),
        LogoutRefused::Store(_) => ("temporarily_unavailable", "sessions are out of reach; they may go on".to_owned()),
    };
    let body = serde_json::json!({"error": code, "error_description": description}).to_string();
    let fixed = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (StatusCode::BAD_REQUEST, fixed, body).into_response()
}

/// How a provider's logout that was not done is counted.
#[must_use]
pub const fn logout_outcome_of(error: &LogoutRefused) -> LogoutOutcome {
    match error {
        LogoutRefused::Token(IdpError::Misbehaved { .. })
        | LogoutRefused::UnknownProvider
        | LogoutRefused::Malformed(_)
        | LogoutRefused::Replayed(_)
        | LogoutRefused::WrongIssuer(_) => LogoutOutcome::Refused,
        LogoutRefused::Token(_) | LogoutRefused::Store(_) => LogoutOutcome::Failed,
    }
}

/// How a failed login is counted.
#[must_use]
pub const fn outcome_of(error: &LoginError) -> LoginOutcome {
    match error {
        LoginError::BrowserSent(_)
        | LoginError::InPassing
        | LoginError::FlowGone(_)
        | LoginError::TwoCookies
        | LoginError::UnknownProvider => LoginOutcome::BrowserRefused,
        LoginError::ProviderSaidNo { .. } | LoginError::Provider(IdpError::GrantRefused { .. }) => {
            LoginOutcome::ProviderRefused
        }
        LoginError::Busy | LoginError::Provider(IdpError::Unreachable { .. }) => LoginOutcome::ProviderUnreachable,
        LoginError::Provider(IdpError::Misbehaved { .. } | IdpError::ChangedUser { .. }) => {
            LoginOutcome::ProviderMisbehaved
        }
        LoginError::Provider(IdpError::Misconfigured { .. } | IdpError::UnusableIdentity { .. }) => {
            LoginOutcome::Misconfigured
        }
        LoginError::NotAdmitted { .. } => LoginOutcome::NotAdmitted,
        LoginError::Store(_) => LoginOutcome::StoreUnavailable,
        LoginError::TooMany { .. } => LoginOutcome::TooMany,
    }
}

/// The text with a capital letter and a full stop.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", characters.as_str())
}
