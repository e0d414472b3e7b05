//! Identity and audience become an RC token. It keeps nothing: how long a token may be used again is part of it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Serialize;
use thiserror::Error;

use crate::clock::{Clock, UnixTime};
use crate::config::TokenSettings;
use crate::entropy::{Entropy, random};
use crate::identity::{GroupName, Identity};
use crate::jose::JoseError;
use crate::keyring::Keyring;
use crate::metrics::Metrics;

/// Mints RC tokens.
pub struct Mint {
    keyring: Arc<Keyring>,
    settings: TokenSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
}

/// What a token says of the sign-in behind it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// A pseudonym of the session or of the token that was exchanged.
    pub sid: &'a str,
    /// When the browser signed in here, if one did.
    pub signed_in_at: Option<UnixTime>,
    /// When the session or the source's token ends: no token outlives it.
    pub ends_at: UnixTime,
}

/// A minted token.
#[derive(Clone, Debug)]
pub struct RcToken {
    /// The value of the configured header, `Bearer ` included where it belongs.
    pub header_value: HeaderValue,
    /// Until when it may be handed out again: half of its life.
    pub fresh_until: UnixTime,
    /// When it stops being valid (`exp`).
    pub expires_at: UnixTime,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MintError {
    /// What it would say does not fit into a header that gateways and workloads accept.
    #[error(
        "the token for the workload would take {bytes} bytes, and {max} is the most: this account is in {groups} groups; \
         `identity.groups.only` keeps those that matter, and a rule's `token: none` does without the token",
        max = Mint::MAX_BYTES
    )]
    TooLarge {
        /// How large it would be.
        bytes: usize,
        /// How many groups it would list.
        groups: usize,
    },
    /// The key would not sign.
    #[error(transparent)]
    Key(#[from] JoseError),
}

/// The claims of an RC token. `signed_in_at` is our own time of sign-in where the provider gave no `auth_time`.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a [String],
    iat: UnixTime,
    nbf: UnixTime,
    exp: UnixTime,
    jti: String,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_in_at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    groups: Vec<&'a str>,
    groups_csv: String,
    idp: &'a str,
}

impl Mint {
    /// The most bytes that a token may take: common servers refuse header lines above 8 KiB.
    pub const MAX_BYTES: usize = 8_000;

    /// Verifiers' clocks may be this much behind ours.
    const NOT_BEFORE_LEEWAY: Duration = Duration::from_secs(30);

    /// A mint that signs with what `keyring` holds in force.
    #[must_use]
    pub fn new(
        keyring: Arc<Keyring>,
        settings: TokenSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { keyring, settings, clock, entropy, metrics }
    }

    /// A number that changes whenever a key is taken away: a token from before may have no key any more.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.keyring.removals()
    }

    /// Mints a token for `audience`, or for the configured audience.
    ///
    /// # Errors
    /// If it would be too large, or cannot be signed.
    pub fn mint(
        &self,
        identity: &Identity,
        context: Context<'_>,
        audience: Option<&[String]>,
    ) -> Result<RcToken, MintError> {
        let now = self.clock.now();
        let expires_at = now.plus(self.settings.lifetime).min(context.ends_at);
        let claims = Claims {
            iss: &self.settings.issuer,
            sub: identity.user.as_str(),
            aud: audience.unwrap_or(&self.settings.audience),
            iat: now,
            nbf: now.minus(Self::NOT_BEFORE_LEEWAY),
            exp: expires_at,
            jti: URL_SAFE_NO_PAD.encode(random::<16>(&*self.entropy)),
            sid: context.sid,
            auth_time: identity.auth_time,
            signed_in_at: context.signed_in_at.filter(|_| identity.auth_time.is_none()),
            acr: identity.acr.as_deref(),
            amr: &identity.amr,
            email: identity.email.as_ref().map(crate::identity::Email::as_str),
            groups: identity.groups.iter().map(GroupName::as_str).collect(),
            groups_csv: identity.groups.to_csv(),
            idp: identity.provider.as_str(),
        };
        let token = self.keyring.signer().sign(&self.settings.typ, &claims)?;
        if token.len() > Self::MAX_BYTES {
            return Err(MintError::TooLarge { bytes: token.len(), groups: identity.groups.iter().count() });
        }
        let text = if self.settings.header == AUTHORIZATION { format!("Bearer {token}") } else { token };
        let mut header_value = HeaderValue::try_from(text).map_err(|_| JoseError::NotJson)?;
        header_value.set_sensitive(true);
        self.metrics.token_minted();
        Ok(RcToken { header_value, fresh_until: now.plus(expires_at.since(now) / 2), expires_at })
    }
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mint").field("settings", &self.settings).finish_non_exhaustive()
    }
}
