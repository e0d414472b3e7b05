//! Ending sessions from outside their own browser: by the provider, from another browser of the same person, by an
//! operator. Whoever calls has found out that they may; every end is recorded.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::audit;
use crate::metrics::{Metrics, RevocationCause};
use crate::session::{Filed, Sessions, StoreError};

/// How many sessions are ended at a time.
const AT_A_TIME: usize = 64;

/// Ends sessions.
#[derive(Debug)]
pub struct Revocation {
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
}

impl Revocation {
    /// Ends those in `sessions`, and counts that.
    #[must_use]
    pub const fn new(sessions: Arc<Sessions>, metrics: Arc<Metrics>) -> Self {
        Self { sessions, metrics }
    }

    /// Ends these sessions; how many of them were still there. All are tried, whatever becomes of one.
    ///
    /// # Errors
    /// If the store does not confirm the end of one: it is not found here for another minute, but may come back.
    pub async fn end(&self, them: Vec<Filed>, cause: RevocationCause) -> Result<u64, StoreError> {
        let reason = match cause {
            RevocationCause::BackChannel => "the provider ended it (back channel)",
            RevocationCause::FrontChannel => "the provider ended it (front channel)",
            RevocationCause::Holder => "ended by its holder from another session",
            RevocationCause::Admin => "ended by an operator",
        };
        let ending = |filed: Filed| async move {
            let was_there = self.sessions.end(filed.key).await?;
            if was_there {
                audit::revocation(&filed.session.identity, &filed.session.sid, reason);
                self.metrics.session_revoked(cause);
            }
            Ok(was_there)
        };
        let outcomes: Vec<Result<bool, StoreError>> =
            stream::iter(them).map(ending).buffer_unordered(AT_A_TIME).collect().await;
        outcomes.into_iter().try_fold(0, |sum, outcome| Ok(sum + u64::from(outcome?)))
    }
}
