//! The page of one's own sessions.

use std::sync::Arc;

use axum::extract::{Extension, RawForm, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{BrowserDoor, Door, Ids, go};
use crate::door::pages::{OwnSession, Page};
use crate::door::problem::Problem;
use crate::login::{LoginError, Onward, OwnSessions, ToEnd};
use crate::request_ids::RequestIds;
use crate::session::Session;

/// A list of them, or the way to sign in.
pub(super) async fn show(State(door): Door, Extension(ids): Ids, uri: Uri, headers: HeaderMap) -> Response {
    match door.login.own_sessions(&headers).await {
        Ok(Some(OwnSessions { this, others, more })) => {
            let others: Vec<OwnSession<'_>> = others.iter().map(shown).collect();
            let page = Page::Sessions {
                action: uri.path(),
                user: this.identity.user.as_str(),
                this: shown(&this),
                others: &others,
                more,
                sign_out_href: &format!("{}/sign_out", door.prefix),
                home: door.login.home(),
            };
            door.page(StatusCode::OK, page)
        }
        Ok(None) => to_sign_in(&door, uri.path()),
        Err(error) => problem(&door, &error, &ids, uri.path()),
    }
}

/// Ends one, or all others.
pub(super) async fn end(
    State(door): Door,
    Extension(ids): Ids,
    uri: Uri,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    if let Err(error) = door.require_same_origin(&uri, &headers) {
        return door.problem(&Problem::from(&error), &ids, Some(uri.path()));
    }
    let Some(which) = asked_for(&form) else {
        return door.problem(&Problem::unclear_form(), &ids, Some(uri.path()));
    };
    match door.login.end_own_sessions(&headers, &which).await {
        Ok(Some(_)) => go(StatusCode::SEE_OTHER, &Onward { location: uri.path().to_owned(), cookies: Vec::new() }),
        Ok(None) => to_sign_in(&door, uri.path()),
        Err(LoginError::Store(error)) => {
            tracing::error!(%error, "sessions could not be ended");
            door.problem(&Problem::not_ended(), &ids, Some(uri.path()))
        }
        Err(error) => problem(&door, &error, &ids, uri.path()),
    }
}

fn problem(door: &Arc<BrowserDoor>, error: &LoginError, ids: &RequestIds, retry: &str) -> Response {
    match error {
        LoginError::Store(error) => door.store_problem(error, ids, retry),
        other => door.problem(&Problem::from(other), ids, Some(retry)),
    }
}

fn to_sign_in(door: &Arc<BrowserDoor>, back: &str) -> Response {
    let location = format!("{}?rd={}", door.start_path(), utf8_percent_encode(back, NON_ALPHANUMERIC));
    go(StatusCode::SEE_OTHER, &Onward { location, cookies: Vec::new() })
}

/// Exactly one of the two, once.
fn asked_for(form: &[u8]) -> Option<ToEnd> {
    let mut fields = url::form_urlencoded::parse(form);
    let (name, value) = fields.next().filter(|_| fields.next().is_none())?;
    match &*name {
        "end" if !value.is_empty() => Some(ToEnd::One(value.into_owned())),
        "end_others" => Some(ToEnd::Others),
        _ => None,
    }
}

fn shown(session: &Session) -> OwnSession<'_> {
    OwnSession {
        sid: &session.sid,
        device: session.whence.device.as_deref(),
        address: session.whence.address,
        signed_in_at: session.signed_in_at,
    }
}
