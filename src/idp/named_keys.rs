//! Keys that are published one by one, as PEM under their `kid`, and the padded tokens that are signed with them: the way
//! of the AWS Application Load Balancer. What a verified token says is for others to judge.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use http::StatusCode;
use jsonwebtoken::{Algorithm, DecodingKey};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use url::Url;

use super::allowance::{Allowance, Standing};
use super::outbound::{Outbound, Reach};
use super::published::Unverified;
use super::trouble::{Trouble, quotable};
use crate::clock::{Clock, UnixTime};
use crate::metrics::IdpOperation;

/// With padding, as its tokens are, or without.
const PADDED: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// How many keys are remembered; there are two at a time.
const MOST_KEYS: usize = 16;
/// For how many names, and how long, it is remembered that there is no key.
const MOST_MISSING: usize = 1024;
const MISSING_FOR: Duration = Duration::from_secs(30);
/// How many keys are asked for, at most: whoever knows the load balancer's name can name keys that do not exist.
const FETCHES_PER_SECOND: u64 = 10;
const FETCHES_AT_ONCE: u64 = 20;
const FETCHES_UNDER_WAY: usize = 8;
/// How long a token waits for its turn.
const PATIENCE: Duration = Duration::from_millis(500);
/// A `kid` is a UUID; nothing else becomes part of an address.
const LONGEST_KID: usize = 64;

/// Keys of one place, each under its name.
pub(crate) struct NamedKeys {
    place: Url,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    known: Cache<String, Arc<DecodingKey>>,
    /// Apart from the keys, so that no flood of names drives those out.
    missing: Cache<String, UnixTime>,
    fetches: Allowance,
}

/// A token of which header and payload are signed.
#[derive(Debug)]
pub(crate) struct SignedParts {
    /// The JOSE header.
    pub(crate) header: Map<String, Value>,
    /// The payload.
    pub(crate) claims: Map<String, Value>,
}

impl NamedKeys {
    /// Keys at `place`, which ends with a slash. None has been asked for.
    pub(crate) fn new(place: Url, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        let fetches = Allowance::new(FETCHES_PER_SECOND, FETCHES_AT_ONCE, FETCHES_UNDER_WAY, Arc::clone(&clock));
        let (known, missing) = (Cache::new(MOST_KEYS), Cache::new(MOST_MISSING));
        Self { place, outbound, clock, known, missing, fetches }
    }

    /// Verifies an ES256 signature. `header_fits` sees the header first: no key is fetched for what it refuses.
    pub(crate) async fn verify(
        &self,
        token: &str,
        header_fits: impl FnOnce(&Map<String, Value>) -> Result<(), String>,
    ) -> Result<SignedParts, Unverified> {
        let refused = |reason: &str| Unverified::Refused(reason.to_owned());
        let parts: Vec<&str> = token.split('.').collect();
        let [header_part, payload, signature] = parts[..] else { return Err(refused("it has not three parts")) };
        let header = object(header_part).ok_or_else(|| refused("its header is no JSON object"))?;
        if header.get("alg").and_then(Value::as_str) != Some("ES256") {
            return Err(refused("it is not signed with ES256"));
        }
        if header.contains_key("crit") {
            return Err(refused("its header has `crit`, which demands an extension"));
        }
        header_fits(&header).map_err(Unverified::Refused)?;
        let kid = header.get("kid").and_then(Value::as_str).filter(|kid| is_kid(kid));
        let kid = kid.ok_or_else(|| refused("its header has no `kid` that could name a key"))?;
        let claims = object(payload).ok_or_else(|| refused("its payload is no JSON object"))?;
        let signature = PADDED.decode(signature).map_err(|_| refused("its signature is not base64url"))?;
        let key = self.key(kid).await?;
        let signed_part = &token[..header_part.len() + 1 + payload.len()];
        let signature = URL_SAFE_NO_PAD.encode(signature);
        match jsonwebtoken::crypto::verify(&signature, signed_part.as_bytes(), &key, Algorithm::ES256) {
            Ok(true) => Ok(SignedParts { header, claims }),
            Ok(false) | Err(_) => Err(refused("its signature does not fit the key that it names")),
        }
    }

    async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, Unverified> {
        // A key that is known is waited for by nobody; one that is not is fetched once, however many tokens name it.
        let vacancy = match self.known.get_value_or_guard_async(kid).await {
            Ok(key) => return Ok(key),
            Err(vacancy) => vacancy,
        };
        let now = self.clock.now();
        if self.missing.get(kid).is_some_and(|until| now < until) {
            return Err(self.no_key(kid));
        }
        // A flood of names must not become a flood at the place.
        let busy = || Unverified::Unavailable("too many keys are to be asked for at the moment".to_owned());
        let _turn = self.fetches.ask(Standing::Stranger, PATIENCE).await.ok_or_else(busy)?;
        let fetched = self.fetch(kid).await;
        match &fetched {
            Ok(key) => drop(vacancy.insert(Arc::clone(key))),
            Err(Unverified::Refused(_)) => self.missing.insert(kid.to_owned(), now.plus(MISSING_FOR)),
            Err(Unverified::Unavailable(_)) => {}
        }
        fetched
    }

    fn no_key(&self, kid: &str) -> Unverified {
        Unverified::Refused(format!("there is no key `{}` at {}", quotable(kid), self.place))
    }

    async fn fetch(&self, kid: &str) -> Result<Arc<DecodingKey>, Unverified> {
        let address = format!("{}{kid}", self.place);
        let unavailable = |reason: String| Unverified::Unavailable(format!("{address}: {reason}"));
        let request = http::Request::get(&address).body(Vec::new()).map_err(|error| unavailable(error.to_string()))?;
        let response = self.outbound.call(IdpOperation::Jwks, request, Reach::Anywhere).await;
        let response = response.map_err(|error| {
            let trouble = Trouble::called(IdpOperation::Jwks, &address, &error);
            Unverified::Unavailable(trouble.reason().to_owned())
        })?;
        match response.status() {
            StatusCode::OK => DecodingKey::from_ec_pem(response.body())
                .map(Arc::new)
                .map_err(|_| unavailable("it is no public key in PEM form".to_owned())),
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Err(self.no_key(kid)),
            status => Err(unavailable(format!("it answered with status {status}"))),
        }
    }
}

impl std::fmt::Debug for NamedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedKeys").field("place", &self.place.as_str()).finish_non_exhaustive()
    }
}

fn is_kid(text: &str) -> bool {
    (1..=LONGEST_KID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&PADDED.decode(part).ok()?).ok()
}
