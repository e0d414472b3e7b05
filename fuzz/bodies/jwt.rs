//! A token and a key set, both hostile: what is verified was signed with a key of the set, by an algorithm that is allowed,
//! and says what was signed.

use std::future::ready;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::clock::TestClock;
use countersign::idp::{PublishedKeys, SignedClaims};
use serde_json::Value;

use super::house::{self, NOW};
use super::signing;

const ALLOWED: [&str; 4] = ["EdDSA", "ES256", "RS256", "PS256"];

/// How to go about it, then a key set and a token; or the header, the payload, and more keys for the set. A line each.
pub(super) fn body(data: &[u8]) {
    let Some(([way, at, xor], rest)) = data.split_first_chunk::<3>() else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let others = std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    match way % 4 {
        0 => raw(first, second),
        1 => signed(first, second, others),
        2 => changed(first, second, usize::from(*at), *xor),
        _ => by_a_public_key_as_a_secret(first, second, others),
    }
}

fn raw(jwks: &[u8], token: &[u8]) {
    let Ok(token) = std::str::from_utf8(token) else { return };
    let Some(read) = verified(jwks, token) else { return };
    says_what_is_written(&read, token);
}

/// With a good signature over whatever the header and the payload are.
fn signed(header: &[u8], payload: &[u8], others: &str) {
    let token = signing::sign(header, payload);
    let others_alone = verified_by(&ALLOWED[1..], signing::key_set(others).as_bytes(), &token);
    assert!(others_alone.is_none(), "signed as nobody is allowed to: {token}");
    let Some(read) = verified(signing::key_set(others).as_bytes(), &token) else {
        let honest = header == br#"{"alg":"EdDSA","kid":"one"}"# && others.is_empty();
        let claims = serde_json::from_slice::<Value>(payload).is_ok_and(|claims| claims.is_object());
        assert!(!(honest && claims), "an honest token was refused");
        return;
    };
    let header = says_what_is_written(&read, &token);
    assert_eq!(header["alg"], "EdDSA", "the key makes no other signatures");
    assert_eq!(serde_json::from_slice(payload).ok(), Some(Value::Object(read.claims)));
}

/// Not a byte of a token may be another.
fn changed(header: &[u8], payload: &[u8], at: usize, xor: u8) {
    let honest = signing::sign(header, payload);
    let mut bytes = honest.clone().into_bytes();
    let at = at * 7 % bytes.len();
    bytes[at] ^= xor;
    let Ok(token) = String::from_utf8(bytes) else { return };
    let refused = verified(signing::key_set("").as_bytes(), &token).is_none();
    assert!(refused || token == honest, "{honest} became {token}");
}

/// What everybody knows is no key of a MAC (RFC 8725 section 2.1).
fn by_a_public_key_as_a_secret(header: &[u8], payload: &[u8], others: &str) {
    let keys = signing::key_set(others);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    for secret in [signing::public_key(), keys.clone().into_bytes(), Vec::new(), others.as_bytes().to_vec()] {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
        assert!(verified(keys.as_bytes(), &token).is_none(), "{token}");
    }
    assert!(verified(keys.as_bytes(), &format!("{signed}.")).is_none(), "{signed}.");
}

fn says_what_is_written(read: &SignedClaims, token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let part = |at: usize| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(parts[at]).expect("base64url"));
    let (header, claims) = (part(0).expect("JSON"), part(1).expect("JSON"));
    assert!(header["alg"].as_str().is_some_and(|alg| ALLOWED.contains(&alg)), "{header}");
    assert!(header.get("crit").is_none() && header.get("cty").is_none(), "{header}");
    assert_eq!(header.get("typ").and_then(Value::as_str), read.typ.as_deref());
    assert_eq!(Some(&read.claims), claims.as_object());
    header
}

/// What the token says, if it is believed; nobody has newer keys.
fn verified(jwks: &[u8], token: &str) -> Option<SignedClaims> {
    verified_by(&ALLOWED, jwks, token)
}

fn verified_by(algorithms: &[&str], jwks: &[u8], token: &str) -> Option<SignedClaims> {
    let algorithms = algorithms.iter().map(|&name| name.to_owned()).collect();
    let keys = PublishedKeys::new(algorithms, Arc::new(TestClock::at(NOW)));
    if keys.take(jwks).is_err() {
        return None;
    }
    house::within_runtime(keys.verify(token, || ready(Err("there are none".to_owned())))).ok()
}
