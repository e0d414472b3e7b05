//! What Envoy tells of a request becomes the question that the HTTP door would see.

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::messages::{self, CheckRequest};
use crate::check::Question;

/// A check, read.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    host: HeaderValue,
    target: PathAndQuery,
    headers: HeaderMap,
}

impl Asked {
    /// Reads a check of an HTTP request. None comes of one that could not have been such a request.
    pub(super) fn read(sent: CheckRequest) -> Option<Self> {
        let http = sent.attributes?.request?.http?;
        let method = Method::from_bytes(&http.method).ok()?;
        let target = PathAndQuery::from_maybe_shared(http.path).ok()?;
        let mut host = Some(HeaderValue::from_maybe_shared(http.host).ok()?);
        let mut headers = HeaderMap::try_with_capacity(http.headers.len()).ok()?;
        for header in http.headers.into_iter().chain(http.header_map.unwrap_or_default().headers) {
            let (key, value) = of(header)?;
            // Two hosts that differ are none, as in the HTTP door.
            if (key == ":authority" || key == HOST.as_str()) && host.as_ref() != Some(&value) {
                host = None;
            }
            if key.starts_with(b":") {
                continue;
            }
            // A map has room for some ten thousands, and a message for more.
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

fn of(header: messages::HeaderValue) -> Option<(Bytes, HeaderValue)> {
    let messages::HeaderValue { key, value, raw_value } = header;
    let value = if raw_value.is_empty() { value } else { raw_value };
    Some((key, HeaderValue::from_maybe_shared(value).ok()?))
}
