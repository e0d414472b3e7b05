//! The Kubernetes API server: whose a ServiceAccount token is (TokenReview), and which keys sign such tokens. The only
//! room that talks to it. It caches nothing and judges no request.

mod connection;
mod credentials;
mod discovery;
mod service_account;
mod token_review;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::service_account::{NotAServiceAccount, ServiceAccount};
pub use self::token_review::{Review, Reviewed};

use self::connection::Connection;
use crate::config::KubernetesApi;
use crate::identity::ProviderId;
use crate::metrics::{IdpOperation, IdpOutcome, Metrics};

/// A Kubernetes API server.
#[derive(Debug)]
pub struct ApiServer {
    connection: Connection,
    counted: Option<(ProviderId, Arc<Metrics>)>,
}

/// Why the API server did not say what it was asked, by who can mend it. Nothing here holds a token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KubeError {
    /// It cannot be reached, or is busy. Passing.
    #[error("the Kubernetes API server cannot be reached: {0}")]
    Unreachable(String),
    /// It refuses us: our own token, or what our ServiceAccount may do. The operator's to mend.
    #[error("the Kubernetes API server refuses us: {0}")]
    Refused(String),
    /// It answered something that its API does not allow; nothing was believed.
    #[error("the Kubernetes API server misbehaved: {0}")]
    Misbehaved(String),
    /// The CA or our own token cannot be read. The operator's to mend.
    #[error("the Kubernetes API server cannot be asked: {0}")]
    Misconfigured(String),
}

impl ApiServer {
    /// The most bytes of an answer that are read.
    pub const MAX_BODY: usize = 256 * 1024;
    /// How long an exchange may take, connection included: somebody's request waits for it.
    pub const DEADLINE: Duration = Duration::from_millis(1500);

    /// Makes ready to call. Nothing is sent yet.
    ///
    /// # Errors
    /// [`KubeError::Misconfigured`] if the CA cannot be read. The token file is read when it is needed.
    pub fn new(settings: &KubernetesApi) -> Result<Self, KubeError> {
        Ok(Self { connection: Connection::new(settings, Self::DEADLINE)?, counted: None })
    }

    /// The same, with another deadline for an exchange.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { connection: self.connection.with_deadline(deadline), ..self }
    }

    /// The same, and every question that is put to it is counted for `source`.
    #[must_use]
    pub fn counted(self, source: ProviderId, metrics: Arc<Metrics>) -> Self {
        Self { counted: Some((source, metrics)), ..self }
    }

    fn count<T>(&self, operation: IdpOperation, outcome: &Result<T, KubeError>) {
        let Some((source, metrics)) = &self.counted else { return };
        let outcome = match outcome {
            Ok(_) => IdpOutcome::Ok,
            Err(KubeError::Unreachable(_)) => IdpOutcome::Unreachable,
            Err(KubeError::Refused(_)) => IdpOutcome::Refused,
            Err(KubeError::Misbehaved(_)) => IdpOutcome::Misbehaved,
            // Nothing was sent.
            Err(KubeError::Misconfigured(_)) => return,
        };
        metrics.idp_request(source, operation, outcome);
    }
}
