//! Whether a logout token is meant for us, now, and ends what: OIDC Back-Channel Logout section 2.6, after the signature
//! has been found good. It asks nobody anything; that a token works once is for others to see to.

use serde_json::Value;

use super::id_token::{self, LEEWAY, OLDEST};
use super::keys::Signed;
use super::trouble::quotable;
use crate::clock::UnixTime;
use crate::identity::Subject;

/// The event that makes a token a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The longest `jti` and `sid` that are believed to be names.
const LONGEST_NAME: usize = 1024;

/// What a provider has told us of the end of a session of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLogout {
    /// The name of this very message.
    pub jti: String,
    /// Which session of the provider's, if it says so.
    pub provider_sid: Option<String>,
    /// Whose, if it says so. One of the two is there.
    pub subject: Option<Subject>,
    /// From when on the token is refused for its age alone.
    pub stale_at: UnixTime,
}

/// Judges what the token says.
pub(super) fn check(token: &Signed, issuer: &str, client_id: &str, now: UnixTime) -> Result<ProviderLogout, String> {
    let claims = &token.claims;
    // Section 2.4: `logout+jwt` is recommended, and providers older than that say `JWT`, or nothing.
    let typ = token.typ.as_deref().unwrap_or("logout+jwt").to_ascii_lowercase();
    if !matches!(typ.strip_prefix("application/").unwrap_or(&typ), "logout+jwt" | "jwt") {
        return Err(format!("its `typ` is `{}`: that is no logout token", quotable(&typ)));
    }
    id_token::check_issuer(claims, issuer)?;
    id_token::check_audience(claims, client_id)?;
    id_token::check_times(claims, now)?;
    let is_logout = claims.get("events").and_then(Value::as_object).and_then(|events| events.get(EVENT));
    if !is_logout.is_some_and(Value::is_object) {
        return Err("its `events` does not say that it is a logout token".to_owned());
    }
    // So that no ID token can be taken for one.
    if claims.contains_key("nonce") {
        return Err("it has a `nonce`, which a logout token must not".to_owned());
    }
    let name = |claim: &str| match id_token::text(claims, claim)? {
        Some(name) if name.is_empty() || name.len() > LONGEST_NAME => Err(format!("its `{claim}` is no name")),
        name => Ok(name.map(str::to_owned)),
    };
    let jti = name("jti")?.ok_or("it has no `jti`")?;
    let provider_sid = name("sid")?;
    let subject =
        name("sub")?.map(Subject::parse).transpose().map_err(|error| format!("its `sub` is no name: {error}"))?;
    if provider_sid.is_none() && subject.is_none() {
        return Err("it has neither a `sid` nor a `sub`".to_owned());
    }
    let ends = id_token::time(claims, "exp")?.ok_or("it has no `exp`")?;
    let made_at = id_token::time(claims, "iat")?.ok_or("it has no `iat`")?;
    let stale_at = ends.min(made_at.plus(OLDEST)).plus(LEEWAY).plus(LEEWAY);
    Ok(ProviderLogout { jti, provider_sid, subject, stale_at })
}
