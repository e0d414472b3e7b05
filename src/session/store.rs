//! The port: what a store of sessions must do. It sees sealed rows and times, never a session.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::clock::UnixTime;

/// Where sessions live. Whatever a call has answered is durable: it survives the end of the process (`kill -9`).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Puts a new row in.
    ///
    /// # Errors
    /// If the store cannot be reached or written.
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError>;

    /// The row, unless its time is over at `now`.
    ///
    /// # Errors
    /// If the store cannot be reached or read.
    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, StoreError>;

    /// Puts `row` in the place of the one that was loaded as `expected`; its time stays.
    ///
    /// # Errors
    /// If the store cannot be reached or written.
    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError>;

    /// Moves the times at which these rows are forgotten, never to an earlier one. A row that is gone stays gone.
    ///
    /// # Errors
    /// If the store cannot be reached or written.
    async fn touch(&self, touches: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError>;

    /// Takes the row out for good; whether there was one. Until `ends_at`, when its session would have ended by itself,
    /// nothing brings it back: no writer that has not heard of it, no copy of the store that is a little behind.
    ///
    /// # Errors
    /// If the store cannot be reached or written: the session may then still be there.
    async fn remove(&self, key: StoreKey, ends_at: UnixTime) -> Result<bool, StoreError>;

    /// The rows that were created with this tag and are still there, in no order.
    ///
    /// # Errors
    /// If the store cannot be reached or read.
    async fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, StoreError>;

    /// Some of the sessions, in no order: those behind `after`. Whoever goes on until there is no next page has seen every
    /// session at least once that was there all the while. Some may have ended already.
    ///
    /// # Errors
    /// If the store cannot be reached or read.
    async fn page(&self, after: Cursor) -> Result<Page, StoreError>;

    /// Marks a login flow as used until `until`; `false` if it was marked already.
    ///
    /// # Errors
    /// If the store cannot be reached or written.
    async fn burn(&self, flow: [u8; 16], until: UnixTime) -> Result<bool, StoreError>;

    /// Whether a flow was marked as used.
    ///
    /// # Errors
    /// If the store cannot be reached or read.
    async fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, StoreError>;

    /// Takes the right to renew a session, for so long; `false` while another holder has it. Who has it takes it again to
    /// keep it.
    ///
    /// # Errors
    /// If the store cannot be reached or written.
    async fn lease(&self, key: StoreKey, holder: Holder, span: Duration) -> Result<bool, StoreError>;

    /// Gives the right to renew a session back, if the holder still has it.
    ///
    /// # Errors
    /// If the store cannot be reached or written: it then ends with its time.
    async fn release(&self, key: StoreKey, holder: Holder) -> Result<(), StoreError>;

    /// Takes out what is over at `now`; how many rows that were.
    ///
    /// # Errors
    /// If the store cannot be reached or written.
    async fn sweep(&self, now: UnixTime) -> Result<u64, StoreError>;

    /// How many rows there are.
    ///
    /// # Errors
    /// If the store cannot be reached or read.
    async fn count(&self) -> Result<u64, StoreError>;

    /// Tells what others change, for as long as it is polled: it does not end.
    async fn watch(&self, told: &dyn Told);
}

/// Who keeps copies of rows, and is to know when they are out of date. It is told from the very first that it may miss
/// changes, until [`Self::tracked`] says otherwise.
pub trait Told: Send + Sync {
    /// A row was changed or taken out, maybe by the one who is told.
    fn changed(&self, key: StoreKey);
    /// From now on changes may be missed: no copy may be used.
    fn lost(&self);
    /// From now on no change is missed: rows that are loaded after this may be kept.
    fn tracked(&self);
}

/// Where a session is found: a one-way function of its cookie's secret. Whoever reads it learns no cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreKey(pub(crate) [u8; 32]);

impl StoreKey {
    /// The key of these bytes: 32 of a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the store files them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// What a session is found by besides its cookie: a keyed one-way function of a user, or of a provider's name for its
/// session. Whoever reads it learns neither.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) [u8; 16]);

impl Tag {
    /// The tag of these bytes: 16 of a MAC.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the store files them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// How far somebody has come who goes over all sessions. Only the store that gave it knows what it says; any other is the
/// beginning of something, or its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(crate) [u8; 32]);

impl Cursor {
    /// Before the first session.
    pub const START: Self = Self([0; 32]);

    /// The cursor of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever goes on later.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(…)")
    }
}

/// Some of the sessions: a few hundred at the most, as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where they are filed.
    pub keys: Vec<StoreKey>,
    /// How to go on, if there is more.
    pub next: Option<Cursor>,
}

/// Who holds a right: a random name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub [u8; 16]);

/// A row that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The sealed session.
    pub row: Vec<u8>,
    /// When it is forgotten unless it is touched.
    pub until: UnixTime,
    /// When it is forgotten at the latest.
    pub ends_at: UnixTime,
    /// What it is found by.
    pub tags: Vec<Tag>,
}

/// Which writing of a row this is; each [`Store::replace`] makes the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

impl Revision {
    /// What [`Store::create`] makes.
    pub const FIRST: Self = Self(1);
}

/// A row as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// The sealed session.
    pub row: Vec<u8>,
    /// Which writing of it.
    pub revision: Revision,
    /// When it is forgotten unless it is touched.
    pub until: UnixTime,
}

/// What became of a [`Store::replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Done; this is the new revision.
    Done(Revision),
    /// Somebody else wrote a newer row: load again.
    Superseded,
    /// The session has ended meanwhile. It stays ended.
    Gone,
}

/// The store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Another process has the file.
    #[error("{path} is in use by another process: stop it, or give this one a `data_dir` of its own")]
    InUse {
        /// The file.
        path: String,
    },
    /// The file holds something else, or has been damaged.
    #[error(
        "{path} is damaged, or not a session store ({reason}): put a good copy back, or move it out of the way and a \
         new one is made (everyone signs in again)"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What was found.
        reason: String,
    },
    /// It cannot be opened, read or written at all.
    #[error("the session store is not available: {reason}")]
    Unavailable {
        /// What went wrong.
        reason: String,
    },
}
