//! What the API server says of the tokens that it issues: their issuer, and the keys that sign them.

use serde::Deserialize;

use super::{ApiServer, KubeError};
use crate::metrics::IdpOperation;

const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Asked whatever `jwks_uri` says: that may lead to another machine, and our own token goes nowhere else.
const KEY_SET: &str = "/openid/v1/jwks";
const PERMISSION: &str = "our ServiceAccount may not read it; bind the ClusterRole \
                          `system:service-account-issuer-discovery` to it";

#[derive(Deserialize)]
struct Document {
    issuer: String,
}

impl ApiServer {
    /// The issuer of this cluster's tokens.
    ///
    /// # Errors
    /// If it is not told.
    pub async fn issuer(&self) -> Result<String, KubeError> {
        let named = |body: Vec<u8>| match serde_json::from_slice(&body) {
            Ok(Document { issuer }) if !issuer.is_empty() => Ok(issuer),
            _ => Err(KubeError::Misbehaved(format!("{DISCOVERY}: it names no issuer"))),
        };
        let outcome = self.document(DISCOVERY).await.and_then(named);
        self.count(IdpOperation::Discovery, &outcome);
        outcome
    }

    /// The keys that sign this cluster's tokens, as a JWK set (RFC 7517 section 5) that nobody has looked into yet.
    ///
    /// # Errors
    /// If they are not told.
    pub async fn key_set(&self) -> Result<Vec<u8>, KubeError> {
        let outcome = self.document(KEY_SET).await;
        self.count(IdpOperation::Jwks, &outcome);
        outcome
    }

    async fn document(&self, path: &str) -> Result<Vec<u8>, KubeError> {
        let answer = self.connection.fetch(path).await?;
        if answer.status == http::StatusCode::OK {
            return Ok(answer.body);
        }
        Err(self.connection.trouble(path, &answer, PERMISSION))
    }
}
