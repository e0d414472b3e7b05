//! The composition root: settings become a running gateway.

mod housekeeping;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::bearer::{SourceError, Sources};
use crate::check::Check;
use crate::clock::{Clock, SystemClock};
use crate::config::migrate::AuthserviceContract;
use crate::config::{Listen, Settings, ShutdownSettings};
use crate::door::admin::{self, AdminState, Readiness, SessionsDoor};
use crate::door::answer::Answers;
use crate::door::authservice::{self, AuthserviceDoor};
use crate::door::browser::BrowserDoor;
use crate::door::ext_authz_grpc::GrpcDoor;
use crate::door::ext_authz_http::CheckDoor;
use crate::door::forward_auth::ForwardAuthDoor;
use crate::door::pages::{PageError, Pages};
use crate::door::{Doors, keys};
use crate::entropy::{Entropy, SystemEntropy};
use crate::idp::{Outbound, OutboundError, Provider};
use crate::keyring::{Directory, Keyring, KeyringError};
use crate::login::Login;
use crate::metrics::Metrics;
use crate::mint::Mint;
use crate::private_file;
use crate::refresh::{Refresher, renewals};
use crate::revocation::Revocation;
use crate::seal::{KeyDirectory, KeyDirectoryError, KeyFileError, SealError, SessionKeys};
use crate::server::{self, Drain, Limits, Shutdown, TlsError};
use crate::session::{Counted, Embedded, Opening, Redis, Sessions, Store, StoreError};

use housekeeping::Housekeeping;

/// A gateway that has everything it needs, and its ports.
pub struct Gateway {
    main: TcpListener,
    admin: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    doors: Doors,
    /// authservice's site, where we are in its place.
    site: Option<(TcpListener, Router)>,
    sessions: Arc<Sessions>,
    /// The file of sessions, if it is still being opened.
    opening: Option<Opening>,
    sources: Option<Arc<Sources>>,
    refresher: Refresher,
    housekeeping: Housekeeping,
    admin_sessions: SessionsDoor,
    metrics: Arc<Metrics>,
    shutdown: ShutdownSettings,
}

/// Why a gateway does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// `data_dir` cannot be made or used.
    #[error("data_dir {path} cannot be used: {source}; it must be a directory that this user may write to")]
    DataDirectory {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The session keys.
    #[error(transparent)]
    SessionKeyFile(#[from] KeyFileError),
    /// The session keys.
    #[error("session.keys: {0}")]
    SessionKeys(#[from] SealError),
    /// The directory of session keys.
    #[error(transparent)]
    SessionKeyDirectory(#[from] KeyDirectoryError),
    /// The session store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The way out to the providers.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The sources of identities without a browser.
    #[error(transparent)]
    Bearer(#[from] SourceError),
    /// The pages.
    #[error(transparent)]
    Pages(#[from] PageError),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A port.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part of the gateway has ended that never should.
    #[error("a part of the gateway ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl Gateway {
    /// Makes everything ready and binds the ports. Identity providers are not waited for.
    ///
    /// # Errors
    /// If a file, key, template or port is not as it should be. Nothing is served then.
    pub async fn open(settings: Settings) -> Result<Self, StartError> {
        Self::open_with(settings, Arc::new(SystemClock), Arc::new(SystemEntropy)).await
    }

    /// As [`Gateway::open`], with a clock and randomness of the caller's.
    ///
    /// # Errors
    /// As [`Gateway::open`].
    pub async fn open_with(
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        Self::open_for(settings, None, clock, entropy).await
    }

    /// In authservice's place: by its `contract`, with its ports.
    ///
    /// # Errors
    /// As [`Gateway::open`].
    pub async fn open_in_authservices_place(
        settings: Settings,
        contract: AuthserviceContract,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        Self::open_for(settings, Some(contract), clock, entropy).await
    }

    async fn open_for(
        settings: Settings,
        contract: Option<AuthserviceContract>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let mut opening = None;
        let store: Arc<dyn Store> = if let Some(redis) = &settings.session.redis {
            Arc::new(Counted::new(Redis::new(redis, Arc::clone(&clock))?, Arc::clone(&metrics)))
        } else {
            let data_error =
                |source| StartError::DataDirectory { path: settings.data_dir.display().to_string(), source };
            private_file::create_directory(&settings.data_dir).map_err(data_error)?;
            let (embedded, unfinished) = open_store(&settings.data_dir.join("sessions.redb")).await?;
            opening = unfinished;
            Arc::new(Counted::new(embedded, Arc::clone(&metrics)))
        };
        // On the heap: it holds every part of the house while it is built.
        let gateway = Box::pin(Self::open_on(store, settings, contract, clock, entropy, metrics)).await?;
        Ok(Self { opening, ..gateway })
    }

    async fn open_on(
        store: Arc<dyn Store>,
        settings: Settings,
        contract: Option<AuthserviceContract>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let (session_keys, followed) = session_keys(&settings, &clock, &*entropy)?;
        let keyring = Arc::new(keyring(&settings, Arc::clone(&clock), Arc::clone(&entropy))?);
        let sessions = Arc::new(Sessions::new(
            store,
            Arc::clone(&session_keys),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            &settings.session,
        ));
        let providers = providers(&settings, &clock, &metrics)?;
        let asked = providers.clone();
        let origins = move || asked.iter().flat_map(|provider| provider.origins()).collect();
        let pages = Arc::new(Pages::new(&settings.pages, origins)?);
        let (renewals, refresher) =
            renewals(Arc::clone(&sessions), providers.clone(), Arc::clone(&clock), &settings.session);

        let mint = Mint::new(
            Arc::clone(&keyring),
            settings.token.clone(),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            Arc::clone(&metrics),
        );
        let sources = sources(&settings, &clock, &metrics)?;
        let check = Check::new(&settings, Arc::clone(&sessions), mint, renewals, sources.clone(), Arc::clone(&clock));
        let check = if contract.is_some() { check.without_own_paths() } else { check };
        let answers =
            Arc::new(Answers::new(&settings, check, Arc::clone(&pages), Arc::clone(&metrics), Arc::clone(&entropy)));
        let http = settings.doors.http.then(|| CheckDoor::new(&settings, Arc::clone(&answers)));
        let grpc = settings.doors.grpc.then(|| GrpcDoor::new(Arc::clone(&answers)));
        let revocation = Arc::new(Revocation::new(Arc::clone(&sessions), Arc::clone(&metrics)));
        let login = || {
            let (sessions, keys, revocation) =
                (Arc::clone(&sessions), Arc::clone(&session_keys), Arc::clone(&revocation));
            Login::new(
                &settings,
                providers.clone(),
                sessions,
                revocation,
                keys,
                Arc::clone(&clock),
                Arc::clone(&entropy),
            )
        };
        let (metered, random) = (Arc::clone(&metrics), Arc::clone(&entropy));
        let browser = BrowserDoor::new(&settings, login(), Arc::clone(&pages), metered, random).router();
        let keys = keys::router(&settings, Arc::clone(&keyring));
        let authservice = contract.as_ref().map(|contract| AuthserviceDoor::new(&settings, contract));
        let (others, site) = match contract {
            None => {
                let forward_auth = ForwardAuthDoor::new(&settings, answers, Arc::clone(&clock), Arc::clone(&entropy));
                (forward_auth.router().merge(browser).merge(keys), None)
            }
            Some(contract) => {
                let (address, prefix) = (contract.site, contract.site_prefix.clone());
                let (start, home) = (format!("{}/start", settings.path_prefix), settings.public_url.to_string());
                let site = authservice::site(&prefix, start, home, pages, Arc::clone(&entropy)).merge(keys);
                let others = authservice::router(&settings, contract, login(), browser);
                (others, Some((listen(address).await?, site)))
            }
        };

        let Listen { main, admin, tls } = &settings.listen;
        Ok(Self {
            main: listen(*main).await?,
            admin: listen(*admin).await?,
            tls: tls.as_ref().map(server::tls).transpose()?,
            doors: Doors::new(http, grpc, others).in_authservices_place(authservice),
            site,
            sessions: Arc::clone(&sessions),
            opening: None,
            sources: sources.clone(),
            refresher,
            admin_sessions: SessionsDoor::new(&settings.admin, revocation),
            housekeeping: Housekeeping::new(sessions, keyring, providers, sources, Arc::clone(&metrics))
                .following(followed),
            metrics,
            shutdown: settings.shutdown,
        })
    }

    /// The address of the main port.
    ///
    /// # Panics
    /// Never: a bound socket has an address.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a bound socket has an address")]
    pub fn main_address(&self) -> SocketAddr {
        self.main.local_addr().expect("a bound socket has an address")
    }

    /// The address of the admin port.
    ///
    /// # Panics
    /// Never: a bound socket has an address.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a bound socket has an address")]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.local_addr().expect("a bound socket has an address")
    }

    /// The address of authservice's site, where we are in its place.
    #[must_use]
    pub fn site_address(&self) -> Option<SocketAddr> {
        self.site.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Serves until `shutdown` is done, then drains: readiness goes first, open requests are finished.
    ///
    /// # Errors
    /// If a part of the gateway ends that never should.
    #[expect(clippy::disallowed_methods, reason = "the composition root is where tasks are spawned")]
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        tracing::info!(main = %self.main_address(), admin = %self.admin_address(), "serving");
        let (way_out, drain) = Shutdown::new();
        let mut refresher = JoinSet::new();
        refresher.spawn(self.refresher.run());
        let mut keepers = JoinSet::new();
        let housekeeping = Arc::new(self.housekeeping);
        for index in 0..housekeeping.providers() {
            let housekeeping = Arc::clone(&housekeeping);
            keepers.spawn(async move { housekeeping.keep_provider(index).await });
        }
        if let Some(sources) = self.sources {
            keepers.spawn(async move { sources.keep_found().await });
        }
        let (sessions, watcher) = (Arc::clone(&self.sessions), Arc::clone(&housekeeping));
        keepers.spawn(async move { sessions.keep_house().await });
        let sessions = Arc::clone(&self.sessions);
        keepers.spawn(async move { sessions.keep_true().await });
        keepers.spawn(async move { watcher.keep_watch().await });

        let admin = admin_router(&housekeeping, self.metrics, &drain, self.site.is_some());
        let admin = admin.merge(self.admin_sessions.router());
        let mut servers = JoinSet::new();
        servers.spawn(server::serve(self.main, self.tls, self.doors, Limits::default(), drain.clone()));
        if let Some((listener, site)) = self.site {
            servers.spawn(server::serve(listener, None, site, Limits::default(), drain.clone()));
        }
        // Health and metrics are told to the very end.
        let admin = tokio::spawn(server::serve(self.admin, None, admin, Limits::default(), drain.lingering()));
        tokio::select! {
            () = shutdown => {}
            error = fails_to_open(self.opening) => return Err(error.into()),
            Some(ended) = servers.join_next() => ended?,
            Some(ended) = keepers.join_next() => ended?,
            // Without it nobody would be asked again who is still admitted.
            Some(ended) = refresher.join_next() => ended?,
        }
        let deadline = Instant::now() + self.shutdown.lame_duck + self.shutdown.deadline;
        way_out.run(self.shutdown, async { while servers.join_next().await.is_some() {} }).await;
        // The doors are gone, and with them whoever could hand over more renewals: those under way are finished, by the
        // same deadline, because whoever ended us waits no longer.
        if timeout_at(deadline, async { while refresher.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("renewals were still under way at the deadline");
            refresher.shutdown().await;
        }
        keepers.shutdown().await;
        admin.abort();
        self.sessions.flush().await;
        tracing::info!("stopped");
        Ok(())
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("main", &self.main).field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// The session keys, and the directory that they follow if there is one.
fn session_keys(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<(Arc<SessionKeys>, Option<KeyDirectory>), StartError> {
    if let Some(path) = &settings.session_keys_dir {
        let directory = KeyDirectory::open(path.clone(), Arc::clone(clock))?;
        return Ok((directory.keys(), Some(directory)));
    }
    let keys = if settings.session.keys.is_empty() {
        SessionKeys::load_or_generate(&settings.data_dir.join("session-keys"), entropy)?
    } else {
        SessionKeys::new(settings.session.keys.clone())?
    };
    Ok((Arc::new(keys), None))
}

fn keyring(settings: &Settings, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Keyring, KeyringError> {
    match &settings.token.keys_dir {
        Some(mounted) => Keyring::open(Box::new(Directory::at(mounted.clone(), entropy)), clock),
        None => Keyring::open_or_create(Box::new(Directory::create(&settings.data_dir.join("keys"), entropy)?), clock),
    }
}

/// How long a start waits for the file of sessions, so that what is wrong with it is told before anything is served.
const OPENING: Duration = Duration::from_millis(250);

/// The store, and what is left of its opening: a large file is read for longer than those who watch a start have patience.
async fn open_store(path: &Path) -> Result<(Embedded, Option<Opening>), StoreError> {
    let (store, mut opening) = Embedded::open_aside(path)?;
    match tokio::time::timeout(OPENING, opening.done()).await {
        Ok(opened) => opened.map(|()| (store, None)),
        Err(_) => Ok((store, Some(opening))),
    }
}

/// Never ends if there is nothing to open, or it succeeds.
async fn fails_to_open(opening: Option<Opening>) -> StoreError {
    if let Some(mut opening) = opening {
        tracing::info!("the file of sessions is large: nobody is admitted by a session until all of it is checked");
        if let Err(error) = opening.done().await {
            return error;
        }
        tracing::info!("the file of sessions is checked and open");
    }
    std::future::pending().await
}

fn providers(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Vec<Arc<Provider>>, OutboundError> {
    let outbound = Outbound::new(&settings.egress)?;
    let home = settings.public_url.as_str().trim_end_matches('/');
    let callback = format!("{home}{}/callback", settings.path_prefix);
    let several = settings.providers.len() > 1;
    let made = settings.providers.iter().map(|provider| {
        // A path for each, so that none can answer for another (RFC 9700 section 4.4.2.2).
        let callback = if several { format!("{callback}/{}", provider.id) } else { callback.clone() };
        let outbound = outbound.clone().counted(provider.id.clone(), Arc::clone(metrics));
        Arc::new(Provider::new(provider.clone(), callback, outbound, Arc::clone(clock)))
    });
    Ok(made.collect())
}

/// None where nobody comes without a browser.
fn sources(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Sources>>, StartError> {
    if settings.bearer.is_empty() {
        return Ok(None);
    }
    let outbound = Outbound::new(&settings.egress)?;
    Ok(Some(Arc::new(Sources::new(&settings.bearer, &outbound, metrics, clock)?)))
}

/// The providers alone, without a gateway around them.
///
/// # Errors
/// If there is no way out to them.
pub(crate) fn providers_alone(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<Provider>>, OutboundError> {
    providers(settings, clock, &Arc::new(Metrics::new()))
}

fn admin_router(
    housekeeping: &Arc<Housekeeping>,
    metrics: Arc<Metrics>,
    drain: &Drain,
    in_authservices_place: bool,
) -> Router {
    let (housekeeping, drain) = (Arc::clone(housekeeping), drain.clone());
    let readiness = Arc::new(move || Readiness { draining: drain.is_draining(), ..housekeeping.readiness() });
    let state = AdminState { metrics, readiness };
    if in_authservices_place { admin::router_in_authservices_place(state) } else { admin::router(state) }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

#[cfg(test)]
mod tests;
