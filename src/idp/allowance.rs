//! How much may be asked of a server that others depend on too: so many questions a second, so many at a time. Part of
//! both can be kept for those who were good before, so that no flood of strangers shuts them out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::bucket::{Bucket, Pace};
use crate::clock::Clock;

/// A bucket of permissions to ask, which fills up again with time.
pub(crate) struct Allowance {
    pace: Pace,
    reserved: u64,
    bucket: Mutex<Bucket>,
    at_a_time: Semaphore,
    strangers_at_a_time: Semaphore,
    clock: Arc<dyn Clock>,
}

/// About whom it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Somebody who was good when it was asked last.
    Known,
    /// Anybody else.
    Stranger,
}

/// The permission to ask one question, held while it is asked.
pub(crate) struct Turn<'a> {
    _stranger: Option<SemaphorePermit<'a>>,
    _permit: SemaphorePermit<'a>,
}

impl Allowance {
    /// `per_second` questions in the long run, `burst` in one second, `at_a_time` under way.
    pub(crate) fn new(per_second: u64, burst: u64, at_a_time: usize, clock: Arc<dyn Clock>) -> Self {
        let pace = Pace::new(per_second, Duration::from_secs(1), burst);
        Self {
            pace,
            reserved: 0,
            bucket: Mutex::new(Bucket::full(&pace, clock.now())),
            at_a_time: Semaphore::new(at_a_time),
            strangers_at_a_time: Semaphore::new(at_a_time),
            clock,
        }
    }

    /// The same, of which strangers get no more than three quarters.
    pub(crate) fn with_reserve(self) -> Self {
        let at_a_time = self.at_a_time.available_permits();
        let strangers_at_a_time = Semaphore::new(at_a_time - at_a_time / 4);
        Self { reserved: self.pace.at_once() / 4, strangers_at_a_time, ..self }
    }

    /// The permission to ask one question; none if there is none within `patience`.
    pub(crate) async fn ask(&self, standing: Standing, patience: Duration) -> Option<Turn<'_>> {
        let turn = async {
            let stranger = match standing {
                Standing::Known => None,
                Standing::Stranger => Some(self.strangers_at_a_time.acquire().await.ok()?),
            };
            Some(Turn { _stranger: stranger, _permit: self.at_a_time.acquire().await.ok()? })
        };
        let turn = timeout(patience, turn).await.ok()??;
        self.take(standing).then_some(turn)
    }

    fn take(&self, standing: Standing) -> bool {
        let kept = if standing == Standing::Stranger { self.reserved } else { 0 };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(&self.pace, kept, self.clock.now()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{TestClock, UnixTime};

    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_burst_is_over_until_time_has_passed() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let allowance = Allowance::new(2, 3, 10, clock.clone());
        let granted = async |count: usize| {
            let mut granted = 0;
            for _ in 0..count {
                granted += usize::from(allowance.ask(Standing::Stranger, PATIENCE).await.is_some());
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
        let (first, second) =
            (allowance.ask(Standing::Stranger, PATIENCE).await, allowance.ask(Standing::Stranger, PATIENCE).await);
        assert!(first.is_some() && second.is_some());
        assert!(allowance.ask(Standing::Stranger, PATIENCE).await.is_none());
        drop(first);
        assert!(allowance.ask(Standing::Stranger, PATIENCE).await.is_some());
    }

    #[tokio::test]
    async fn who_was_good_before_gets_what_strangers_do_not() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let allowance = Allowance::new(2, 8, 10, clock.clone()).with_reserve();
        let granted = async |standing: Standing| {
            let mut granted = 0;
            for _ in 0..10 {
                granted += usize::from(allowance.ask(standing, PATIENCE).await.is_some());
            }
            granted
        };
        assert_eq!((granted(Standing::Stranger).await, granted(Standing::Known).await), (6, 2));
        clock.advance(Duration::from_secs(1));
        assert_eq!(granted(Standing::Stranger).await, 0, "the reserve fills up first");
        assert_eq!(granted(Standing::Known).await, 2);
        clock.advance(Duration::from_hours(1));
        assert_eq!((granted(Standing::Known).await, granted(Standing::Stranger).await), (8, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_who_wait_for_an_answer_do_not_hold_up_the_known() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let allowance = Allowance::new(100, 100, 4, clock).with_reserve();
        let mut strangers = Vec::new();
        while let Some(turn) = allowance.ask(Standing::Stranger, PATIENCE).await {
            strangers.push(turn);
        }
        assert_eq!(strangers.len(), 3);
        assert!(allowance.ask(Standing::Known, PATIENCE).await.is_some());
    }
}
