//! What ties the log lines of one request together: the gateway's `x-request-id` and the W3C trace id. Both come from
//! outside, so both are checked before they are written anywhere.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::entropy::{Entropy, random};

/// The header that Envoy names a request in.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries a trace (W3C Trace Context section 3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The names of one request. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIds {
    request: HeaderValue,
    traceparent: Option<HeaderValue>,
}

impl RequestIds {
    /// The longest `x-request-id` that is believed, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Takes what the headers say where it is sane, and makes a request id where it is not.
    #[must_use]
    pub fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        let request = headers.get(X_REQUEST_ID).filter(|value| is_sane(value.as_bytes())).cloned();
        let traceparent = headers.get(TRACEPARENT).filter(|value| trace_id_of(value.as_bytes()).is_some()).cloned();
        Self { request: request.unwrap_or_else(|| made_up(entropy)), traceparent }
    }

    /// The request id: 1 to 128 characters of `A-Z a-z 0-9 . _ -`.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request.to_str().unwrap_or_default()
    }

    /// The trace id, where the caller sent one: 32 lower-case hexadecimal digits, not all of them zero.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_ref().and_then(|value| trace_id_of(value.as_bytes()))
    }

    /// The span of the request: every line logged within carries its names.
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        // At the level of errors, so that no filter that lets a line through takes its names away.
        tracing::error_span!("request", request_id = self.request_id(), trace_id = self.trace_id())
    }
}

fn is_sane(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=RequestIds::MAX_BYTES).contains(&value.len()) && value.iter().all(plain)
}

/// `version "-" trace-id "-" parent-id "-" flags`; a version above 00 may be longer, `ff` is none (section 3.2.2).
fn trace_id_of(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let (head, tail) = text.split_at_checked(55)?;
    let mut parts = head.split('-');
    let mut part = |length| parts.next().filter(|part| part.len() == length && part.bytes().all(is_lower_hex));
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let nothing_behind = tail.is_empty() || (version != "00" && tail.starts_with('-'));
    let somewhere = [trace, parent].iter().all(|part| part.bytes().any(|byte| byte != b'0'));
    (parts.next().is_none() && nothing_behind && version != "ff" && somewhere).then_some(trace)
}

const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn made_up(entropy: &dyn Entropy) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = random::<16>(entropy);
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::TestEntropy;

    fn ids(name: HeaderName, value: &str) -> RequestIds {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        RequestIds::of(&HeaderMap::from_iter([(name, value)]), &TestEntropy::default())
    }

    #[test]
    fn a_sane_request_id_is_kept_and_another_is_replaced() {
        let longest = "a".repeat(128);
        for kept in ["4cf3c0f2-7d4a-9e1c-8d0e-0a1b2c3d4e5f", "A.b_C-9", &longest] {
            assert_eq!(ids(X_REQUEST_ID, kept).request_id(), kept);
        }
        for replaced in ["", "a b", "a\tb", "a\"b", "é", "{}", &"a".repeat(129)] {
            let made = ids(X_REQUEST_ID, replaced);
            assert_eq!(made.request_id().len(), 32, "{replaced:?} was kept as {made:?}");
        }
    }

    #[test]
    fn a_made_up_id_is_another_each_time() {
        let entropy = TestEntropy::default();
        let headers = HeaderMap::new();
        assert_ne!(RequestIds::of(&headers, &entropy).request_id(), RequestIds::of(&headers, &entropy).request_id());
    }

    #[test]
    fn a_trace_id_is_read_by_the_book() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        for good in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        ] {
            assert_eq!(ids(TRACEPARENT, good).trace_id(), Some(TRACE), "{good}");
        }
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e9}",
        ] {
            assert_eq!(ids(TRACEPARENT, bad).trace_id(), None, "{bad}");
        }
    }
}
