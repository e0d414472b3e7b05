//! The audit trail: one event for each sign-in, refusal, sign-out, revocation and key change, with the same field names
//! everywhere. What is written here names people and sessions, never a token, code, cookie or secret.

use tracing::{info, warn};

use crate::identity::{Identity, ProviderId, UserId};

/// The target of every event here, to be filtered and routed by.
pub const TARGET: &str = "countersign::audit";

/// Somebody signed in, and has a session now.
pub fn sign_in(identity: &Identity, sid: &str) {
    info!(
        target: TARGET,
        event = "sign_in",
        user = identity.user.as_str(),
        subject = identity.subject.as_str(),
        provider = identity.provider.as_str(),
        sid,
        "signed in"
    );
}

/// Somebody came with a token that was believed, for as long as it may be without another look.
pub fn bearer(identity: &Identity, sid: &str) {
    info!(
        target: TARGET,
        event = "bearer",
        user = identity.user.as_str(),
        subject = identity.subject.as_str(),
        provider = identity.provider.as_str(),
        sid,
        "a bearer's token was believed"
    );
}

/// Somebody was not let in. `user` is there once a provider has vouched for them; `reason` holds nothing secret.
pub fn refusal(provider: Option<&ProviderId>, user: Option<&UserId>, reason: &str) {
    warn!(
        target: TARGET,
        event = "refusal",
        user = user.map(UserId::as_str),
        provider = provider.map(ProviderId::as_str),
        reason,
        "sign-in refused"
    );
}

/// Somebody ended their own session.
pub fn sign_out(identity: &Identity, sid: &str) {
    info!(
        target: TARGET,
        event = "sign_out",
        user = identity.user.as_str(),
        subject = identity.subject.as_str(),
        provider = identity.provider.as_str(),
        sid,
        "signed out"
    );
}

/// A session was ended by something else than its user: the provider, a renewal, an operator, a newer sign-in.
pub fn revocation(identity: &Identity, sid: &str, reason: &str) {
    info!(
        target: TARGET,
        event = "revocation",
        user = identity.user.as_str(),
        subject = identity.subject.as_str(),
        provider = identity.provider.as_str(),
        sid,
        reason,
        "session revoked"
    );
}

/// A provider, or somebody in its name, asked for a logout that was not believed. `reason` holds nothing secret.
pub fn logout_refusal(provider: Option<&ProviderId>, reason: &str) {
    warn!(
        target: TARGET,
        event = "logout_refusal",
        provider = provider.map(ProviderId::as_str),
        reason,
        "a provider's logout was refused"
    );
}

/// An operator looked at sessions or ended them, or somebody tried to. `peer` is whoever is at the other end of the
/// connection; each session that was ended has an event of its own.
pub fn admin(action: &str, about: Option<&str>, peer: Option<std::net::IpAddr>, sessions: Option<u64>) {
    info!(
        target: TARGET,
        event = "admin",
        action,
        about,
        peer = peer.map(tracing::field::display),
        sessions,
        "the admin API was used"
    );
}

/// Somebody without the token asked for what only the operator may.
pub fn admin_refusal(peer: Option<std::net::IpAddr>) {
    warn!(
        target: TARGET,
        event = "admin_refusal",
        peer = peer.map(tracing::field::display),
        "the admin API was refused"
    );
}

/// Sessions in memory go on though the session store cannot be asked, or do so no more.
pub fn store_grace(what: &str, reason: &str) {
    warn!(target: TARGET, event = "store_grace", what, reason, "grace of the session store {what}");
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It was made.
    Generated,
    /// It is published and used from now on, or from its scheduled time on.
    Loaded,
    /// It signs or opens nothing any more.
    Retired,
}

/// A signing key or session key came or went. `kid` is its public name.
pub fn key_change(kid: &str, change: KeyChange) {
    let reason = match change {
        KeyChange::Generated => "generated",
        KeyChange::Loaded => "loaded",
        KeyChange::Retired => "retired",
    };
    info!(target: TARGET, event = "key_change", kid, reason, "key changed");
}
