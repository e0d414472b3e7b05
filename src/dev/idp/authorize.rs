//! The browser's side of the provider: who are you, and the way back.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Form;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use minijinja::{Value, context};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::grants::{Code, Grant};
use super::{DevIdp, see_other};

/// The button that was pressed.
#[derive(Deserialize)]
pub(super) struct Picked {
    user: String,
}

/// `GET /auth`: the page to pick a user (OIDC Core section 3.1.2.1).
pub(super) async fn ask(State(idp): State<Arc<DevIdp>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let request = match Request::parse(&idp, &query) {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    if request.prompt_none {
        return request.refuse(&idp, "login_required");
    }
    let users: Vec<Value> = idp
        .users
        .iter()
        .map(|user| context! { subject => &*user.subject, name => &*user.name, email => &*user.email, groups => user.groups.clone() })
        .collect();
    let variables = context! {
        users,
        action => format!("/auth?{query}"),
        title => "Who are you today?",
        message => "Pick a user. There are no passwords here.",
    };
    idp.look.page(StatusCode::OK, "idp.html", variables, &idp.client.redirect_uri.origin().ascii_serialization())
}

/// `POST /auth`: a user was picked; back with a code (OIDC Core section 3.1.2.5, RFC 9207 section 2).
pub(super) async fn answer(
    State(idp): State<Arc<DevIdp>>,
    RawQuery(query): RawQuery,
    Form(picked): Form<Picked>,
) -> Response {
    let request = match Request::parse(&idp, &query.unwrap_or_default()) {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let Some(user) = idp.user(&picked.user) else { return request.refuse(&idp, "access_denied") };
    let now = idp.clock.now();
    let grant = Grant {
        subject: user.subject.clone(),
        scope: request.scope.clone(),
        nonce: request.nonce.clone(),
        auth_time: now,
    };
    let redirect_uri = idp.client.redirect_uri.to_string();
    let code = idp.secret();
    idp.grants().add_code(code.clone(), Code { grant, redirect_uri, challenge: request.challenge.clone() }, now);
    request.back(&idp, "code", &code)
}

/// OIDC RP-Initiated Logout section 2. There is no session of ours to end, so it only leads back.
pub(super) async fn end_session(State(idp): State<Arc<DevIdp>>, RawQuery(query): RawQuery, body: String) -> Response {
    let given = |name: &str| {
        let sent = query.as_deref().unwrap_or(&body);
        form_urlencoded::parse(sent.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let back = given("post_logout_redirect_uri").and_then(|uri| Url::parse(&uri).ok());
    match back.filter(|uri| uri.origin() == idp.client.redirect_uri.origin()) {
        Some(mut uri) => {
            if let Some(state) = given("state") {
                uri.query_pairs_mut().append_pair("state", &state);
            }
            see_other(&uri)
        }
        None => idp.say(StatusCode::OK, "You are signed out", "This identity provider keeps no session of its own."),
    }
}

/// An authorization request that holds together.
struct Request {
    scope: String,
    state: Option<String>,
    nonce: Option<String>,
    challenge: String,
    prompt_none: bool,
}

impl Request {
    /// Refuses on a page what must not be redirected, and by redirect the rest (RFC 6749 section 4.1.2.1).
    #[expect(clippy::result_large_err, reason = "the refusal is the answer itself")]
    fn parse(idp: &DevIdp, query: &str) -> Result<Self, Response> {
        let wrong = |message: &str| idp.say(StatusCode::BAD_REQUEST, "This request cannot be answered", message);
        let mut given = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if given.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(wrong("A parameter is repeated."));
            }
        }
        if given.get("client_id") != Some(&idp.client.id) {
            return Err(wrong("The client is unknown."));
        }
        if given.get("redirect_uri").map(String::as_str) != Some(idp.client.redirect_uri.as_str()) {
            return Err(wrong("The redirect URI is not the registered one."));
        }
        let mut take = |name: &str| given.remove(name);
        let (response_type, method) = (take("response_type"), take("code_challenge_method"));
        let (scope, challenge) = (take("scope").unwrap_or_default(), take("code_challenge").unwrap_or_default());
        let prompt_none = take("prompt").as_deref() == Some("none");
        let request = Self { scope, challenge, prompt_none, state: take("state"), nonce: take("nonce") };
        let fault = if response_type.as_deref() != Some("code") {
            Some("unsupported_response_type")
        } else if !request.scope.split(' ').any(|scope| scope == "openid") {
            Some("invalid_scope")
        } else if method.as_deref() != Some("S256") || request.challenge.len() != 43 {
            Some("invalid_request")
        } else {
            None
        };
        fault.map_or(Ok(()), |fault| Err(request.refuse(idp, fault))).map(|()| request)
    }

    fn refuse(&self, idp: &DevIdp, error: &str) -> Response {
        self.back(idp, "error", error)
    }

    fn back(&self, idp: &DevIdp, name: &str, value: &str) -> Response {
        let mut to = idp.client.redirect_uri.clone();
        to.query_pairs_mut().append_pair(name, value).append_pair("iss", &idp.issuer);
        if let Some(state) = &self.state {
            to.query_pairs_mut().append_pair("state", state);
        }
        see_other(&to)
    }
}

impl DevIdp {
    fn say(&self, status: StatusCode, title: &str, message: &str) -> Response {
        self.look.page(status, "idp.html", context! { title, message }, "")
    }
}
