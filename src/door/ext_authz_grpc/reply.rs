//! Answers as Envoy reads them.

use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE};
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use tonic::Code;

use super::super::answer::Settled;
use super::messages::{
    self, CheckResponse, DeniedHttpResponse, Field, HeaderAppendAction, HeaderValueOption, HttpStatus, ListValue,
    OkHttpResponse, Status, Struct, Value,
};
use crate::check::{Allow, Whom};
use crate::identity::GroupName;

/// The request passes, its headers settled.
pub(super) fn allowed(allow: &Allow) -> CheckResponse {
    let settled = Settled::by(allow);
    let headers = settled.set.iter().map(|(name, value)| in_its_place(name, value));
    let headers = headers.chain(settled.cookie.as_ref().map(|cookie| in_its_place(&COOKIE, cookie))).collect();
    let names = settled.remove.as_bytes().split(|byte| *byte == b',').filter(|name| !name.is_empty());
    let headers_to_remove = names.map(Bytes::copy_from_slice).collect();
    CheckResponse {
        status: Some(Status { code: Code::Ok as i32 }),
        ok_response: Some(OkHttpResponse { headers, headers_to_remove }),
        dynamic_metadata: allow.pass.whom().map(noted),
        denied_response: None,
    }
}

/// The request does not pass: its sender gets `response`.
pub(super) async fn denied(response: Response) -> CheckResponse {
    let (parts, body) = response.into_parts();
    // The pages and texts of ours are whole; without one the answer is no less of a no.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers = parts.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
    let denied_response = DeniedHttpResponse {
        status: Some(HttpStatus { code: parts.status.as_u16().into() }),
        headers: headers.map(|(name, value)| in_its_place(name, value)).collect(),
        body,
    };
    CheckResponse {
        status: Some(Status { code: Code::PermissionDenied as i32 }),
        denied_response: Some(denied_response),
        ok_response: None,
        dynamic_metadata: None,
    }
}

/// Older gateways know no such action, and overwrite where they are not told to append.
fn in_its_place(name: &HeaderName, value: &HeaderValue) -> HeaderValueOption {
    let header = messages::HeaderValue {
        key: Bytes::copy_from_slice(name.as_str().as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        raw_value: Bytes::new(),
    };
    HeaderValueOption { header: Some(header), append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into() }
}

/// For the gateway's access log and the filters behind: `countersign: {user, groups, sid, rule}`.
fn noted(whom: &Whom) -> Struct {
    let groups = whom.groups.iter().map(GroupName::as_str).map(text).collect();
    let whom = structure([
        ("user", text(whom.user.as_str())),
        ("groups", Value { list: Some(ListValue { values: groups }), ..Value::default() }),
        ("sid", text(&whom.sid)),
        ("rule", text(&whom.rule)),
    ]);
    structure([("countersign", Value { fields: Some(whom), ..Value::default() })])
}

fn structure<const N: usize>(fields: [(&str, Value); N]) -> Struct {
    let field = |(key, value): (&str, Value)| Field { key: key.to_owned(), value: Some(value) };
    Struct { fields: fields.into_iter().map(field).collect() }
}

fn text(text: &str) -> Value {
    Value { string: Some(text.to_owned()), ..Value::default() }
}
