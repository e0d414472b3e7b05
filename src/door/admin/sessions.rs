//! Sessions on the admin port: whoever has the operator's token lists them and ends them. They go by their pseudonyms, the
//! `sid` of tokens and of the audit; where they are filed is told to nobody.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::clock::UnixTime;
use crate::config::AdminSettings;
use crate::door::peer::Peer;
use crate::door::problem::admin_problem;
use crate::identity::UserId;
use crate::revocation::Revocation;
use crate::secret::SecretText;
use crate::session::{Cursor, Filed, StoreError};

/// What is needed for it.
#[derive(Debug)]
pub struct SessionsDoor {
    token: Option<SecretText>,
    revocation: Arc<Revocation>,
}

type Door = State<Arc<SessionsDoor>>;
type Asked = Result<Query<Which>, QueryRejection>;

/// Which sessions are meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    user: Option<String>,
    all: Option<bool>,
    after: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    sessions: Vec<Listed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    sid: &'a str,
    user: &'a str,
    subject: &'a str,
    provider: &'a str,
    signed_in_at: UnixTime,
    ends_at: UnixTime,
    idle_until: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

#[derive(Serialize)]
struct Ended {
    ended: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl SessionsDoor {
    /// A door that the token of `settings` opens, if there is one.
    #[must_use]
    pub fn new(settings: &AdminSettings, revocation: Arc<Revocation>) -> Self {
        Self { token: settings.token.clone(), revocation }
    }

    /// `/sessions`, and one of them behind that.
    pub fn router(self) -> Router {
        let door = Arc::new(self);
        Router::new()
            .route("/sessions", get(list).delete(end))
            .route("/sessions/{sid}", get(show_one).delete(end_one))
            .layer(from_fn_with_state(Arc::clone(&door), admit))
            .with_state(door)
    }

    fn is_opened_by(&self, headers: &HeaderMap) -> Option<bool> {
        let token = self.token.as_ref()?;
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let sent = sent.next().filter(|_| sent.next().is_none()).and_then(|value| value.to_str().ok());
        let sent =
            sent.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // Of hashes nothing can be learnt by the time that it takes to compare them, not even a length.
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        Some(sent.is_some_and(|(_, sent)| {
            verify_slices_are_equal(hash(sent).as_ref(), hash(token.expose()).as_ref()).is_ok()
        }))
    }
}

async fn admit(State(door): Door, Peer(peer): Peer, request: Request<Body>, next: Next) -> Response {
    let mut response = match door.is_opened_by(request.headers()) {
        Some(true) => next.run(request).await,
        Some(false) => {
            audit::admin_refusal(peer);
            admin_problem(StatusCode::UNAUTHORIZED, "unauthorized", "send `Authorization: Bearer` and the admin token")
        }
        None => {
            let message = "this is shut: write `admin: {token: {file: …}}` into the configuration";
            admin_problem(StatusCode::FORBIDDEN, "no_admin_token", message)
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn list(State(door): Door, Peer(peer): Peer, asked: Asked) -> Response {
    let Which { user, after, .. } = match read(asked) {
        Ok(which) if which.all.is_none() => which,
        Ok(_) => return misunderstood("`all` is for ending them; without `user` all are listed"),
        Err(problem) => return *problem,
    };
    let found = match (&user, after) {
        (Some(_), Some(_)) => return misunderstood("`after` is for all sessions, page by page"),
        (Some(user), None) => match UserId::parse(user.as_str()) {
            Ok(user) => door.revocation.of_user(&user).await.map(|found| (found, None)),
            Err(error) => return misunderstood(&format!("`user` is no user: {error}")),
        },
        (None, after) => match cursor(after.as_deref()) {
            Some(after) => door.revocation.some(after).await,
            None => return misunderstood("`after` is not what `next` said"),
        },
    };
    match found {
        Ok((mut found, next)) => {
            found.sort_by_key(|filed| std::cmp::Reverse(filed.session.signed_in_at));
            audit::admin("list", user.as_deref(), peer, Some(found.len() as u64));
            let sessions = found.iter().map(Listed::of).collect();
            Json(List { sessions, next: next.map(written) }).into_response()
        }
        Err(error) => store_problem(&error),
    }
}

async fn end(State(door): Door, Peer(peer): Peer, asked: Asked) -> Response {
    let Which { user, all, after } = match read(asked) {
        Ok(which) => which,
        Err(problem) => return *problem,
    };
    let ended = match (&user, all, after) {
        (Some(user), None, None) => match UserId::parse(user.as_str()) {
            Ok(user) => door.revocation.end_user(&user).await.map(|ended| (ended, None)),
            Err(error) => return misunderstood(&format!("`user` is no user: {error}")),
        },
        (None, Some(true), after) => match cursor(after.as_deref()) {
            Some(after) => door.revocation.end_from(after).await,
            None => return misunderstood("`after` is not what `next` said"),
        },
        _ => return misunderstood("say whose: `user=…` or `all=true`, or end one at /sessions/SID"),
    };
    match ended {
        Ok((ended, next)) => {
            let about = user.as_deref().unwrap_or("all");
            audit::admin("end", Some(about), peer, Some(ended));
            Json(Ended { ended, next: next.map(written) }).into_response()
        }
        Err(error) => store_problem(&error),
    }
}

async fn show_one(State(door): Door, Peer(peer): Peer, Path(sid): Path<String>) -> Response {
    match door.revocation.of_pseudonym(&sid).await {
        Ok(found) => {
            audit::admin("list", Some(&sid), peer, Some(found.len() as u64));
            found.first().map_or_else(no_such_session, |filed| Json(Listed::of(filed)).into_response())
        }
        Err(error) => store_problem(&error),
    }
}

async fn end_one(State(door): Door, Peer(peer): Peer, Path(sid): Path<String>) -> Response {
    match door.revocation.end_pseudonym(&sid).await {
        Ok(ended) => {
            audit::admin("end", Some(&sid), peer, Some(ended));
            if ended == 0 { no_such_session() } else { Json(Ended { ended, next: None }).into_response() }
        }
        Err(error) => store_problem(&error),
    }
}

impl<'a> Listed<'a> {
    fn of(filed: &'a Filed) -> Self {
        let Filed { session, idle_until, .. } = filed;
        Self {
            sid: &session.sid,
            user: session.identity.user.as_str(),
            subject: session.identity.subject.as_str(),
            provider: session.identity.provider.as_str(),
            signed_in_at: session.signed_in_at,
            ends_at: session.ends_at,
            idle_until: *idle_until,
            device: session.whence.device.as_deref(),
            address: session.whence.address,
        }
    }
}

/// What is asked for; a word that is not known could be a misspelt one that was to narrow it down.
fn read(asked: Asked) -> Result<Which, Box<Response>> {
    let refused = |error: QueryRejection| Box::new(misunderstood(&error.body_text()));
    asked.map(|Query(which)| which).map_err(refused)
}

fn cursor(text: Option<&str>) -> Option<Cursor> {
    let Some(text) = text else { return Some(Cursor::START) };
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Cursor::from_bytes)
}

fn written(cursor: Cursor) -> String {
    URL_SAFE_NO_PAD.encode(cursor.as_bytes())
}

fn misunderstood(message: &str) -> Response {
    admin_problem(StatusCode::BAD_REQUEST, "misunderstood", message)
}

fn no_such_session() -> Response {
    admin_problem(StatusCode::NOT_FOUND, "no_such_session", "there is no such session, or it has ended already")
}

fn store_problem(error: &StoreError) -> Response {
    tracing::error!(%error, "the session store does not answer");
    let message = "the session store does not answer; what was to end may go on: try again";
    admin_problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message)
}
