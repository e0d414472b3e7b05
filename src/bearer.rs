//! Identities without a browser: bearer tokens of configured sources, and the signed header of a proxy in front of the
//! gateway. Each token is shown to the one source that it is for, or to none. It knows neither sessions nor rules' paths.

mod credential;
mod introspection;
mod judgement;
mod jwt;
mod kubernetes;
mod known;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use thiserror::Error;
use tokio::time::timeout;

use crate::clock::{Clock, UnixTime};
use crate::config::{Admit, BearerSettings, BearerSource};
use crate::identity::{Identity, ProviderId, UserId};
use crate::idp::Outbound;
use crate::metrics::Metrics;
use crate::rules::admitted;

pub use credential::{Credential, TwoCredentials};

use credential::Dispatch;
use introspection::Introspection;
use jwt::Jwt;
use kubernetes::Kubernetes;
use known::{Fingerprint, Known};

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
    sources: Vec<Source>,
    session_header: Option<HeaderName>,
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
    Jwt(Jwt),
    Introspection(Introspection),
    Kubernetes(Kubernetes),
}
