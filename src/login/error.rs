//! Why nobody was signed in or out, by who is at fault.

use thiserror::Error;

use super::TooMany;
use crate::identity::{ProviderId, UserId};
use crate::idp::IdpError;
use crate::session::StoreError;

/// Why a login or a sign-out did not come to its end.
#[derive(Clone, Debug, Error)]
pub enum LoginError {
    /// The browser sent what no step of a login of ours looks like.
    #[error("the browser sent a broken answer: {0}")]
    BrowserSent(&'static str),
    /// Another site's page asked for a start in passing: as an image, from a script, in a frame. The browser would keep no
    /// cookie of it.
    #[error("another site asked for a sign-in without showing it")]
    InPassing,
    /// The flow is over, was finished in this browser already, or belongs to another browser.
    #[error("this sign-in is not under way in this browser: {0}")]
    FlowGone(&'static str),
    /// Two session cookies, one of them put there by somebody else.
    #[error("two session cookies were sent")]
    TwoCookies,
    /// No such provider is configured.
    #[error("no identity provider is configured under that name")]
    UnknownProvider,
    /// The provider sent the browser back with an error (OIDC Core section 3.1.2.6).
    #[error("identity provider {provider} answered {error}: {description}")]
    ProviderSaidNo {
        /// Which one.
        provider: ProviderId,
        /// Its error code.
        error: String,
        /// Its own words; they are somebody else's, so show them as a quotation.
        description: String,
    },
    /// The provider did not deliver an identity.
    #[error(transparent)]
    Provider(#[from] IdpError),
    /// Signed in there, but not to be let in here.
    #[error("user {user} may not enter: {reason}")]
    NotAdmitted {
        /// Where they signed in.
        provider: ProviderId,
        /// Who.
        user: UserId,
        /// What is asked for.
        reason: String,
        /// Where to begin again as somebody else: a path of ours.
        as_somebody_else: String,
    },
    /// More people are signing in at this moment than the provider keeps up with. Passing.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// More sign-ins than may be. Passing.
    #[error("{too_many}")]
    TooMany {
        /// Where it would have gone on.
        provider: ProviderId,
        /// Whose bound it is, and when it is over.
        too_many: TooMany,
    },
    /// The store did not answer: nothing was begun, or nothing was ended.
    #[error(transparent)]
    Store(#[from] StoreError),
}
