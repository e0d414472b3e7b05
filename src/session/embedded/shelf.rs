//! The open database, and how it is opened again: after a failed write redb refuses everything until that is done.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use redb::Database;

use super::super::store::StoreError;
use super::tables::Tables;

type Opener = Box<dyn Fn() -> Result<Database, StoreError> + Send + Sync>;

/// The database, unless it is lost for the moment.
pub(super) struct Shelf {
    open: Opener,
    database: RwLock<Option<Database>>,
}

impl Shelf {
    pub(super) fn new(open: Opener) -> Result<Self, StoreError> {
        let database = ready(&open)?;
        Ok(Self { open, database: RwLock::new(Some(database)) })
    }

    /// Does something with the database. It blocks.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| unavailable("it could not be opened again after a failure"))?;
        work(database).map_err(unavailable)
    }

    /// Closes the database and opens it again, as soon as nobody is reading.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The file is locked until the old one is gone.
        drop(database.take());
        *database = Some(ready(&self.open)?);
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
