//! A session in memory, with its idle clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::row::Session;
use super::store::Revision;
use crate::clock::UnixTime;
use crate::seal::{KeyName, SessionKeys};

/// A session as it was last loaded or written.
#[derive(Debug)]
pub struct Live {
    /// What the row says.
    pub session: Session,
    /// Which writing of the row.
    pub revision: Revision,
    /// The name of the key that sealed it.
    pub(super) sealed_by: Option<KeyName>,
    /// When it is over unless it is used.
    idle_until: AtomicU64,
    /// The same, as the store knows it or is about to.
    noted_until: AtomicU64,
    bytes: u64,
}

impl Live {
    /// `until` is what the store has; `row` is the sealed row.
    pub(super) fn new(session: Session, revision: Revision, until: UnixTime, row: &[u8]) -> Self {
        let until = until.as_secs();
        // What was parsed takes somewhat more than its text: a word for each text, spare room at its end.
        let bytes = (size_of::<Self>() + 512 + row.len() * 3 / 2) as u64;
        let sealed_by = SessionKeys::maker(row);
        Self { session, revision, sealed_by, idle_until: until.into(), noted_until: until.into(), bytes }
    }

    /// Whether one of its two clocks has run out.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        now >= self.session.ends_at || now.as_secs() >= self.idle_until.load(Ordering::Relaxed)
    }

    /// Winds the idle clock up. Every `precision` or so it says what the store should be told.
    pub(super) fn wind(&self, now: UnixTime, idle: Duration, precision: Duration) -> Option<UnixTime> {
        let until = now.plus(idle).min(self.session.ends_at);
        let new = until.as_secs();
        // Most of the time nothing changes within a second, and a line that nobody writes to is shared by all cores.
        if self.idle_until.load(Ordering::Relaxed) < new {
            self.idle_until.fetch_max(new, Ordering::Relaxed);
        }
        let noted = self.noted_until.load(Ordering::Relaxed);
        let due = new >= noted.saturating_add(precision.as_secs().max(1));
        let won = due && self.noted_until.compare_exchange(noted, new, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        won.then_some(until)
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
