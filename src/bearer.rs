//! Identities without a browser: bearer tokens of configured sources, and the signed header of a proxy in front of the
//! gateway. Each token is shown to the one source that it is for, or to none. It knows neither sessions nor rules' paths.

mod credential;
mod front_proxy;
mod introspection;
mod judgement;
mod jwt;
mod known;
mod kubernetes;
mod lack;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use thiserror::Error;
use tokio::time::timeout;

use crate::audit;
use crate::clock::{Clock, UnixTime};
use crate::config::{Admit, BearerSettings, BearerSource, IdentitySettings};
use crate::identity::{Identity, ProviderId, UserId};
use crate::idp::{Outbound, Standing};
use crate::metrics::Metrics;
use crate::rules::admitted;

pub use credential::{Credential, TwoCredentials};

use credential::{Dispatch, Place};
use front_proxy::FrontProxy;
use introspection::Introspection;
use jwt::Jwt;
use known::{Fingerprint, Known};
use kubernetes::Kubernetes;

/// Somebody whom a token vouches for.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who it is. Its `provider` is the id of the source.
    pub identity: Identity,
    /// A pseudonym of the token, which RC tokens carry as `sid`.
    pub sid: String,
    /// When the token ends.
    pub ends_at: UnixTime,
    /// Tells apart what was found of the same token at different times.
    pub finding: u64,
    believed_until: UnixTime,
}

/// Why a token that is for us gives no identity. Nothing here holds the token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BearerError {
    /// The token is no good. Its bearer is at fault.
    #[error("the token for {by} is refused: {reason}")]
    Refused {
        /// The source that it is for.
        by: ProviderId,
        /// What is wrong with it.
        reason: String,
    },
    /// The token is good, and its user is not admitted.
    #[error("{user} of {by} is not admitted: {reason}")]
    NotAdmitted {
        /// The source that vouches for the user.
        by: ProviderId,
        /// Who it is.
        user: UserId,
        /// What it would take.
        reason: String,
    },
    /// Nobody can tell at the moment: the keys or the answer of its issuer cannot be had.
    #[error("no token for {by} can be verified: {reason}")]
    Unavailable {
        /// The source that it is for.
        by: ProviderId,
        /// What is missing.
        reason: String,
    },
}

/// What a source found of a token.
#[derive(Debug)]
pub(crate) struct Vouched {
    /// Who it is, not yet judged by `admit`.
    pub(crate) identity: Identity,
    /// When the token ends; without an end of its own it ends when the finding is not believed any more.
    pub(crate) ends_at: Option<UnixTime>,
}

/// Why a source found nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The token is no good.
    Refused(String),
    /// The source cannot tell at the moment.
    Unavailable(String),
}

/// All sources, and what they found lately.
pub struct Sources {
    asked: Vec<Source>,
    front_proxy: Option<(HeaderName, Source)>,
    session_header: Option<HeaderName>,
    session_as_authservice: bool,
    dispatch: Dispatch,
    known: Known,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Source {
    id: ProviderId,
    admit: Admit,
    cache_for: Duration,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Jwt(Box<Jwt>),
    Introspection(Box<Introspection>),
    Kubernetes(Box<Kubernetes>),
    FrontProxy(Box<FrontProxy>),
}

/// Why the sources cannot be made; the operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("bearer source {id}: {reason}")]
pub struct SourceError {
    /// Which one.
    pub id: ProviderId,
    /// What is wrong.
    pub reason: String,
}

impl Sources {
    /// The answer must be out before the gateway gives up (2 s in our manifests).
    const DEADLINE: Duration = Duration::from_millis(1600);

    /// The sources by these settings; none has been asked anything yet.
    ///
    /// # Errors
    /// If a file that one of them needs cannot be used.
    pub fn new(
        settings: &BearerSettings,
        outbound: &Outbound,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let mut made = Self {
            asked: Vec::new(),
            front_proxy: None,
            session_header: None,
            session_as_authservice: false,
            dispatch: Dispatch::default(),
            known: Known::new(),
            clock: Arc::clone(clock),
        };
        for source in &settings.sources {
            let index = made.asked.len();
            let counted = |id: &ProviderId| outbound.clone().counted(id.clone(), Arc::clone(metrics));
            let source = match source {
                BearerSource::Session(session) => {
                    made.session_header = Some(session.header.clone());
                    made.session_as_authservice = session.as_authservice;
                    continue;
                }
                BearerSource::Jwt(jwt) => {
                    made.dispatch.by_issuer.insert(jwt.issuer.clone(), index);
                    let kind = Kind::Jwt(Box::new(Jwt::new(jwt.clone(), counted(&jwt.id), Arc::clone(clock))));
                    Source::new(&jwt.id, &jwt.identity, jwt.cache_for, kind)
                }
                BearerSource::Introspection(asked) => {
                    made.dispatch.opaque = Some(index);
                    if let Some(issuer) = &asked.issuer {
                        made.dispatch.by_issuer.insert(issuer.clone(), index);
                    }
                    let introspection = Introspection::new(asked.clone(), counted(&asked.id), Arc::clone(clock));
                    Source::new(
                        &asked.id,
                        &asked.identity,
                        asked.cache_for,
                        Kind::Introspection(Box::new(introspection)),
                    )
                }
                BearerSource::Kubernetes(cluster) => {
                    made.dispatch.by_issuer.insert(cluster.issuer.clone(), index);
                    let kubernetes = Kubernetes::new(cluster.clone(), metrics, Arc::clone(clock))
                        .map_err(|reason| SourceError { id: cluster.id.clone(), reason })?;
                    Source::new(
                        &cluster.id,
                        &cluster.identity,
                        cluster.cache_for,
                        Kind::Kubernetes(Box::new(kubernetes)),
                    )
                }
            };
            made.asked.push(source);
        }
        if let Some(proxy) = &settings.front_proxy {
            let outbound = outbound.clone().counted(proxy.id.clone(), Arc::clone(metrics));
            let kind = Kind::FrontProxy(Box::new(FrontProxy::new(proxy, outbound, Arc::clone(clock))));
            let source = Source::new(&proxy.id, &proxy.identity, FrontProxy::CACHE_FOR, kind);
            made.front_proxy = Some((proxy.kind.header(), source));
        }
        Ok(made)
    }

    /// The one credential that counts. Where the proxy in front says who it is, nothing else is looked at.
    ///
    /// # Errors
    /// If there are two in one place.
    pub fn find<'h>(&self, headers: &'h HeaderMap) -> Result<Option<Credential<'h>>, TwoCredentials> {
        let by_proxy = self.front_proxy(headers)?;
        Ok(by_proxy.or(credential::bearer(headers)?.map(|token| Credential::new(token, Place::Bearer))))
    }

    /// What the proxy in front says.
    ///
    /// # Errors
    /// If it seems to say two things.
    pub fn front_proxy<'h>(&self, headers: &'h HeaderMap) -> Result<Option<Credential<'h>>, TwoCredentials> {
        let Some((header, _)) = &self.front_proxy else { return Ok(None) };
        let said = headers.contains_key(header).then(|| credential::only(headers, header)).transpose()?;
        // What is no text is no good, and must not count as absent.
        Ok(said.map(|token| Credential::new(token.unwrap_or_default(), Place::FrontProxy)))
    }

    /// What may be the value of a session's cookie, where that may be sent as a bearer.
    ///
    /// # Errors
    /// If there are two in one place.
    pub fn session_value<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, TwoCredentials> {
        match &self.session_header {
            None => Ok(None),
            Some(header) if header == AUTHORIZATION => credential::bearer(headers),
            // Whoever sends a header of its own for it mostly writes `Bearer ` there, too.
            Some(header) => {
                Ok(credential::only(headers, header)?.map(|value| credential::token_of(value).unwrap_or(value)))
            }
        }
    }

    /// Whether sessions' values are treated as authservice's gateways expect it.
    #[must_use]
    pub const fn sessions_come_as_to_authservice(&self) -> bool {
        self.session_as_authservice
    }

    /// Whether the values of sessions may be sent in `header`.
    #[must_use]
    pub fn sessions_come_in(&self, header: &HeaderName) -> bool {
        self.session_header.as_ref() == Some(header)
    }

    /// Whatever in `Authorization` may be the value of a session, where it may be sent there: wherever it stands. Gateways
    /// join several headers by commas, and what else is in one, readable or not, hides it from no workload.
    pub fn session_values_in_authorization<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        let values = headers.get_all(AUTHORIZATION).iter().filter(|_| self.sessions_come_in(&AUTHORIZATION));
        values.flat_map(|value| words(value.as_bytes()))
    }

    /// Who it is, if that was found lately: no I/O.
    #[must_use]
    pub fn at_hand(&self, credential: &Credential<'_>, now: UnixTime) -> Option<Arc<Verified>> {
        self.known.find(&Fingerprint::of(credential), now)
    }

    /// Who it is; nobody if the credential is for none of the sources.
    ///
    /// # Errors
    /// If it is for one of them, and no good, or if that cannot be told at the moment.
    pub async fn identify(&self, credential: &Credential<'_>) -> Result<Option<Arc<Verified>>, BearerError> {
        let Some(source) = self.source_of(credential) else { return Ok(None) };
        let late = |_| Err(source.error(Doubt::Unavailable("it did not answer in time".to_owned())));
        let found = timeout(Self::DEADLINE, self.look_up(source, credential)).await.unwrap_or_else(late);
        found.map(Some)
    }

    /// Keeps at hand what the sources need, for ever: keys, above all.
    pub async fn keep_found(&self) {
        join_all(self.all().map(Source::keep_found)).await;
        pending::<()>().await;
    }

    /// Each source that calls out, and what it lacked when it last did, if anything. Nothing secret.
    pub fn lacking(&self) -> impl Iterator<Item = (&ProviderId, Option<String>)> {
        self.all().map(|source| (&source.id, source.lacking()))
    }

    fn all(&self) -> impl Iterator<Item = &Source> {
        self.asked.iter().chain(self.front_proxy.as_ref().map(|(_, source)| source))
    }

    fn source_of(&self, credential: &Credential<'_>) -> Option<&Source> {
        match credential.place {
            Place::FrontProxy => self.front_proxy.as_ref().map(|(_, source)| source),
            Place::Bearer => self.asked.get(self.dispatch.source_of(credential.token)?),
        }
    }

    async fn look_up(&self, source: &Source, credential: &Credential<'_>) -> Result<Arc<Verified>, BearerError> {
        let now = self.clock.now();
        let fingerprint = Fingerprint::of(credential);
        // However many requests bring a new token, its source is asked once.
        let vacancy = match self.known.find_or_claim(&fingerprint, now).await {
            Ok(verified) => return Ok(verified),
            Err(vacancy) => vacancy,
        };
        if let Some(error) = self.known.error(&fingerprint, now) {
            return Err(error);
        }
        let standing = self.known.standing(&fingerprint);
        match source.ask(credential, standing, self.known.count(), now).await {
            Ok(verified) => {
                audit::bearer(&verified.identity, &verified.sid);
                let verified = Arc::new(verified);
                self.known.keep(vacancy, fingerprint, &verified);
                Ok(verified)
            }
            Err(error) => {
                error.record();
                self.known.keep_error(fingerprint, &error, now);
                Err(error)
            }
        }
    }
}

impl Source {
    fn new(id: &ProviderId, identity: &IdentitySettings, cache_for: Duration, kind: Kind) -> Self {
        Self { id: id.clone(), admit: identity.admit.clone(), cache_for, kind }
    }

    async fn ask(
        &self,
        credential: &Credential<'_>,
        standing: Standing,
        finding: u64,
        now: UnixTime,
    ) -> Result<Verified, BearerError> {
        let token = credential.token;
        let found = match &self.kind {
            Kind::Jwt(jwt) => jwt.verify(token).await,
            Kind::Introspection(introspection) => introspection.verify(token, standing).await,
            Kind::Kubernetes(kubernetes) => kubernetes.verify(token, standing).await,
            Kind::FrontProxy(proxy) => proxy.verify(token).await,
        };
        let Vouched { identity, ends_at } = found.map_err(|doubt| self.error(doubt))?;
        if let Err(reason) = admitted(&self.admit, &identity) {
            let (by, user) = (self.id.clone(), identity.user);
            return Err(BearerError::NotAdmitted { by, user, reason: reason.to_string() });
        }
        let believed_until = ends_at.unwrap_or(UnixTime::MAX).min(now.plus(self.cache_for));
        let ends_at = ends_at.unwrap_or(believed_until);
        if ends_at <= now {
            return Err(self.error(Doubt::Refused("it has ended".to_owned())));
        }
        Ok(Verified { identity, sid: Fingerprint::pseudonym(credential), ends_at, finding, believed_until })
    }

    fn lacking(&self) -> Option<String> {
        match &self.kind {
            Kind::Jwt(jwt) => jwt.lacking(),
            Kind::Introspection(introspection) => introspection.lacking(),
            Kind::Kubernetes(kubernetes) => kubernetes.lacking(),
            Kind::FrontProxy(proxy) => proxy.lacking(),
        }
    }

    async fn keep_found(&self) {
        match &self.kind {
            Kind::Jwt(jwt) => jwt.keep_found().await,
            Kind::Kubernetes(kubernetes) => kubernetes.keep_found().await,
            Kind::FrontProxy(proxy) => proxy.keep_found().await,
            Kind::Introspection(_) => {}
        }
    }

    fn error(&self, doubt: Doubt) -> BearerError {
        let by = self.id.clone();
        match doubt {
            Doubt::Refused(reason) => BearerError::Refused { by, reason },
            Doubt::Unavailable(reason) => BearerError::Unavailable { by, reason },
        }
    }
}

impl BearerError {
    fn record(&self) {
        match self {
            Self::Refused { by, reason } => audit::refusal(Some(by), None, reason),
            Self::NotAdmitted { by, user, reason } => audit::refusal(Some(by), Some(user), reason),
            // Whoever answers for it logs it.
            Self::Unavailable { .. } => {}
        }
    }
}

impl Verified {
    fn is_believed(&self, now: UnixTime) -> bool {
        now < self.believed_until
    }
}

/// Whatever could be a token (`b64token` of RFC 6750 section 2.1) to somebody who cuts it out of what surrounds it.
fn words(value: &[u8]) -> impl Iterator<Item = &str> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    value.split(move |byte| !is_part(byte)).filter_map(|word| std::str::from_utf8(word).ok())
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("known", &self.known).finish_non_exhaustive()
    }
}
