//! A provider's keys, and signatures made with them: which of the keys fits a token, whether the signature is good,
//! and when it is worth asking for newer keys. What the token says is not judged here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{AccessToken, AccessTokenHash, JsonWebKey};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Notify, Semaphore};

use super::metadata::{Endpoint, fetch_json};
use super::outbound::Outbound;
use super::trouble::{Trouble, quotable};
use crate::clock::{Clock, UnixTime};
use crate::metrics::IdpOperation;
use crate::secret::SecretText;

/// How long after asking for newer keys no token makes us ask again: a flood of unknown `kid`s must not become a
/// flood at the provider.
const REFETCH_PAUSE: Duration = Duration::from_secs(30);
/// The same while there are no keys at all, so that sign-in works soon after the provider is back.
const FIRST_FETCH_PAUSE: Duration = Duration::from_secs(2);
/// How many tokens wait for newer keys at a time. Each keeps a request open for as long as the provider takes.
const MOST_WAITING: usize = 256;
/// RFC 7518 section 3.3.
const RSA_LEAST_BYTES: usize = 2048 / 8;

/// The keys last seen.
#[derive(Debug)]
pub(super) struct Keys {
    current: ArcSwap<Vec<Key>>,
    asked: Mutex<Asked>,
    begun: Notify,
    waiting: Semaphore,
}

/// The last question for newer keys. A check is cut off sooner than a slow provider answers: the question stays, and whoever
/// comes next waits for the same answer.
#[derive(Default)]
struct Asked {
    at: Option<UnixTime>,
    under_way: Option<Question>,
}

struct Question {
    /// The keys that it is to replace.
    stale: Arc<Vec<Key>>,
    answer: BoxFuture<'static, Result<Vec<u8>, Trouble>>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            current: ArcSwap::default(),
            asked: Mutex::default(),
            begun: Notify::new(),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }
}

/// A token whose signature is good. Nothing that it says has been judged.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) claims: Map<String, Value>,
    /// The `typ` header parameter.
    pub(super) typ: Option<String>,
    key: CoreJsonWebKey,
    algorithm: CoreJwsSigningAlgorithm,
}

/// Whatever it takes to verify a token and, if need be, to get the keys for it.
#[derive(Clone, Copy)]
pub(super) struct Verifier<'a> {
    pub(super) keys: &'a Keys,
    pub(super) endpoint: &'a Endpoint,
    pub(super) outbound: &'a Outbound,
    pub(super) clock: &'a dyn Clock,
    /// The names of the algorithms that are allowed.
    pub(super) algorithms: &'a [String],
}

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    fits: Vec<&'static str>,
    public: CoreJsonWebKey,
}

/// The members by which a key is chosen (RFC 7517 section 4).
#[derive(Debug, Deserialize)]
struct Description {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
}

/// Why a token is not verified.
#[derive(Debug)]
pub(super) enum Unverified {
    /// The token is at fault.
    Token(String),
    /// The keys that it takes could not be had.
    Keys(Trouble),
}

#[derive(Debug)]
enum Refused {
    /// Newer keys could change that.
    ByKeys(String),
    /// Nothing changes that.
    ByToken(String),
}

impl Keys {
    /// Fetches the keys, whenever that was done last.
    pub(super) async fn fetch(&self, endpoint: &Endpoint, outbound: &Outbound) -> Result<(), Trouble> {
        self.take(&download(endpoint, outbound).await?)
    }

    /// Takes a key set over, in the place of the keys last seen.
    pub(super) fn take(&self, jwks: &[u8]) -> Result<(), Trouble> {
        let keys = parse(jwks).map_err(|reason| Trouble::Misbehaved(format!("jwks: {reason}")))?;
        self.current.store(Arc::new(keys));
        Ok(())
    }

    /// Whether none have been seen yet.
    pub(super) fn is_empty(&self) -> bool {
        self.current.load().is_empty()
    }

    /// Verifies the signature of a compact JWS. `newer` is asked, rarely, if no key fits or the signature is bad.
    pub(super) async fn verify<F>(
        &self,
        token: &str,
        algorithms: &[String],
        clock: &dyn Clock,
        newer: impl FnOnce() -> F,
    ) -> Result<Signed, Unverified>
    where
        F: Future<Output = Result<Vec<u8>, Trouble>> + Send + 'static,
    {
        let seen = self.current.load_full();
        let first = match verify_with(&seen, token, algorithms) {
            Ok(signed) => return Ok(signed),
            Err(Refused::ByToken(reason)) => return Err(Unverified::Token(reason)),
            Err(Refused::ByKeys(reason)) => reason,
        };
        let refetched = self.refetch(&seen, clock, newer).await;
        let current = self.current.load_full();
        match refetched {
            Err(trouble) if current.is_empty() => Err(Unverified::Keys(trouble)),
            Err(trouble) => {
                let reason = format!("{first}; newer keys could not be had: {}", trouble.reason());
                Err(Unverified::Keys(match trouble {
                    Trouble::Unreachable(_) => Trouble::Unreachable(reason),
                    _ => Trouble::Misbehaved(reason),
                }))
            }
            Ok(()) => verify_with(&current, token, algorithms).map_err(|refused| match refused {
                Refused::ByKeys(reason) | Refused::ByToken(reason) => Unverified::Token(reason),
            }),
        }
    }

    /// Gets newer keys, unless somebody else did since `seen`, or it was tried a moment ago.
    async fn refetch<F>(
        &self,
        seen: &Arc<Vec<Key>>,
        clock: &dyn Clock,
        newer: impl FnOnce() -> F,
    ) -> Result<(), Trouble>
    where
        F: Future<Output = Result<Vec<u8>, Trouble>> + Send + 'static,
    {
        let too_many = |_| Trouble::Unreachable("too many wait for them".to_owned());
        let _place = self.waiting.try_acquire().map_err(too_many)?;
        let mut asked = self.asked.lock().await;
        if !self.are_still(seen) {
            return Ok(());
        }
        // By now its answer may be older than what was fetched beside it.
        asked.under_way.take_if(|question| !self.are_still(&question.stale));
        let now = clock.now();
        let is_first = seen.is_empty() && asked.under_way.is_none();
        let pause = if is_first { FIRST_FETCH_PAUSE } else { REFETCH_PAUSE };
        // A clock that was set back is not waited for.
        if asked.at.is_none_or(|at| now < at || now.since(at) >= pause) {
            let question = Question { stale: Arc::clone(seen), answer: newer().boxed() };
            *asked = Asked { at: Some(now), under_way: Some(question) };
            self.begun.notify_one();
        }
        self.hear(&mut asked).await
    }

    /// Hears the answers that nobody waits for any more, for as long as it is polled.
    pub(super) async fn keep_asked(&self) -> ! {
        loop {
            self.begun.notified().await;
            // Behind whoever has asked. What comes of it, whoever lacks a key next is told.
            let mut asked = self.asked.lock().await;
            let _ = self.hear(&mut asked).await;
        }
    }

    async fn hear(&self, asked: &mut Asked) -> Result<(), Trouble> {
        let Some(question) = &mut asked.under_way else { return Ok(()) };
        let answer = (&mut question.answer).await;
        let is_of_use = self.are_still(&question.stale);
        asked.under_way = None;
        if is_of_use { self.take(&answer?) } else { Ok(()) }
    }

    fn are_still(&self, seen: &Arc<Vec<Key>>) -> bool {
        Arc::ptr_eq(seen, &self.current.load())
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Verifier<'_> {
    /// Verifies the signature of a compact JWS. Keys are fetched again, rarely, if none fits or the signature is bad.
    pub(super) async fn verify(&self, token: &str) -> Result<Signed, Trouble> {
        let newer = || {
            let (endpoint, outbound) = (self.endpoint.clone(), self.outbound.clone());
            async move { download(&endpoint, &outbound).await }
        };
        let verified = self.keys.verify(token, self.algorithms, self.clock, newer).await;
        verified.map_err(|unverified| match unverified {
            Unverified::Token(reason) => Trouble::Misbehaved(reason),
            Unverified::Keys(trouble) => trouble,
        })
    }
}

impl Signed {
    /// The `at_hash` that the token must carry, if it carries one, for `access_token` (OIDC Core section 3.1.3.6).
    pub(super) fn access_token_hash(&self, access_token: &SecretText) -> Option<String> {
        let access_token = AccessToken::new(access_token.expose().to_owned());
        AccessTokenHash::from_token(&access_token, &self.algorithm, &self.key).ok().map(|hash| hash.to_string())
    }
}

/// Every algorithm that can be allowed at all: asymmetric, and known to the library.
const ASYMMETRIC: [(&str, CoreJwsSigningAlgorithm); 9] = [
    ("RS256", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256),
    ("RS384", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384),
    ("RS512", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512),
    ("PS256", CoreJwsSigningAlgorithm::RsaSsaPssSha256),
    ("PS384", CoreJwsSigningAlgorithm::RsaSsaPssSha384),
    ("PS512", CoreJwsSigningAlgorithm::RsaSsaPssSha512),
    ("ES256", CoreJwsSigningAlgorithm::EcdsaP256Sha256),
    ("ES384", CoreJwsSigningAlgorithm::EcdsaP384Sha384),
    ("EdDSA", CoreJwsSigningAlgorithm::EdDsa),
];

/// A key set, as it is published.
pub(super) async fn download(endpoint: &Endpoint, outbound: &Outbound) -> Result<Vec<u8>, Trouble> {
    let response = fetch_json(IdpOperation::Jwks, endpoint.url.as_str(), endpoint.reach, outbound).await?;
    Ok(response.into_body())
}

fn verify_with(keys: &[Key], token: &str, algorithms: &[String]) -> Result<Signed, Refused> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(Refused::ByToken(format!("it has {} parts, a signed token has 3", parts.len())));
    };
    let header_members = object("header", header)?;
    let (name, algorithm) = algorithm_of(&header_members, algorithms)?;
    // RFC 7515 section 4.1.11: an extension that must be understood, and none is.
    if header_members.contains_key("crit") {
        return Err(Refused::ByToken("its header has `crit`, which demands an extension".to_owned()));
    }
    if header_members.contains_key("cty") {
        return Err(Refused::ByToken("its header has `cty`: nested tokens are not supported".to_owned()));
    }
    let kid = text_member(&header_members, "kid")?;
    let typ = text_member(&header_members, "typ")?;
    let claims = object("payload", payload)?;
    let signature = decoded(signature).ok_or_else(|| Refused::ByToken("its signature is not base64url".to_owned()))?;
    let key = chosen(keys, kid.as_deref(), name)?;
    let signed_part = &token[..header.len() + 1 + payload.len()];
    key.public.verify_signature(&algorithm, signed_part.as_bytes(), &signature).map_err(|error| {
        Refused::ByKeys(format!("its {name} signature does not fit the key {}: {error}", shown(kid.as_deref())))
    })?;
    Ok(Signed { claims, typ, key: key.public.clone(), algorithm })
}

fn algorithm_of(
    header: &Map<String, Value>,
    allowed: &[String],
) -> Result<(&'static str, CoreJwsSigningAlgorithm), Refused> {
    let said = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let is_allowed = allowed.iter().any(|name| name == said);
    match ASYMMETRIC.iter().find(|(name, _)| *name == said) {
        Some((name, algorithm)) if is_allowed => Ok((name, algorithm.clone())),
        _ => Err(Refused::ByToken(format!(
            "it is signed with `{}`; allowed (`algorithms`) is {}",
            quotable(said),
            allowed.join(", ")
        ))),
    }
}

fn parse(body: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Value>,
    }
    let set: KeySet = serde_json::from_slice(body).map_err(|error| format!("it is no key set: {error}"))?;
    let keys: Vec<Key> = set.keys.into_iter().filter_map(usable).collect();
    if keys.is_empty() { Err("it holds no key that could verify a signature".to_owned()) } else { Ok(keys) }
}

/// A key of a kind that we know and that is for signatures; others are no reason to refuse the set.
fn usable(value: Value) -> Option<Key> {
    let description: Description = serde_json::from_value(value.clone()).ok()?;
    let for_signatures = description.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && description.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
    if !for_signatures {
        return None;
    }
    let mut fits = match (description.kty.as_str(), description.crv.as_deref()) {
        ("RSA", _) if decoded(description.n.as_deref()?)?.len() >= RSA_LEAST_BYTES => {
            vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        }
        ("EC", Some("P-256")) => vec!["ES256"],
        ("EC", Some("P-384")) => vec!["ES384"],
        ("OKP", Some("Ed25519")) => vec!["EdDSA"],
        _ => return None,
    };
    fits.retain(|name| description.alg.as_deref().is_none_or(|alg| alg == *name));
    let public = serde_json::from_value(value).ok()?;
    (!fits.is_empty()).then_some(Key { kid: description.kid, fits, public })
}

/// The one key for a token (OIDC Core section 10.1: without a `kid` there must be only one that fits).
fn chosen<'k>(keys: &'k [Key], kid: Option<&str>, algorithm: &'static str) -> Result<&'k Key, Refused> {
    let named = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
    let mut fitting = keys.iter().filter(named).filter(|key| key.fits.contains(&algorithm));
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(Refused::ByKeys(format!("the provider has no {algorithm} key {}", shown(kid)))),
        (Some(_), Some(_)) if kid.is_none() => {
            Err(Refused::ByToken(format!("it has no `kid`, and the provider has several {algorithm} keys")))
        }
        (Some(_), Some(_)) => Err(Refused::ByKeys(format!("the provider has several {algorithm} keys {}", shown(kid)))),
    }
}

fn shown(kid: Option<&str>) -> String {
    kid.map_or_else(|| "without `kid`".to_owned(), |kid| format!("`{}`", quotable(kid)))
}

fn text_member(header: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refused::ByToken(format!("the `{name}` of its header is no string"))),
    }
}

fn object(part: &str, encoded: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = decoded(encoded).ok_or_else(|| Refused::ByToken(format!("its {part} is not base64url")))?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::ByToken(format!("its {part} is no JSON object")))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}
