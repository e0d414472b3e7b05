//! What Envoy tells of a request becomes the question that the HTTP door would see.

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use prost::Message;

use super::messages::{self, CheckRequest, CountedRequest};
use crate::check::Question;

/// The most headers. Envoy lets a hundred through unless it is told otherwise (`max_request_headers_count`).
const MOST_HEADERS: usize = 1000;
/// What is longer has its headers counted before any of them is read: an empty one is two bytes there, and a hundred
/// here. Nearly all checks are shorter.
const COUNTED_ABOVE_BYTES: usize = 16 * 1024;

/// A check, read.
pub(super) struct Asked {
    method: Method,
    host: HeaderValue,
    target: PathAndQuery,
    headers: HeaderMap,
}

impl Asked {
    /// Reads a check of an HTTP request. None comes of what is no message, or of one that could not have been such a
    /// request, or of one with too many headers.
    pub(super) fn read(sent: Bytes) -> Option<Self> {
        if sent.len() > COUNTED_ABOVE_BYTES && headers_in(&sent)? > MOST_HEADERS {
            return None;
        }
        let http = CheckRequest::decode(sent).ok()?.attributes?.request?.http?;
        let header_map = http.header_map.unwrap_or_default().headers;
        let count = http.headers.len() + header_map.len();
        if count > MOST_HEADERS {
            return None;
        }
        let method = Method::from_bytes(&http.method).ok()?;
        let target = PathAndQuery::from_maybe_shared(http.path).ok()?;
        let mut host = Some(HeaderValue::from_maybe_shared(http.host).ok()?);
        let mut headers = HeaderMap::try_with_capacity(count).ok()?;
        for header in http.headers.into_iter().chain(header_map) {
            let (key, value) = of(header)?;
            // Two hosts that differ are none, as in the HTTP door.
            if (key == ":authority" || key == HOST.as_str()) && host.as_ref() != Some(&value) {
                host = None;
            }
            if key.starts_with(b":") {
                continue;
            }
            headers.try_append(HeaderName::from_bytes(&key).ok()?, value).ok()?;
        }
        let host = host.unwrap_or_else(|| HeaderValue::from_static(""));
        target.as_str().starts_with(['/', '*', '?']).then_some(Self { method, host, target, headers })
    }

    /// The question.
    pub(super) fn question(&self) -> Question<'_> {
        let host = self.host.to_str().unwrap_or_default();
        Question { method: &self.method, host, target: self.target.as_str(), headers: &self.headers }
    }
}

/// How many headers a message has, if it is one.
fn headers_in(sent: &[u8]) -> Option<usize> {
    let http = CountedRequest::decode(sent).ok()?.attributes?.request?.http?;
    Some(http.headers.len() + http.header_map.map_or(0, |map| map.headers.len()))
}

fn of(header: messages::HeaderValue) -> Option<(Bytes, HeaderValue)> {
    let messages::HeaderValue { key, value, raw_value } = header;
    let value = if raw_value.is_empty() { value } else { raw_value };
    Some((key, HeaderValue::from_maybe_shared(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use prost::encoding::{WireType, encode_key, encode_varint};

    /// A check of which the headers are `count` times `entry`, in the map or in the list of raw ones.
    fn check(count: usize, entry: &[u8], in_list: bool) -> Bytes {
        let mut headers = BytesMut::new();
        for _ in 0..count {
            headers.extend_from_slice(&field(if in_list { 1 } else { 3 }, entry));
        }
        let headers = if in_list { field(13, &headers) } else { headers.freeze() };
        let http = [field(2, b"GET"), headers, field(4, b"/x"), field(5, b"mesh.example.com")].concat();
        field(1, &field(4, &field(2, &http)))
    }

    fn field(tag: u32, inner: &[u8]) -> Bytes {
        let mut all = BytesMut::new();
        encode_key(tag, WireType::LengthDelimited, &mut all);
        encode_varint(inner.len() as u64, &mut all);
        all.extend_from_slice(inner);
        all.freeze()
    }

    #[test]
    fn a_thousand_headers_are_read_and_no_more() {
        for (in_list, entry) in [(false, field(1, b"a")), (true, field(1, b"a")), (false, field(1, &[b'a'; 40]))] {
            let asked = Asked::read(check(MOST_HEADERS, &entry, in_list)).expect("not too many");
            assert_eq!(asked.headers.len(), MOST_HEADERS);
            assert!(Asked::read(check(MOST_HEADERS + 1, &entry, in_list)).is_none());
        }
    }

    #[test]
    fn the_page_for_operators_tells_the_limits() {
        let longest = super::super::MAX_BYTES / 1024;
        let row = format!("| headers of a check over gRPC | {MOST_HEADERS}, in a message of {longest} KiB |");
        assert!(include_str!("../../../docs/operations.md").contains(&row), "docs/operations.md lacks\n{row}");
    }

    #[test]
    fn what_is_sent_takes_little_more_than_was_sent() {
        let longest = super::super::MAX_BYTES;
        for (count, entry) in [(longest / 2 - 100, Bytes::new()), (longest / 5 - 100, field(1, b"a"))] {
            for in_list in [false, true] {
                let sent = check(count, &entry, in_list);
                assert!(sent.len() <= longest);
                let mut read = None;
                let cost = allocation_counter::measure(|| read = Some(Asked::read(sent)));
                assert!(read.is_some_and(|read| read.is_none()), "{count} headers were read");
                assert!(cost.bytes_max < longest as u64, "{cost:?}");
            }
        }
        // What is not counted beforehand.
        let sent = check(COUNTED_ABOVE_BYTES / 2 - 100, b"", false);
        let cost = allocation_counter::measure(|| assert!(Asked::read(sent).is_none()));
        assert!(cost.bytes_max < 2 * 1024 * 1024, "{cost:?}");
        // What is waited for.
        let sent = check(MOST_HEADERS, &[field(1, b"a"), field(2, &[b'b'; 200])].concat(), false);
        let mut read = None;
        let cost = allocation_counter::measure(|| read = Asked::read(sent));
        assert!(read.is_some());
        assert!(cost.bytes_current < 256 * 1024, "{cost:?}");
    }
}
