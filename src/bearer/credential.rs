//! What a request brings, besides cookies, that may say who it is; and which source a token is for. What a token says of
//! itself chooses who is asked, and proves nothing.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use thiserror::Error;

/// A token as it was sent.
#[derive(Clone, Copy)]
pub struct Credential<'h> {
    pub(super) token: &'h str,
    pub(super) place: Place,
}

/// Where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the header of the proxy in front.
    FrontProxy,
    /// As a bearer token (RFC 6750 section 2.1).
    Bearer,
}

/// Two headers of which there may be one: gateways and workloads do not agree which of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("two credentials in one place")]
pub struct TwoCredentials;

/// Which source a token is for.
#[derive(Debug, Default)]
pub(super) struct Dispatch {
    pub(super) by_issuer: HashMap<String, usize>,
    pub(super) opaque: Option<usize>,
}

/// The only member that is looked at before the signature is.
#[derive(Deserialize)]
struct Peeked {
    iss: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Signed { issuer: Option<String> },
    Opaque,
}

impl Dispatch {
    /// No issuer needs more; whoever sends more is not read.
    const LONGEST_TOKEN: usize = 16 * 1024;

    /// The source that a bearer token is for. A JWT is for its issuer's source or for none: it is never shown to another.
    pub(super) fn source_of(&self, token: &str) -> Option<usize> {
        if token.len() > Self::LONGEST_TOKEN {
            return None;
        }
        match shape(token) {
            Shape::Signed { issuer } => self.by_issuer.get(&issuer?).copied(),
            Shape::Opaque => self.opaque,
        }
    }
}

impl<'h> Credential<'h> {
    pub(super) const fn new(token: &'h str, place: Place) -> Self {
        Self { token, place }
    }

    /// The token itself.
    pub(crate) const fn token(&self) -> &'h str {
        self.token
    }

    /// Whether nothing in it says whose it is.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.token.len() > Dispatch::LONGEST_TOKEN || shape(self.token) == Shape::Opaque
    }

    /// Whether the proxy in front sent it.
    #[must_use]
    pub fn is_by_front_proxy(&self) -> bool {
        self.place == Place::FrontProxy
    }
}

impl std::fmt::Debug for Credential<'_> {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Credential").field(&self.place).finish()
    }
}

/// The bearer token, if there is one and it is of the form that RFC 6750 section 2.1 gives it.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, TwoCredentials> {
    Ok(only(headers, &AUTHORIZATION)?.and_then(token_of))
}

/// The token of a bearer's `Authorization`.
pub(super) fn token_of(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

/// The one value of a header; what is no text is nothing that we can read.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, TwoCredentials> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(value.to_str().ok()),
        (Some(_), Some(_)) => Err(TwoCredentials),
    }
}

/// `b64token` of RFC 6750 section 2.1.
fn is_token(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

fn shape(token: &str) -> Shape {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, _] = parts[..] else { return Shape::Opaque };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    let is_header = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&decoded(header)).is_ok();
    if !is_header {
        return Shape::Opaque;
    }
    // Two `iss` in one payload are none.
    let issuer = serde_json::from_slice::<Peeked>(&decoded(payload)).ok().and_then(|peeked| peeked.iss);
    Shape::Signed { issuer }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().expect("a value"))).collect()
    }

    fn encoded(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_bearer_is_found_in_every_case_of_its_scheme_and_in_no_other_form() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc ", "Bearer a-b.c_d~e+f/g=="] {
            assert!(matches!(bearer(&headers(&[value])), Ok(Some(_))), "{value}");
        }
        for value in [
            "Basic abc",
            "token abc",
            "abc",
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a, Bearer b",
            "Bearer =",
            "Bearer\tabc",
            "Bearerabc",
        ] {
            assert_eq!(bearer(&headers(&[value])), Ok(None), "{value}");
        }
        assert_eq!(bearer(&headers(&["Bearer a", "Bearer a"])), Err(TwoCredentials));
        assert_eq!(bearer(&headers(&["Basic a", "Bearer a"])), Err(TwoCredentials));
    }

    #[test]
    fn a_token_is_for_its_own_issuer_or_for_nobody() {
        let dispatch = Dispatch { by_issuer: HashMap::from([("https://a".to_owned(), 1)]), opaque: Some(2) };
        let token = |payload: &str| format!("{}.{}.c2ln", encoded(r#"{"alg":"RS256"}"#), encoded(payload));
        assert_eq!(dispatch.source_of(&token(r#"{"iss":"https://a"}"#)), Some(1));
        for strange in
            [r#"{"iss":"https://b"}"#, r#"{"iss":7}"#, "{}", "[]", "x", r#"{"iss":"https://a","iss":"https://a"}"#]
        {
            assert_eq!(dispatch.source_of(&token(strange)), None, "{strange}");
        }
        assert_eq!(dispatch.source_of("opaque"), Some(2));
        assert_eq!(dispatch.source_of("v1.public.abc"), Some(2), "three parts do not make a JWT");
        assert_eq!(dispatch.source_of(&"a".repeat(Dispatch::LONGEST_TOKEN + 1)), None);
    }
}
