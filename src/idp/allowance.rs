//! How much may be asked of a server that others depend on too: so many questions a second, so many at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::clock::{Clock, UnixTime};

/// A bucket of permissions to ask, which fills up again with time.
pub(super) struct Allowance {
    per_second: u64,
    burst: u64,
    bucket: Mutex<Bucket>,
    at_a_time: Semaphore,
    clock: Arc<dyn Clock>,
}

struct Bucket {
    left: u64,
    filled_at: UnixTime,
}

impl Allowance {
    /// `per_second` questions in the long run, `burst` in one second, `at_a_time` under way.
    pub(super) fn new(per_second: u64, burst: u64, at_a_time: usize, clock: Arc<dyn Clock>) -> Self {
        let bucket = Mutex::new(Bucket { left: burst, filled_at: clock.now() });
        Self { per_second, burst, bucket, at_a_time: Semaphore::new(at_a_time), clock }
    }

    /// The permission to ask one question, held while it is asked; none if there is none within `patience`.
    pub(super) async fn ask(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let permit = timeout(patience, self.at_a_time.acquire()).await.ok()?.ok()?;
        self.take().then_some(permit)
    }

    fn take(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let earned = now.since(bucket.filled_at).as_secs().saturating_mul(self.per_second);
        bucket.left = bucket.left.saturating_add(earned).min(self.burst);
        // A clock that was set back earns nothing until it has caught up, but does not starve us until then.
        bucket.filled_at = now;
        let taken = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_burst_is_over_until_time_has_passed() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let allowance = Allowance::new(2, 3, 10, clock.clone());
        let granted = async |count: usize| {
            let mut granted = 0;
            for _ in 0..count {
                granted += usize::from(allowance.ask(PATIENCE).await.is_some());
            }
            granted
        };
        assert_eq!(granted(10).await, 3);
        clock.advance(Duration::from_secs(1));
        assert_eq!(granted(10).await, 2);
        clock.advance(Duration::from_hours(1));
        assert_eq!(granted(10).await, 3, "what was not used is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_under_way() {
        let allowance = Allowance::new(100, 100, 2, Arc::new(TestClock::at(UnixTime::from_secs(1_000))));
        let (first, second) = (allowance.ask(PATIENCE).await, allowance.ask(PATIENCE).await);
        assert!(first.is_some() && second.is_some());
        assert!(allowance.ask(PATIENCE).await.is_none());
        drop(first);
        assert!(allowance.ask(PATIENCE).await.is_some());
    }
}
