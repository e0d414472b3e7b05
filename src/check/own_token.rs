//! Our own tokens, when they come back: what a workload received for one request is no credential for another. Where the
//! client's `Authorization` is left alone, the mesh would verify such a token and take the request for its subject's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;

/// The query parameter in which verifiers look for tokens unless they are told not to (RFC 6750 section 2.3).
const PARAMETER: &str = "access_token";

/// Knows our tokens by their issuer.
#[derive(Clone, Debug)]
pub(super) struct OwnTokens {
    issuer: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
}

impl OwnTokens {
    pub(super) const fn new(issuer: String) -> Self {
        Self { issuer }
    }

    /// Whether the headers that may be left as they were sent hold one. Signatures do not count: one of ours that does
    /// not verify is worth refusing, too.
    pub(super) fn are_in_headers(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get_all(AUTHORIZATION);
        sent.into_iter().any(|value| self.hides_in(&String::from_utf8_lossy(value.as_bytes())))
    }

    /// Whether the query holds one.
    pub(super) fn are_in_query(&self, target: &str) -> bool {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let parameters = url::form_urlencoded::parse(query.as_bytes());
        parameters.into_iter().any(|(name, value)| name.eq_ignore_ascii_case(PARAMETER) && self.hides_in(&value))
    }

    /// Whether one stands anywhere in the text: verifiers cut it out of what surrounds it.
    fn hides_in(&self, text: &str) -> bool {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        text.split(|c| !is_part(c)).any(|word| {
            // Any segment may be the claims of a token that verifiers find in the middle of the word.
            word.split('.').any(|segment| self.is_claims(segment))
        })
    }

    fn is_claims(&self, segment: &str) -> bool {
        let decoded = URL_SAFE_NO_PAD.decode(segment).unwrap_or_default();
        serde_json::from_slice::<Claims>(&decoded).is_ok_and(|claims| claims.iss.as_deref() == Some(&*self.issuer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ours() -> OwnTokens {
        OwnTokens::new("https://mesh.example.com".into())
    }

    fn token(issuer: &str) -> String {
        let segment = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2ln", segment(json!({"alg": "ES256"})), segment(json!({"iss": issuer, "sub": "alice"})))
    }

    fn with(value: &str) -> HeaderMap {
        [(AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn ours_are_found_wherever_a_verifier_would_look() {
        let own = token("https://mesh.example.com");
        for value in [
            format!("Bearer {own}"),
            format!("bearer  {own}"),
            format!("x Bearer {own} y"),
            format!("Bearer {own}.x"),
            own.clone(),
        ] {
            assert!(ours().are_in_headers(&with(&value)), "{value} passed");
        }
        for target in [format!("/a?access_token={own}"), format!("/a?b=1&access%5Ftoken={}", own.replace('e', "%65"))] {
            assert!(ours().are_in_query(&target), "{target} passed");
        }
        let mut two = with("Basic eDp5");
        two.append(AUTHORIZATION, format!("Bearer {own}").parse().unwrap());
        assert!(ours().are_in_headers(&two));
    }

    #[test]
    fn those_of_others_are_not_our_concern() {
        let other = token("https://other.example.com");
        for value in [&*format!("Bearer {other}"), "Basic eDp5", "token 0a1b2c", "Bearer sk-proj.abc.def"] {
            assert!(!ours().are_in_headers(&with(value)), "{value} was taken for ours");
        }
        let target = format!("/a?access_token={other}&y=z");
        assert!(!ours().are_in_query(&target) && !ours().are_in_query("/a?access_token=x.y.z&b"));
    }
}
