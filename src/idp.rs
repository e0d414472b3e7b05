//! The identity providers: discovery, keys, the code exchange, verification, renewal, logout. The only maker of
//! outgoing HTTP to them, and the only user of `openidconnect`. It knows neither sessions nor browsers.

mod allowance;
mod claims;
mod diagnosis;
mod graph;
mod id_token;
mod keys;
mod logout_token;
mod metadata;
mod named_keys;
mod outbound;
mod provider;
mod published;
mod token_endpoint;
mod trouble;
mod userinfo;

#[cfg(test)]
#[path = "../tests/support/canaries.rs"]
mod canaries;
#[cfg(test)]
#[path = "../tests/support/lying_idp.rs"]
pub(crate) mod lying_idp;

use serde_json::{Map, Value};
use thiserror::Error;

pub(crate) use self::allowance::{Allowance, Standing};
pub use self::diagnosis::{KeysTrouble, Symptom, published_keys};
pub(crate) use self::id_token::time as numeric_date;
pub use self::logout_token::ProviderLogout;
pub use self::metadata::{Endpoint, Endpoints};
pub(crate) use self::named_keys::NamedKeys;
pub use self::outbound::{Outbound, OutboundError, Reach};
pub use self::provider::{Provider, Readiness};
pub(crate) use self::published::Issuer;
pub use self::published::{PublishedKeys, SignedClaims, Unverified};
pub(crate) use self::trouble::quotable;

use crate::clock::UnixTime;
use crate::config::IdentitySettings;
use crate::identity::{Identity, ProviderId, ProviderTokens};

/// What a browser takes to the provider (OIDC Core section 3.1.2.1).
#[derive(Clone)]
pub struct AuthorizationRequest<'a> {
    /// Binds the answer to this browser's flow.
    pub state: &'a str,
    /// Binds the ID token to this flow.
    pub nonce: &'a str,
    /// `BASE64URL(SHA256(verifier))` (RFC 7636 section 4.2).
    pub code_challenge: &'a str,
    /// What the provider is to ask though somebody is signed in there; it decides by itself without.
    pub prompt: Option<Prompt>,
}

/// What a provider is to ask somebody who is signed in there (OIDC Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The credentials.
    Login,
    /// Who it is, this time: `select_account` where the provider says that it knows that, `login` elsewhere.
    SomebodyElse,
}

/// What came of a code exchange or a renewal.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who it is, judged by the provider's settings but not yet by `admit`.
    pub identity: Identity,
    /// What to keep.
    pub tokens: ProviderTokens,
    /// The provider's own name for its session, if it said one; a renewal seldom says it again.
    pub provider_sid: Option<String>,
    /// When the access token ends, if the provider said so.
    pub tokens_expire_at: Option<UnixTime>,
}

/// Why there is no identity, by who can mend it.
#[derive(Clone, Debug, Error)]
pub enum IdpError {
    /// It cannot be reached, or discovery has not succeeded yet. Passing.
    #[error("identity provider {provider} cannot be reached: {reason}")]
    Unreachable {
        /// Which one.
        provider: ProviderId,
        /// What went wrong.
        reason: String,
    },
    /// It answered something that the standards forbid; nothing was believed.
    #[error("identity provider {provider} misbehaved: {reason}")]
    Misbehaved {
        /// Which one.
        provider: ProviderId,
        /// What was wrong, without anything secret.
        reason: String,
    },
    /// It refused the code or the refresh token (`invalid_grant`, RFC 6749 section 5.2).
    #[error("identity provider {provider} refused the grant: {reason}")]
    GrantRefused {
        /// Which one.
        provider: ProviderId,
        /// What it said.
        reason: String,
    },
    /// Its registration of us and our settings do not agree (`invalid_client`, `unauthorized_client`, …).
    #[error("identity provider {provider} refused this client: {reason}")]
    Misconfigured {
        /// Which one.
        provider: ProviderId,
        /// What it said, and what to look at.
        reason: String,
    },
    /// A renewal's answer is about somebody else than the session (OIDC Core section 12.2).
    #[error("identity provider {provider} answered for another user: {reason}")]
    ChangedUser {
        /// Which one.
        provider: ProviderId,
        /// What differs.
        reason: String,
    },
    /// The tokens are good, but what they say of the user cannot be used: no user claim, an unverified address, …
    #[error("identity provider {provider} gave no usable identity: {reason}")]
    UnusableIdentity {
        /// Which one.
        provider: ProviderId,
        /// Which claim and which setting.
        reason: String,
    },
}

/// Verified claims as an identity, by the settings of whoever vouched for them; what is missing cannot be asked for.
/// Whether it is admitted is not judged.
pub(crate) fn identity_of(
    claims: Map<String, Value>,
    vouched_by: &ProviderId,
    settings: &IdentitySettings,
) -> Result<Identity, String> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
    let claims = claims::Claims { id_token: claims, ..claims::Claims::default() };
    claims.identity(&subject, vouched_by, settings).map_err(|trouble| trouble.reason().to_owned())
}
