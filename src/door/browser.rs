//! The browser door: sign-in, callback, sign-out, who is signed in and where, and what providers say of that.

mod logout;
mod sessions;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, RawForm, RawQuery, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{ACCEPT, CACHE_CONTROL, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::Instrument;

use super::pages::{self, Page, Pages};
use super::peer::Peer;
use super::problem::{Problem, SOON, outcome_of, sign_in_json};
use crate::audit;
use crate::clock::UnixTime;
use crate::config::{ProviderSettings, Settings};
use crate::entropy::Entropy;
use crate::identity::{GroupName, ProviderId, UserId};
use crate::idp::IdpError;
use crate::login::{CrossSite, Login, LoginError, Onward, Reader, StartQuery, Started};
use crate::metrics::{LoginOutcome, Metrics};
use crate::request_ids::RequestIds;
use crate::session::{Live, StoreError};

/// What the browser door needs.
pub struct BrowserDoor {
    login: Login,
    pages: Arc<Pages>,
    metrics: Arc<Metrics>,
    entropy: Arc<dyn Entropy>,
    prefix: String,
    providers: Vec<ProviderId>,
    form_post: bool,
    /// Callbacks that providers know by another path.
    callbacks: Vec<String>,
}

type Door = State<Arc<BrowserDoor>>;
type Ids = Extension<RequestIds>;

/// Who is signed in, as `/oauth2/userinfo` tells it.
#[derive(Serialize)]
struct UserInfo<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    groups: Vec<&'a str>,
    provider: &'a str,
    signed_in_at: UnixTime,
    ends_at: UnixTime,
}

#[derive(Deserialize)]
struct ReturnQuery {
    rd: Option<String>,
}

impl BrowserDoor {
    /// A door to `login`.
    #[must_use]
    pub fn new(
        settings: &Settings,
        login: Login,
        pages: Arc<Pages>,
        metrics: Arc<Metrics>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            login,
            pages,
            metrics,
            entropy,
            prefix: settings.path_prefix.clone(),
            providers: settings.providers.iter().map(|provider| provider.id.clone()).collect(),
            form_post: settings.providers.iter().any(|provider| provider.form_post),
            callbacks: callbacks_elsewhere(settings),
        }
    }

    /// The browser door's paths.
    pub fn router(self) -> Router {
        let path = |name: &str| format!("{}/{name}", self.prefix);
        let callback = if self.form_post { get(callback).post(callback_by_form) } else { get(callback) };
        let by_token = post(logout::by_token).layer(DefaultBodyLimit::max(logout::MOST_BYTES));
        let elsewhere = self.callbacks.iter().fold(Router::new(), |router, path| router.route(path, callback.clone()));
        let router = elsewhere
            .route(&path("start"), get(start))
            .route(&path("callback"), callback.clone())
            .route(&path("callback/{provider}"), callback)
            .route(&path("sign_out"), get(ask_to_sign_out).post(sign_out))
            .route(&path("signed_out"), get(signed_out))
            .route(&path("userinfo"), get(userinfo))
            .route(&path("sessions"), get(sessions::show).post(sessions::end))
            .route(&path("backchannel_logout"), by_token.clone())
            .route(&path("backchannel_logout/{provider}"), by_token)
            .route(&path("frontchannel_logout"), get(logout::by_frame))
            .route(&path("frontchannel_logout/{provider}"), get(logout::by_frame))
            .route(&path("unavailable"), get(unavailable));
        let door = Arc::new(self);
        router.layer(axum::middleware::from_fn_with_state(Arc::clone(&door), name_request)).with_state(door)
    }

    fn page(&self, status: StatusCode, page: Page<'_>) -> Response {
        self.pages.render(status, page, &pages::nonce(&*self.entropy))
    }

    fn problem(&self, problem: &Problem, ids: &RequestIds, retry: Option<&str>) -> Response {
        problem.to_page(&self.pages, &pages::nonce(&*self.entropy), ids.request_id(), retry)
    }

    fn store_problem(&self, error: &StoreError, ids: &RequestIds, retry: &str) -> Response {
        tracing::error!(%error, "the session store does not answer");
        self.problem(&Problem::from(error), ids, Some(retry))
    }

    fn login_problem(&self, error: &LoginError, headers: &HeaderMap, ids: &RequestIds, retry: &str) -> Response {
        let (provider, user) = blamed(error);
        audit::refusal(provider, user, &error.to_string());
        if let Some(provider) = provider.or(self.providers.first()) {
            self.metrics.login(provider, outcome_of(error));
        }
        if is_script(headers) {
            return Problem::from(error).to_json(ids.request_id());
        }
        let retry = if let LoginError::NotAdmitted { as_somebody_else, .. } = error { as_somebody_else } else { retry };
        self.problem(&Problem::from(error), ids, Some(retry))
    }

    fn require_same_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), CrossSite> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
        self.login.require_same_origin(host, headers)
    }

    fn start_path(&self) -> String {
        format!("{}/start", self.prefix)
    }
}

impl std::fmt::Debug for BrowserDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrowserDoor").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

async fn name_request(State(door): Door, mut request: Request<Body>, next: Next) -> Response {
    let ids = RequestIds::of(request.headers(), &*door.entropy);
    let span = ids.span();
    request.extensions_mut().insert(ids);
    next.run(request).instrument(span).await
}

async fn start(
    State(door): Door,
    Extension(ids): Ids,
    Peer(peer): Peer,
    uri: Uri,
    headers: HeaderMap,
    Query(query): Query<StartQuery>,
) -> Response {
    match door.login.start(&headers, &query, peer).await {
        Ok(Started::Go(onward)) => go(StatusCode::FOUND, &onward),
        Ok(Started::Choose(choices)) => {
            let choices: Vec<pages::Choice<'_>> =
                choices.iter().map(|choice| pages::Choice { name: &choice.name, href: &choice.href }).collect();
            door.page(StatusCode::OK, Page::ChooseProvider { choices: &choices })
        }
        Err(error) => {
            let again = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            door.login_problem(&error, &headers, &ids, again)
        }
    }
}

async fn callback(
    State(door): Door,
    Extension(ids): Ids,
    provider: Option<Path<String>>,
    Peer(peer): Peer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let provider = provider.as_ref().map(|Path(provider)| &**provider);
    match door.login.callback(provider, &headers, query.as_deref().unwrap_or_default(), peer).await {
        Ok(arrived) => {
            if let Some(provider) = &arrived.signed_in_at {
                door.metrics.login(provider, LoginOutcome::SignedIn);
            }
            go(StatusCode::SEE_OTHER, &arrived.onward)
        }
        Err(error) => door.login_problem(&error, &headers, &ids, &door.start_path()),
    }
}

/// `response_mode=form_post`: our cookies are `Lax` and do not travel with another site's form, but they do with the
/// redirect that follows.
async fn callback_by_form(uri: Uri, RawForm(form): RawForm) -> Response {
    let Ok(query) = std::str::from_utf8(&form) else { return StatusCode::BAD_REQUEST.into_response() };
    let location = format!("{}?{query}", uri.path());
    go(StatusCode::SEE_OTHER, &Onward { location, cookies: Vec::new() })
}

async fn ask_to_sign_out(State(door): Door, Extension(ids): Ids, headers: HeaderMap, uri: Uri) -> Response {
    let action = uri.path();
    let sessions = format!("{}/sessions", door.prefix);
    match door.login.session(&headers).await {
        Ok(live) => {
            let user = live.as_ref().map(|live| live.session.identity.user.as_str());
            door.page(StatusCode::OK, Page::SignOutQuestion { action, user, rd: None, sessions: &sessions })
        }
        Err(error) => door.store_problem(&error, &ids, action),
    }
}

async fn sign_out(State(door): Door, Extension(ids): Ids, uri: Uri, headers: HeaderMap) -> Response {
    if let Err(error) = door.require_same_origin(&uri, &headers) {
        return door.problem(&Problem::from(&error), &ids, Some(uri.path()));
    }
    let reader = if is_script(&headers) { Reader::Script } else { Reader::Browser };
    match (door.login.sign_out(&headers, reader).await, reader) {
        (Ok(onward), Reader::Script) => tell(&onward),
        (Ok(onward), Reader::Browser) => go(StatusCode::SEE_OTHER, &onward),
        (Err(LoginError::Store(error)), _) => {
            tracing::error!(%error, "a session could not be ended");
            door.problem(&Problem::not_signed_out(), &ids, Some(uri.path()))
        }
        (Err(error), _) => door.login_problem(&error, &headers, &ids, uri.path()),
    }
}

async fn signed_out(State(door): Door) -> Response {
    door.page(StatusCode::OK, Page::SignedOut { home: door.login.home() })
}

async fn userinfo(State(door): Door, Extension(ids): Ids, headers: HeaderMap) -> Response {
    match door.login.session(&headers).await {
        Ok(Some(live)) => ([(CACHE_CONTROL, "no-store")], Json(UserInfo::of(&live))).into_response(),
        Ok(None) => sign_in_json(StatusCode::UNAUTHORIZED, &door.start_path(), ids.request_id()),
        Err(error) => {
            tracing::error!(%error, "the session store does not answer");
            Problem::from(&error).to_json(ids.request_id())
        }
    }
}

/// Where the check sends people while it cannot decide: Envoy would make a blank 403 of a 503 of the check's own.
async fn unavailable(State(door): Door, Extension(ids): Ids, Query(query): Query<ReturnQuery>) -> Response {
    let problem = Problem {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "unavailable",
        title: "The gateway cannot decide at the moment",
        what: "It cannot reach its sessions or its keys, so it lets nobody pass.".into(),
        who: pages::AtFault::Operator,
        hint: "You are still signed in. Try again in a moment. If it lasts, tell whoever runs this site.",
        retry_after: SOON,
    };
    door.problem(&problem, &ids, Some(door.login.return_to(query.rd.as_deref()).as_str()))
}

impl<'a> UserInfo<'a> {
    fn of(live: &'a Live) -> Self {
        let session = &live.session;
        let identity = &session.identity;
        Self {
            user: identity.user.as_str(),
            email: identity.email.as_ref().map(crate::identity::Email::as_str),
            groups: identity.groups.iter().map(GroupName::as_str).collect(),
            provider: identity.provider.as_str(),
            signed_in_at: session.signed_in_at,
            ends_at: session.ends_at,
        }
    }
}

/// Whether JSON is asked for. A browser that submits a form asks for `text/html`.
fn is_script(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepted.any(|accept| {
        accept.split([',', ';']).any(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
            && !accept.contains("text/html")
    })
}

/// As [`go`], for a script, which takes the browser there itself: the logout button of Kubeflow's dashboard.
fn tell(onward: &Onward) -> Response {
    let body = Json(json!({"afterLogoutURL": onward.location}));
    with_cookies((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], body).into_response(), onward)
}

fn go(status: StatusCode, onward: &Onward) -> Response {
    let Ok(location) = HeaderValue::try_from(&*onward.location) else { return StatusCode::BAD_REQUEST.into_response() };
    let headers = [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    with_cookies((status, headers).into_response(), onward)
}

fn with_cookies(mut response: Response, onward: &Onward) -> Response {
    for cookie in &onward.cookies {
        // Names and values are ours: base64url and a configured token.
        if let Ok(cookie) = HeaderValue::try_from(cookie.to_string()) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}

/// The paths of redirect URIs that are not below our own callback, each once.
fn callbacks_elsewhere(settings: &Settings) -> Vec<String> {
    let own = format!("{}/callback", settings.path_prefix);
    let is_own = |path: &str| path.strip_prefix(&*own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut paths: Vec<String> = settings.providers.iter().filter_map(ProviderSettings::redirect_path).collect();
    paths.retain(|path| !is_own(path));
    paths.sort();
    paths.dedup();
    paths
}

const fn blamed(error: &LoginError) -> (Option<&ProviderId>, Option<&UserId>) {
    match error {
        LoginError::NotAdmitted { provider, user, .. } => (Some(provider), Some(user)),
        LoginError::ProviderSaidNo { provider, .. }
        | LoginError::TooMany { provider, .. }
        | LoginError::Provider(
            IdpError::Unreachable { provider, .. }
            | IdpError::Misbehaved { provider, .. }
            | IdpError::GrantRefused { provider, .. }
            | IdpError::Misconfigured { provider, .. }
            | IdpError::ChangedUser { provider, .. }
            | IdpError::UnusableIdentity { provider, .. },
        ) => (Some(provider), None),
        _ => (None, None),
    }
}
