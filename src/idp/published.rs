//! The keys of somebody whose tokens are verified here, though nobody signs in there: where they are, and how they are
//! kept fresh. What a verified token says is for others to judge.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::TryFutureExt;
use futures_util::future::join;
use serde_json::{Map, Value};
use tokio::time::sleep;
use url::Url;

use super::keys::{self, Keys, download};
use super::metadata::{Endpoint, discover_jwks};
use super::outbound::{Outbound, Reach};
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::identity::ProviderId;

/// How long between two looks at the keys while they cannot be had.
const PAUSE: Duration = Duration::from_secs(5);
/// The same while they can.
const LONG_PAUSE: Duration = Duration::from_hours(1);

/// A token whose signature is good. Nothing that it says has been judged.
#[derive(Debug)]
pub struct SignedClaims {
    /// What it says.
    pub claims: Map<String, Value>,
    /// The `typ` header parameter.
    pub typ: Option<String>,
}

/// Why a token is not verified. Nothing here holds the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The token is at fault.
    Refused(String),
    /// The keys that it takes cannot be had at the moment.
    Unavailable(String),
}

/// Published keys, from wherever the caller gets them, and the algorithms that are allowed with them.
pub struct PublishedKeys {
    keys: Keys,
    algorithms: Vec<String>,
    clock: Arc<dyn Clock>,
}

/// An issuer whose keys are fetched over the way out: from the configured address, or from the discovered one.
pub(crate) struct Issuer {
    id: ProviderId,
    is_discovered: bool,
    keys: PublishedKeys,
    whereabouts: Arc<Whereabouts>,
    lacking: ArcSwapOption<String>,
}

/// Where an issuer's keys are, as far as that is known, and the way there.
struct Whereabouts {
    name: String,
    place: ArcSwapOption<Endpoint>,
    outbound: Outbound,
}

impl PublishedKeys {
    /// None yet.
    #[must_use]
    pub fn new(algorithms: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self { keys: Keys::default(), algorithms, clock }
    }

    /// Takes a key set over (RFC 7517 section 5), in the place of the keys last seen.
    ///
    /// # Errors
    /// If it is none, or holds no key that could verify a signature.
    pub fn take(&self, jwks: &[u8]) -> Result<(), String> {
        self.keys.take(jwks).map_err(|trouble| trouble.reason().to_owned())
    }

    /// Waits for answers that nobody waits for any more, for as long as it is polled.
    pub async fn keep_asked(&self) -> ! {
        self.keys.keep_asked().await
    }

    /// Verifies the signature of a compact JWS. `newer`, which gives a key set or says why there is none, is asked
    /// only if no key fits, and not more than once in half a minute however many tokens come. If this future is dropped
    /// before there is an answer, the next one that lacks a key waits for that; [`Self::keep_asked`] does meanwhile.
    ///
    /// # Errors
    /// If the token is at fault, or if there are no keys to tell by.
    pub async fn verify<F>(&self, token: &str, newer: impl FnOnce() -> F) -> Result<SignedClaims, Unverified>
    where
        F: Future<Output = Result<Vec<u8>, String>> + Send + 'static,
    {
        let newer = || newer().map_err(Trouble::Unreachable);
        match self.keys.verify(token, &self.algorithms, &*self.clock, newer).await {
            Ok(signed) => Ok(SignedClaims { claims: signed.claims, typ: signed.typ }),
            Err(keys::Unverified::Keys(trouble)) => Err(Unverified::Unavailable(trouble.reason().to_owned())),
            // Without keys nothing can be held against a token.
            Err(keys::Unverified::Token(reason)) if self.keys.is_empty() => Err(Unverified::Unavailable(reason)),
            Err(keys::Unverified::Token(reason)) => Err(Unverified::Refused(reason)),
        }
    }
}

impl Issuer {
    /// An issuer that has not been asked anything yet; `name` is what its tokens and its discovery document call it.
    pub(crate) fn new(
        id: ProviderId,
        name: String,
        jwks_url: Option<Url>,
        algorithms: Vec<String>,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let is_discovered = jwks_url.is_none();
        let place = jwks_url.map(|url| Arc::new(Endpoint { url, reach: Reach::Anywhere }));
        let keys = PublishedKeys::new(algorithms, clock);
        let lacking = ArcSwapOption::from_pointee("its keys have not been fetched yet".to_owned());
        let whereabouts = Arc::new(Whereabouts { name, place: ArcSwapOption::new(place), outbound });
        Self { id, is_discovered, keys, whereabouts, lacking }
    }

    /// Verifies the signature of a compact JWS with the issuer's keys, as [`PublishedKeys::verify`] does.
    pub(crate) async fn verify(&self, token: &str) -> Result<SignedClaims, Unverified> {
        let newer = || {
            let whereabouts = Arc::clone(&self.whereabouts);
            async move { whereabouts.download().await }
        };
        self.keys.verify(token, newer).await
    }

    /// Why its keys could not be had at the last look, if they could not.
    pub(crate) fn lacking(&self) -> Option<String> {
        self.lacking.load().as_ref().map(|reason| reason.as_ref().clone())
    }

    /// Keeps the keys at hand, for ever. The caller runs it beside everything else: no check has to wait for them.
    pub(crate) async fn keep_found(&self) {
        join(self.keep_looking(), self.keys.keep_asked()).await;
    }

    async fn keep_looking(&self) {
        let (id, issuer) = (&self.id, &self.whereabouts.name);
        let mut last_reason = None;
        loop {
            let taken = self.look_anew().await;
            self.lacking.store(taken.as_ref().err().map(|reason| Arc::new(reason.clone())));
            let pause = match taken {
                Ok(()) => {
                    tracing::info!(provider = %id, issuer, "the keys of a token issuer were fetched");
                    last_reason = None;
                    LONG_PAUSE
                }
                Err(reason) => {
                    if last_reason.as_ref() != Some(&reason) {
                        tracing::warn!(provider = %id, issuer, reason, "the keys of a token issuer cannot be had");
                        last_reason = Some(reason);
                    }
                    PAUSE
                }
            };
            sleep(pause).await;
        }
    }

    async fn look_anew(&self) -> Result<(), String> {
        if self.is_discovered {
            self.whereabouts.discover().await.map_err(|trouble| trouble.reason().to_owned())?;
        }
        self.keys.take(&self.whereabouts.download().await?)
    }
}

impl Whereabouts {
    async fn download(&self) -> Result<Vec<u8>, String> {
        self.try_to_download().await.map_err(|trouble| trouble.reason().to_owned())
    }

    async fn try_to_download(&self) -> Result<Vec<u8>, Trouble> {
        if let Some(place) = self.place.load_full() {
            return download(&place, &self.outbound).await;
        }
        download(&*self.discover().await?, &self.outbound).await
    }

    async fn discover(&self) -> Result<Arc<Endpoint>, Trouble> {
        let found = Arc::new(discover_jwks(&self.name, &self.outbound).await?);
        self.place.store(Some(Arc::clone(&found)));
        Ok(found)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("id", &self.id).field("name", &self.whereabouts.name).finish_non_exhaustive()
    }
}
