//! Whether a bearer token is meant for us, and now: RFC 7519 section 4.1 and RFC 9068 section 4, after its signature has
//! been found good. It asks nobody anything.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::idp::{numeric_date, quotable};

/// How far the issuer's clock may be ahead of ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// What a token must agree with.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audiences: &'a [String],
    pub(super) now: UnixTime,
}

/// Judges what a signed token says, and when it ends.
pub(super) fn check(
    claims: &Map<String, Value>,
    typ: Option<&str>,
    expected: &Expected<'_>,
) -> Result<UnixTime, String> {
    check_type(typ)?;
    // The type may be left out: a security event token (RFC 8417), of which logout tokens are a kind (OIDC Back-Channel
    // Logout section 2.4), is known by this, and says what happened to its subject, who did not send it.
    if claims.contains_key("events") {
        return Err("it tells of events, and is no bearer token".to_owned());
    }
    match claims.get("iss").and_then(Value::as_str) {
        Some(found) if found == expected.issuer => {}
        _ => return Err(format!("its `iss` is not `{}`", expected.issuer)),
    }
    check_audience(claims, expected.audiences)?;
    // RFC 9449 section 7.2: as a mere bearer token it must not be good, and the proof cannot be seen here.
    if claims.contains_key("cnf") {
        return Err("it is bound to a key (`cnf`), and no bearer token".to_owned());
    }
    match claims.get("sub") {
        Some(Value::String(subject)) if !subject.is_empty() => {}
        _ => return Err("it has no `sub`".to_owned()),
    }
    check_times(claims, expected.now)
}

/// When it ends; an error if that is past, or if it has not begun.
pub(super) fn check_times(claims: &Map<String, Value>, now: UnixTime) -> Result<UnixTime, String> {
    let ends = numeric_date(claims, "exp")?.ok_or("it has no `exp`")?;
    // Without leeway: the token that it is exchanged for could not live.
    if ends <= now {
        return Err(format!("it ended {} seconds ago (`exp`): do the clocks agree?", now.since(ends).as_secs()));
    }
    for name in ["nbf", "iat"] {
        if numeric_date(claims, name)?.is_some_and(|time| time > now.plus(LEEWAY)) {
            return Err(format!("it is not valid yet (`{name}`): do the clocks agree?"));
        }
    }
    Ok(ends)
}

/// RFC 8725 section 3.11: a logout token or an RC token is signed as well, and is no bearer token.
fn check_type(typ: Option<&str>) -> Result<(), String> {
    let typ = typ.unwrap_or("JWT").to_ascii_lowercase();
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "jwt" | "at+jwt" => Ok(()),
        other => Err(format!("its `typ` is `{}`: that is no bearer token", quotable(other))),
    }
}

fn check_audience(claims: &Map<String, Value>, audiences: &[String]) -> Result<(), String> {
    let fits = |value: &Value| value.as_str().is_some_and(|name| audiences.iter().any(|audience| audience == name));
    let good = match claims.get("aud") {
        Some(one @ Value::String(_)) => fits(one),
        Some(Value::Array(many)) => many.iter().all(Value::is_string) && many.iter().any(fits),
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("its `aud` holds none of {}", audiences.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(change: impl FnOnce(&mut Value), typ: Option<&str>) -> Result<UnixTime, String> {
        let mut claims = json!({"iss": "https://a", "sub": "x", "aud": ["us", "them"], "exp": 1300, "nbf": 900});
        change(&mut claims);
        let audiences = ["us".to_owned()];
        let expected = Expected { issuer: "https://a", audiences: &audiences, now: UnixTime::from_secs(1000) };
        check(claims.as_object().expect("an object"), typ, &expected)
    }

    #[test]
    fn a_token_for_us_and_now_is_good() {
        for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt")] {
            assert_eq!(judged(|_| (), typ), Ok(UnixTime::from_secs(1300)), "{typ:?}");
        }
        assert!(judged(|claims| claims["aud"] = json!("us"), None).is_ok());
        assert!(judged(|claims| claims["nbf"] = json!(1060), None).is_ok(), "clocks differ");
    }

    #[test]
    fn every_other_is_refused() {
        for (name, value) in [
            ("iss", json!("https://a/")),
            ("iss", json!(["https://a"])),
            ("aud", json!("them")),
            ("aud", json!([])),
            ("aud", json!(["us", 7])),
            ("aud", json!({"us": 1})),
            ("aud", json!(null)),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("exp", json!(1000)),
            ("exp", json!("1300")),
            ("exp", json!(1e300)),
            ("exp", json!(-1)),
            ("nbf", json!(1061)),
            ("iat", json!(1061)),
            ("iat", json!("900")),
            ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
            ("events", json!(null)),
            ("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
        ] {
            assert!(judged(|claims| claims[name] = value.clone(), None).is_err(), "{name} {value} passed");
        }
        for name in ["iss", "aud", "sub", "exp"] {
            let without = |claims: &mut Value| drop(claims.as_object_mut().expect("an object").remove(name));
            assert!(judged(without, None).is_err(), "without {name} it passed");
        }
        for typ in ["rc+jwt", "logout+jwt", "dpop+jwt", "at+jwt;x"] {
            assert!(judged(|_| (), Some(typ)).is_err(), "{typ} passed");
        }
    }
}
