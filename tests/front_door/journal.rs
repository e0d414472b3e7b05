//! The log of all gateways in this process, found again by the request ids that tests send along.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use countersign::config::LogSettings;
use serde_json::Value;

static JOURNAL: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Whether each house looks for its secrets in it at its end.
pub(crate) const IS_JUDGED_BY_HOUSES: bool = true;

struct Pen;

/// Logs to here from now on, as operators do: not at debug, where checks take the longer way.
pub(crate) fn begin() {
    let settings = LogSettings { json: true, filter: "info".into() };
    let log = countersign::telemetry::log_to(&settings, || Pen).expect("a log");
    let _ = tracing::dispatcher::set_global_default(log);
}

/// The events of this name that one request was named in, oldest first.
pub(crate) fn events(event: &str, request_id: &str) -> Vec<Value> {
    all()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter(|line| line["event"] == event && line["request_id"] == request_id)
        .collect()
}

/// The lines that say this of one request.
pub(crate) fn said(words: &str, request_id: &str) -> Vec<Value> {
    all()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter(|line| {
            line["request_id"] == request_id && line["message"].as_str().is_some_and(|it| it.contains(words))
        })
        .collect()
}

/// All that was ever written.
pub(crate) fn all() -> String {
    String::from_utf8(JOURNAL.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("a text")
}

/// How much was ever written.
pub(crate) fn length() -> usize {
    JOURNAL.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// What was written when there was so much already.
pub(crate) fn since(length: usize) -> String {
    all()[length..].to_owned()
}

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        JOURNAL.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
