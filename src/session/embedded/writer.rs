//! The one thread that writes. Whatever waits when it comes round goes into one transaction and is made durable by
//! one commit; only then are the callers answered.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::super::store::StoreError;
use super::shelf::{Shelf, unavailable};
use super::tables::Tables;

/// How many changes may wait, and how many go into one transaction.
const QUEUE: usize = 1024;
const TOGETHER: usize = 256;

/// The way to the writing thread, which ends with it.
#[derive(Debug)]
pub(super) struct Writer {
    shelf: Arc<Shelf>,
    queue: Option<mpsc::Sender<Box<dyn Change>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// If the shelf is not open yet, the thread opens it first, and tells `opened` what came of it.
    pub(super) fn start(
        shelf: Arc<Shelf>,
        opened: Option<oneshot::Sender<Result<(), StoreError>>>,
    ) -> io::Result<Self> {
        let (queue, changes) = mpsc::channel(QUEUE);
        let work = Arc::clone(&shelf);
        let thread = thread::Builder::new().name("session-writer".into()).spawn(move || {
            if let Some(opened) = opened {
                let result = work.open();
                let failed = result.is_err();
                // Whoever waits may have gone.
                let _ = opened.send(result);
                if failed {
                    return;
                }
            }
            run(&work, changes);
        })?;
        Ok(Self { shelf, queue: Some(queue), thread: Some(thread) })
    }

    /// Has the change made. Once it is queued, it is made even if nobody waits for the answer any more.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let queued = Queued { change: Some(change), outcome: None, answer };
        let stopped = || unavailable("its writing thread has ended");
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Box::new(queued)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    /// Waits for the thread, so that the file is closed and may be opened again. Not for a first opening, which may take
    /// long: nothing was written yet.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && self.shelf.must_be_open().is_ok()
        {
            let _ = thread.join();
        }
    }
}

/// A change that waits, with whoever waits for it.
trait Change: Send {
    fn make(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Queued<F, T> {
    change: Option<F>,
    outcome: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Change for Queued<F, T>
where
    F: FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send,
    T: Send,
{
    fn make(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        if let Some(change) = self.change.take() {
            self.outcome = Some(change(tables)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { outcome, answer, .. } = *self;
        // Whoever asked may have gone.
        let _ = answer.send(result.and_then(|()| outcome.ok_or_else(|| unavailable("the change was not made"))));
    }
}

fn run(shelf: &Shelf, mut changes: mpsc::Receiver<Box<dyn Change>>) {
    let mut whole = true;
    while let Some(first) = changes.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Ok(next) = changes.try_recv()
        {
            batch.push(next);
        }
        let mut result = if whole { Ok(()) } else { shelf.reopen() };
        whole = result.is_ok();
        if whole {
            result = commit(shelf, &mut batch);
            if let Err(error) = &result {
                tracing::error!(%error, "sessions could not be written; opening the store again");
                whole = shelf.reopen().is_ok();
            }
        }
        for change in batch {
            change.answer(result.clone());
        }
    }
}

/// Makes all changes durable, or none.
fn commit(shelf: &Shelf, batch: &mut [Box<dyn Change>]) -> Result<(), StoreError> {
    shelf.with(|database| {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(redb::Durability::Immediate)?;
        let mut tables = Tables::of(&transaction)?;
        for change in batch {
            change.make(&mut tables)?;
        }
        drop(tables);
        Ok(transaction.commit()?)
    })
}
