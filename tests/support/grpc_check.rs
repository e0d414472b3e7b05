//! Checks as Envoy asks them over gRPC, with the messages that Envoy's own definitions make. Tests
//! include this file by `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};

/// How Envoy tells of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// A map of texts: one entry a name, duplicates joined by a comma.
    Joined,
    /// `encode_raw_headers`: each by itself, in bytes.
    Raw,
}

/// A connection of a gateway's pool.
pub(crate) type Line = AuthorizationClient<tonic::transport::Channel>;

pub(crate) async fn connect(gateway: SocketAddr) -> Line {
    AuthorizationClient::connect(format!("http://{gateway}")).await.expect("a connection")
}

/// What Envoy sends of a request. Its own pseudo-headers are among the headers.
pub(crate) fn request(
    method: &str,
    host: &str,
    target: &str,
    headers: &[(String, Vec<u8>)],
    encoding: Encoding,
) -> CheckRequest {
    let pseudo = [(":authority", host), (":method", method), (":path", target), (":scheme", "https")];
    let pseudo = pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let all = pseudo.chain(headers.iter().cloned());
    let mut http = HttpRequest {
        id: "7".into(),
        method: method.into(),
        path: target.into(),
        host: host.into(),
        scheme: "https".into(),
        protocol: "HTTP/1.1".into(),
        size: -1,
        ..HttpRequest::default()
    };
    match encoding {
        Encoding::Joined => {
            for (name, value) in all {
                let value = String::from_utf8_lossy(&value).replace('\u{fffd}', "!");
                let joined = http.headers.remove(&name).map_or(value.clone(), |other| format!("{other},{value}"));
                http.headers.insert(name, joined);
            }
        }
        Encoding::Raw => {
            let headers = all.map(|(key, raw_value)| HeaderValue { key, raw_value, ..HeaderValue::default() });
            http.header_map = Some(HeaderMap { headers: headers.collect() });
        }
    }
    let request = Request { http: Some(http), ..Request::default() };
    let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }
}

/// The answer, if it is one of those that Envoy understands as we mean them.
pub(crate) fn parts(response: &CheckResponse) -> (i32, HttpResponse) {
    let code = response.status.as_ref().expect("a status: without one it is a yes").code;
    let http = response.http_response.clone().expect("a response");
    assert_eq!(code == 0, matches!(http, HttpResponse::OkResponse(_)), "a yes is a yes, and a no is a no");
    (code, http)
}

/// Headers by name; each is to take the place of what is there.
#[expect(deprecated, reason = "what older gateways read in the place of `append_action`")]
pub(crate) fn headers(options: &[HeaderValueOption]) -> BTreeMap<String, String> {
    let pairs = options.iter().map(|option| {
        assert_eq!(option.append_action, 2, "OVERWRITE_IF_EXISTS_OR_ADD");
        assert_eq!(option.append, None);
        let header = option.header.clone().expect("a header");
        (header.key, header.value)
    });
    let all: Vec<(String, String)> = pairs.collect();
    let by_name: BTreeMap<String, String> = all.iter().cloned().collect();
    assert_eq!(by_name.len(), all.len(), "one of a name: {all:?}");
    by_name
}
