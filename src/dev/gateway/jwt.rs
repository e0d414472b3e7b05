//! What `jwt_authn` does: a token that is there must be good.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

/// A token that was verified, as the site may show it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

/// Verifies by published keys; they are fetched when a token names one that is not known yet.
pub(super) struct JwtAuthn {
    client: reqwest::Client,
    jwks: String,
    validation: Validation,
    keys: Mutex<Arc<JwkSet>>,
}

impl JwtAuthn {
    pub(super) fn new(client: reqwest::Client, jwks: String, issuer: &str, audience: &str) -> Self {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_nbf = true;
        Self { client, jwks, validation, keys: Mutex::new(Arc::new(JwkSet { keys: Vec::new() })) }
    }

    /// No bearer token passes; one that is no RC token does not.
    pub(super) async fn verify(&self, headers: &HeaderMap) -> Result<Option<Verified>, String> {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = sent.and_then(|value| value.strip_prefix("Bearer ")) else { return Ok(None) };
        let header = decode_header(token).map_err(|failure| failure.to_string())?;
        let kid = header.kid.as_deref().ok_or("the token names no key")?;
        let mut keys = self.keys();
        if keys.find(kid).is_none() {
            keys = Arc::new(self.fetch().await.map_err(|failure| failure.to_string())?);
            *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        }
        let key = keys.find(kid).ok_or("the token's key is not published")?;
        let key = DecodingKey::from_jwk(key).map_err(|failure| failure.to_string())?;
        let read = decode::<Value>(token, &key, &self.validation).map_err(|failure| failure.to_string())?;
        let header = serde_json::to_value(&read.header).map_err(|failure| failure.to_string())?;
        Ok(Some(Verified { header, claims: read.claims }))
    }

    fn keys(&self) -> Arc<JwkSet> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn fetch(&self) -> reqwest::Result<JwkSet> {
        self.client.get(&self.jwks).send().await?.error_for_status()?.json().await
    }
}
