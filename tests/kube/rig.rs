//! A cluster, and a way to it.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{TestClock, UnixTime};
use countersign::config::KubernetesApi;
use countersign::kube::{ApiServer, KubeError, Review};
use countersign::secret::SecretText;

use crate::token_review::{AUDIENCE, Cluster};

pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) api: ApiServer,
}

/// Errors by kind, to be compared at a glance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unreachable,
    Refused,
    Misbehaved,
    Misconfigured,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut KubernetesApi)) -> Self {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let cluster = Cluster::start(clock).await;
        let mut settings = cluster.api();
        change(&mut settings);
        // Longer than anything takes that is meant to be answered.
        let api = ApiServer::new(&settings).expect("a CA").with_deadline(Duration::from_secs(20));
        Self { cluster, api }
    }

    pub(crate) async fn review(&self, token: &str) -> Result<Review, KubeError> {
        self.api.review(&SecretText::new(token.to_owned()), &[AUDIENCE.to_owned()]).await
    }

    /// A review of a good token that must fail in this way, for this reason.
    pub(crate) async fn fails(&self, kind: Kind, reason: &str) {
        let token = self.cluster.token();
        assert_failed(self.review(&token).await, &kind, reason);
    }
}

#[track_caller]
pub(crate) fn assert_failed<T: std::fmt::Debug>(outcome: Result<T, KubeError>, kind: &Kind, reason: &str) {
    let error = outcome.expect_err("it fails");
    let found = match &error {
        KubeError::Unreachable(_) => Kind::Unreachable,
        KubeError::Refused(_) => Kind::Refused,
        KubeError::Misbehaved(_) => Kind::Misbehaved,
        KubeError::Misconfigured(_) => Kind::Misconfigured,
    };
    let said = error.to_string();
    assert_eq!(&found, kind, "{said}");
    assert!(said.contains(reason), "`{said}` does not say `{reason}`");
    assert!(!said.contains("eyJ") && !said.contains("own-"), "a token is told: {said}");
}
