//! RC tokens, verified as a stranger would: with the published keys and another implementation.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::Value;

use crate::browser::Browser;
use crate::house;

/// The header and the claims of a token whose signature, issuer and audience are good. Its times are for the caller.
pub(crate) async fn verify(anyone: &Browser, token: &str, audience: &str) -> (Header, Value) {
    let jwks = anyone.ask(http::Method::GET, "/.well-known/jwks.json", &[]).await;
    let jwks: JwkSet = serde_json::from_str(&jwks.body).expect("a JWK set");
    let header = decode_header(token).expect("a header");
    let key = jwks.find(header.kid.as_deref().expect("a kid")).expect("a published key");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[house::ORIGIN]);
    validation.set_audience(&[audience]);
    // By the tests' clock, not the system's.
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    let key = DecodingKey::from_jwk(key).expect("a key");
    (header, decode::<Value>(token, &key, &validation).expect("a good token").claims)
}

/// The claims, unverified: for what only compares tokens.
pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine;
    let body = token.split('.').nth(1).expect("three parts");
    let json = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(body).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}
