//! The userinfo endpoint (OIDC Core section 5.3): more claims of the person whom the ID token named, and of no other.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::keys::Verifier;
use super::metadata::Endpoint;
use super::trouble::{Trouble, quotable};
use crate::metrics::IdpOperation;
use crate::secret::SecretText;

/// Asks for the claims of `subject`. The answer is JSON, or a token signed with the provider's keys.
///
/// (The library's own request panics on an access token that cannot stand in a header; ours is an error.)
pub(super) async fn ask(
    endpoint: &Endpoint,
    access_token: &SecretText,
    subject: &str,
    client: (&str, &str),
    verifier: &Verifier<'_>,
) -> Result<Map<String, Value>, Trouble> {
    let misbehaved = |reason: &str| Trouble::Misbehaved(format!("userinfo: {reason}"));
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose()))
        .map_err(|_| misbehaved("the access token has characters that none may have"))?;
    bearer.set_sensitive(true);
    let request = http::Request::get(endpoint.url.as_str())
        .header(header::ACCEPT, "application/json, application/jwt")
        .header(header::AUTHORIZATION, bearer)
        .body(Vec::new())
        .map_err(|error| misbehaved(&error.to_string()))?;
    let called = verifier.outbound.call(IdpOperation::Userinfo, request, endpoint.reach).await;
    let response = called.map_err(|error| Trouble::called(IdpOperation::Userinfo, endpoint.url.as_str(), &error))?;
    if response.status() != StatusCode::OK {
        let status = response.status();
        return Err(misbehaved(&format!("it answered with status {status} to the access token it had just given")));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let claims = match kind.as_str() {
        "application/jwt" => signed(response.body(), client, verifier).await.map_err(|trouble| match trouble {
            Trouble::Misbehaved(reason) => misbehaved(&format!("its signed answer is refused: {reason}")),
            other => other,
        })?,
        "application/json" | "" => serde_json::from_slice(response.body())
            .map_err(|_| misbehaved("the answer is no JSON object (a list, a page, cut short?)"))?,
        other => return Err(misbehaved(&format!("the answer is `{}`, not JSON", quotable(other)))),
    };
    // OIDC Core section 5.3.2: otherwise somebody else's claims could be slipped in.
    match claims.get("sub").and_then(Value::as_str) {
        Some(found) if found == subject => Ok(claims),
        Some(_) => Err(Trouble::ChangedUser("userinfo: its `sub` is not the one of the ID token".to_owned())),
        None => Err(misbehaved("it has no `sub`")),
    }
}

/// A signed answer; `iss` and `aud` must be right where they are given (OIDC Core section 5.3.2).
async fn signed(body: &[u8], client: (&str, &str), verifier: &Verifier<'_>) -> Result<Map<String, Value>, Trouble> {
    let (issuer, client_id) = client;
    let token = std::str::from_utf8(body).map_err(|_| Trouble::Misbehaved("it is no text".to_owned()))?;
    let claims = verifier.verify(token.trim()).await?.claims;
    let issuer_fits = claims.get("iss").is_none_or(|found| found == issuer);
    let audience_fits = match claims.get("aud") {
        None => true,
        Some(Value::Array(many)) => many.iter().any(|one| one == client_id),
        Some(one) => one == client_id,
    };
    match (issuer_fits, audience_fits) {
        (true, true) => Ok(claims),
        (false, _) => Err(Trouble::Misbehaved("its `iss` is another".to_owned())),
        (true, false) => Err(Trouble::Misbehaved("its `aud` does not hold our client id".to_owned())),
    }
}
