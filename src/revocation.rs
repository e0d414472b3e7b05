//! Ending sessions from outside their own browser: by the provider, from another browser of the same person, by an
//! operator. Whoever calls has found out that they may; every end is recorded.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::audit;
use crate::identity::UserId;
use crate::metrics::{Metrics, RevocationCause};
use crate::session::{Cursor, Filed, Found, Of, Session, Sessions, StoreError, StoreKey};

/// How many sessions are ended at a time.
const AT_A_TIME: usize = 64;
/// How long ending all of them goes on before whoever asked is told how far it got: their connection has a deadline.
const STRETCH: Duration = Duration::from_secs(10);

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

    /// The sessions of a user.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn of_user(&self, user: &UserId) -> Result<Vec<Filed>, StoreError> {
        self.sessions.of(Of::User(user)).await
    }

    /// The session of this pseudonym, if there is one.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn of_pseudonym(&self, sid: &str) -> Result<Vec<Filed>, StoreError> {
        self.sessions.of(Of::Pseudonym(sid)).await
    }

    /// Some of all sessions, and how to go on if there are more.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn some(&self, after: Cursor) -> Result<(Vec<Filed>, Option<Cursor>), StoreError> {
        self.sessions.page(after).await.map(|(found, next)| (found.filed, next))
    }

    /// Ends the sessions of a user, for an operator; how many there were.
    ///
    /// # Errors
    /// As [`Revocation::end`].
    pub async fn end_user(&self, user: &UserId) -> Result<u64, StoreError> {
        self.end(self.sessions.all_of(Of::User(user)).await?, RevocationCause::Admin).await
    }

    /// Ends the session of this pseudonym, for an operator; how many there were.
    ///
    /// # Errors
    /// As [`Revocation::end`].
    pub async fn end_pseudonym(&self, sid: &str) -> Result<u64, StoreError> {
        self.end(self.sessions.all_of(Of::Pseudonym(sid)).await?, RevocationCause::Admin).await
    }

    /// Ends all sessions behind `after`, for an operator, for as long as a caller waits; how many there were, and how to go
    /// on if there are more.
    ///
    /// # Errors
    /// As [`Revocation::end`].
    pub async fn end_from(&self, after: Cursor) -> Result<(u64, Option<Cursor>), StoreError> {
        let begun = Instant::now();
        let (mut ended, mut after) = (0, after);
        loop {
            let (some, next) = self.sessions.page(after).await?;
            ended += self.end(some, RevocationCause::Admin).await?;
            match next {
                Some(next) if begun.elapsed() < STRETCH => after = next,
                next => return Ok((ended, next)),
            }
        }
    }

    /// Ends these sessions; how many of them were still there. All are tried, whatever becomes of one.
    ///
    /// # Errors
    /// If the store does not confirm the end of one: it is not found here any more, and the store is asked again until it
    /// confirms. Until then it may go on at other replicas.
    pub async fn end(&self, them: Found, cause: RevocationCause) -> Result<u64, StoreError> {
        let reason = match cause {
            RevocationCause::BackChannel => "the provider ended it (back channel)",
            RevocationCause::FrontChannel => "the provider ended it (front channel)",
            RevocationCause::Holder => "ended by its holder from another session",
            RevocationCause::Admin => "ended by an operator",
        };
        // All at once: whoever asked may not wait for the last.
        let named = them.filed.into_iter().map(|filed| (filed.key, Some(filed.session)));
        let them: Vec<(StoreKey, Option<Session>)> =
            named.chain(them.unreadable.into_iter().map(|key| (key, None))).collect();
        self.sessions.begin_to_end(&them.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        let ending = |(key, session): (StoreKey, Option<Session>)| async move {
            let was_there = self.sessions.end(key).await?;
            if was_there {
                if let Some(session) = session {
                    audit::revocation(&session.identity, &session.sid, reason);
                } else {
                    tracing::warn!(?key, reason, "a session that cannot be read here has been ended");
                }
                self.metrics.session_revoked(cause);
            }
            Ok(was_there)
        };
        let outcomes: Vec<Result<bool, StoreError>> =
            stream::iter(them).map(ending).buffer_unordered(AT_A_TIME).collect().await;
        outcomes.into_iter().try_fold(0, |sum, outcome| Ok(sum + u64::from(outcome?)))
    }
}
