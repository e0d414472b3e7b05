//! The open database, and how it is opened again: after a failed write redb refuses everything until that is done.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::Database;

use super::super::store::StoreError;
use super::tables::Tables;

const UNOPENED: &str = "its file is still being read and checked";

type Opener = Box<dyn Fn() -> Result<Database, StoreError> + Send + Sync>;

/// The database, or why it cannot be had for the moment.
pub(super) struct Shelf {
    open: Opener,
    database: RwLock<Result<Database, &'static str>>,
    was_opened: AtomicBool,
}

impl Shelf {
    pub(super) fn new(open: Opener) -> Result<Self, StoreError> {
        let shelf = Self::unopened(open);
        shelf.open()?;
        Ok(shelf)
    }

    /// One that is opened later.
    pub(super) fn unopened(open: Opener) -> Self {
        Self { open, database: RwLock::new(Err(UNOPENED)), was_opened: AtomicBool::new(false) }
    }

    /// Opens the database for the first time. It blocks; meanwhile nobody else does.
    pub(super) fn open(&self) -> Result<(), StoreError> {
        let database = ready(&self.open)?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Ok(database);
        self.was_opened.store(true, Ordering::Release);
        Ok(())
    }

    /// Fails until it has been opened for the first time. It never blocks.
    pub(super) fn must_be_open(&self) -> Result<(), StoreError> {
        if self.was_opened.load(Ordering::Acquire) { Ok(()) } else { Err(unavailable(UNOPENED)) }
    }

    /// Does something with the database. It blocks.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        work(database.as_ref().map_err(unavailable)?).map_err(unavailable)
    }

    /// Closes the database and opens it again, as soon as nobody is reading.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The file is locked until the old one is gone.
        drop(std::mem::replace(&mut *database, Err("it could not be opened again after a failure")));
        *database = Ok(ready(&self.open)?);
        Ok(())
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

/// Opens the database and makes sure that it can be written and has its tables.
fn ready(open: &Opener) -> Result<Database, StoreError> {
    let database = open()?;
    let make = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        drop(Tables::of(&transaction)?);
        Ok(transaction.commit()?)
    };
    make().map_err(unavailable)?;
    Ok(database)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unavailable(reason: impl ToString) -> StoreError {
    StoreError::Unavailable { reason: reason.to_string() }
}
