//! Sessions that are being ended: nobody is to find them here, whatever the store still says, and their end is asked for
//! until the store has confirmed it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store::StoreKey;
use crate::clock::UnixTime;

/// What the store has not confirmed yet: it failed, or nobody waited for its answer, or it is being asked right now.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<HashMap<StoreKey, Ending>>);

#[derive(Clone, Copy, Debug)]
struct Ending {
    /// When the end was asked for, the last time.
    asked_at: UnixTime,
    /// When the session is over by itself.
    ends_at: UnixTime,
}

/// After that the one who asked has had an answer, or will not have one.
const ANSWERED: Duration = Duration::from_secs(3);

impl Endings {
    pub(super) fn begin(&self, key: StoreKey, now: UnixTime, ends_at: UnixTime) {
        let mut endings = self.lock();
        let ending = endings.entry(key).or_insert(Ending { asked_at: now, ends_at });
        ending.asked_at = now;
    }

    pub(super) fn confirm(&self, key: StoreKey) {
        self.lock().remove(&key);
    }

    pub(super) fn hold(&self, key: StoreKey) -> bool {
        self.lock().contains_key(&key)
    }

    /// Those that are to be asked for again, with the times at which they are over by themselves: those that were asked for
    /// so long ago that nobody is being answered any more.
    pub(super) fn unconfirmed(&self, now: UnixTime) -> Vec<(StoreKey, UnixTime)> {
        let mut endings = self.lock();
        endings.retain(|_, ending| ending.ends_at > now);
        let again = |(key, ending): (&StoreKey, &Ending)| (*key, ending.ends_at, now.since(ending.asked_at));
        endings.iter().map(again).filter(|(.., ago)| *ago >= ANSWERED).map(|(key, ends_at, _)| (key, ends_at)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, Ending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
