//! An identity provider for development and tests: real OpenID Connect, users without passwords. It checks what a
//! strict provider checks, so that what works here works elsewhere. Never on anything but loopback.

mod authorize;
mod grants;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::clock::Clock;
use crate::dev::look::Look;
use crate::entropy::{Entropy, random};
use crate::jose::SigningKey;
use crate::secret::SecretText;
use grants::Grants;

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct User {
    /// The `sub` claim.
    pub subject: String,
    /// The `name` claim.
    pub name: String,
    /// The `email` claim, verified.
    pub email: String,
    /// The `groups` claim.
    pub groups: Vec<String>,
}

/// The one client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret (`client_secret_basic`).
    pub secret: SecretText,
    /// Where codes are sent, compared as a string. After a logout browsers may go anywhere on its origin.
    pub redirect_uri: Url,
}

/// The provider.
pub struct DevIdp {
    issuer: String,
    client: Client,
    users: Vec<User>,
    key: SigningKey,
    look: Look,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    grants: Mutex<Grants>,
}

impl DevIdp {
    /// A provider with a new signing key. `issuer` is where [`DevIdp::router`] will be served, without a slash at its
    /// end.
    ///
    /// # Errors
    /// If no key can be made, or its pages do not load.
    pub fn new(
        issuer: String,
        client: Client,
        users: Vec<User>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let look = Look::new("Development identity provider", Arc::clone(&entropy))?;
        let key = SigningKey::generate()?;
        Ok(Self { issuer, client, users, key, look, clock, entropy, grants: Mutex::default() })
    }

    /// Its endpoints.
    pub fn router(self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/auth", get(authorize::ask).post(authorize::answer))
            .route("/token", post(tokens::token))
            .route("/userinfo", get(tokens::userinfo).post(tokens::userinfo))
            .route("/revoke", post(tokens::revoke))
            .route("/end_session", get(authorize::end_session).post(authorize::end_session))
            .with_state(Arc::new(self))
    }

    fn user(&self, subject: &str) -> Option<&User> {
        self.users.iter().find(|user| user.subject == subject)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secret(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(random::<32>(&*self.entropy))
    }
}

/// OpenID Connect Discovery section 3.
async fn discovery(State(idp): State<Arc<DevIdp>>) -> Response {
    let issuer = &idp.issuer;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "end_session_endpoint": format!("{issuer}/end_session"),
        "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_supported": ["sub", "name", "email", "email_verified", "groups", "auth_time"],
    });
    answer_json(StatusCode::OK, &document)
}

async fn jwks(State(idp): State<Arc<DevIdp>>) -> Response {
    answer_json(StatusCode::OK, &json!({ "keys": [idp.key.public_jwk()] }))
}

fn answer_json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn see_other(to: &Url) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().extend(HeaderValue::try_from(to.as_str()).map(|to| (LOCATION, to)));
    response
}
