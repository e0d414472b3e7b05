//! What goes on in the background: providers are found, the store and the keys are watched, and readiness is told.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};

use crate::bearer::Sources;
use crate::door::admin::{Part, Readiness};
use crate::idp::{self, Provider};
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::session::Sessions;

/// How often the store and the keys are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Keeps watch.
pub(super) struct Housekeeping {
    sessions: Arc<Sessions>,
    keyring: Arc<Keyring>,
    providers: Vec<Arc<Provider>>,
    sources: Option<Arc<Sources>>,
    metrics: Arc<Metrics>,
    store: ArcSwap<Part>,
    keys: ArcSwap<Part>,
}

impl Housekeeping {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        keyring: Arc<Keyring>,
        providers: Vec<Arc<Provider>>,
        sources: Option<Arc<Sources>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let ready = || ArcSwap::from_pointee(Part::Ready);
        Self { sessions, keyring, providers, sources, metrics, store: ready(), keys: ready() }
    }

    /// How many providers there are.
    pub(super) fn providers(&self) -> usize {
        self.providers.len()
    }

    /// Finds a provider, and keeps what is known of it fresh.
    pub(super) async fn keep_provider(&self, index: usize) {
        self.providers[index].keep_discovered().await;
    }

    /// Looks after the store and the keys.
    pub(super) async fn keep_watch(&self) {
        let mut beat = interval(WATCH_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.look().await;
        }
    }

    /// How things were at the last look; whether the process is on its way out is for others to say.
    pub(super) fn readiness(&self) -> Readiness {
        let providers = self.providers.iter().map(|provider| (provider.id().clone(), found(provider))).collect();
        let sources = self.sources.iter().flat_map(|sources| sources.lacking());
        let sources = sources.map(|(id, lack)| (id.clone(), lack.map_or(Part::Ready, Part::Missing))).collect();
        Readiness { draining: false, store: self.store(), keys: (**self.keys.load()).clone(), providers, sources }
    }

    fn store(&self) -> Part {
        match ((**self.store.load()).clone(), self.sessions.grace_left()) {
            (Part::Missing(reason), Some(left)) => Part::Grace(reason, left),
            (seen, _) => seen,
        }
    }

    async fn look(&self) {
        let store = match self.sessions.count().await {
            Ok(sessions) => {
                self.metrics.sessions(sessions);
                Part::Ready
            }
            Err(error) => Part::Missing(error.to_string()),
        };
        self.store.store(Arc::new(store));
        self.metrics.store_grace(self.sessions.grace_left());
        if let Err(error) = self.keyring.reload() {
            // What was in force stays in force, so tokens are still minted and still verify.
            tracing::error!(%error, "the signing keys cannot be read again; those read before go on");
        }
    }
}

fn found(provider: &Provider) -> Part {
    match provider.readiness() {
        idp::Readiness::Ready => Part::Ready,
        idp::Readiness::Waiting { reason } => Part::Missing(reason),
    }
}
