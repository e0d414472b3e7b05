//! Sessions that were ended here, for as long as they could have lived: a server that takes over from another may not
//! have heard of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::store::StoreKey;
use crate::clock::UnixTime;

/// When each would have ended by itself. It holds a limited number; what does not fit has at least been confirmed by
/// the server that was asked.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<HashMap<StoreKey, UnixTime>>);

const MOST: usize = 64 * 1024;

impl Endings {
    pub(super) fn remember(&self, key: StoreKey, ends_at: UnixTime, now: UnixTime) {
        let mut endings = self.lock();
        if endings.len() >= MOST {
            endings.retain(|_, ends_at| *ends_at > now);
        }
        if endings.len() < MOST {
            endings.insert(key, ends_at);
        }
    }

    pub(super) fn hold(&self, key: StoreKey) -> bool {
        self.lock().contains_key(&key)
    }

    pub(super) fn all(&self) -> Vec<(StoreKey, UnixTime)> {
        self.lock().iter().map(|(key, ends_at)| (*key, *ends_at)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
