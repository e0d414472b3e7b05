//! How many of something may be had, and when there are more: a bucket that time fills. It knows neither what it holds nor
//! who asks, and keeps a lock for nobody.

use std::time::Duration;

use crate::clock::UnixTime;

/// So many in so many seconds, in the long run; and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    count: u64,
    seconds: u64,
    at_once: u64,
}

/// What is left. Small, so that there may be many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// In parts of which one whole takes as many as the pace has seconds: each second fills in a whole number of them.
    parts: u64,
    filled_at: UnixTime,
}

impl Pace {
    /// `count` in each `per` (whole seconds, at least one), and `at_once` in a moment.
    pub(crate) fn new(count: u64, per: Duration, at_once: u64) -> Self {
        Self { count: count.max(1), seconds: per.as_secs().max(1), at_once }
    }

    /// How many it holds when it is full.
    pub(crate) const fn at_once(&self) -> u64 {
        self.at_once
    }
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(pace: &Pace, now: UnixTime) -> Self {
        Self { parts: pace.at_once.saturating_mul(pace.seconds), filled_at: now }
    }

    /// Takes one, unless no more than `kept` would be left.
    ///
    /// # Errors
    /// How long until there is one, in whole seconds, if nobody takes it before.
    pub(crate) fn take(&mut self, pace: &Pace, kept: u64, now: UnixTime) -> Result<(), Duration> {
        let earned = now.since(self.filled_at).as_secs().saturating_mul(pace.count);
        self.parts = self.parts.saturating_add(earned).min(pace.at_once.saturating_mul(pace.seconds));
        // A clock that was set back earns nothing by that, and does not starve us until it has caught up.
        self.filled_at = now;
        let needed = kept.saturating_add(1).saturating_mul(pace.seconds);
        if self.parts < needed {
            return Err(Duration::from_secs((needed - self.parts).div_ceil(pace.count)));
        }
        self.parts -= pace.seconds;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, pace: &Pace, now: UnixTime) -> u64 {
        (0..1_000).map(|_| u64::from(bucket.take(pace, 0, now).is_ok())).sum()
    }

    #[test]
    fn what_is_taken_comes_back_with_time_and_no_faster() {
        let (pace, now) = (Pace::new(4, Duration::from_secs(3), 10), UnixTime::from_secs(1_000));
        let mut bucket = Bucket::full(&pace, now);
        assert_eq!(taken(&mut bucket, &pace, now), 10);
        assert_eq!(bucket.take(&pace, 0, now), Err(Duration::from_secs(1)));
        // Four in three seconds: by and by, not all at the end.
        let a_second_each: Vec<u64> =
            (1..=6).map(|second| taken(&mut bucket, &pace, now.plus(Duration::from_secs(second)))).collect();
        assert_eq!(a_second_each, [1, 1, 2, 1, 1, 2]);
        assert_eq!(taken(&mut bucket, &pace, now.plus(Duration::from_hours(1))), 10, "it does not overflow");
    }

    #[test]
    fn who_comes_when_it_says_finds_one() {
        for (count, seconds) in [(1, 7), (3, 10), (5, 300), (4_000, 300), (1, 86_400)] {
            let (pace, now) = (Pace::new(count, Duration::from_secs(seconds), 1), UnixTime::from_secs(1_000));
            let mut bucket = Bucket::full(&pace, now);
            assert_eq!(bucket.take(&pace, 0, now), Ok(()));
            let wait = bucket.take(&pace, 0, now).expect_err("it is empty");
            let a_second_early = now.plus(wait).minus(Duration::from_secs(1));
            assert!(bucket.take(&pace, 0, a_second_early).is_err(), "{count} in {seconds} s");
            assert_eq!(bucket.take(&pace, 0, now.plus(wait)), Ok(()), "{count} in {seconds} s");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_neither_gives_nor_starves() {
        let (pace, now) = (Pace::new(1, Duration::from_secs(1), 2), UnixTime::from_secs(10_000));
        let mut bucket = Bucket::full(&pace, now);
        assert_eq!(taken(&mut bucket, &pace, now), 2);
        let back = now.minus(Duration::from_hours(1));
        assert_eq!(taken(&mut bucket, &pace, back), 0);
        assert_eq!(taken(&mut bucket, &pace, back.plus(Duration::from_secs(1))), 1);
    }
}
