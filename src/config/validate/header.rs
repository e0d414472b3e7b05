//! Which headers may carry an identity or a token.

use http::HeaderName;

use super::super::IdentityField;
use super::super::problem::Report;
use super::super::raw::{Field, Headers};
use super::super::tree::Spot;

/// Headers that belong to one connection (RFC 9110 section 7.6.1) or to the message itself, not to what is sent on.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Headers that mean something else already.
pub(super) const TAKEN: [&str; 8] = [
    "host",
    "content-length",
    "content-type",
    "cookie",
    "set-cookie",
    "authorization",
    "txn-token",
    "x-envoy-auth-headers-to-remove",
];

/// Whether a header means something already, so that no other use of it is good.
pub(in crate::config) fn is_taken(name: &HeaderName) -> bool {
    TAKEN.contains(&name.as_str()) || HOP_BY_HOP.contains(&name.as_str())
}

pub(super) fn identity(
    raw: &Headers,
    token_header: &HeaderName,
    at: &Spot<'_>,
    report: &mut Report,
) -> Vec<(HeaderName, IdentityField)> {
    let mut headers: Vec<(HeaderName, IdentityField)> = Vec::new();
    for (text, field) in &raw.0 {
        let at = at.field(text);
        let name = match usable(text) {
            Ok(name) => name,
            Err((what, instead)) => {
                report.refuse(at.key_problem(what, instead));
                continue;
            }
        };
        if name == token_header {
            let what = format!("token.header is `{token_header}` too");
            report.refuse(at.key_problem(what, "Give the two different names."));
        } else if TAKEN.contains(&name.as_str()) {
            report.refuse(at.key_problem("this header has a meaning of its own", "Take another name: `x-user`."));
        } else if headers.iter().any(|(other, _)| *other == name) {
            let what = format!("another one is `{name}` too: letter case does not count");
            report.refuse(at.key_problem(what, "Take one of the two out."));
        } else {
            headers.push((name, carried(*field)));
        }
    }
    headers
}

pub(super) fn of_token(text: &str, at: &Spot<'_>, report: &mut Report) -> Option<HeaderName> {
    let name = usable(text).map_err(|(what, instead)| report.refuse(at.problem(what, instead))).ok()?;
    if !matches!(name.as_str(), "authorization" | "txn-token") && TAKEN.contains(&name.as_str()) {
        report.refuse(at.problem("this header has a meaning of its own", "Write `authorization` or `x-auth-token`."));
        return None;
    }
    Some(name)
}

/// The name, or what is wrong and what to write.
pub(super) fn usable(text: &str) -> Result<HeaderName, (String, String)> {
    let Ok(name) = HeaderName::try_from(text) else {
        return Err((format!("`{text}` is no header name"), "Write letters, digits and dashes: `x-user`.".to_owned()));
    };
    if HOP_BY_HOP.contains(&name.as_str()) {
        let what = "this header belongs to a connection and is not sent on";
        return Err((what.to_owned(), "Take another name: `x-user`.".to_owned()));
    }
    if name.as_str().contains('_') {
        // Many servers read `a_b` and `a-b` as one: every spelling with `_` is taken out of what the client sent.
        let what = "servers take a header with `_` for the one with `-`, and gateways drop it";
        return Err((what.to_owned(), format!("Write `{}`.", name.as_str().replace('_', "-"))));
    }
    Ok(name)
}

fn carried(field: Field) -> IdentityField {
    match field {
        Field::User => IdentityField::User,
        Field::Groups => IdentityField::Groups,
        Field::Email => IdentityField::Email,
        Field::Subject => IdentityField::Subject,
        Field::Provider => IdentityField::Provider,
    }
}
