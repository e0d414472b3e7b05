//! One thing that is wrong: what, where, why it matters, and the line to change.

use std::fmt;

use serde::Serialize;

/// How grave it is; graver ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or is open that should not be.
    Fault,
    /// It works, until it does not.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// A word for programs; it stays the same.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// Where: a file and its line, an object and a field, an address.
    pub place: String,
    /// What comes of it.
    pub why: String,
    /// What to write instead, or to do.
    pub change: String,
}

impl Finding {
    /// A fault.
    pub(super) fn fault(code: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fault,
            code,
            what: what.into(),
            place: place.into(),
            why: String::new(),
            change: String::new(),
        }
    }

    /// A warning.
    pub(super) fn warning(code: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::fault(code, place, what) }
    }

    /// What comes of it.
    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    /// What to write instead.
    pub(super) fn change(self, change: impl Into<String>) -> Self {
        Self { change: change.into(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fault => "FAULT",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}  {}  [{}]", self.what, self.code)?;
        writeln!(f, "  where   {}", self.place)?;
        writeln!(f, "  why     {}", self.why)?;
        let mut lines = self.change.lines();
        write!(f, "  change  {}", lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(f, "\n          {line}"))
    }
}
