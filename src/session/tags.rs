//! What a session is found by besides its cookie: its user, whom the provider calls so, and the provider's session.

use super::row::Session;
use super::store::Tag;
use crate::identity::{ProviderId, Subject, UserId};
use crate::seal::SessionKeys;

/// By what sessions are looked for.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// A user, as the mesh knows them.
    User(&'a UserId),
    /// Whom a provider calls so (`sub`).
    Subject(&'a ProviderId, &'a Subject),
    /// A provider's own session (`sid`, OIDC Back-Channel Logout section 2.1).
    ProviderSession(&'a ProviderId, &'a str),
    /// Our own pseudonym of one session (`sid` in RC tokens and in the audit).
    Pseudonym(&'a str),
}

impl Of<'_> {
    /// The tags that such a session may have: one for each key under which it may have been made, the newest first.
    pub(super) fn tags(self, keys: &SessionKeys) -> Vec<Tag> {
        let under_each = |parts: &[&str]| keys.tags(parts).map(Tag).collect();
        match self {
            Self::User(user) => under_each(&["user", user.as_str()]),
            Self::Subject(provider, subject) => under_each(&["subject", provider.as_str(), subject.as_str()]),
            Self::ProviderSession(provider, sid) => under_each(&["sid", provider.as_str(), sid]),
            Self::Pseudonym(sid) => under_each(&["own sid", sid]),
        }
    }
}

/// The tags of a new session.
pub(super) fn of(session: &Session, keys: &SessionKeys) -> Vec<Tag> {
    let identity = &session.identity;
    let sid = session.provider_sid.as_deref().map(|sid| Of::ProviderSession(&identity.provider, sid));
    let subject = Of::Subject(&identity.provider, &identity.subject);
    let all = [Some(Of::User(&identity.user)), Some(subject), sid, Some(Of::Pseudonym(&session.sid))];
    all.into_iter().flatten().filter_map(|of| of.tags(keys).into_iter().next()).collect()
}
