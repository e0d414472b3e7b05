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

/// Sessions that were looked for, to be ended.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that can be read.
    pub filed: Vec<Filed>,
    /// Those that cannot be read here: written by a later version, or under a key that is not known here yet.
    pub unreadable: Vec<StoreKey>,
}

/// How many rows are asked for at a time.
const AT_A_TIME: usize = 32;

impl Sessions {
    /// The sessions of somebody that are not over and can be read, in no order.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn of(&self, whose: Of<'_>) -> Result<Vec<Filed>, StoreError> {
        self.all_of(whose).await.map(|found| found.filed)
    }

    /// The sessions of somebody that are not over, in no order: to end them it is enough to know where they are.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn all_of(&self, whose: Of<'_>) -> Result<Found, StoreError> {
        let mut keys = self.keys_of(whose).await?;
        keys.sort_unstable_by_key(|key| *key.as_bytes());
        keys.dedup();
        self.filed(keys).await
    }

    /// Some of all sessions that are not over, and how to go on if there are more: see [`super::super::Store::page`].
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn page(&self, after: Cursor) -> Result<(Found, Option<Cursor>), StoreError> {
        let Page { keys, next } = self.store.page(after).await?;
        Ok((self.filed(keys).await?, next))
    }

    async fn filed(&self, keys: Vec<StoreKey>) -> Result<Found, StoreError> {
        let looking = stream::iter(keys).map(|key| self.look_at(key)).buffer_unordered(AT_A_TIME);
        let seen: Vec<Look> = looking.try_collect().await?;
        let mut found = Found::default();
        for look in seen {
            match look {
                Look::Filed(filed) => found.filed.push(*filed),
                Look::Unreadable(key) => found.unreadable.push(key),
                Look::Over => {}
            }
        }
        Ok(found)
    }

    /// The session, if it is not over. That it was looked at is no use of it.
    async fn look_at(&self, key: StoreKey) -> Result<Look, StoreError> {
        let now = self.clock.now();
        let Some(found) = self.store.load(key, now).await? else { return Ok(Look::Over) };
        Ok(match row::open(&found.row, &self.keys, key) {
            // Also one whose end was asked for and not confirmed: whoever tries again must find it.
            Ok(session) if session.ends_at > now => {
                Look::Filed(Box::new(Filed { key, session, idle_until: found.until }))
            }
            Ok(_) => Look::Over,
            Err(error) => {
                tracing::warn!(%error, ?key, "a session's row cannot be opened here");
                Look::Unreadable(key)
            }
        })
    }
}

enum Look {
    Filed(Box<Filed>),
    Unreadable(StoreKey),
    Over,
}
