//! A store that fails or hesitates when a test wants it to; otherwise the real one behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, RwLock, RwLockWriteGuard};

use super::store::{
    Cursor, Holder, NewRow, Page, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag, Told,
};
use crate::clock::UnixTime;

pub(crate) struct Faulty {
    inner: Arc<dyn Store>,
    broken: AtomicBool,
    gate: RwLock<()>,
    waiting: Notify,
}

impl Faulty {
    pub(crate) fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, broken: AtomicBool::new(false), gate: RwLock::new(()), waiting: Notify::new() })
    }

    /// From now on every call fails, or none.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// While this is held, loads have read but do not answer, and removals do not begin.
    pub(crate) async fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// Until a load or a removal has come to where [`Self::hold`] holds it.
    pub(crate) async fn somebody_waits(&self) {
        self.waiting.notified().await;
    }

    fn well(&self) -> Result<(), StoreError> {
        let broken = self.broken.load(Ordering::SeqCst);
        if broken { Err(StoreError::Unavailable { reason: "a test says so".into() }) } else { Ok(()) }
    }

    async fn pass(&self) {
        if self.gate.try_read().is_err() {
            self.waiting.notify_one();
            drop(self.gate.read().await);
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError> {
        self.well()?;
        self.inner.create(key, new).await
    }
    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, StoreError> {
        self.well()?;
        let found = self.inner.load(key, now).await;
        self.pass().await;
        found
    }
    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError> {
        self.well()?;
        self.inner.replace(key, row, expected).await
    }
    async fn touch(&self, touches: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError> {
        self.well()?;
        self.inner.touch(touches).await
    }
    async fn remove(&self, key: StoreKey, ends_at: UnixTime) -> Result<bool, StoreError> {
        self.well()?;
        self.pass().await;
        self.inner.remove(key, ends_at).await
    }
    async fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, StoreError> {
        self.well()?;
        self.inner.tagged(tag).await
    }
    async fn page(&self, after: Cursor) -> Result<Page, StoreError> {
        self.well()?;
        self.inner.page(after).await
    }
    async fn burn(&self, flow: [u8; 16], until: UnixTime) -> Result<bool, StoreError> {
        self.well()?;
        self.inner.burn(flow, until).await
    }
    async fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, StoreError> {
        self.well()?;
        self.inner.is_burnt(flow).await
    }

    async fn lease(&self, key: StoreKey, holder: Holder, span: Duration) -> Result<bool, StoreError> {
        self.well()?;
        self.inner.lease(key, holder, span).await
    }
    async fn release(&self, key: StoreKey, holder: Holder) -> Result<(), StoreError> {
        self.well()?;
        self.inner.release(key, holder).await
    }
    async fn sweep(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.well()?;
        self.inner.sweep(now).await
    }
    async fn count(&self) -> Result<u64, StoreError> {
        self.well()?;
        self.inner.count().await
    }
    async fn watch(&self, told: &dyn Told) {
        self.inner.watch(told).await;
    }
}
