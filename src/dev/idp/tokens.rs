//! The client's side of the provider: tokens, userinfo, revocation.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Form;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::grants::{Grant, Grants};
use super::{DevIdp, User, answer_json};

type Parameters = Form<HashMap<String, String>>;

/// `POST /token` (RFC 6749 sections 4.1.3 and 6, RFC 7636 section 4.6).
pub(super) async fn token(State(idp): State<Arc<DevIdp>>, headers: HeaderMap, Form(given): Parameters) -> Response {
    if !idp.is_client(&headers) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let parameter = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    let grant = match parameter("grant_type") {
        "authorization_code" => {
            let code = idp.grants().redeem(parameter("code"), idp.clock.now());
            code.filter(|code| code.redirect_uri == parameter("redirect_uri"))
                .filter(|code| code.challenge == s256(parameter("code_verifier")))
                .map(|code| code.grant)
        }
        "refresh_token" => idp.grants().rotate(parameter("refresh_token")),
        _ => return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    let granted = grant.and_then(|grant| Some((idp.user(&grant.subject)?.clone(), grant)));
    match granted {
        Some((user, grant)) => idp.issue(&user, grant),
        None => refuse(StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

/// `/userinfo` (OIDC Core section 5.3).
pub(super) async fn userinfo(State(idp): State<Arc<DevIdp>>, headers: HeaderMap) -> Response {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = sent.strip_prefix("Bearer ").unwrap_or_default();
    let subject = idp.grants().access(token, idp.clock.now()).map(|grant| grant.subject.clone());
    match subject.and_then(|subject| idp.user(&subject)) {
        Some(user) => answer_json(StatusCode::OK, &claims(user)),
        None => refuse(StatusCode::UNAUTHORIZED, "invalid_token"),
    }
}

/// `POST /revoke` (RFC 7009 section 2): an unknown token is as good as revoked.
pub(super) async fn revoke(State(idp): State<Arc<DevIdp>>, headers: HeaderMap, Form(given): Parameters) -> Response {
    if !idp.is_client(&headers) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    idp.grants().revoke(given.get("token").map(String::as_str).unwrap_or_default());
    answer_json(StatusCode::OK, &json!({}))
}

impl DevIdp {
    fn issue(&self, user: &User, mut grant: Grant) -> Response {
        let now = self.clock.now();
        let access = self.secret();
        let mut id_token = claims(user);
        id_token["iss"] = json!(self.issuer);
        id_token["aud"] = json!(self.client.id);
        id_token["iat"] = json!(now.as_secs());
        id_token["exp"] = json!(now.plus(Grants::ACCESS_LIFE).as_secs());
        id_token["auth_time"] = json!(grant.auth_time.as_secs());
        id_token["at_hash"] = json!(at_hash(&access));
        // A renewed ID token should have no nonce (OIDC Core section 12.2).
        if let Some(nonce) = grant.nonce.take() {
            id_token["nonce"] = json!(nonce);
        }
        let Ok(id_token) = self.key.sign("JWT", &id_token) else {
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error");
        };
        let mut tokens = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": Grants::ACCESS_LIFE.as_secs(),
            "scope": grant.scope,
            "id_token": id_token,
        });
        let mut grants = self.grants();
        if grant.scope.split(' ').any(|scope| scope == "offline_access") {
            let refresh = self.secret();
            tokens["refresh_token"] = json!(refresh);
            grants.add_refresh(refresh, grant.clone());
        }
        grants.add_access(access, grant, now);
        answer_json(StatusCode::OK, &tokens)
    }

    /// `client_secret_basic`: both halves are form-encoded first (RFC 6749 section 2.3.1).
    fn is_client(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let pair = sent.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let Some((id, secret)) = pair.split_once(':') else { return false };
        let decoded = |text: &str| {
            form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
        };
        decoded(id) == self.client.id && decoded(secret) == self.client.secret.expose()
    }
}

fn claims(user: &User) -> Value {
    json!({
        "sub": user.subject,
        "name": user.name,
        "email": user.email,
        "email_verified": true,
        "groups": user.groups,
    })
}

fn s256(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// The left half of the access token's hash (OIDC Core section 3.1.3.6).
fn at_hash(access_token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&digest(&SHA256, access_token.as_bytes()).as_ref()[..16])
}

fn refuse(status: StatusCode, error: &str) -> Response {
    let mut response = answer_json(status, &json!({ "error": error }));
    if status == StatusCode::UNAUTHORIZED {
        let scheme = if error == "invalid_client" { "Basic realm=\"dev\"" } else { "Bearer error=\"invalid_token\"" };
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    response
}
