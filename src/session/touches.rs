//! Idle times that are on their way to the store: collected here, written together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store::StoreKey;
use crate::clock::UnixTime;

/// The latest time for each session. It holds a limited number; what does not fit is lost, which costs a session that
/// is used no more some of its idle time.
#[derive(Debug, Default)]
pub(super) struct Touches(Mutex<HashMap<StoreKey, UnixTime>>);

const MOST: usize = 64 * 1024;

impl Touches {
    pub(super) fn note(&self, key: StoreKey, until: UnixTime) {
        add(&mut self.lock(), key, until);
    }

    /// Takes all of them out.
    pub(super) fn take(&self) -> Vec<(StoreKey, UnixTime)> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    /// Puts back what could not be written, unless there is something newer.
    pub(super) fn put_back(&self, touches: Vec<(StoreKey, UnixTime)>) {
        let mut waiting = self.lock();
        for (key, until) in touches {
            add(&mut waiting, key, until);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(waiting: &mut HashMap<StoreKey, UnixTime>, key: StoreKey, until: UnixTime) {
    let room = waiting.len() < MOST;
    match waiting.entry(key) {
        Entry::Occupied(mut entry) => *entry.get_mut() = until.max(*entry.get()),
        Entry::Vacant(entry) if room => {
            entry.insert(until);
        }
        Entry::Vacant(_) => {}
    }
}
