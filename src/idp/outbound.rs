//! The way out: one HTTP exchange with an identity provider, bounded in time and size, that follows no redirect and
//! reaches no private address that nobody named. It knows no OpenID Connect.

mod address;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Uri, header};
use hyper_util::client::proxy::matcher::Matcher;
use openidconnect::{HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, NoProxy, Proxy, redirect};
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;
use url::Url;

use self::address::{Lookup, PrivateAddress, PublicResolver, by_the_system, is_public, is_public_host};
use crate::config::EgressSettings;
use crate::identity::ProviderId;
use crate::metrics::{IdpOperation, IdpOutcome, Metrics};

/// The HTTP client for identity providers.
#[derive(Clone, Debug)]
pub struct Outbound {
    anywhere: Client,
    public_only: Client,
    proxied: Proxied,
    deadline: Duration,
    counted: Option<(ProviderId, Arc<Metrics>)>,
}

/// Who has answered, beside the answer: the egress proxy, where one was asked.
#[derive(Clone, Copy, Debug)]
struct Dialled(SocketAddr);

/// What goes through the egress proxy, told by what tells it to the client.
#[derive(Clone)]
struct Proxied(Arc<Matcher>);

/// Why the way out cannot be opened; the operator's to mend.
#[derive(Debug, Error)]
pub enum OutboundError {
    /// The CA bundle cannot be read.
    #[error("egress.ca_bundle {path}: {reason}")]
    CaBundle {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy cannot be used.
    #[error("egress.proxy: {reason}")]
    Proxy {
        /// What is wrong with it.
        reason: String,
    },
    /// The system's certificates or resolver cannot be used.
    #[error("no HTTP client for identity providers can be made (are CA certificates installed?): {reason}")]
    Client {
        /// What went wrong.
        reason: String,
    },
}

/// Which addresses a call may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every address: the operator named the place, or the issuer itself is inside.
    Anywhere,
    /// Public addresses: a provider outside named the place, and may not point us inside.
    PublicOnly,
}

/// Why a call gave no answer that could be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CallError {
    #[error("{0}")]
    Unreachable(String),
    #[error("no complete answer within {0:?}")]
    TooSlow(Duration),
    #[error("it answered with status {0}")]
    Unavailable(StatusCode),
    #[error("its answer is larger than {} KiB", Outbound::MAX_BODY / 1024)]
    TooLarge,
    #[error("it redirects to {0}, which is not followed: configure the address that answers by itself")]
    Redirected(String),
    #[error("it compressed its answer though nobody asked for that")]
    Compressed,
    #[error(
        "{0} is a private address, though the issuer is public: if that is intended, name the endpoint in the \
         provider's settings (token_url, userinfo_url, jwks_url)"
    )]
    PrivateAddress(String),
}

impl Outbound {
    /// The most bytes of an answer that are read.
    pub const MAX_BODY: usize = 1024 * 1024;
    /// How long a connection may take.
    pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
    /// How long a whole exchange may take, connection included.
    pub const DEADLINE: Duration = Duration::from_secs(10);

    /// How many redirects are followed where any are.
    const MOST_REDIRECTS: usize = 5;

    /// Opens the way out.
    ///
    /// # Errors
    /// If the CA bundle, the proxy or the system's certificates cannot be used.
    pub fn new(settings: &EgressSettings) -> Result<Self, OutboundError> {
        Self::with_lookup(settings, by_the_system)
    }

    fn with_lookup(settings: &EgressSettings, lookup: Lookup) -> Result<Self, OutboundError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Whoever installs one in the same moment installs the same.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let proxy_host = settings.proxy.as_ref().and_then(Url::host_str).map(str::to_owned);
        let failed = |error: reqwest::Error| OutboundError::Client { reason: whole_story(&error) };
        let anywhere = builder(settings)?.build().map_err(failed)?;
        let resolver = Arc::new(PublicResolver { proxy_host, lookup });
        let public_only = builder(settings)?.dns_resolver(resolver).build().map_err(failed)?;
        let proxied = Proxied::by(settings);
        Ok(Self { anywhere, public_only, proxied, deadline: Self::DEADLINE, counted: None })
    }

    /// The same, with another deadline for a whole exchange.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same, but each call counts as one to `provider`.
    #[must_use]
    pub fn counted(self, provider: ProviderId, metrics: Arc<Metrics>) -> Self {
        Self { counted: Some((provider, metrics)), ..self }
    }

    /// Sends `request` and reads the answer. What is not a server's failure or a redirect is the caller's to judge.
    pub(crate) async fn call(
        &self,
        operation: IdpOperation,
        request: HttpRequest,
        reach: Reach,
    ) -> Result<HttpResponse, CallError> {
        let uri = request.uri();
        // Neither the query nor a password.
        let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{}{port}{}", uri.host().unwrap_or_default(), uri.path());
        let outcome = timeout(self.deadline, self.exchange(request, reach)).await;
        let outcome = outcome.unwrap_or(Err(CallError::TooSlow(self.deadline)));
        let name = operation.as_str();
        match &outcome {
            Ok(response) => {
                debug!(operation = name, place, status = response.status().as_u16(), "identity provider answered");
            }
            Err(error) => debug!(operation = name, place, reason = %error, "identity provider gave no answer"),
        }
        if let Some((provider, metrics)) = &self.counted {
            metrics.idp_request(provider, operation, counted_as(&outcome));
        }
        outcome
    }

    /// How far what `answer` says may lead, which `url` gave: inside only if it came from inside. The address that was
    /// dialled tells; a name could be given another one for whoever asks again.
    pub(crate) fn reach_of(&self, url: &Uri, answer: &HttpResponse) -> Reach {
        let dialled = answer.extensions().get::<Dialled>();
        let is_dialled_inside = dialled.is_some_and(|Dialled(address)| !is_public(address.ip()));
        // An egress proxy is inside, most likely, and brings answers from outside.
        let is_inside = is_dialled_inside && !self.proxied.goes_through_it(url);
        if is_inside || !is_public_host(url.host().unwrap_or_default()) { Reach::Anywhere } else { Reach::PublicOnly }
    }

    /// Opens a page as a browser without cookies does: on from redirect to redirect, as long as they stay with the same
    /// server. What it ends at is the caller's to judge, a redirect elsewhere too.
    pub(crate) async fn visit(&self, address: &Url) -> Result<HttpResponse, CallError> {
        let visit = async {
            let mut at = address.clone();
            for _ in 0..Self::MOST_REDIRECTS {
                let request = http::Request::get(at.as_str()).header(header::ACCEPT, "text/html").body(Vec::new());
                let request = request.map_err(|error| CallError::Unreachable(error.to_string()))?;
                let response = self.send(request, Reach::Anywhere).await?;
                let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
                let next = location.filter(|_| response.status().is_redirection()).and_then(|to| at.join(to).ok());
                match next {
                    Some(next) if next.origin() == at.origin() => at = next,
                    Some(_) => return Ok(head_of(response)),
                    None => return read(response).await,
                }
            }
            Err(CallError::Redirected(at.path().to_owned()))
        };
        timeout(self.deadline, visit).await.unwrap_or(Err(CallError::TooSlow(self.deadline)))
    }

    async fn exchange(&self, request: HttpRequest, reach: Reach) -> Result<HttpResponse, CallError> {
        read(self.send(request, reach).await?).await
    }

    async fn send(&self, request: HttpRequest, reach: Reach) -> Result<reqwest::Response, CallError> {
        let client = match reach {
            Reach::Anywhere => &self.anywhere,
            Reach::PublicOnly => {
                // A host that is an address never reaches the resolver.
                let host = request.uri().host().unwrap_or_default();
                if !is_public_host(host) {
                    return Err(CallError::PrivateAddress(host.to_owned()));
                }
                &self.public_only
            }
        };
        let request = reqwest::Request::try_from(request).map_err(|error| CallError::from(&error))?;
        client.execute(request).await.map_err(|error| CallError::from(&error))
    }
}

impl Proxied {
    fn by(settings: &EgressSettings) -> Self {
        let proxy = settings.proxy.as_ref().map(Url::to_string).unwrap_or_default();
        Self(Arc::new(Matcher::builder().all(proxy).no(settings.no_proxy.clone().unwrap_or_default()).build()))
    }

    fn goes_through_it(&self, url: &Uri) -> bool {
        self.0.intercept(url).is_some()
    }
}

impl fmt::Debug for Proxied {
    /// Without the proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxied").finish_non_exhaustive()
    }
}

async fn read(mut response: reqwest::Response) -> Result<HttpResponse, CallError> {
    refuse_what_is_no_answer(&response)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::from(&error))? {
        if body.len() + chunk.len() > Outbound::MAX_BODY {
            return Err(CallError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = head_of(response);
    *answer.body_mut() = body;
    Ok(answer)
}

fn head_of(mut response: reqwest::Response) -> HttpResponse {
    let mut answer = HttpResponse::new(Vec::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    if let Some(address) = response.remote_addr() {
        answer.extensions_mut().insert(Dialled(address));
    }
    answer
}

impl CallError {
    /// Whether waiting may help; otherwise the provider did what it must not.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TooSlow(_) | Self::Unavailable(_))
    }
}

impl From<&reqwest::Error> for CallError {
    fn from(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(PrivateAddress(host)) = error.downcast_ref() {
                return Self::PrivateAddress(host.clone());
            }
            cause = error.source();
        }
        Self::Unreachable(whole_story(error))
    }
}

fn counted_as(outcome: &Result<HttpResponse, CallError>) -> IdpOutcome {
    match outcome {
        Ok(response) if response.status().is_success() => IdpOutcome::Ok,
        Ok(_) => IdpOutcome::Refused,
        Err(error) if error.is_passing() => IdpOutcome::Unreachable,
        Err(_) => IdpOutcome::Misbehaved,
    }
}

fn builder(settings: &EgressSettings) -> Result<reqwest::ClientBuilder, OutboundError> {
    // `no_proxy` first: reqwest would otherwise read the environment, which is `config`'s to read.
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(Outbound::CONNECT_DEADLINE)
        // Firewalls drop idle connections without a word; a refresh token sent into one is lost.
        .pool_idle_timeout(Duration::from_secs(15))
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &settings.ca_bundle {
        let refused = |reason: &dyn fmt::Display| OutboundError::CaBundle {
            path: path.display().to_string(),
            reason: reason.to_string(),
        };
        let pem = std::fs::read(path).map_err(|error| refused(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refused(&whole_story(&error)))?;
        if certificates.is_empty() {
            return Err(refused(&"it holds no PEM certificate"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(proxy) = &settings.proxy {
        let proxy = Proxy::all(proxy.clone())
            .map_err(|error| OutboundError::Proxy { reason: whole_story(&error) })?
            .no_proxy(settings.no_proxy.as_deref().and_then(NoProxy::from_string));
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn refuse_what_is_no_answer(response: &reqwest::Response) -> Result<(), CallError> {
    let status = response.status();
    if status.is_redirection() {
        let target = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        // Without its query: that could hold a code.
        let target = target.and_then(|target| target.split(['?', '#']).next()).unwrap_or("nowhere");
        return Err(CallError::Redirected(target.chars().take(200).collect()));
    }
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if status.is_server_error() || busy {
        return Err(CallError::Unavailable(status));
    }
    match response.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(CallError::Compressed),
        _ => Ok(()),
    }
}

/// An error with its causes, without the URL (which could hold a query).
fn whole_story(error: &reqwest::Error) -> String {
    let mut story = if error.is_connect() { "no connection" } else { "the exchange failed" }.to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        story = format!("{story}: {error}");
        cause = error.source();
    }
    story
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::{BoxFuture, poll_immediate};

    use super::*;

    fn call(url: &str) -> HttpRequest {
        http::Request::get(url).body(Vec::new()).expect("a request")
    }

    #[tokio::test]
    async fn a_public_provider_cannot_point_inside() {
        let outbound = Outbound::new(&EgressSettings::default()).expect("an open way");
        for url in ["http://127.0.0.1:1/", "http://[::1]:1/", "http://[::ffff:10.0.0.1]:1/", "http://localhost:1/"] {
            let refused = outbound.call(IdpOperation::Discovery, call(url), Reach::PublicOnly).await;
            assert!(matches!(refused, Err(CallError::PrivateAddress(_))), "{url}: {refused:?}");
            let tried = outbound.call(IdpOperation::Discovery, call(url), Reach::Anywhere).await;
            assert!(!matches!(tried, Err(CallError::PrivateAddress(_))), "{url}: {tried:?}");
        }
    }

    /// A name server that somebody else runs answers every question as it likes.
    #[tokio::test]
    async fn the_address_that_was_judged_is_the_one_that_is_dialled() {
        static QUESTIONS: AtomicUsize = AtomicUsize::new(0);
        fn public_first(_: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
            // TEST-NET-1 (RFC 5737): public as far as anybody can tell, and nobody is there.
            let first = QUESTIONS.fetch_add(1, Ordering::SeqCst) == 0;
            let address = if first { "192.0.2.1:0" } else { "127.0.0.1:0" };
            ready(Ok(vec![address.parse().expect("an address")])).boxed()
        }
        let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://rebinding.example.com:{}/", inside.local_addr().expect("an address").port());
        let outbound = Outbound::with_lookup(&EgressSettings::default(), public_first).expect("an open way");
        let outbound = outbound.with_deadline(Duration::from_millis(300));
        let first = outbound.call(IdpOperation::Discovery, call(&url), Reach::PublicOnly).await;
        assert!(matches!(first, Err(CallError::Unreachable(_) | CallError::TooSlow(_))), "{first:?}");
        assert_eq!(QUESTIONS.load(Ordering::SeqCst), 1, "it is asked for once, and what it said is dialled");
        let second = outbound.call(IdpOperation::Discovery, call(&url), Reach::PublicOnly).await;
        assert!(matches!(second, Err(CallError::PrivateAddress(_))), "{second:?}");
        assert!(poll_immediate(pin!(inside.accept())).await.is_none(), "nobody came");
    }

    #[tokio::test]
    async fn of_public_and_private_addresses_the_private_ones_are_not_dialled() {
        let mixed: Lookup = |_| ready(Ok(vec![([127, 0, 0, 1], 0).into(), ([192, 0, 2, 1], 0).into()])).boxed();
        let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://mixed.example.com:{}/", inside.local_addr().expect("an address").port());
        let outbound = Outbound::with_lookup(&EgressSettings::default(), mixed).expect("an open way");
        let outbound = outbound.with_deadline(Duration::from_millis(300));
        let tried = outbound.call(IdpOperation::Discovery, call(&url), Reach::PublicOnly).await;
        assert!(matches!(tried, Err(CallError::Unreachable(_) | CallError::TooSlow(_))), "{tried:?}");
        assert!(poll_immediate(pin!(inside.accept())).await.is_none(), "nobody came");
    }

    #[test]
    fn how_far_an_answer_may_lead_is_told_by_who_was_dialled() {
        let direct = Outbound::new(&EgressSettings::default()).expect("an open way");
        let proxy = Some("http://proxy.example.com:8080".parse().expect("a URL"));
        let no_proxy = Some(".svc,idp.corp".to_owned());
        let proxied = EgressSettings { proxy, no_proxy, ..EgressSettings::default() };
        let proxied = Outbound::new(&proxied).expect("an open way");
        for (outbound, url, dialled, reach) in [
            (&direct, "https://idp.example.com", "203.0.113.9:443", Reach::PublicOnly),
            (&direct, "https://idp.example.com", "10.0.0.9:443", Reach::Anywhere),
            (&direct, "https://idp.example.com", "[::ffff:10.0.0.9]:443", Reach::Anywhere),
            (&direct, "https://10.0.0.9", "10.0.0.9:443", Reach::Anywhere),
            (&proxied, "https://idp.example.com", "10.0.0.9:8080", Reach::PublicOnly),
            (&proxied, "http://idp.example.com:8080", "10.0.0.9:8080", Reach::PublicOnly),
            (&proxied, "https://10.0.0.9", "10.0.0.8:8080", Reach::Anywhere),
            (&proxied, "https://[fd00::9]", "10.0.0.8:8080", Reach::Anywhere),
            // Past the proxy, and by chance at its port.
            (&proxied, "https://idp.corp", "10.0.0.9:443", Reach::Anywhere),
            (&proxied, "http://keycloak.auth.svc:8080/realms/x", "10.0.0.9:8080", Reach::Anywhere),
            (&proxied, "https://idp.corp", "203.0.113.9:443", Reach::PublicOnly),
        ] {
            let mut answer = HttpResponse::new(Vec::new());
            answer.extensions_mut().insert(Dialled(dialled.parse().expect("an address")));
            assert_eq!(outbound.reach_of(&url.parse().expect("a URL"), &answer), reach, "{url} at {dialled}");
        }
        let somewhere = "https://idp.example.com".parse().expect("a URL");
        assert_eq!(direct.reach_of(&somewhere, &HttpResponse::new(Vec::new())), Reach::PublicOnly);
    }

    #[test]
    fn a_bundle_that_holds_no_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let settings = EgressSettings { ca_bundle: Some(file.path().to_owned()), ..EgressSettings::default() };
        let error = Outbound::new(&settings).expect_err("refused").to_string();
        assert!(error.contains("it holds no PEM certificate"), "{error}");
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
