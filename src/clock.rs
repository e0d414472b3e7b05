//! Time, as an argument. Nothing else in the house may ask the system what time it is.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

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

    /// The time that RFC 3339 writes so, as `2027-01-15T08:00:00Z`; nothing if it is no such time, or before the epoch.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time = humantime::parse_rfc3339(text).ok()?;
        time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|span| Self(span.as_secs()))
    }

    /// As RFC 3339 writes it, in UTC. Times that have no such form (after the year 9999) are all written as its last.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        const LAST: u64 = 253_402_300_799;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.min(LAST));
        humantime::format_rfc3339_seconds(time).to_string()
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

    /// Sets the clock back by `span` (whole seconds), as happens to clocks that went wrong.
    pub fn set_back(&self, span: Duration) {
        self.0.fetch_sub(span.as_secs(), Ordering::SeqCst);
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
    fn a_time_is_read_as_it_was_written() {
        let time = UnixTime::from_secs(1_800_000_000);
        assert_eq!(time.to_rfc3339(), "2027-01-15T08:00:00Z");
        assert_eq!(UnixTime::from_rfc3339("2027-01-15T08:00:00Z"), Some(time));
        for bad in ["", "2027-01-15", "1800000000", "1969-12-31T23:59:59Z", "2027-01-15T08:00:00+01:00"] {
            assert_eq!(UnixTime::from_rfc3339(bad), None, "{bad}");
        }
        assert_eq!(
            UnixTime::from_rfc3339(&UnixTime::MAX.to_rfc3339()).map(UnixTime::to_rfc3339).as_deref(),
            Some("9999-12-31T23:59:59Z")
        );
    }
}
