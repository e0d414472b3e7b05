//! How long sessions in memory go on when the store can neither be asked nor tells of changes: not at all, unless an
//! operator allows it. Who is signed out elsewhere in that time is not noticed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::audit;
use crate::clock::UnixTime;

/// Since when the store is lost, and what came of it.
#[derive(Debug)]
pub(super) struct Grace {
    span: Duration,
    /// When the store stopped telling of changes; [`NEVER`] while it does, and before it ever did.
    lost_at: AtomicU64,
    /// The second in which it was last asked in vain.
    silent_at: AtomicU64,
    is_used: AtomicBool,
}

const NEVER: u64 = u64::MAX;

impl Grace {
    pub(super) const fn of(span: Duration) -> Self {
        Self { span, lost_at: AtomicU64::new(NEVER), silent_at: AtomicU64::new(NEVER), is_used: AtomicBool::new(false) }
    }

    /// Begins to count, unless it has begun.
    pub(super) fn lost(&self, now: UnixTime) {
        let _ = self.lost_at.compare_exchange(NEVER, now.as_secs(), Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The store tells of changes again.
    pub(super) fn found(&self) {
        self.lost_at.store(NEVER, Ordering::SeqCst);
        self.silent_at.store(NEVER, Ordering::SeqCst);
        self.ends("the session store is back");
    }

    /// How much of it is left, while the store is lost.
    pub(super) fn left(&self, now: UnixTime) -> Option<Duration> {
        let lost_at = self.lost_at.load(Ordering::SeqCst);
        let gone = now.since(UnixTime::from_secs(lost_at));
        self.span.checked_sub(gone).filter(|left| lost_at != NEVER && !left.is_zero())
    }

    /// Whether the store has been asked in vain in this very second: not everybody has to wait for that.
    pub(super) fn is_silent(&self, now: UnixTime) -> bool {
        self.silent_at.load(Ordering::SeqCst) == now.as_secs()
    }

    /// The store was asked in vain.
    pub(super) fn silent(&self, now: UnixTime) {
        self.silent_at.store(now.as_secs(), Ordering::SeqCst);
    }

    /// The store has answered.
    pub(super) fn answers(&self) {
        if self.silent_at.load(Ordering::SeqCst) != NEVER {
            self.silent_at.store(NEVER, Ordering::SeqCst);
        }
    }

    /// A session goes on by it.
    pub(super) fn used(&self) {
        if !self.is_used.swap(true, Ordering::SeqCst) {
            audit::store_grace("began", "sessions in memory go on without the session store");
        }
    }

    /// Says so when it is over.
    pub(super) fn look(&self, now: UnixTime) {
        if self.left(now).is_none() {
            self.ends("session.redis.grace is over");
        }
    }

    fn ends(&self, reason: &str) {
        if self.is_used.swap(false, Ordering::SeqCst) {
            audit::store_grace("ended", reason);
        }
    }
}
