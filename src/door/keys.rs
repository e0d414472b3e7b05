//! The key door: our JWKS and the discovery document that leads to it. It asks nobody, so it answers while the store and
//! the identity providers are away.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::check::OwnPaths;
use crate::config::Settings;
use crate::keyring::Keyring;

/// Verifiers may keep the keys this long: keys are published at least this long before they sign.
const CACHE: &str = "public, max-age=300";

/// What the key door needs.
#[derive(Clone, Debug)]
struct KeyDoor {
    keyring: Arc<Keyring>,
    discovery: Bytes,
    discovery_etag: String,
}

/// The key door's paths.
pub fn router(settings: &Settings, keyring: Arc<Keyring>) -> Router {
    let home = settings.public_url.as_str().trim_end_matches('/');
    // OIDC Discovery section 3; only what a verifier of tokens reads, for there is nobody to sign in with here.
    let discovery = json!({
        "issuer": settings.token.issuer,
        "jwks_uri": format!("{home}{}", OwnPaths::JWKS),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    let discovery = Bytes::from(discovery.to_string());
    let discovery_etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &discovery).as_ref()[..12]));
    Router::new().route(OwnPaths::JWKS, get(jwks)).route(OwnPaths::DISCOVERY, get(discover)).with_state(KeyDoor {
        keyring,
        discovery,
        discovery_etag,
    })
}

async fn jwks(State(door): State<KeyDoor>, headers: HeaderMap) -> Response {
    let publication = door.keyring.publication();
    cached(&headers, "application/jwk-set+json", publication.etag(), publication.body())
}

async fn discover(State(door): State<KeyDoor>, headers: HeaderMap) -> Response {
    cached(&headers, "application/json", &door.discovery_etag, door.discovery)
}

fn cached(headers: &HeaderMap, content_type: &'static str, etag: &str, body: Bytes) -> Response {
    let cache = [(ETAG, etag), (CACHE_CONTROL, CACHE)];
    if headers.get_all(IF_NONE_MATCH).iter().any(|known| names(known.as_bytes(), etag)) {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    (cache, [(CONTENT_TYPE, content_type)], body).into_response()
}

/// Whether an `If-None-Match` names this tag (RFC 9110 section 13.1.2, weak comparison).
fn names(known: &[u8], etag: &str) -> bool {
    let text = String::from_utf8_lossy(known);
    text.trim() == "*" || text.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
}
