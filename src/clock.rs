//! Time, as an argument. Nothing else in the house may ask the system what time it is.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cookie::time::OffsetDateTime;
use serde::{Deserialize, Serialize};

/// Tells the time. Handed to whatever decides by it, so that tests decide what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The current time, to the second.
    fn now(&self) -> UnixTime;
}

/// Whole seconds since 1970-01-01T00:00:00Z (a `NumericDate` of RFC 7519 section 2, without fractions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The latest time there is.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `seconds` after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This time, `span` later (whole seconds; stops at the end of time).
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// This time, `span` earlier (whole seconds; stops at the epoch).
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl UnixTime {
    /// The time as RFC 3339 writes it, in UTC; from the year 10000 on only as its number of seconds.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let known = i64::try_from(self.0).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let Some(at) = known else { return self.0.to_string() };
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        format!("{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
    fn now(&self) -> UnixTime {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        UnixTime(since_epoch.map_or(0, |span| span.as_secs()))
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

impl TestClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn at(start: UnixTime) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves the clock forward by `span` (whole seconds).
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(span.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        let written = |seconds| UnixTime::from_secs(seconds).to_rfc3339();
        assert_eq!(written(0), "1970-01-01T00:00:00Z");
        assert_eq!(written(1_800_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(written(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(written(253_402_300_800), "253402300800");
        assert_eq!(UnixTime::MAX.to_rfc3339(), u64::MAX.to_string());
    }
}
