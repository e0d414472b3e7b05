//! What a source lacked when it last called out. It is told to operators, and decides nothing.

use std::fmt::Display;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// Why the last call came to nothing, if it did.
#[derive(Debug, Default)]
pub(super) struct Lack(ArcSwapOption<String>);

impl Lack {
    /// Nothing has been called yet, and that is a lack.
    pub(super) fn from_the_start(reason: &str) -> Self {
        Self(ArcSwapOption::from_pointee(reason.to_owned()))
    }

    /// Remembers what came of a call.
    pub(super) fn note<T, E: Display>(&self, outcome: &Result<T, E>) {
        self.0.store(outcome.as_ref().err().map(|error| Arc::new(error.to_string())));
    }

    /// Forgets it.
    pub(super) fn forget(&self) {
        self.0.store(None);
    }

    /// Why, if there is anything.
    pub(super) fn reason(&self) -> Option<String> {
        self.0.load().as_ref().map(|reason| reason.as_ref().clone())
    }
}
