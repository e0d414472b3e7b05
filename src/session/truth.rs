//! Whether what is in memory can be believed: only as long as the store tells of every change, and only what was read
//! since it began to.

use std::sync::atomic::{AtomicU64, Ordering};

/// Odd while no change is missed; each loss and each new beginning counts it up.
#[derive(Debug, Default)]
pub(super) struct Truth(AtomicU64);

/// A time in which no change was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Truth {
    /// From now on no change is missed.
    pub(super) fn begin(&self) {
        // Two beginnings without a loss between them: what was missed in between nobody knows.
        self.end();
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on changes may be missed.
    pub(super) fn end(&self) {
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| (count % 2 == 1).then_some(count + 1));
    }

    /// The time that has ended, unless another one has begun; none if there was none yet.
    pub(super) fn last(&self) -> Option<Since> {
        let count = self.0.load(Ordering::SeqCst);
        (count > 0 && count.is_multiple_of(2)).then(|| Since(count - 1))
    }

    /// The time that is now, if no change is missed in it.
    pub(super) fn now(&self) -> Option<Since> {
        let count = self.0.load(Ordering::SeqCst);
        (count % 2 == 1).then_some(Since(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_beginning_is_another_time() {
        let truth = Truth::default();
        assert_eq!((truth.now(), truth.last()), (None, None));
        truth.begin();
        let first = truth.now();
        assert!(first.is_some() && truth.last().is_none());
        truth.end();
        truth.end();
        assert_eq!((truth.now(), truth.last()), (None, first));
        truth.begin();
        let second = truth.now();
        truth.begin();
        assert!(second.is_some() && second != first && truth.now().is_some() && truth.now() != second);
    }
}
