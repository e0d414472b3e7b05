//! Sessions as others than their own browser come to them: found without a cookie, looked at without being used.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::super::row::{self, Session};
use super::super::store::{Cursor, Page, StoreError, StoreKey};
use super::super::tags::Of;
use super::Sessions;
use crate::clock::UnixTime;

/// A session as it is filed.
#[derive(Clone, Debug)]
pub struct Filed {
    /// Where.
    pub key: StoreKey,
    /// What the row says.
    pub session: Session,
    /// When it is over unless it is used; the store may know that a minute too early.
    pub idle_until: UnixTime,
}

/// How many rows are asked for at a time.
const AT_A_TIME: usize = 32;

impl Sessions {
    /// The sessions of somebody that are not over, in no order.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn of(&self, whose: Of<'_>) -> Result<Vec<Filed>, StoreError> {
        let mut keys = self.keys_of(whose).await?;
        keys.sort_unstable_by_key(|key| *key.as_bytes());
        keys.dedup();
        self.filed(keys).await
    }

    /// Some of all sessions that are not over, and how to go on if there are more: see [`super::super::Store::page`].
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn page(&self, after: Cursor) -> Result<(Vec<Filed>, Option<Cursor>), StoreError> {
        let Page { keys, next } = self.store.page(after).await?;
        Ok((self.filed(keys).await?, next))
    }

    async fn filed(&self, keys: Vec<StoreKey>) -> Result<Vec<Filed>, StoreError> {
        let found = stream::iter(keys).map(|key| self.look_at(key)).buffer_unordered(AT_A_TIME);
        let found: Vec<Option<Filed>> = found.try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The session, if it is not over. That it was looked at is no use of it.
    async fn look_at(&self, key: StoreKey) -> Result<Option<Filed>, StoreError> {
        let now = self.clock.now();
        let Some(found) = self.store.load(key, now).await? else { return Ok(None) };
        match row::open(&found.row, &self.keys, key) {
            // Also one whose end was asked for and not confirmed: whoever tries again must find it.
            Ok(session) if session.ends_at > now => Ok(Some(Filed { key, session, idle_until: found.until })),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, ?key, "a session's row cannot be opened; it is passed over");
                Ok(None)
            }
        }
    }
}
