//! A small reverse proxy that does what Envoy does with HTTP `ext_authz` and then `jwt_authn`: asks the check for every
//! request, settles headers as it was told, and verifies the RC token through the published keys.

mod jwt;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE,
    HOST, LOCATION, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_VERSION, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use reqwest::Url;
use tower::ServiceExt as _;
use tracing::warn;

use crate::entropy::{Entropy, random};
use jwt::JwtAuthn;
pub use jwt::Verified;

/// What the gateway is told, as a mesh's operator would.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Its own `host:port`, which is what browsers ask for.
    pub authority: String,
    /// Countersign's main port.
    pub countersign: SocketAddr,
    /// What is put before the path in checks.
    pub check_prefix: String,
    /// Countersign's own pages.
    pub path_prefix: String,
    /// The headers that an allow may set upstream, besides `authorization` and `cookie`.
    pub identity_headers: Vec<HeaderName>,
    /// The `iss` to demand of RC tokens.
    pub issuer: String,
    /// The `aud` to demand of RC tokens.
    pub audience: String,
}

/// The gateway in front of a site.
pub struct DevGateway {
    settings: GatewaySettings,
    client: reqwest::Client,
    jwt: JwtAuthn,
    site: Router,
    entropy: Arc<dyn Entropy>,
}

/// What the check is told of a request (`headersInCheck`), besides what the gateway itself says in `X-Forwarded-*`.
const TO_CHECK: [HeaderName; 13] = [
    AUTHORIZATION,
    COOKIE,
    ACCEPT,
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
    SEC_WEBSOCKET_VERSION,
    ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD,
    X_REQUEST_ID,
    HeaderName::from_static("traceparent"),
];

/// What a refusal may tell the browser (`headersToDownstreamOnDeny`).
const TO_BROWSER: [HeaderName; 8] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    CONTENT_SECURITY_POLICY,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    X_REQUEST_ID,
    LOCATION,
    SET_COOKIE,
];

/// Headers that belong to one connection (RFC 9110 section 7.6.1), and the length, which is set anew.
const HOP_BY_HOP: [&str; 8] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"];

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
const BODY_LIMIT: usize = 1024 * 1024;

impl DevGateway {
    /// A gateway that lets admitted requests through to `site`, which finds a [`Verified`] token among the request's
    /// extensions.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(settings: GatewaySettings, site: Router, entropy: Arc<dyn Entropy>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("no HTTP client for the development gateway")?;
        let jwks = format!("http://{}/.well-known/jwks.json", settings.countersign);
        let jwt = JwtAuthn::new(client.clone(), jwks, &settings.issuer, &settings.audience);
        Ok(Self { settings, client, jwt, site, entropy })
    }

    /// Every path, every method.
    pub fn router(self) -> Router {
        Router::new().fallback(pass).with_state(Arc::new(self))
    }
}

async fn pass(State(gateway): State<Arc<DevGateway>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = gateway.wrong_host(&parts) {
        return answer;
    }
    // Judged here though only some requests are forwarded: what is checked and what is forwarded are the same path.
    let (Some(to_check), Some(to_countersign)) =
        (gateway.address(&gateway.settings.check_prefix, &parts.uri), gateway.address("", &parts.uri))
    else {
        return empty(StatusCode::BAD_REQUEST);
    };
    gateway.vouch(&mut parts.headers);
    let answer = match gateway.check(&parts, to_check).await {
        Ok(answer) => answer,
        Err(failure) => {
            warn!(error = %failure, "the check cannot be asked");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    match answer.status() {
        StatusCode::OK => gateway.settle(&mut parts.headers, answer.headers()),
        // An error, not a refusal: Envoy answers with `statusOnError` and nothing else.
        status if status.is_server_error() => return empty(StatusCode::SERVICE_UNAVAILABLE),
        _ => return refuse(answer).await,
    }
    if gateway.is_countersigns(parts.uri.path()) {
        return gateway.forward(parts, body, to_countersign).await.unwrap_or_else(|failure| {
            warn!(error = %failure, "the request cannot be forwarded");
            empty(StatusCode::BAD_GATEWAY)
        });
    }
    match gateway.jwt.verify(&parts.headers).await {
        Ok(Some(verified)) => parts.extensions.insert(verified),
        Ok(None) => None,
        Err(reason) => {
            let text = Bytes::from(format!("Jwt verification fails: {reason}\n"));
            return response(StatusCode::UNAUTHORIZED, HeaderMap::new(), text);
        }
    };
    let admitted = Request::from_parts(parts, body);
    gateway.site.clone().oneshot(admitted).await.unwrap_or_else(|never| match never {})
}

impl DevGateway {
    /// Only our own authority is served: a page elsewhere could point its own name here (DNS rebinding). `localhost` is
    /// sent to the address, because cookies and redirect URIs are bound to it.
    fn wrong_host(&self, request: &Parts) -> Option<Response> {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
        if host == self.settings.authority {
            return None;
        }
        let port = self.settings.authority.rsplit(':').next().unwrap_or_default();
        if host != format!("localhost:{port}") {
            return Some(empty(StatusCode::MISDIRECTED_REQUEST));
        }
        let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
        let there = format!("http://{}{}", self.settings.authority, path_and_query(&request.uri));
        response.headers_mut().extend(HeaderValue::try_from(there).map(|there| (LOCATION, there)));
        Some(response)
    }

    /// What an edge says of a request itself, it never takes from the client.
    fn vouch(&self, headers: &mut HeaderMap) {
        let forwarded: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("x-forwarded-") || name.as_str().starts_with("x-envoy-"))
            .cloned()
            .collect();
        for name in forwarded {
            headers.remove(name);
        }
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
        // Over HTTP/2 the authority is no header (RFC 9113 section 8.3.1).
        if let Ok(host) = HeaderValue::try_from(&self.settings.authority) {
            headers.insert(HOST, host);
        }
        let id = BASE64_URL_SAFE_NO_PAD.encode(random::<12>(&*self.entropy));
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(X_REQUEST_ID, id);
        }
    }

    /// Where to ask Countersign for `prefix` and the path as it was received; none if another path would be asked for,
    /// because the client's URLs resolve dot segments.
    fn address(&self, prefix: &str, received: &Uri) -> Option<Url> {
        let target = format!("{prefix}{}", path_and_query(received));
        let url = Url::parse(&format!("http://{}{target}", self.settings.countersign)).ok()?;
        let path = target.split('?').next().unwrap_or_default();
        (url.path() == path).then_some(url)
    }

    async fn check(&self, request: &Parts, url: Url) -> reqwest::Result<reqwest::Response> {
        let told = |name: &HeaderName| TO_CHECK.contains(name) || name == HOST || is_forwarded(name);
        let headers = request.headers.iter().filter(|(name, _)| told(name));
        let headers: HeaderMap = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.client.request(request.method.clone(), url).headers(headers).send().await
    }

    /// Sets what the allow sets, then removes what it removes: in this order, as Envoy does.
    fn settle(&self, headers: &mut HeaderMap, told: &HeaderMap) {
        let owned = self.settings.identity_headers.iter().chain([&AUTHORIZATION, &COOKIE]);
        for name in owned {
            if let Some(value) = told.get(name) {
                headers.insert(name, value.clone());
            }
        }
        let lists = told.get_all(TO_REMOVE).iter().filter_map(|list| list.to_str().ok());
        for name in lists.flat_map(|list| list.split(',')) {
            headers.remove(name.trim());
        }
    }

    fn is_countersigns(&self, path: &str) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        path.starts_with("/.well-known/") || path.strip_prefix(&*self.settings.path_prefix).is_some_and(below)
    }

    async fn forward(&self, parts: Parts, body: Body, url: Url) -> anyhow::Result<Response> {
        let body = to_bytes(body, BODY_LIMIT).await?;
        let sent = self.client.request(parts.method, url).headers(end_to_end(&parts.headers)).body(body);
        let answer = sent.send().await?;
        let (status, headers) = (answer.status(), end_to_end(answer.headers()));
        Ok(response(status, headers, answer.bytes().await?))
    }
}

async fn refuse(answer: reqwest::Response) -> Response {
    let status = answer.status();
    let headers = answer.headers().iter().filter(|(name, _)| TO_BROWSER.contains(name));
    let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
    response(status, headers, answer.bytes().await.unwrap_or_default())
}

fn response(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn empty(status: StatusCode) -> Response {
    response(status, HeaderMap::new(), Bytes::new())
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_forwarded(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-")
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}
