use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;
use crate::audit;
use crate::entropy::TestEntropy;
use crate::identity::ProviderId;
use crate::request_ids::RequestIds;

/// Somewhere to write that a test can read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(json: bool, filter: &str, act: impl FnOnce()) -> String {
    let paper = Paper::default();
    let writer = paper.clone();
    let settings = LogSettings { json, filter: filter.into() };
    let log = log_to(&settings, move || writer.clone()).expect("a log");
    tracing::dispatcher::with_default(&log, act);
    String::from_utf8(paper.0.lock().expect("no writer panicked").clone()).expect("text")
}

fn only_line(text: &str) -> Value {
    let mut lines = text.lines();
    let line = lines.next().expect("a line");
    assert_eq!(lines.next(), None, "more than one line: {text}");
    serde_json::from_str(line).expect("JSON")
}

fn ids() -> RequestIds {
    let headers =
        [("x-request-id", "req-1"), ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse().expect("a header name"), value.parse().expect("a header value")));
    RequestIds::of(&headers.collect(), &TestEntropy::default())
}

#[test]
fn a_line_of_json_is_flat_and_names_the_request_from_any_depth() {
    let text = logged(true, "info", || {
        ids().span().in_scope(|| {
            let inner = tracing::info_span!("renewal", attempt = 2);
            inner.in_scope(|| tracing::warn!(provider = "dex", level = "mine", tries = 3, "no\nanswer"));
        });
    });
    let mut line = only_line(&text);
    let timestamp = line["timestamp"].take();
    assert!(timestamp.as_str().is_some_and(|text| text.starts_with("20") && text.ends_with('Z')), "{timestamp}");
    let expected = serde_json::json!({
        "timestamp": null, "level": "WARN", "target": "countersign::telemetry::tests", "message": "no\nanswer",
        "provider": "dex", "tries": 3, "attempt": 2,
        "request_id": "req-1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    assert_eq!(line, expected);
}

#[test]
fn a_filter_of_warnings_keeps_the_names() {
    let text = logged(true, "warn", || ids().span().in_scope(|| tracing::warn!("trouble")));
    assert_eq!(only_line(&text)["request_id"], "req-1");
}

#[test]
fn text_for_people_names_the_request_and_cannot_be_forged() {
    let text = logged(false, "info", || {
        ids().span().in_scope(|| audit::refusal(None, None, "x\n2026-01-01T00:00:00Z  INFO forged"));
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r#"request_id="req-1""#), "{text}");
}

#[test]
fn an_audit_event_names_what_happened_and_to_whom() {
    let dex = ProviderId::parse("dex").expect("an id");
    let text = logged(true, "countersign::audit=info", || {
        tracing::info!("not of the audit");
        audit::refusal(Some(&dex), None, "no usable address");
    });
    let line = only_line(&text);
    assert_eq!(line["target"], audit::TARGET);
    assert_eq!(line["event"], "refusal");
    assert_eq!(line["provider"], "dex");
    assert_eq!(line["reason"], "no usable address");
    assert_eq!(line.get("user"), None);
}

#[test]
fn the_audit_trail_outlives_a_narrow_filter_but_not_its_own() {
    let act = || {
        tracing::info!("chatter");
        audit::key_change("k1", audit::KeyChange::Generated);
    };
    assert_eq!(only_line(&logged(true, "error", act))["event"], "key_change");
    assert_eq!(logged(true, "error,countersign::audit=off", act), "");
}

/// Whatever the operator asks for: what libraries say of the bytes in their hands is nobody's to read.
#[test]
fn no_filter_opens_what_libraries_say() {
    for filter in
        ["trace", "trace,h2=trace,redis=trace", "h2=trace,hyper_util=debug,redis::cluster=warn,countersign=trace"]
    {
        let text = logged(true, filter, || {
            let frame = tracing::trace_span!(target: "h2::codec", "frame", path = "/?code=canary").entered();
            tracing::trace!(target: "h2::server", path = "/?code=canary", "malformed");
            tracing::debug!(target: "hyper_util::client", uri = "/?code=canary", "connecting");
            tracing::debug!(target: "countersignatures", "canary");
            tracing::error!(target: "redis::cluster", "canary");
            tracing::trace!(target: "countersign::check", "a word of ours");
            drop(frame);
        });
        assert!(!text.contains("canary"), "{filter}: {text}");
        assert_eq!(only_line(&text)["message"], "a word of ours");
    }
    let text = logged(true, "trace", || tracing::warn!(target: "hyper_util::client", "tcp set_nodelay error"));
    assert_eq!(only_line(&text)["message"], "tcp set_nodelay error");
}

#[test]
fn a_filter_that_means_nothing_is_refused_with_what_to_write() {
    let settings = LogSettings { json: true, filter: "countersign=loud".into() };
    let error = init(&settings).expect_err("a filter that means nothing");
    assert!(error.to_string().starts_with("log.filter \"countersign=loud\" is no filter ("), "{error}");
}
