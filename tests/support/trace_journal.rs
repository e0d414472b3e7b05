//! The log of all gateways in this process at its most talkative, and beside it whatever was said before the log held back
//! what libraries say. Tests include this file by `#[path]`, in the place of the front door's journal.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::cell::Cell;
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign::config::LogSettings;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::util::SubscriberInitExt;

/// What operators would see.
static JOURNAL: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// The same at `log.level: trace`.
static TRACE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// What anybody said to be logged, and where in our dependencies or in us.
static SAID: Mutex<String> = Mutex::new(String::new());

/// Whether each house looks for its secrets in it at its end: there is much of it, to be judged once.
pub(crate) const IS_JUDGED_BY_HOUSES: bool = false;

/// Logs to here from now on, everything, as `countersign serve` does: what libraries say by `log` too.
pub(crate) fn begin() {
    let settings = LogSettings { json: true, filter: "trace".into() };
    let log = countersign::telemetry::log_to(&settings, || Pen).expect("a log");
    let _ = Dispatch::new(Everything(log)).try_init();
}

/// The events of this name that one request was named in, oldest first.
pub(crate) fn events(event: &str, request_id: &str) -> Vec<Value> {
    all()
        .lines()
        .filter(|line| line.contains(request_id))
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter(|line| line["event"] == event && line["request_id"] == request_id)
        .collect()
}

/// All that is no chatter.
pub(crate) fn all() -> String {
    String::from_utf8(lock(&JOURNAL).clone()).expect("a text")
}

/// How much that is.
pub(crate) fn length() -> usize {
    lock(&JOURNAL).len()
}

/// What of it was written when there was so much already.
pub(crate) fn since(length: usize) -> String {
    all()[length..].to_owned()
}

/// Every line of the log.
pub(crate) fn trace() -> Vec<u8> {
    lock(&TRACE).clone()
}

/// What was said, also what the log held back.
pub(crate) fn said() -> String {
    lock(&SAID).clone()
}

struct Pen;

impl Write for Pen {
    /// A line, whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if !["\"level\":\"TRACE\"", "\"level\":\"DEBUG\""].iter().any(|level| line.contains(level)) {
            lock(&JOURNAL).extend_from_slice(bytes);
        }
        lock(&TRACE).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps whatever is said, and hands it on to the log, which judges for itself what it writes.
struct Everything(Dispatch);

thread_local! {
    /// Whether the log wants what was asked about last.
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// A span that the log does not want.
const UNWANTED: u64 = u64::MAX;

impl Everything {
    fn note(metadata: &Metadata<'_>, record: impl FnOnce(&mut Noted)) {
        let mut noted = Noted(format!("{} {}", metadata.level(), metadata.target()));
        record(&mut noted);
        let mut said = lock(&SAID);
        said.push_str(&noted.0);
        said.push('\n');
    }
}

impl Subscriber for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        WANTED.set(self.0.enabled(metadata));
        true
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::note(span.metadata(), |noted| span.record(noted));
        if self.0.enabled(span.metadata()) { self.0.new_span(span) } else { Id::from_u64(UNWANTED) }
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut noted = Noted("recorded".to_owned());
        values.record(&mut noted);
        lock(&SAID).push_str(&(noted.0 + "\n"));
        if span.into_u64() != UNWANTED {
            self.0.record(span, values);
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        if ![span, follows].iter().any(|id| id.into_u64() == UNWANTED) {
            self.0.record_follows_from(span, follows);
        }
    }

    fn event(&self, event: &Event<'_>) {
        Self::note(event.metadata(), |noted| event.record(noted));
        let metadata = event.metadata();
        // What comes by `log` does not say here from where: that was asked just before.
        let is_wanted = if metadata.target() == "log" { WANTED.get() } else { self.0.enabled(metadata) };
        if is_wanted {
            self.0.event(event);
        }
    }

    fn enter(&self, span: &Id) {
        if span.into_u64() != UNWANTED {
            self.0.enter(span);
        }
    }

    fn exit(&self, span: &Id) {
        if span.into_u64() != UNWANTED {
            self.0.exit(span);
        }
    }

    fn clone_span(&self, span: &Id) -> Id {
        if span.into_u64() == UNWANTED { span.clone() } else { self.0.clone_span(span) }
    }

    fn try_close(&self, span: Id) -> bool {
        span.into_u64() != UNWANTED && self.0.try_close(span)
    }
}

struct Noted(String);

impl Visit for Noted {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        use std::fmt::Write as _;
        let _ = write!(self.0, " {}={value:?}", field.name());
    }

    /// Not as Debug would escape it.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.extend([" ", field.name(), "=", value]);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
