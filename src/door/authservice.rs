//! What authservice answered besides checks, in the same place: as part of a check, on a port where any other path is
//! one. What is answered here stands in a gateway's denial, so 200 and 5xx mean something else and are never used.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cookie::Cookie;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, LOCATION, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::json;
use url::form_urlencoded;

use super::pages::{self, Page, Pages};
use crate::config::migrate::{AfterLogin, AuthserviceContract};
use crate::config::{ProviderSettings, Settings};
use crate::cookie::CookieNames;
use crate::entropy::Entropy;
use crate::login::Login;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The door that tells what is asked apart.
#[derive(Clone, Debug)]
pub struct AuthserviceDoor {
    own: Vec<String>,
    verify: String,
    /// The headers that say who somebody is.
    identity: Vec<HeaderName>,
}

/// What a request is.
#[derive(Debug)]
pub enum Asked<B> {
    /// A sign-in, a sign-out, one of our pages.
    Page(Request<B>),
    /// Whether the path behind the prefix may be seen; the prefix is gone. [`AuthserviceDoor::verified`] says it.
    Verify(Request<B>),
    /// A check, as everything else.
    Check(Request<B>),
}

struct LogOut {
    login: Login,
    cookies: CookieNames,
    session_header: HeaderName,
    after: String,
}

impl AuthserviceDoor {
    /// By these settings.
    #[must_use]
    pub fn new(settings: &Settings, contract: &AuthserviceContract) -> Self {
        let prefix = &settings.path_prefix;
        let names = ["start", "callback", "sign_out", "signed_out", "userinfo", "sessions", "unavailable"];
        let pages = names.iter().map(|name| format!("{prefix}/{name}"));
        let own = pages.chain(callbacks(settings)).chain([contract.logout.clone()]).collect();
        let identity = settings.headers.iter().map(|(name, _)| name.clone()).collect();
        Self { own, verify: contract.verify.clone(), identity }
    }

    /// Tells what is asked. Our own paths are known to the letter; in every other spelling they are checks.
    pub fn sort<B>(&self, request: Request<B>) -> Asked<B> {
        let path = request.uri().path();
        if self.own.iter().any(|own| own == path) {
            return Asked::Page(request);
        }
        match self.behind_verify(&request) {
            Some(target) => {
                let (mut parts, body) = request.into_parts();
                // Over HTTP/2 the URI holds the host, too.
                let mut uri = parts.uri.clone().into_parts();
                uri.path_and_query = Some(target);
                match Uri::from_parts(uri) {
                    Ok(uri) => parts.uri = uri,
                    Err(_) => return Asked::Check(Request::from_parts(parts, body)),
                }
                Asked::Verify(Request::from_parts(parts, body))
            }
            None => Asked::Check(request),
        }
    }

    /// What a check's answer says where nobody is to be sent anywhere: 204, 401 or 403. A gateway may pass it on to whoever
    /// asked: it says who they are, and has nothing in it that is for workloads.
    #[must_use]
    pub fn verified(&self, mut answer: Response) -> Response {
        let status = match answer.status() {
            StatusCode::OK => StatusCode::NO_CONTENT,
            StatusCode::FOUND | StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
            _ => StatusCode::FORBIDDEN,
        };
        if status == StatusCode::NO_CONTENT {
            let all = std::mem::take(answer.headers_mut());
            let identity = self.identity.iter().filter_map(|name| Some((name.clone(), all.get(name)?.clone())));
            answer.headers_mut().extend(identity);
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        answer.headers_mut().remove(LOCATION);
        *answer.status_mut() = status;
        answer
    }

    fn behind_verify<B>(&self, request: &Request<B>) -> Option<PathAndQuery> {
        let target = request.uri().path_and_query()?.as_str();
        let rest = target.strip_prefix(&*self.verify).filter(|_| request.method() == Method::GET)?;
        match rest.chars().next() {
            None => Some(PathAndQuery::from_static("/")),
            Some('/') => rest.parse().ok(),
            Some('?') => format!("/{rest}").parse().ok(),
            Some(_) => None,
        }
    }
}

/// Where browsers come back from the provider, and go on to.
struct Arrivals {
    callbacks: Vec<String>,
    /// The origin that people type.
    here: String,
    after_login: Option<AfterLogin>,
    homepage: String,
}

/// Our pages and the sign-out, as answers that a gateway passes on: it takes 200 for an allow, and makes a blank 403 of
/// 5xx.
pub fn router(settings: &Settings, contract: AuthserviceContract, login: Login, browser: Router) -> Router {
    let door = Arc::new(LogOut {
        login,
        cookies: CookieNames::new(&settings.cookie),
        session_header: contract.session_header,
        after: contract.after_logout,
    });
    let arrivals = Arc::new(Arrivals {
        callbacks: callbacks(settings).collect(),
        here: settings.public_url.as_str().trim_end_matches('/').to_owned(),
        after_login: contract.after_login,
        homepage: contract.homepage,
    });
    let log_out = get(log_out_by_link).post(log_out);
    let log_out = Router::new().route(&contract.logout, log_out).with_state(door);
    browser.merge(log_out).layer(from_fn_with_state(arrivals, arrive)).layer(map_response(
        async |mut response: Response| {
            let status = response.status();
            if status == StatusCode::OK {
                *response.status_mut() = StatusCode::NON_AUTHORITATIVE_INFORMATION;
            } else if status.is_server_error() {
                *response.status_mut() = StatusCode::FAILED_DEPENDENCY;
            }
            response
        },
    ))
}

/// The site, on a port of its own, where no gateway asks: the pages before a sign-in and after a sign-out.
pub fn site(prefix: &str, start: String, home: String, pages: Arc<Pages>, entropy: Arc<dyn Entropy>) -> Router {
    let before = (Arc::clone(&pages), Arc::clone(&entropy), start);
    let after = (pages, entropy, home);
    Router::new()
        .route(
            &format!("{prefix}/homepage"),
            get(async move || {
                before.0.render(StatusCode::OK, Page::SignIn { href: &before.2 }, &pages::nonce(&*before.1))
            }),
        )
        .route(
            &format!("{prefix}/after_logout"),
            get(async move || {
                after.0.render(StatusCode::OK, Page::SignedOut { home: &after.2 }, &pages::nonce(&*after.1))
            }),
        )
}

fn callbacks(settings: &Settings) -> impl Iterator<Item = String> {
    let elsewhere = settings.providers.iter().filter_map(ProviderSettings::redirect_path);
    elsewhere.chain([format!("{}/callback", settings.path_prefix)])
}

/// Callbacks as authservice answered them: one that says nothing leads to the homepage, and where a predefined address is
/// set everybody lands there.
async fn arrive(State(arrivals): State<Arc<Arrivals>>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    if request.method() != Method::GET || !arrivals.callbacks.iter().any(|path| path == uri.path()) {
        return next.run(request).await;
    }
    let mut parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    // An error is told on a page, which says more.
    if !parameters.any(|(name, _)| matches!(&*name, "code" | "error")) {
        return (StatusCode::FOUND, [(LOCATION, arrivals.homepage.as_str()), (CACHE_CONTROL, "no-store")])
            .into_response();
    }
    let mut response = next.run(request).await;
    if response.status() == StatusCode::SEE_OTHER
        && let Some(landing) = arrivals.landing(response.headers())
    {
        response.headers_mut().insert(LOCATION, landing);
    }
    response
}

/// `POST`, as Kubeflow's dashboard of old asks: the answer says where to go.
async fn log_out(State(door): State<Arc<LogOut>>, headers: HeaderMap) -> Response {
    match door.end(&headers).await {
        Ok(Some(cookies)) => {
            let body = Json(json!({"afterLogoutURL": door.after}));
            with_cookies((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], body).into_response(), &cookies)
        }
        Ok(None) => StatusCode::UNAUTHORIZED.into_response(),
        Err(status) => status.into_response(),
    }
}

/// `GET`, as the newer one does: the browser goes there.
async fn log_out_by_link(State(door): State<Arc<LogOut>>, headers: HeaderMap) -> Response {
    let Ok(after) = HeaderValue::try_from(&door.after) else { return StatusCode::BAD_REQUEST.into_response() };
    match door.end(&headers).await {
        Ok(cookies) => {
            let headers = [(LOCATION, after), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            with_cookies((StatusCode::FOUND, headers).into_response(), &cookies.unwrap_or_default())
        }
        Err(status) => status.into_response(),
    }
}

impl Arrivals {
    /// The predefined address, and where the browser would have gone.
    fn landing(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let AfterLogin { url, with_next } = self.after_login.as_ref()?;
        if !with_next {
            return HeaderValue::try_from(url).ok();
        }
        let wanted = headers.get(LOCATION)?.to_str().ok()?;
        // authservice knew the path alone.
        let wanted = wanted.strip_prefix(&self.here).filter(|path| path.starts_with('/')).unwrap_or(wanted);
        let (rest, fragment) =
            url.split_once('#').map_or((&**url, String::new()), |(rest, fragment)| (rest, format!("#{fragment}")));
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "next");
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(others).append_pair("next", wanted).finish();
        HeaderValue::try_from(format!("{address}?{query}{fragment}")).ok()
    }
}

impl LogOut {
    /// Ends the session that comes as a bearer, or in the cookie: scripts cannot read ours, as the dashboard's read
    /// authservice's, and it does not travel with another site's form.
    async fn end(&self, headers: &HeaderMap) -> Result<Option<Vec<Cookie<'static>>>, StatusCode> {
        let unavailable = |error| {
            tracing::error!(%error, "a session could not be ended");
            StatusCode::SERVICE_UNAVAILABLE
        };
        if let Some(bearer) = self.bearer(headers)
            && let Some(cookies) = self.login.end(bearer).await.map_err(unavailable)?
        {
            return Ok(Some(cookies));
        }
        let same_site = |site: &HeaderValue| site == "same-origin" || site == "none";
        if headers.get(FETCH_SITE).is_some_and(|site| !same_site(site)) {
            return Err(StatusCode::FORBIDDEN);
        }
        match self.cookies.find_session(headers).map_err(|_| StatusCode::BAD_REQUEST)? {
            Some(cookie) => self.login.end(cookie).await.map_err(unavailable),
            None => Ok(None),
        }
    }

    /// In `Authorization`, and whatever header takes its place, behind `Bearer ` or by itself.
    fn bearer<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let value = headers.get(&self.session_header).or_else(|| headers.get(AUTHORIZATION))?.to_str().ok()?;
        match value.trim().split_once(' ') {
            Some((scheme, token)) => scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()),
            None => Some(value.trim()),
        }
    }
}

fn with_cookies(mut response: Response<Body>, cookies: &[Cookie<'static>]) -> Response {
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie.to_string()) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}
