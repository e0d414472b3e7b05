//! Sessions that are being ended, or may have been: nobody is to find them meanwhile, whatever the store still says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store::StoreKey;
use crate::clock::UnixTime;

/// When the end of each was asked for. An entry goes when the store has confirmed; otherwise (the store failed, or
/// nobody waited for its answer) after [`DOUBT`], when a late write has long been made or will never be.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<HashMap<StoreKey, UnixTime>>);

const DOUBT: Duration = Duration::from_mins(1);

impl Endings {
    pub(super) fn begin(&self, key: StoreKey, now: UnixTime) {
        self.lock().insert(key, now);
    }

    pub(super) fn confirm(&self, key: StoreKey) {
        self.lock().remove(&key);
    }

    pub(super) fn hold(&self, key: StoreKey) -> bool {
        self.lock().contains_key(&key)
    }

    pub(super) fn forget_old(&self, now: UnixTime) {
        self.lock().retain(|_, begun| now.since(*begun) < DOUBT);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
