//! The JWKS as it goes out: made once for each set of keys, so that every fetch gets the very same bytes.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;

use crate::jose::PublicJwk;

/// A JWK Set (RFC 7517 section 5) and its entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    body: Bytes,
    etag: String,
}

#[derive(Serialize)]
struct JwkSet {
    keys: Vec<PublicJwk>,
}

impl Publication {
    /// The set of `keys`, ordered by their ids whatever order they come in.
    pub(super) fn of(keys: impl Iterator<Item = PublicJwk>) -> Self {
        let mut keys: Vec<PublicJwk> = keys.collect();
        keys.sort_by(|one, other| one.kid().cmp(other.kid()));
        // Strings under fixed names always become JSON.
        let body = serde_json::to_vec(&JwkSet { keys }).unwrap_or_default();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..12]));
        Self { body: body.into(), etag }
    }

    /// The JSON.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// A strong entity tag (RFC 9110 section 8.8.3), with its quotes.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }
}
