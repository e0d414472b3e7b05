//! Sessions that were ended here, for as long as they could have lived: a server that takes over from another may not
//! have heard of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::store::StoreKey;
use crate::clock::UnixTime;

/// When each would have ended by itself. It holds a limited number: the oldest go first, for those the replicas have had
/// most time to hear of.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    ends_at: HashMap<StoreKey, UnixTime>,
    order: VecDeque<StoreKey>,
}

const MOST: usize = 64 * 1024;

impl Endings {
    pub(super) fn remember(&self, key: StoreKey, ends_at: UnixTime) {
        let mut remembered = self.lock();
        if remembered.ends_at.insert(key, ends_at).is_none() {
            remembered.order.push_back(key);
        }
        if remembered.order.len() > MOST
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.ends_at.remove(&oldest);
        }
    }

    pub(super) fn hold(&self, key: StoreKey) -> bool {
        self.lock().ends_at.contains_key(&key)
    }

    pub(super) fn all(&self) -> Vec<(StoreKey, UnixTime)> {
        self.lock().ends_at.iter().map(|(key, ends_at)| (*key, *ends_at)).collect()
    }

    /// Forgets sessions that are over by themselves.
    pub(super) fn forget_over(&self, now: UnixTime) {
        let Remembered { ends_at, order } = &mut *self.lock();
        ends_at.retain(|_, ends_at| *ends_at > now);
        order.retain(|key| ends_at.contains_key(key));
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> StoreKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        StoreKey(bytes)
    }

    #[test]
    fn the_oldest_go_first() {
        let endings = Endings::default();
        for n in 0..=MOST {
            endings.remember(key(n), UnixTime::from_secs(10));
        }
        assert!(!endings.hold(key(0)) && endings.hold(key(1)) && endings.hold(key(MOST)));
        endings.remember(key(0), UnixTime::from_secs(20));
        endings.forget_over(UnixTime::from_secs(10));
        assert_eq!(endings.all(), [(key(0), UnixTime::from_secs(20))]);
    }
}
