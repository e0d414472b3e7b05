//! The pages that people see: templates, and the headers that keep a page harmless. It decides nothing; whoever calls
//! knows the status and what to say.

mod templates;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use minijinja::{Value, context};
use url::Url;

use crate::clock::UnixTime;
use crate::config::PageSettings;
use crate::entropy::{Entropy, random};

pub use templates::PageError;
use templates::Templates;

/// The pages of one gateway, ready to be rendered.
pub struct Pages {
    templates: Templates,
    place: String,
    form_action_origins: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// One page, and what it says.
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// Several identity providers: which one?
    ChooseProvider {
        /// The links, in the order of the configuration.
        choices: &'a [Choice<'a>],
    },
    /// Nobody is signed in, and the page would be shown inside a frame.
    FramedSignIn {
        /// Where the login starts.
        href: &'a str,
    },
    /// Nobody is signed in, and the operator wants a page rather than a redirect. Keeps the `#fragment`.
    SignIn {
        /// Where the login starts; the fragment is added to the `rd` in its query.
        href: &'a str,
    },
    /// After a sign-out.
    SignedOut {
        /// Where to sign in again.
        home: &'a str,
    },
    /// Asks before a sign-out.
    SignOutQuestion {
        /// Where the form is posted to.
        action: &'a str,
        /// Who is signed in, if anybody.
        user: Option<&'a str>,
        /// Where to go afterwards.
        rd: Option<&'a str>,
        /// Where the other sessions are.
        sessions: &'a str,
    },
    /// Where somebody is signed in.
    Sessions {
        /// Where the forms are posted to.
        action: &'a str,
        /// Who it is.
        user: &'a str,
        /// The session of this browser.
        this: OwnSession<'a>,
        /// The others.
        others: &'a [OwnSession<'a>],
        /// How many there are besides.
        more: usize,
        /// Where the sign-out question is.
        sign_out_href: &'a str,
        /// Where to go back to.
        home: &'a str,
    },
    /// Somebody is signed in, and may not.
    Forbidden {
        /// Who.
        user: &'a str,
        /// What the rule needs and this account lacks, in plain words.
        reason: &'a str,
        /// Where the sign-out question is.
        sign_out_href: &'a str,
        /// What to look for in the logs.
        request_id: &'a str,
    },
    /// Something went wrong.
    Error {
        /// In a few words.
        title: &'a str,
        /// What happened.
        what: &'a str,
        /// Who can mend it.
        who: AtFault,
        /// What the reader can do.
        hint: &'a str,
        /// What to look for in the logs.
        request_id: &'a str,
        /// Where to try again, if that makes sense.
        retry: Option<&'a str>,
        /// What that link says.
        retry_label: &'a str,
    },
}

/// One identity provider to choose.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Where its login starts.
    pub href: &'a str,
}

/// One session of the reader's.
#[derive(Clone, Copy, Debug)]
pub struct OwnSession<'a> {
    /// Its pseudonym.
    pub sid: &'a str,
    /// What it was signed in with, if that is known.
    pub device: Option<&'a str>,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
    /// When.
    pub signed_in_at: UnixTime,
}

/// Who can mend an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFault {
    /// The reader, in this browser.
    Browser,
    /// The identity provider.
    IdentityProvider,
    /// Whoever runs the site.
    Operator,
}

impl Pages {
    /// Reads and tries out the templates. `form_action_origins` is asked for each page anew: where a form of ours may
    /// lead besides our own origin, because browsers hold a redirect after a form against `form-action` (CSP Level 3
    /// section 6.3.1). That is where the identity providers' logout endpoints are, known once they are found. URLs are
    /// cut down to their origin; what is none is left out.
    ///
    /// # Errors
    /// If the operator's directory cannot be read, or one of its templates does not work.
    pub fn new(
        settings: &PageSettings,
        form_action_origins: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> Result<Self, PageError> {
        let pages = Self {
            templates: Templates::load(settings.templates.as_deref())?,
            place: settings.title.clone().unwrap_or_else(|| "Countersign".into()),
            form_action_origins: Box::new(form_action_origins),
        };
        for sample in SAMPLES {
            pages.templates.try_out(sample.template(), pages.context(*sample, "trial"))?;
        }
        Ok(pages)
    }

    /// The page as an answer. `nonce` is to be fresh for each: see [`nonce`].
    #[must_use]
    pub fn render(&self, status: StatusCode, page: Page<'_>, nonce: &str) -> Response {
        let html = self.templates.render(page.template(), self.context(page, nonce));
        let policy = HeaderValue::try_from(self.policy(page, nonce))
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let framing = if page.may_be_framed() { "SAMEORIGIN" } else { "DENY" };
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static(framing));
        response
    }

    fn policy(&self, page: Page<'_>, nonce: &str) -> String {
        let scripts =
            if matches!(page, Page::SignIn { .. }) { format!("script-src 'nonce-{nonce}'; ") } else { String::new() };
        let ancestors = if page.may_be_framed() { "'self'" } else { "'none'" };
        let form_action = self.form_action();
        format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; {scripts}img-src 'self' data:; \
             form-action {form_action}; frame-ancestors {ancestors}; base-uri 'none'"
        )
    }

    fn form_action(&self) -> String {
        let mut origins: Vec<String> = (self.form_action_origins)()
            .iter()
            .filter_map(|url| Url::parse(url).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| url.origin().ascii_serialization())
            .collect();
        origins.sort_unstable();
        origins.dedup();
        origins.iter().fold(String::from("'self'"), |sources, origin| sources + " " + origin)
    }

    fn context(&self, page: Page<'_>, nonce: &str) -> Value {
        context! { place => &*self.place, nonce, ..page.variables() }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A fresh nonce for a page's style and script (CSP Level 3 section 7.1: at least 128 random bits, base64).
#[must_use]
pub fn nonce(entropy: &dyn Entropy) -> String {
    BASE64_STANDARD.encode(random::<16>(entropy))
}

impl Page<'_> {
    const fn template(self) -> &'static str {
        match self {
            Page::ChooseProvider { .. } => "choose_provider.html",
            Page::FramedSignIn { .. } => "sign_in_framed.html",
            Page::SignIn { .. } => "sign_in.html",
            Page::SignedOut { .. } => "signed_out.html",
            Page::SignOutQuestion { .. } => "sign_out.html",
            Page::Sessions { .. } => "sessions.html",
            Page::Forbidden { .. } => "forbidden.html",
            Page::Error { .. } => "error.html",
        }
    }

    /// Whether pages of our own origin may show it in a frame. Dashboards do; a browser that refused would show
    /// something worse than what the page has to say. Nothing on these pages acts: they hold links only.
    const fn may_be_framed(self) -> bool {
        matches!(self, Page::FramedSignIn { .. } | Page::Forbidden { .. } | Page::Error { .. })
    }

    fn variables(self) -> Value {
        match self {
            Page::ChooseProvider { choices } => {
                let choices: Vec<Value> =
                    choices.iter().map(|choice| context! { name => choice.name, href => link(choice.href) }).collect();
                context! { choices }
            }
            Page::FramedSignIn { href } | Page::SignIn { href } => context! { href => link(href) },
            Page::SignedOut { home } => context! { home => link(home) },
            Page::SignOutQuestion { action, user, rd, sessions } => {
                context! { action => link(action), user, rd, sessions => link(sessions), home => "/" }
            }
            Page::Sessions { action, user, this, others, more, sign_out_href, home } => {
                let sessions: Vec<Value> = std::iter::once(this.variables(true))
                    .chain(others.iter().map(|other| other.variables(false)))
                    .collect();
                let (action, sign_out, home) = (link(action), link(sign_out_href), link(home));
                context! { action, user, sessions, others => others.len(), more, sign_out, home }
            }
            Page::Forbidden { user, reason, sign_out_href, request_id } => {
                context! { user, reason, sign_out_href => link(sign_out_href), request_id }
            }
            Page::Error { title, what, who, hint, request_id, retry, retry_label } => {
                context! { title, what, who => who.word(), hint, request_id, retry => retry.map(link), retry_label }
            }
        }
    }
}

impl OwnSession<'_> {
    fn variables(&self, here: bool) -> Value {
        let address = self.address.map(|address| address.to_string());
        let (since, since_iso) = written_out(self.signed_in_at);
        context! { sid => self.sid, here, device => self.device, address, since, since_iso }
    }
}

/// A time to the minute, for people and for machines.
fn written_out(time: UnixTime) -> (String, String) {
    let machines = time.to_rfc3339();
    let people = machines.get(..16).map(|minute| format!("{} UTC", minute.replace('T', " ")));
    (people.unwrap_or_default(), machines)
}

impl AtFault {
    const fn word(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::IdentityProvider => "identity-provider",
            Self::Operator => "operator",
        }
    }
}

/// What may stand in a link: a path of ours or a web address. Escaping alone would let `javascript:` pass.
fn link(href: &str) -> &str {
    let path = href.starts_with('/') && !href.starts_with("//") && !href.starts_with("/\\");
    if path || href.starts_with("https://") || href.starts_with("http://") { href } else { "/" }
}

/// Each page, with and without what it may lack: what a template must be able to render.
const SAMPLES: &[Page<'static>] = &[
    Page::ChooseProvider { choices: &[Choice { name: "Example", href: "/oauth2/start" }] },
    Page::FramedSignIn { href: "/oauth2/start" },
    Page::SignIn { href: "/oauth2/start?rd=%2F" },
    Page::SignedOut { home: "/" },
    Page::SignOutQuestion { action: "/oauth2/sign_out", user: Some("ann"), rd: Some("/"), sessions: "/" },
    Page::SignOutQuestion { action: "/oauth2/sign_out", user: None, rd: None, sessions: "/" },
    Page::Sessions {
        action: "/oauth2/sessions",
        user: "ann",
        this: SAMPLE_SESSION,
        others: &[SAMPLE_SESSION, OwnSession { device: None, address: None, ..SAMPLE_SESSION }],
        more: 1,
        sign_out_href: "/oauth2/sign_out",
        home: "/",
    },
    Page::Sessions {
        action: "/oauth2/sessions",
        user: "ann",
        this: SAMPLE_SESSION,
        others: &[],
        more: 0,
        sign_out_href: "/oauth2/sign_out",
        home: "/",
    },
    Page::Forbidden { user: "ann", reason: "…", sign_out_href: "/oauth2/sign_out", request_id: "1" },
    sample_error(AtFault::Browser, Some("/")),
    sample_error(AtFault::IdentityProvider, None),
    sample_error(AtFault::Operator, None),
];

const SAMPLE_SESSION: OwnSession<'static> = OwnSession {
    sid: "1",
    device: Some("Firefox on Linux"),
    address: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
    signed_in_at: UnixTime::from_secs(0),
};

const fn sample_error(who: AtFault, retry: Option<&'static str>) -> Page<'static> {
    Page::Error { title: "…", what: "…", who, hint: "…", request_id: "1", retry, retry_label: "…" }
}
