//! What went wrong, before it is known at which provider; the parts of the room speak in it.

use super::IdpError;
use super::outbound::CallError;
use crate::identity::ProviderId;
use crate::metrics::IdpOperation;

/// An [`IdpError`] without its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Unreachable(String),
    Misbehaved(String),
    GrantRefused(String),
    Misconfigured(String),
    UnusableIdentity(String),
    ChangedUser(String),
}

impl Trouble {
    /// A call that gave no readable answer.
    pub(super) fn called(operation: IdpOperation, place: &str, error: &CallError) -> Self {
        let reason = format!("{operation}: {place}: {error}");
        if error.is_passing() { Self::Unreachable(reason) } else { Self::Misbehaved(reason) }
    }

    /// The error that the house sees.
    pub(super) fn at(self, provider: &ProviderId) -> IdpError {
        let provider = provider.clone();
        match self {
            Self::Unreachable(reason) => IdpError::Unreachable { provider, reason },
            Self::Misbehaved(reason) => IdpError::Misbehaved { provider, reason },
            Self::GrantRefused(reason) => IdpError::GrantRefused { provider, reason },
            Self::Misconfigured(reason) => IdpError::Misconfigured { provider, reason },
            Self::UnusableIdentity(reason) => IdpError::UnusableIdentity { provider, reason },
            Self::ChangedUser(reason) => IdpError::ChangedUser { provider, reason },
        }
    }

    /// What went wrong.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason)
            | Self::Misbehaved(reason)
            | Self::GrantRefused(reason)
            | Self::Misconfigured(reason)
            | Self::UnusableIdentity(reason)
            | Self::ChangedUser(reason) => reason,
        }
    }
}

/// Text of the provider's, fit for a log line: short, and without control characters.
pub(crate) fn quotable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
