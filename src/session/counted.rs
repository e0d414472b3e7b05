//! A store whose requests are counted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Cursor, Holder, NewRow, Page, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag, Told};
use crate::clock::UnixTime;
use crate::metrics::{Metrics, StoreOperation, StoreOutcome};

/// Counts what another store is asked, and what came of it.
#[derive(Debug)]
pub struct Counted<S> {
    store: S,
    metrics: Arc<Metrics>,
}

impl<S: Store> Counted<S> {
    /// Counts the requests to `store` in `metrics`.
    #[must_use]
    pub const fn new(store: S, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    fn noted<T>(&self, operation: StoreOperation, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = if answer.is_ok() { StoreOutcome::Ok } else { StoreOutcome::Unavailable };
        self.metrics.store_request(operation, outcome);
        answer
    }
}

#[async_trait]
impl<S: Store> Store for Counted<S> {
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError> {
        self.noted(StoreOperation::Create, self.store.create(key, new).await)
    }

    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, StoreError> {
        self.noted(StoreOperation::Load, self.store.load(key, now).await)
    }

    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError> {
        self.noted(StoreOperation::Replace, self.store.replace(key, row, expected).await)
    }

    async fn touch(&self, touches: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError> {
        self.noted(StoreOperation::Touch, self.store.touch(touches).await)
    }

    async fn remove(&self, key: StoreKey, ends_at: UnixTime) -> Result<bool, StoreError> {
        self.noted(StoreOperation::Remove, self.store.remove(key, ends_at).await)
    }

    async fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, StoreError> {
        self.noted(StoreOperation::Tagged, self.store.tagged(tag).await)
    }

    async fn page(&self, after: Cursor) -> Result<Page, StoreError> {
        self.noted(StoreOperation::Page, self.store.page(after).await)
    }

    async fn burn(&self, flow: [u8; 16], until: UnixTime) -> Result<bool, StoreError> {
        self.noted(StoreOperation::Burn, self.store.burn(flow, until).await)
    }

    async fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, StoreError> {
        self.noted(StoreOperation::IsBurnt, self.store.is_burnt(flow).await)
    }

    async fn lease(&self, key: StoreKey, holder: Holder, span: Duration) -> Result<bool, StoreError> {
        self.noted(StoreOperation::Lease, self.store.lease(key, holder, span).await)
    }

    async fn release(&self, key: StoreKey, holder: Holder) -> Result<(), StoreError> {
        self.noted(StoreOperation::Release, self.store.release(key, holder).await)
    }

    async fn sweep(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.noted(StoreOperation::Sweep, self.store.sweep(now).await)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.noted(StoreOperation::Count, self.store.count().await)
    }

    async fn watch(&self, told: &dyn Told) {
        self.store.watch(told).await;
    }
}
