//! Sessions whose rows an older key has sealed: collected here when they are used, sealed anew apart from requests.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store::StoreKey;

/// Each at most once. It holds a limited number: what does not fit is noted when it is used next.
#[derive(Debug, Default)]
pub(super) struct Reseals(Mutex<HashSet<StoreKey>>);

const MOST: usize = 16 * 1024;

impl Reseals {
    pub(super) fn note(&self, key: StoreKey) {
        let mut waiting = self.lock();
        if waiting.len() < MOST {
            waiting.insert(key);
        }
    }

    /// Takes all of them out.
    pub(super) fn take(&self) -> Vec<StoreKey> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<StoreKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
