//! What a gateway has counted and kept, and what became of it since.

use std::collections::BTreeMap;

use serde_json::Value;

/// How many sessions there are, and the counters of sign-ins and of the provider's logouts, by their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    sessions: usize,
    counters: BTreeMap<String, u64>,
}

impl Ledger {
    /// Reads an operator's list of sessions, and the metrics.
    pub(crate) fn of(listed: &Value, metrics: &str) -> Self {
        let sessions = listed["sessions"].as_array().expect("a list").len();
        let is_ours = |line: &&str| {
            line.starts_with("countersign_logins_total{") || line.starts_with("countersign_provider_logouts_total{")
        };
        let counters = metrics.lines().filter(is_ours).map(|line| {
            let (name, count) = line.rsplit_once(' ').expect("a count");
            (name.to_owned(), count.parse().expect("a number"))
        });
        Self { sessions, counters: counters.collect() }
    }

    /// What it is after one login of this outcome, which changed how many sessions there are by as much.
    pub(crate) fn after_login(&self, outcome: &str, sessions: usize) -> Self {
        self.after(format!("countersign_logins_total{{provider=\"corp\",outcome=\"{outcome}\"}}"), sessions)
    }

    /// The same after a logout that the provider asked for.
    pub(crate) fn after_logout(&self, outcome: &str, sessions: usize) -> Self {
        self.after(format!("countersign_provider_logouts_total{{provider=\"corp\",outcome=\"{outcome}\"}}"), sessions)
    }

    /// How many sessions there are.
    pub(crate) const fn sessions(&self) -> usize {
        self.sessions
    }

    /// What it is after sessions have come or gone without a login.
    pub(crate) fn with_sessions(&self, sessions: usize) -> Self {
        Self { sessions, ..self.clone() }
    }

    fn after(&self, counter: String, sessions: usize) -> Self {
        let mut after = Self { sessions, ..self.clone() };
        *after.counters.entry(counter).or_default() += 1;
        after
    }
}
