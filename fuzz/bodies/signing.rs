//! Tokens with good signatures, so that what is behind the signature is reached.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The name of the key.
pub(super) const KID: &str = "one";

/// A compact JWS over these very bytes (RFC 7515 section 7.1), whatever they are, made with `EdDSA` (RFC 8037 section 3.1).
pub(super) fn sign(header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = pair().sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The JWK Set with the key, and with whatever `others` are, which begin with a comma.
pub(super) fn key_set(others: &str) -> String {
    let x = URL_SAFE_NO_PAD.encode(pair().public_key());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"{KID}","x":"{x}"}}{others}]}}"#)
}

/// The public key, for those who take it for another kind of key.
pub(super) fn public_key() -> Vec<u8> {
    pair().public_key().as_ref().to_vec()
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed")
}
