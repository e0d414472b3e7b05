//! The store of a single node: one redb file. One thread writes, and makes whatever is waiting durable together;
//! reading goes past it.

mod file;
mod leases;
mod shelf;
mod tables;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redb::ReadableDatabase;
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::leases::Leases;
use self::shelf::Shelf;
use self::tables::{Snapshot, Tables};
use self::writer::Writer;
use super::store::{
    Cursor, Holder, NewRow, Page, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag, Told,
};
use crate::clock::UnixTime;

/// Sessions in one file, which no other process may have open.
#[derive(Debug)]
pub struct Embedded {
    shelf: Arc<Shelf>,
    writer: Writer,
    leases: Leases,
}

/// The opening of a file, which goes on aside.
#[derive(Debug)]
pub struct Opening(oneshot::Receiver<Result<(), StoreError>>);

impl Opening {
    /// One that ends when somebody sends what came of it.
    #[cfg(test)]
    pub(crate) const fn of(opened: oneshot::Receiver<Result<(), StoreError>>) -> Self {
        Self(opened)
    }

    /// Until the file is open. Who stops waiting may wait again.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub async fn done(&mut self) -> Result<(), StoreError> {
        let ended = |_| Err(StoreError::Unavailable { reason: "the thread that opened it has ended".into() });
        (&mut self.0).await.unwrap_or_else(ended)
    }
}

/// How long a caller waits for the disk. Gateways give up after two seconds, a person who signs in does not.
const READ_DEADLINE: Duration = Duration::from_millis(1500);
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

impl Embedded {
    /// Opens the file at `path`, and makes it if it is not there, readable by its owner alone. It blocks: all of the
    /// file is read and checked, which takes longer the larger it is.
    ///
    /// # Errors
    /// If another process has it, if it is damaged, or if it cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path: PathBuf = path.into();
        Self::with(Shelf::new(Box::new(move || file::open(&path)))?)
    }

    /// The same, but the file is opened aside: until [`Opening::done`] says so, every call fails at once.
    ///
    /// # Errors
    /// If that cannot be begun.
    pub fn open_aside(path: impl Into<PathBuf>) -> Result<(Self, Opening), StoreError> {
        let path: PathBuf = path.into();
        Self::aside(Shelf::unopened(Box::new(move || file::open(&path))))
    }

    fn aside(shelf: Shelf) -> Result<(Self, Opening), StoreError> {
        let (opened, opening) = oneshot::channel();
        Ok((Self::begin(shelf, Some(opened))?, Opening(opening)))
    }

    fn with(shelf: Shelf) -> Result<Self, StoreError> {
        Self::begin(shelf, None)
    }

    fn begin(shelf: Shelf, opened: Option<oneshot::Sender<Result<(), StoreError>>>) -> Result<Self, StoreError> {
        let shelf = Arc::new(shelf);
        let writer = Writer::start(Arc::clone(&shelf), opened)
            .map_err(|error| StoreError::Unavailable { reason: format!("its thread cannot be started: {error}") })?;
        Ok(Self { shelf, writer, leases: Leases::default() })
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shelf.must_be_open()?;
        timeout(WRITE_DEADLINE, self.writer.write(change)).await.unwrap_or_else(|_| Err(late("write")))
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Snapshot) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shelf.must_be_open()?;
        let shared = Arc::clone(&self.shelf);
        let reading = tokio::task::spawn_blocking(move || {
            shared.with(|database| question(&Snapshot::of(database.begin_read()?)))
        });
        match timeout(READ_DEADLINE, reading).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failed)) => Err(StoreError::Unavailable { reason: format!("reading has failed: {failed}") }),
            Err(_) => Err(late("read")),
        }
    }
}

#[async_trait]
impl Store for Embedded {
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError> {
        self.write(move |tables| tables.create(key, &new)).await
    }

    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, StoreError> {
        self.read(move |snapshot| snapshot.load(key, now)).await
    }

    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError> {
        self.write(move |tables| tables.replace(key, &row, expected)).await
    }

    async fn touch(&self, touches: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError> {
        for some in touches.chunks(BATCH) {
            let some = some.to_vec();
            self.write(move |tables| some.iter().try_for_each(|(key, until)| tables.touch(*key, *until))).await?;
        }
        Ok(())
    }

    async fn remove(&self, key: StoreKey, _ends_at: UnixTime) -> Result<bool, StoreError> {
        // There is one writer, and it creates each row once: nothing could bring it back.
        self.write(move |tables| tables.remove(key)).await
    }

    async fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, StoreError> {
        self.read(move |snapshot| snapshot.tagged(tag)).await
    }

    async fn page(&self, after: Cursor) -> Result<Page, StoreError> {
        self.read(move |snapshot| snapshot.page(after, BATCH)).await
    }

    async fn burn(&self, flow: [u8; 16], until: UnixTime) -> Result<bool, StoreError> {
        self.write(move |tables| tables.burn(flow, until)).await
    }

    async fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, StoreError> {
        self.read(move |snapshot| snapshot.is_burnt(flow)).await
    }

    async fn lease(&self, key: StoreKey, holder: Holder, span: Duration) -> Result<bool, StoreError> {
        Ok(self.leases.take(key, holder, span))
    }

    async fn release(&self, key: StoreKey, holder: Holder) -> Result<(), StoreError> {
        self.leases.give_back(key, holder);
        Ok(())
    }

    async fn sweep(&self, now: UnixTime) -> Result<u64, StoreError> {
        // In bounded batches, so that sign-ins get their turn in between.
        while self.write(move |tables| tables.sweep_flows(now, BATCH)).await? == BATCH {}
        let mut rows = 0;
        loop {
            let some = self.write(move |tables| tables.sweep_rows(now, BATCH)).await?;
            rows += some as u64;
            if some < BATCH {
                return Ok(rows);
            }
        }
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.read(Snapshot::count).await
    }

    async fn watch(&self, told: &dyn Told) {
        // Nobody else writes the file.
        told.tracked();
        std::future::pending::<()>().await;
    }
}

/// The most rows that one change touches, or one page has.
const BATCH: usize = 512;

fn late(what: &str) -> StoreError {
    StoreError::Unavailable { reason: format!("the disk is too slow, a {what} was given up") }
}

#[cfg(test)]
mod tests;
