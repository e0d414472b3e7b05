//! How many people may sign in.

use std::fmt;
use std::time::Duration;

/// How many people may sign in at one replica.
#[derive(Clone, Copy, Debug)]
pub struct LimitSettings {
    /// From all addresses together; ten times as many may begin.
    pub sign_ins: Rate,
    /// From one address, where it is known.
    pub sign_ins_per_address: Rate,
}

/// So many at once, and in each such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least one.
    pub count: u32,
    /// In which time: whole seconds, at least one.
    pub per: Duration,
}

impl Rate {
    /// How many in a second, in the long run.
    #[must_use]
    pub fn a_second(&self) -> f64 {
        f64::from(self.count) / self.per.as_secs_f64()
    }
}

impl fmt::Display for Rate {
    /// As the file spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.per))
    }
}
