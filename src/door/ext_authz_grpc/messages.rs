//! The few messages of Envoy's that a check needs, by hand: whatever else is in them is skipped. Text is taken as bytes,
//! so that a header need not be copied, nor be UTF-8, to be looked at. Names and numbers are those of
//! `envoy/service/auth/v3`, `envoy/config/core/v3/base.proto` and `google/protobuf/struct.proto`.

use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<AttributedRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributedRequest {
    #[prost(message, optional, tag = "2")]
    pub(super) http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HttpRequest {
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) method: Bytes,
    /// A map, which travels as its entries. Envoy joins headers of one name here by a comma.
    #[prost(message, repeated, tag = "3")]
    pub(super) headers: Vec<HeaderValue>,
    /// With the query.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) path: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) host: Bytes,
    /// In the place of `headers`, where Envoy is told to `encode_raw_headers`.
    #[prost(message, optional, tag = "13")]
    pub(super) header_map: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<HeaderValue>,
}

/// A header, or an entry of a map from text to text: the same on the wire, but for `raw_value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) raw_value: Bytes,
}

/// A check of which only the headers are counted: reading it takes no memory for them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CountedRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<CountedContext>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CountedContext {
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<CountedAttributedRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CountedAttributedRequest {
    #[prost(message, optional, tag = "2")]
    pub(super) http: Option<CountedHttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CountedHttpRequest {
    #[prost(message, repeated, tag = "3")]
    pub(super) headers: Vec<()>,
    #[prost(message, optional, tag = "13")]
    pub(super) header_map: Option<CountedHeaderMap>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CountedHeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<()>,
}

/// Of the two responses one is set.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub(super) denied_response: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    pub(super) ok_response: Option<OkHttpResponse>,
    #[prost(message, optional, tag = "4")]
    pub(super) dynamic_metadata: Option<Struct>,
}

/// `google.rpc.Status`. Its absence, and a code of zero, is a yes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderValueOption>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderValueOption>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub(super) headers_to_remove: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<HeaderValue>,
    #[prost(enumeration = "HeaderAppendAction", tag = "3")]
    pub(super) append_action: i32,
}

/// Whether a header joins others of its name or takes their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub(super) enum HeaderAppendAction {
    AppendIfExistsOrAdd = 0,
    OverwriteIfExistsOrAdd = 2,
}

/// `google.protobuf.Struct`, a map that travels as its entries.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Struct {
    #[prost(message, repeated, tag = "1")]
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Field {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<Value>,
}

/// Of the three kinds one is set.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, optional, tag = "3")]
    pub(super) string: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) fields: Option<Struct>,
    #[prost(message, optional, tag = "6")]
    pub(super) list: Option<ListValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Value>,
}
