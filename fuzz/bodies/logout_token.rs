//! A logout token: whatever ends sessions was signed by the provider, for us, now, and is no ID token.

use countersign::idp::ProviderLogout;
use serde_json::{Map, Value};

use super::house::{self, CLIENT_ID, ISSUER, NOW};
use super::signing;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How to go about it, then a token; or its header and its payload, a line each.
pub(super) fn body(data: &[u8]) {
    let Some(([way, at, xor], rest)) = data.split_first_chunk::<3>() else { return };
    if way % 4 == 0 {
        let Ok(token) = std::str::from_utf8(rest) else { return };
        assert!(verified(token).is_none(), "{token}");
        return;
    }
    let mut lines = rest.splitn(2, |byte| *byte == b'\n');
    let (header, payload) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let token = signing::sign(header, payload);
    if way % 4 == 1 {
        let mut bytes = token.clone().into_bytes();
        let at = usize::from(*at) * 7 % bytes.len();
        bytes[at] ^= xor;
        let Ok(forged) = String::from_utf8(bytes) else { return };
        assert!(forged == token || verified(&forged).is_none(), "{token} became {forged}");
        return;
    }
    let Some(logout) = verified(&token) else { return };
    let header: Value = serde_json::from_slice(header).expect("it was read");
    let claims: Map<String, Value> = serde_json::from_slice(payload).expect("it was read");
    assert_eq!(header["alg"], "EdDSA");
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or("logout+jwt").to_ascii_lowercase();
    assert!(typ.ends_with("jwt") && !typ.contains("at+jwt") && !typ.contains("rc+jwt"), "{typ}");
    is_for_us(&claims);
    says(&logout, &claims);
}

/// OIDC Back-Channel Logout section 2.6.
fn is_for_us(claims: &Map<String, Value>) {
    assert_eq!(claims["iss"], ISSUER);
    let audiences = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
    assert!(!audiences.is_empty() && audiences.iter().all(|audience| audience == CLIENT_ID), "{audiences:?}");
    assert!(claims["events"][EVENT].is_object(), "{:?}", claims["events"]);
    assert!(!claims.contains_key("nonce"), "an ID token passes for a logout token");
    let time = |name: &str| claims[name].as_f64().unwrap_or_else(|| panic!("{name} is {}", claims[name]));
    #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
    let now = NOW.as_secs() as f64;
    assert!(time("exp") + 60.0 > now, "it is over");
    assert!(time("iat") - 61.0 < now && time("iat") + 661.0 >= now, "it is of another time");
    assert!(!claims.contains_key("nbf") || time("nbf") - 61.0 < now, "its time has not come");
}

fn says(logout: &ProviderLogout, claims: &Map<String, Value>) {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    assert_eq!(text("jti"), Some(logout.jti.as_str()));
    assert!((1..=1024).contains(&logout.jti.len()), "{} bytes", logout.jti.len());
    assert_eq!(text("sid"), logout.provider_sid.as_deref());
    assert_eq!(text("sub"), logout.subject.as_ref().map(countersign::identity::Subject::as_str));
    assert!(logout.provider_sid.is_some() || logout.subject.is_some(), "it ends nothing");
    // For as long as it could be shown again it is remembered, and no longer than half an hour.
    let left = logout.stale_at.since(NOW).as_secs();
    assert!(left <= 13 * 60 + 1, "it is remembered for {left} seconds");
}

fn verified(token: &str) -> Option<ProviderLogout> {
    house::within(async |house| house.provider.verify_logout(token).await.ok())
}
