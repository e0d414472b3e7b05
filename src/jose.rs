//! Signs JWTs and describes keys as JWKs. No network, no files, no clock: what to sign and when is for others.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use thiserror::Error;

use crate::secret::SecretText;

/// A key pair that signs with ES256 (RFC 7518 section 3.4), parsed once.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    kid: String,
}

/// A public key as others fetch it (RFC 7517 section 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    kty: &'static str,
    #[serde(rename = "use")]
    public_key_use: &'static str,
    alg: &'static str,
    kid: String,
    crv: &'static str,
    x: String,
    y: String,
}

/// What cannot be signed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JoseError {
    /// Not a P-256 private key in PKCS #8.
    #[error("it is not a P-256 private key in PKCS #8 form")]
    NotAKey,
    /// The claims do not become JSON.
    #[error("the claims do not become JSON")]
    NotJson,
    /// The library would not sign.
    #[error("signing failed")]
    Signing,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'a str,
}

impl PublicJwk {
    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// If the library cannot make one.
    pub fn generate() -> Result<Self, JoseError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::of).map_err(|_| JoseError::Signing)
    }

    /// The key whose PKCS #8 DER is given in base64url.
    ///
    /// # Errors
    /// If it is not such a key.
    pub fn from_text(text: &SecretText) -> Result<Self, JoseError> {
        let der = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(text.expose()).map_err(|_| JoseError::NotAKey)?);
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map(Self::of).map_err(|_| JoseError::NotAKey)
    }

    /// The PKCS #8 DER in base64url.
    ///
    /// # Errors
    /// If the library cannot write it.
    pub fn to_text(&self) -> Result<SecretText, JoseError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| JoseError::NotAKey)?;
        Ok(SecretText::new(URL_SAFE_NO_PAD.encode(der.as_ref())))
    }

    /// The key's id: its thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    #[must_use]
    pub fn public_jwk(&self) -> PublicJwk {
        let (x, y) = coordinates(&self.pair);
        PublicJwk { kty: "EC", public_key_use: "sig", alg: "ES256", kid: self.kid.clone(), crv: "P-256", x, y }
    }

    /// The claims as a compact JWS (RFC 7515 section 7.1) with an explicit `typ` (RFC 8725 section 3.11).
    ///
    /// # Errors
    /// If the claims do not become JSON, or the library would not sign.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, JoseError> {
        let mut token = encoded(&Header { alg: "ES256", kid: &self.kid, typ })?;
        token.push('.');
        token.push_str(&encoded(claims)?);
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| JoseError::Signing)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    fn of(pair: EcdsaKeyPair) -> Self {
        let (x, y) = coordinates(&pair);
        // RFC 7638 section 3: the required members, in this order, without white space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Self { pair, kid }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

fn coordinates(pair: &EcdsaKeyPair) -> (String, String) {
    // An uncompressed point: 0x04, then x and y of 32 bytes each (SEC 1 section 2.3.3).
    let point = pair.public_key().as_ref();
    (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]))
}

fn encoded(part: &impl Serialize) -> Result<String, JoseError> {
    serde_json::to_vec(part).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| JoseError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use serde_json::{Value, json};

    #[test]
    fn another_implementation_verifies_what_we_sign() {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let key = SigningKey::generate().unwrap();
        let token = key.sign("rc+jwt", &json!({"sub": "ann", "exp": 4_000_000_000_u64})).unwrap();

        let jwk: Jwk = serde_json::from_value(serde_json::to_value(key.public_jwk()).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_aud = false;
        let read = decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap();
        assert_eq!(read.claims["sub"], "ann");
        assert_eq!(read.header.typ.as_deref(), Some("rc+jwt"));
        assert_eq!(read.header.kid.as_deref(), Some(key.kid()));
    }

    #[test]
    fn a_key_survives_its_text_and_prints_no_secret() {
        let key = SigningKey::generate().unwrap();
        let text = key.to_text().unwrap();
        assert_eq!(SigningKey::from_text(&text).unwrap().kid(), key.kid());
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.kid()));
        assert_eq!(key.public_jwk().kid(), key.kid());
        assert_eq!(SigningKey::from_text(&SecretText::new("AAAA".into())).unwrap_err(), JoseError::NotAKey);
    }
}
