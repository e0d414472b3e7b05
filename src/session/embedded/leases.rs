//! Who may renew what. One process has the file, so that memory is enough.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::store::{Holder, StoreKey};

/// Each right that somebody has, and until when.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<StoreKey, (Holder, Instant)>>);

impl Leases {
    pub(super) fn take(&self, key: StoreKey, holder: Holder, span: Duration) -> bool {
        let now = Instant::now();
        let mut leases = self.lock();
        leases.retain(|_, (_, until)| *until > now);
        if leases.get(&key).is_some_and(|(other, _)| *other != holder) {
            return false;
        }
        leases.insert(key, (holder, now + span));
        true
    }

    pub(super) fn give_back(&self, key: StoreKey, holder: Holder) {
        let mut leases = self.lock();
        if leases.get(&key).is_some_and(|(other, _)| *other == holder) {
            leases.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, (Holder, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
