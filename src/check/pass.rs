//! A pass: the whole answer to an admitted request, made once and handed out until half of its token's life is over.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;
use thiserror::Error;

use super::headers::{HeaderTooLarge, OwnedHeaders};
use crate::bearer::Verified;
use crate::clock::UnixTime;
use crate::identity::{Groups, Identity, UserId};
use crate::mint::{Context, Mint, MintError};
use crate::rules::Rule;
use crate::session::{Live, Revision, StoreKey};

/// How many passes are kept, at most; each is some two or three kilobytes.
const CAPACITY: usize = 50_000;
/// The same of bearer tokens.
const TOKEN_CAPACITY: usize = 10_000;

/// The headers of an admitted request.
#[derive(Clone, Debug)]
pub struct Pass {
    set: Vec<(HeaderName, HeaderValue)>,
    unset: Vec<HeaderName>,
    remove: HeaderValue,
    remove_with_cookie: HeaderValue,
    sets_token: bool,
    keeps_authorization: bool,
    whom: Option<Whom>,
    revision: Option<Revision>,
    fresh_until: UnixTime,
    /// As [`Mint::removals`] said before its token was minted.
    removals: u64,
}

/// Whom a pass is made for, whatever vouches for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    /// Who it is.
    pub(super) identity: &'a Identity,
    /// A pseudonym of the session or token.
    pub(super) sid: &'a str,
    /// When the browser signed in here, if one did.
    pub(super) signed_in_at: Option<UnixTime>,
    /// When the session or token ends.
    pub(super) ends_at: UnixTime,
    /// Which writing of the session, if it is one.
    pub(super) revision: Option<Revision>,
    /// Whether their own `Authorization` says who they are: with it a workload could be them, so that none gets it.
    pub(super) by_authorization: bool,
}

/// Whom a pass is for, as a gateway may note it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    /// The user.
    pub user: UserId,
    /// Their groups.
    pub groups: Groups,
    /// The session's or the token's pseudonym, which the RC token carries too.
    pub sid: String,
    /// The rule that admits them.
    pub rule: String,
}

impl Pass {
    /// What the workload is to read, in the place of whatever the client sent under these names.
    #[must_use]
    pub fn set(&self) -> &[(HeaderName, HeaderValue)] {
        &self.set
    }

    /// Which other headers are ours: the workload must not read what the client sent under these names.
    #[must_use]
    pub fn unset(&self) -> &[HeaderName] {
        &self.unset
    }

    /// What the workload must not see, comma-separated; with `cookie` if nothing is left of that header.
    #[must_use]
    pub const fn remove(&self, cookie: bool) -> &HeaderValue {
        if cookie { &self.remove_with_cookie } else { &self.remove }
    }

    /// Whom it is for, if anybody in particular.
    #[must_use]
    pub const fn whom(&self) -> Option<&Whom> {
        self.whom.as_ref()
    }

    /// Whether an RC token is among them.
    pub(super) const fn sets_token(&self) -> bool {
        self.sets_token
    }

    /// Whether the workload, and the mesh before it, get the client's own `Authorization`.
    pub(super) const fn keeps_authorization(&self) -> bool {
        self.keeps_authorization
    }

    /// A pass that takes away whatever is ours.
    fn without_identity(owned: &OwnedHeaders, keeps_authorization: bool) -> Self {
        let unset = owned.unset(&[], keeps_authorization);
        Self {
            set: Vec::new(),
            remove: owned.removal(&unset, false),
            remove_with_cookie: owned.removal(&unset, true),
            unset,
            sets_token: false,
            keeps_authorization,
            whom: None,
            revision: None,
            fresh_until: UnixTime::MAX,
            removals: 0,
        }
    }

    /// The same with `Authorization` taken away, whatever was to stand there.
    pub(super) fn without_authorization(&self, owned: &OwnedHeaders) -> Self {
        let mut set = self.set.clone();
        set.retain(|(name, _)| *name != AUTHORIZATION);
        let unset = owned.unset(&set, false);
        Self {
            set,
            remove: owned.removal(&unset, false),
            remove_with_cookie: owned.removal(&unset, true),
            unset,
            sets_token: self.sets_token && owned.token != AUTHORIZATION,
            ..self.clone()
        }
    }

    /// Whether it may be handed out again.
    fn is_fresh(&self, mint: &Mint, now: UnixTime) -> bool {
        now < self.fresh_until && self.removals == mint.removals()
    }

    /// A pass for somebody whom a rule admits.
    pub(super) fn make(owned: &OwnedHeaders, mint: &Mint, rule: &Rule, holder: &Holder<'_>) -> Result<Self, NoPass> {
        let removals = mint.removals();
        let mut set = owned.filled(holder.identity)?;
        let mut fresh_until = holder.ends_at;
        let token_may_be_set = !(rule.keep_authorization && owned.token == AUTHORIZATION);
        let sets_token = rule.mint_token && token_may_be_set;
        if sets_token {
            let Holder { sid, signed_in_at, ends_at, .. } = *holder;
            let token = mint.mint(holder.identity, Context { sid, signed_in_at, ends_at }, rule.audience.as_deref())?;
            fresh_until = token.fresh_until;
            set.push((owned.token.clone(), token.header_value));
        }
        let keep = rule.keep_authorization && !holder.by_authorization;
        let unset = owned.unset(&set, keep);
        let (user, groups) = (holder.identity.user.clone(), holder.identity.groups.clone());
        let whom = Whom { user, groups, sid: holder.sid.to_owned(), rule: rule.name().to_owned() };
        Ok(Self {
            set,
            remove: owned.removal(&unset, false),
            remove_with_cookie: owned.removal(&unset, true),
            unset,
            sets_token,
            keeps_authorization: keep,
            whom: Some(whom),
            revision: holder.revision,
            fresh_until,
            removals,
        })
    }
}

impl<'a> From<&'a Live> for Holder<'a> {
    fn from(live: &'a Live) -> Self {
        let session = &live.session;
        Self {
            identity: &session.identity,
            sid: &session.sid,
            signed_in_at: Some(session.signed_in_at),
            ends_at: session.ends_at,
            revision: Some(live.revision),
            // Where it comes as a bearer, it is refused before a workload could read it.
            by_authorization: false,
        }
    }
}

/// Why there is no pass for somebody whom the rule admits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum NoPass {
    #[error(transparent)]
    Header(#[from] HeaderTooLarge),
    #[error(transparent)]
    Mint(#[from] MintError),
}

/// The passes at hand.
pub(super) struct Passes {
    /// By session and rule. A session that has ended is never asked for, so its passes just age out.
    sessions: Cache<(StoreKey, usize), Arc<Pass>>,
    /// By what was found of a token and rule. No finding is like another, so what was superseded is never asked for.
    tokens: Cache<(u64, usize), Arc<Pass>>,
    nobody: Arc<Pass>,
    nobody_authorization_kept: Arc<Pass>,
}

impl Passes {
    pub(super) fn new(owned: &OwnedHeaders) -> Self {
        let nobody = |keep| Arc::new(Pass::without_identity(owned, keep));
        Self {
            sessions: Cache::new(CAPACITY),
            tokens: Cache::new(TOKEN_CAPACITY),
            nobody: nobody(false),
            nobody_authorization_kept: nobody(true),
        }
    }

    /// The pass of whoever has no identity.
    pub(super) fn nobody(&self, keep_authorization: bool) -> Arc<Pass> {
        Arc::clone(if keep_authorization { &self.nobody_authorization_kept } else { &self.nobody })
    }

    pub(super) fn find(
        &self,
        mint: &Mint,
        session: StoreKey,
        rule: &Rule,
        live: &Live,
        now: UnixTime,
    ) -> Option<Arc<Pass>> {
        let pass = self.sessions.get(&(session, rule.index))?;
        (pass.revision == Some(live.revision) && pass.is_fresh(mint, now)).then_some(pass)
    }

    pub(super) fn find_for_token(
        &self,
        mint: &Mint,
        verified: &Verified,
        rule: &Rule,
        now: UnixTime,
    ) -> Option<Arc<Pass>> {
        self.tokens.get(&(verified.finding, rule.index)).filter(|pass| pass.is_fresh(mint, now))
    }

    pub(super) fn keep_for_token(&self, verified: &Verified, rule: &Rule, pass: &Arc<Pass>) {
        self.tokens.insert((verified.finding, rule.index), Arc::clone(pass));
    }

    pub(super) fn keep(&self, session: StoreKey, rule: &Rule, pass: &Arc<Pass>) {
        self.sessions.insert((session, rule.index), Arc::clone(pass));
    }
}
