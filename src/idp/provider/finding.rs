//! Finding a provider and not losing it: at the start, while it is away, and every hour after that.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::Provider;
use crate::idp::IdpError;
use crate::idp::metadata::Endpoints;
use crate::idp::trouble::Trouble;

/// How long between two tries to find a provider, at least, however many people want to sign in.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The same, at most, while nobody does.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long what was found is good for.
const FOUND_FOR: Duration = Duration::from_hours(1);

/// How long an answer is taken as a sign that the provider is there.
const THERE_FOR: Duration = Duration::from_secs(3);
/// How long a missing answer is taken as a sign that it is not: whoever waits in line is told the same.
const AWAY_FOR: Duration = Duration::from_secs(1);
/// How many people wait to be told at a time.
pub(super) const MOST_WAITING: usize = 4_096;
/// How long a person waits to be told that it is not.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was seen of the provider when somebody last looked whether it is there.
#[derive(Debug)]
pub(super) struct Sighting {
    at: Instant,
    outcome: Result<(), Trouble>,
}

/// Whether people can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// Not yet: it has not been found.
    Waiting {
        /// Why not.
        reason: String,
    },
}

impl Provider {
    /// Asks once for the discovery document and the keys. What an earlier call found stays good if this one fails.
    ///
    /// # Errors
    /// If it cannot be reached, or what it says is wrong (OIDC Discovery section 4.3).
    pub async fn discover(&self) -> Result<(), IdpError> {
        let outcome = self.try_to_find().await;
        *self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner) = outcome.clone().err();
        outcome.map_err(|trouble| trouble.at(self.id()))
    }

    /// Looks whether the provider is there at this moment, so that nobody is sent to one that is away. However many want
    /// to sign in, it is asked for its keys once in a few seconds.
    ///
    /// # Errors
    /// If it has not been found yet, does not answer, or answers nonsense.
    pub async fn is_there(&self) -> Result<(), IdpError> {
        let endpoints = self.known()?;
        let too_many = |_| Trouble::Unreachable("too many wait for a sign of it".to_owned()).at(self.id());
        let _place = self.waiting.try_acquire().map_err(too_many)?;
        let mut last = self.last_sighting.lock().await;
        let fresh =
            last.as_ref().filter(|seen| seen.at.elapsed() < if seen.outcome.is_ok() { THERE_FOR } else { AWAY_FOR });
        let outcome = if let Some(seen) = fresh {
            seen.outcome.clone()
        } else {
            let late = |_| Err(Trouble::Unreachable(format!("its keys did not come within {PATIENCE:?}")));
            let outcome =
                timeout(PATIENCE, self.keys.fetch(&endpoints.jwks, &self.outbound)).await.unwrap_or_else(late);
            *last = Some(Sighting { at: Instant::now(), outcome: outcome.clone() });
            outcome
        };
        outcome.map_err(|trouble| trouble.at(self.id()))
    }

    /// Keeps what is known of the provider fresh, for ever: tries again after a growing pause until it is found, at
    /// once when somebody wants to sign in, and every hour after that. The caller runs it beside everything else.
    pub async fn keep_discovered(&self) {
        let growing = ExponentialBuilder::default()
            .with_min_delay(SHORTEST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        let mut pauses = growing.build();
        let mut last_reason = None;
        loop {
            let provider = self.id();
            let pause = match self.discover().await {
                Ok(()) => {
                    info!(%provider, issuer = self.settings.issuer, "identity provider found");
                    last_reason = None;
                    pauses = growing.build();
                    FOUND_FOR
                }
                Err(error) => {
                    let reason = error.to_string();
                    if last_reason.as_ref() != Some(&reason) {
                        warn!(%provider, reason, "identity provider not found, trying again");
                        last_reason = Some(reason);
                    }
                    pauses.next().unwrap_or(LONGEST_PAUSE)
                }
            };
            sleep(SHORTEST_PAUSE).await;
            let _ = timeout(pause.saturating_sub(SHORTEST_PAUSE), self.wanted.notified()).await;
        }
    }

    /// Whether people can sign in.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.endpoints.load().is_some() { Readiness::Ready } else { Readiness::Waiting { reason: self.missing() } }
    }

    pub(super) fn known(&self) -> Result<Arc<Endpoints>, IdpError> {
        self.endpoints.load_full().ok_or_else(|| {
            self.wanted.notify_one();
            Trouble::Unreachable(self.missing()).at(self.id())
        })
    }

    fn missing(&self) -> String {
        let trouble = self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map_or_else(|| "it has not been asked yet".to_owned(), |trouble| trouble.reason().to_owned())
    }

    async fn try_to_find(&self) -> Result<(), Trouble> {
        let endpoints = Endpoints::discover(&self.settings, &self.outbound).await?;
        self.keys.fetch(&endpoints.jwks, &self.outbound).await?;
        self.endpoints.store(Some(Arc::new(endpoints)));
        Ok(())
    }
}
