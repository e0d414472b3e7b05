//! A browser's way in and out: start, callback, sign-out, also where that begins at the provider or in another browser. It knows no HTTP framework and renders nothing.

mod bounds;
mod callback;
mod error;
mod flow;
mod own_sessions;
mod provider_logout;
mod sign_out;
mod start;
mod whence;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cookie::Cookie;
use http::HeaderMap;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::config::{ProviderSettings, Settings};
use crate::cookie::CookieNames;
use crate::entropy::Entropy;
use crate::identity::ProviderId;
use crate::idp::Provider;
use crate::return_to::{Origins, ReturnTo};
use crate::revocation::Revocation;
use crate::seal::SessionKeys;
use crate::session::{Live, SessionCookie, Sessions, StoreError};

pub use bounds::TooMany;
pub use callback::Arrived;
pub use error::LoginError;
pub use own_sessions::{OwnSessions, ToEnd};
pub use provider_logout::LogoutRefused;
pub use sign_out::{CrossSite, Reader};
pub use start::{Choice, StartQuery, Started};
pub use whence::whence;

use bounds::Bounds;

/// The browser door's paths behind the prefix at which no login may end.
const STEPS: [&str; 7] =
    ["start", "callback", "sign_out", "signed_out", "unavailable", "backchannel_logout", "frontchannel_logout"];

/// How many starts there may be for each sign-in that may end: they cost a seal each, and nothing at the provider. The more
/// there may be, the more addresses it takes to keep others from it.
const STARTS_A_SIGN_IN: u32 = 10;

/// How many codes are exchanged at a time at one provider: each holds a connection and what a callback brought along, for as
/// long as the provider takes.
const EXCHANGES_AT_A_TIME: usize = 128;

/// Signs browsers in and out.
pub struct Login {
    providers: Vec<Arc<Provider>>,
    sessions: Arc<Sessions>,
    revocation: Arc<Revocation>,
    keys: Arc<SessionKeys>,
    cookies: CookieNames,
    origins: Origins,
    prefix: String,
    /// Callbacks that providers know by another path.
    callback_paths: Vec<String>,
    max_age: Duration,
    renew_every: Duration,
    exchanges: HashMap<ProviderId, Semaphore>,
    trusted_proxies: Vec<IpNet>,
    starts: Bounds,
    callbacks: Bounds,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Where a browser goes next, and which cookies it gets.
#[derive(Clone)]
pub struct Onward {
    /// The URL; relative only where the provider's authorization URL is configured so.
    pub location: String,
    /// To be set, in this order.
    pub cookies: Vec<Cookie<'static>>,
}

impl fmt::Debug for Onward {
    /// Without the query and the cookies: they are the browser's and the provider's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.location.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("Onward").field("location", &place).field("cookies", &self.cookies.len()).finish()
    }
}

/// What a signed-in browser is found by.
#[derive(Clone, Debug)]
pub(crate) struct SignedInBrowser {
    cookie: SessionCookie,
    live: Arc<Live>,
}

impl Login {
    /// A login by these settings.
    #[must_use]
    pub fn new(
        settings: &Settings,
        providers: Vec<Arc<Provider>>,
        sessions: Arc<Sessions>,
        revocation: Arc<Revocation>,
        keys: Arc<SessionKeys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let place = |provider: &Arc<Provider>| (provider.id().clone(), Semaphore::new(EXCHANGES_AT_A_TIME));
        let exchanges = providers.iter().map(place).collect();
        Self {
            providers,
            sessions,
            revocation,
            keys,
            cookies: CookieNames::new(&settings.cookie),
            origins: Origins::new(settings.public_url.clone(), settings.hosts.iter().cloned()),
            prefix: settings.path_prefix.clone(),
            callback_paths: settings.providers.iter().filter_map(ProviderSettings::redirect_path).collect(),
            max_age: settings.session.max_age,
            renew_every: settings.session.renew_every,
            exchanges,
            trusted_proxies: settings.trusted_proxies.clone(),
            starts: Bounds::new(settings.limits, STARTS_A_SIGN_IN, Arc::clone(&clock)),
            callbacks: Bounds::new(settings.limits, 1, Arc::clone(&clock)),
            clock,
            entropy,
        }
    }

    /// The session of whoever asks, if there is one.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn session(&self, headers: &HeaderMap) -> Result<Option<Arc<Live>>, StoreError> {
        Ok(self.signed_in(headers).await?.map(|browser| browser.live))
    }

    /// Where a browser goes that has lost its way but may be signed in: the front page of the public URL.
    #[must_use]
    pub fn home(&self) -> &str {
        self.origins.home().as_str()
    }

    /// `rd`, if it leads to one of our origins, and not to a step of a login or a sign-out; else the front page.
    #[must_use]
    pub fn return_to(&self, rd: Option<&str>) -> ReturnTo {
        let asked = rd.filter(|rd| !rd.is_empty()).map(|rd| ReturnTo::parse(rd, &self.origins));
        match asked {
            Some(Ok(there)) if !self.is_a_step(&there) => there,
            Some(Err(error)) => {
                tracing::debug!(%error, "a return address was not followed");
                ReturnTo::home(&self.origins)
            }
            _ => ReturnTo::home(&self.origins),
        }
    }

    /// Whether an address is one of the browser door's own, but for the one that tells who is signed in: a login that
    /// ended there would begin again, or end in a question that nobody asked.
    fn is_a_step(&self, there: &ReturnTo) -> bool {
        let Ok(there) = Url::parse(there.as_str()) else { return true };
        let path = percent_decode_str(there.path()).decode_utf8_lossy();
        if self.callback_paths.iter().any(|callback| *callback == path) {
            return true;
        }
        let step = path.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_prefix('/'));
        step.and_then(|step| step.split('/').next()).is_some_and(|step| STEPS.contains(&step))
    }

    async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedInBrowser>, StoreError> {
        let Some(cookie) = self.proven(headers) else { return Ok(None) };
        Ok(self.sessions.find(&cookie).await?.map(|live| SignedInBrowser { cookie, live }))
    }

    fn proven(&self, headers: &HeaderMap) -> Option<SessionCookie> {
        self.cookies.find_session(headers).ok().flatten().and_then(|value| self.sessions.prove(value).ok())
    }

    fn provider(&self, id: &ProviderId) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.id() == id)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
