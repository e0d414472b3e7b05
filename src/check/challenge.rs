//! What kind of request it is, and so how "sign in first" can be said to it.

use http::header::{ACCEPT, HeaderName, ORIGIN};
use http::{HeaderMap, Method};

use crate::config::{Challenge, Unauthenticated};

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
const WEBSOCKET_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const REQUEST_METHOD: HeaderName = HeaderName::from_static("access-control-request-method");

/// What asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's browser asks for a page.
    Navigation,
    /// A person's browser asks for a page inside another page.
    Framed,
    /// A browser asks whether it may ask (CORS).
    Preflight,
    /// A script, a socket, a program.
    Script,
    /// The gateway forwards nothing by which to tell.
    Unknown,
}

impl Kind {
    /// Reads the method and Fetch Metadata, or what older browsers send.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let mode = headers.get(FETCH_MODE);
        let accept = headers.get(ACCEPT);
        if method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(REQUEST_METHOD) {
            return Self::Preflight;
        }
        let asks_for_content = method == Method::GET || method == Method::HEAD;
        let by_script = headers.contains_key(WEBSOCKET_VERSION) || headers.contains_key(REQUESTED_WITH);
        if !asks_for_content || by_script || mode.is_some_and(|mode| mode != "navigate") {
            return Self::Script;
        }
        match accept {
            None if mode.is_none() => Self::Unknown,
            None => Self::Script,
            Some(accept) if !accept.to_str().is_ok_and(accepts_html) => Self::Script,
            Some(_) if headers.get(FETCH_DEST).is_some_and(|dest| dest != "document") => Self::Framed,
            Some(_) => Self::Navigation,
        }
    }

    /// How to say "sign in first" to it.
    pub(super) const fn challenge(self, configured: Unauthenticated) -> Challenge {
        match self {
            Self::Navigation => configured.navigation,
            // A redirect inside a frame ends at a provider that refuses to be framed: a blank box. A page does not.
            Self::Framed => match configured.navigation {
                Challenge::Redirect => Challenge::Page,
                other => other,
            },
            Self::Unknown => configured.unknown,
            Self::Script | Self::Preflight => configured.other,
        }
    }

    /// Whether a person looks at the answer.
    #[must_use]
    pub const fn is_seen(self) -> bool {
        matches!(self, Self::Navigation | Self::Framed | Self::Unknown)
    }
}

fn accepts_html(accept: &str) -> bool {
    accept
        .split(',')
        .filter_map(|range| range.split(';').next())
        .any(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(method: &Method, headers: &[(&'static str, &'static str)]) -> Kind {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        Kind::of(method, &headers)
    }

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");

    #[test]
    fn people_and_programs_are_told_apart() {
        assert_eq!(kind(&Method::GET, &[PAGE]), Kind::Navigation);
        assert_eq!(kind(&Method::HEAD, &[PAGE]), Kind::Navigation);
        assert_eq!(kind(&Method::GET, &[PAGE, ("sec-fetch-mode", "navigate")]), Kind::Navigation);
        assert_eq!(
            kind(&Method::GET, &[PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
            Kind::Framed
        );
        assert_eq!(kind(&Method::POST, &[PAGE]), Kind::Script);
        assert_eq!(kind(&Method::GET, &[PAGE, ("sec-fetch-mode", "cors")]), Kind::Script);
        assert_eq!(kind(&Method::GET, &[PAGE, ("x-requested-with", "XMLHttpRequest")]), Kind::Script);
        assert_eq!(kind(&Method::GET, &[PAGE, ("sec-websocket-version", "13")]), Kind::Script);
        assert_eq!(kind(&Method::GET, &[("accept", "*/*")]), Kind::Script);
        assert_eq!(kind(&Method::GET, &[("accept", "application/json")]), Kind::Script);
        assert_eq!(kind(&Method::GET, &[]), Kind::Unknown);
        assert_eq!(
            kind(&Method::OPTIONS, &[("origin", "https://a.example"), ("access-control-request-method", "PUT")]),
            Kind::Preflight
        );
        assert_eq!(kind(&Method::OPTIONS, &[("origin", "https://a.example")]), Kind::Script);
    }
}
