//! Whether an ID token is meant for us, now, and for this flow: OIDC Core section 3.1.3.7 (and 12.2 for renewals),
//! after the signature has been found good. It asks nobody anything.

use std::time::Duration;

use serde_json::{Map, Value};

use super::keys::Signed;
use super::trouble::quotable;
use crate::clock::UnixTime;
use crate::identity::Identity;
use crate::secret::SecretText;

/// How far the provider's clock and ours may be apart.
pub(super) const LEEWAY: Duration = Duration::from_mins(1);
/// How old a token that was just asked for may be.
pub(super) const OLDEST: Duration = Duration::from_mins(10);
/// The last second of the year 9999: a later one is no time but an attempt.
const LAST_SECOND: u64 = 253_402_300_799;

/// What an ID token must agree with.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) access_token: &'a SecretText,
    pub(super) now: UnixTime,
    pub(super) occasion: Occasion<'a>,
}

/// What the token was asked for.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'a> {
    /// A sign-in, with this nonce.
    SignIn { nonce: &'a str },
    /// A renewal, for this person.
    Renewal { known: &'a Identity },
}

/// Judges what the token says.
pub(super) fn check(token: &Signed, expected: &Expected<'_>) -> Result<(), String> {
    let claims = &token.claims;
    // RFC 8725 section 3.11: a logout token or a token of ours is signed as well, and is no ID token.
    let typ = token.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    if typ.strip_prefix("application/").unwrap_or(&typ) != "jwt" {
        return Err(format!("its `typ` is `{}`: that is no ID token", quotable(&typ)));
    }
    // The same where the type is left out (RFC 8417, OIDC Back-Channel Logout section 2.4).
    if claims.contains_key("events") {
        return Err("it tells of events (`events`), and is no ID token".to_owned());
    }
    check_issuer(claims, expected.issuer)?;
    check_audience(claims, expected.client_id)?;
    check_times(claims, expected.now)?;
    text(claims, "sub")?.filter(|subject| !subject.is_empty()).ok_or("it has no `sub`")?;
    match expected.occasion {
        Occasion::SignIn { nonce } => match text(claims, "nonce")? {
            Some(found) if found == nonce => {}
            Some(_) => return Err("its `nonce` is not the one of this sign-in".to_owned()),
            None => return Err("it has no `nonce`".to_owned()),
        },
        Occasion::Renewal { known } => check_sign_in_time(claims, known)?,
    }
    match text(claims, "at_hash")? {
        Some(hash) if Some(hash) != token.access_token_hash(expected.access_token).as_deref() => {
            Err("its `at_hash` is not the hash of the access token beside it".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether a renewal's token, which is good, is about the person who signed in (OIDC Core section 12.2).
pub(super) fn check_same_person(token: &Signed, known: &Identity) -> Result<(), String> {
    let same = text(&token.claims, "sub")? == Some(known.subject.as_str());
    if same { Ok(()) } else { Err("its `sub` is another than at sign-in".to_owned()) }
}

/// A time that the token tells (RFC 7519 section 2, `NumericDate`).
pub(crate) fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, String> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_u64().or_else(|| fractional(value)).filter(|seconds| *seconds <= LAST_SECOND);
    whole.map(UnixTime::from_secs).map(Some).ok_or_else(|| format!("its `{name}` is no time"))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
fn fractional(value: &Value) -> Option<u64> {
    value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds)).map(|seconds| seconds as u64)
}

pub(super) fn check_issuer(claims: &Map<String, Value>, issuer: &str) -> Result<(), String> {
    match text(claims, "iss")? {
        Some(found) if found == issuer => Ok(()),
        Some(found) => Err(format!("its `iss` is `{}`, not `{issuer}`", quotable(found))),
        None => Err("it has no `iss`".to_owned()),
    }
}

/// Only us: a second audience could show the token here as its user, and none is trusted with that.
pub(super) fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), String> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => {
            many.iter().map(Value::as_str).collect::<Option<_>>().ok_or("its `aud` is no list of strings")?
        }
        Some(_) => return Err("its `aud` is neither a string nor a list".to_owned()),
        None => return Err("it has no `aud`".to_owned()),
    };
    if !audiences.contains(&client_id) {
        return Err(format!("its `aud` does not hold our client id `{client_id}`"));
    }
    if let Some(other) = audiences.iter().find(|audience| **audience != client_id) {
        return Err(format!("its `aud` holds `{}` besides us, which is not trusted", quotable(other)));
    }
    match text(claims, "azp")? {
        Some(party) if party != client_id => {
            Err(format!("its `azp` is `{}`: it was given to another client", quotable(party)))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_times(claims: &Map<String, Value>, now: UnixTime) -> Result<(), String> {
    let ends = time(claims, "exp")?.ok_or("it has no `exp`")?;
    if ends.plus(LEEWAY) <= now {
        return Err(format!("it ended {} seconds ago (`exp`): do the clocks agree?", now.since(ends).as_secs()));
    }
    let issued = time(claims, "iat")?.ok_or("it has no `iat`")?;
    if issued > now.plus(LEEWAY) {
        let ahead = issued.since(now).as_secs();
        return Err(format!("it was issued {ahead} seconds in the future (`iat`): do the clocks agree?"));
    }
    if issued.plus(OLDEST).plus(LEEWAY) < now {
        return Err(format!("it was issued {} seconds ago (`iat`), and is stale", now.since(issued).as_secs()));
    }
    match time(claims, "nbf")? {
        Some(starts) if starts > now.plus(LEEWAY) => Err("it is not valid yet (`nbf`)".to_owned()),
        _ => Ok(()),
    }
}

fn check_sign_in_time(claims: &Map<String, Value>, known: &Identity) -> Result<(), String> {
    match (time(claims, "auth_time")?, known.auth_time) {
        (Some(now), Some(then)) if now != then => Err("its `auth_time` is another than at sign-in".to_owned()),
        _ => Ok(()),
    }
}

pub(super) fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, String> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its `{name}` is no string")),
    }
}
