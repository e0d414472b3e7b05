//! What goes on in the background: providers are found, the store and the keys are watched, and readiness is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::sleep;

use crate::bearer::Sources;
use crate::door::admin::{Part, Readiness};
use crate::idp::{self, Provider};
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::seal::KeyDirectory;
use crate::session::Sessions;

/// How often the store and the keys are looked at; and while the store cannot be asked.
const WATCH_EVERY: Duration = Duration::from_secs(5);
const WATCH_EVERY_WHILE_AWAY: Duration = Duration::from_secs(1);

/// Keeps watch.
pub(super) struct Housekeeping {
    sessions: Arc<Sessions>,
    keyring: Arc<Keyring>,
    session_keys: Option<KeyDirectory>,
    /// What was said last of the signing keys, and of the session keys: nobody needs to read it every few seconds.
    complaints: Mutex<[String; 2]>,
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
        let (session_keys, complaints) = (None, Mutex::default());
        let store = ArcSwap::from_pointee(Part::Missing("it has not been asked yet".into()));
        let keys = ArcSwap::from_pointee(Part::Ready);
        Self { sessions, keyring, session_keys, complaints, providers, sources, metrics, store, keys }
    }

    /// The same, and session keys that follow their directory.
    pub(super) fn following(self, session_keys: Option<KeyDirectory>) -> Self {
        Self { session_keys, ..self }
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
        loop {
            self.look().await;
            let is_there = **self.store.load() == Part::Ready;
            sleep(if is_there { WATCH_EVERY } else { WATCH_EVERY_WHILE_AWAY }).await;
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
        // What was in force stays in force: tokens are still minted and still verify, sessions still open.
        let signing = self.keyring.reload().map_err(|error| error.to_string());
        let session =
            self.session_keys.as_ref().map_or(Ok(()), KeyDirectory::reload).map_err(|error| error.to_string());
        let mut said = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        for (said, now) in said.iter_mut().zip([signing, session]) {
            let now = now.err().unwrap_or_default();
            if now != *said && !now.is_empty() {
                tracing::error!(error = now, "keys cannot be read again; those read before go on");
            }
            *said = now;
        }
    }
}

fn found(provider: &Provider) -> Part {
    match provider.readiness() {
        idp::Readiness::Ready => Part::Ready,
        idp::Readiness::Waiting { reason } => Part::Missing(reason),
    }
}
