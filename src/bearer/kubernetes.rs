//! Kubernetes ServiceAccounts, by the API server's review or by the cluster's keys.

use std::sync::Arc;

use super::{Doubt, Vouched};
use crate::clock::Clock;
use crate::config::KubernetesSettings;

/// A cluster.
#[derive(Debug)]
pub(super) struct Kubernetes {
    settings: KubernetesSettings,
}

impl Kubernetes {
    pub(super) fn new(settings: KubernetesSettings, _clock: Arc<dyn Clock>) -> Self {
        Self { settings }
    }

    /// Says whose token it is. `admit` and the caches are the caller's.
    #[expect(clippy::unused_async, reason = "asking takes time")]
    pub(super) async fn verify(&self, _token: &str) -> Result<Vouched, Doubt> {
        Err(Doubt::Unavailable(format!("{} cannot be asked by this version", self.settings.api.address)))
    }

    /// Keeps at hand what verifying takes, for ever.
    pub(super) async fn keep_found(&self) {
        std::future::pending().await
    }
}
