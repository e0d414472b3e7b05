//! Sign-outs that begin at the provider: by a token that it sends itself (OIDC Back-Channel Logout), or by a frame that
//! its page opens in the browser (OIDC Front-Channel Logout).

use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;
use url::Url;

use super::Login;
use crate::identity::ProviderId;
use crate::idp::{IdpError, Provider, ProviderLogout, quotable};
use crate::metrics::RevocationCause;
use crate::session::{Filed, Found, Of, StoreError};

/// Why a provider's sign-out was not done.
#[derive(Debug, Error)]
pub enum LogoutRefused {
    /// No such provider is configured, or the path does not say which one is meant.
    #[error("no identity provider is configured under that name")]
    UnknownProvider,
    /// What was sent is no such request.
    #[error("it is no logout request: {0}")]
    Malformed(&'static str),
    /// The token is refused, or its keys cannot be had.
    #[error(transparent)]
    Token(#[from] IdpError),
    /// The token was used before.
    #[error("the logout token was used before (`jti` {0})")]
    Replayed(String),
    /// The frame names another issuer.
    #[error("`iss` is `{0}`, which is not the provider at this address")]
    WrongIssuer(String),
    /// The store did not answer: sessions that were to end may go on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Login {
    /// The provider that a path means: the one that it names, or the only one there is.
    ///
    /// # Errors
    /// If there is none.
    pub fn provider_meant(&self, named: Option<&str>) -> Result<&ProviderId, LogoutRefused> {
        let found = match (named, &*self.providers) {
            (Some(named), all) => all.iter().find(|provider| provider.id().as_str() == named),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        found.map(|provider| provider.id()).ok_or(LogoutRefused::UnknownProvider)
    }

    /// The origins from which a provider's pages come, for the frames that they open: those of its endpoints, and its
    /// issuer's.
    #[must_use]
    pub fn origins_of(&self, provider: &ProviderId) -> Vec<String> {
        let Some(provider) = self.provider(provider) else { return Vec::new() };
        let issuer = Url::parse(&provider.settings().issuer).ok().map(|issuer| issuer.origin().ascii_serialization());
        let mut origins: Vec<String> = provider.origins().into_iter().chain(issuer).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// Ends the sessions that a logout token names; how many there were. None is no error: they may have ended before.
    ///
    /// # Errors
    /// If the token is not the provider's, not for us, not of now, or was used before; or if the store does not answer.
    pub async fn back_channel_logout(&self, provider: &ProviderId, token: &str) -> Result<u64, LogoutRefused> {
        let provider = self.provider(provider).ok_or(LogoutRefused::UnknownProvider)?;
        let logout = provider.verify_logout(token).await?;
        // Whoever comes with the same token a second time must not end what began after the first. But it is used only when
        // all is done: a provider that is told that it was not may send it again.
        let (token, replayed) = (fingerprint(provider.id(), &logout.jti), || quotable(&logout.jti));
        if self.sessions.is_burnt(token).await? {
            return Err(LogoutRefused::Replayed(replayed()));
        }
        let meant = self.meant_by(provider, &logout).await?;
        let ended = self.revocation.end(meant, RevocationCause::BackChannel).await?;
        let is_first = self.sessions.burn_flow(token, logout.stale_at).await?;
        if is_first { Ok(ended) } else { Err(LogoutRefused::Replayed(replayed())) }
    }

    /// Ends the session that the provider calls `sid`; how many that were. No cookie comes with a frame in another site's
    /// page, so the name alone decides: it is the provider's secret, and ours, and that of the other sites it is told to.
    ///
    /// # Errors
    /// If `iss` is another provider's, or if the store does not answer.
    pub async fn front_channel_logout(
        &self,
        provider: &ProviderId,
        iss: &str,
        sid: &str,
    ) -> Result<u64, LogoutRefused> {
        let provider = self.provider(provider).ok_or(LogoutRefused::UnknownProvider)?;
        if iss != provider.settings().issuer {
            return Err(LogoutRefused::WrongIssuer(quotable(iss)));
        }
        let meant = self.sessions.all_of(Of::ProviderSession(provider.id(), sid)).await?;
        Ok(self.revocation.end(meant, RevocationCause::FrontChannel).await?)
    }

    /// With a `sid`, the sessions that came of that one, and those of the same person that no one has a `sid` of: the
    /// provider did not say one when they began, or another one than it says now. Without, all of that person.
    async fn meant_by(&self, provider: &Provider, logout: &ProviderLogout) -> Result<Found, StoreError> {
        let id = provider.id();
        let of_sid = match &logout.provider_sid {
            Some(sid) => self.sessions.all_of(Of::ProviderSession(id, sid)).await?,
            None => Found::default(),
        };
        let of_subject = match &logout.subject {
            Some(subject) => self.sessions.all_of(Of::Subject(id, subject)).await?,
            None => Found::default(),
        };
        let is_of_subject =
            |filed: &Filed| logout.subject.as_ref().is_none_or(|it| *it == filed.session.identity.subject);
        // A renewal may have brought another `sid` than the one that a session is found by.
        let is_unnamed = |filed: &Filed| match (&logout.provider_sid, &filed.session.provider_sid) {
            (Some(meant), Some(theirs)) => meant == theirs,
            (None, _) | (_, None) => true,
        };
        let named = of_sid.filed.into_iter().filter(is_of_subject);
        let filed = named.chain(of_subject.filed.into_iter().filter(is_unnamed)).collect();
        // Of what cannot be read here, nobody can say that it is not meant.
        Ok(Found { filed, unreadable: of_sid.unreadable.into_iter().chain(of_subject.unreadable).collect() })
    }
}

/// What a token is remembered by once it is used. It takes no key, so that replicas agree on it while keys are rotated.
fn fingerprint(provider: &ProviderId, jti: &str) -> [u8; 16] {
    let hash = digest(&SHA256, format!("logout token\0{provider}\0{jti}").as_bytes());
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hash.as_ref()[..16]);
    fingerprint
}
