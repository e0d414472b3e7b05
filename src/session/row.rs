//! What a row holds.

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::identity::Identity;

/// A signed-in browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Who it is.
    pub identity: Identity,
    /// A random pseudonym of the session, which tokens carry as `sid`.
    pub sid: String,
    /// When the browser signed in here.
    pub signed_in_at: UnixTime,
    /// When the session ends, whatever happens.
    pub ends_at: UnixTime,
    /// When the identity is to be read anew; the end of time if the provider gave nothing to renew with.
    pub renew_at: UnixTime,
    /// The provider's own name for its session (`sid`, OIDC Back-Channel Logout section 2.1).
    pub provider_sid: Option<String>,
    /// The provider's tokens, sealed with a key that only the cookie's secret yields.
    pub(crate) sealed_tokens: Vec<u8>,
}
