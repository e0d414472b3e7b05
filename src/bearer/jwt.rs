//! JWTs of one issuer, verified with its published keys.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::judgement::{self, Expected};
use super::{Doubt, Vouched};
use crate::clock::{Clock, UnixTime};
use crate::config::JwtSettings;
use crate::idp::{Issuer, Outbound, Unverified, identity_of};

/// An issuer of JWTs.
pub(super) struct Jwt {
    settings: JwtSettings,
    issuer: Issuer,
    clock: Arc<dyn Clock>,
}

impl Jwt {
    pub(super) fn new(settings: JwtSettings, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        let JwtSettings { id, issuer, jwks_url, algorithms, .. } = settings.clone();
        let issuer = Issuer::new(id, issuer, jwks_url, algorithms, outbound, Arc::clone(&clock));
        Self { settings, issuer, clock }
    }

    /// Verifies a token. `admit` and the caches are the caller's.
    pub(super) async fn verify(&self, token: &str) -> Result<Vouched, Doubt> {
        let (claims, ends_at) = self.claims(token, |_| ()).await?;
        let identity = identity_of(claims, &self.settings.id, &self.settings.identity).map_err(Doubt::Refused)?;
        Ok(Vouched { identity, ends_at: Some(ends_at) })
    }

    /// What a good token says, and when it ends. `amend` sees what is signed before it is judged.
    pub(super) async fn claims(
        &self,
        token: &str,
        amend: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(Map<String, Value>, UnixTime), Doubt> {
        let mut signed = self.issuer.verify(token).await?;
        amend(&mut signed.claims);
        let JwtSettings { issuer, audiences, .. } = &self.settings;
        let expected = Expected { issuer, audiences, now: self.clock.now() };
        let ends_at = judgement::check(&signed.claims, signed.typ.as_deref(), &expected).map_err(Doubt::Refused)?;
        Ok((signed.claims, ends_at))
    }

    /// Why its keys could not be had, if they could not.
    pub(super) fn lacking(&self) -> Option<String> {
        self.issuer.lacking()
    }

    /// Keeps its keys at hand, for ever.
    pub(super) async fn keep_found(&self) {
        self.issuer.keep_found().await;
    }
}

impl From<Unverified> for Doubt {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::Refused(reason) => Self::Refused(reason),
            Unverified::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwt").field("settings", &self.settings).finish_non_exhaustive()
    }
}
