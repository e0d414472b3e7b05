//! A pass: the whole answer to an admitted request, made once and handed out until half of its token's life is over.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;

use super::headers::OwnedHeaders;
use crate::clock::UnixTime;
use crate::mint::{Context, Mint, MintError};
use crate::rules::Rule;
use crate::session::{Live, Revision, StoreKey};

/// How many passes are kept, at most; each is some two kilobytes.
const CAPACITY: usize = 50_000;

/// The headers of an admitted request.
#[derive(Clone, Debug)]
pub struct Pass {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: HeaderValue,
    remove_with_cookie: HeaderValue,
    revision: Option<Revision>,
    fresh_until: UnixTime,
}

impl Pass {
    /// What the workload is to read, in the place of whatever the client sent under these names.
    #[must_use]
    pub fn set(&self) -> &[(HeaderName, HeaderValue)] {
        &self.set
    }

    /// What the workload must not see, comma-separated; with `cookie` if nothing is left of that header.
    #[must_use]
    pub const fn remove(&self, cookie: bool) -> &HeaderValue {
        if cookie { &self.remove_with_cookie } else { &self.remove }
    }

    pub(super) fn removing(remove: HeaderValue, remove_with_cookie: HeaderValue) -> Self {
        Self { set: Vec::new(), remove, remove_with_cookie, revision: None, fresh_until: UnixTime::MAX }
    }

    /// A pass for a session under a rule that admits it.
    pub(super) fn make(owned: &OwnedHeaders, mint: &Mint, rule: &Rule, live: &Live) -> Result<Self, MintError> {
        let session = &live.session;
        let mut set = owned.filled(&session.identity);
        let mut fresh_until = session.ends_at;
        let token_may_be_set = !(rule.keep_authorization && owned.token == http::header::AUTHORIZATION);
        if rule.mint_token && token_may_be_set {
            let context = Context { sid: &session.sid, signed_in_at: session.signed_in_at, ends_at: session.ends_at };
            let token = mint.mint(&session.identity, context, rule.audience.as_deref())?;
            fresh_until = token.fresh_until;
            set.push((owned.token.clone(), token.header_value));
        }
        let keep = rule.keep_authorization;
        let (remove, remove_with_cookie) = (owned.removal(&set, keep, false), owned.removal(&set, keep, true));
        Ok(Self { set, remove, remove_with_cookie, revision: Some(live.revision), fresh_until })
    }
}

/// The passes at hand, by session and rule. A session that has ended is never asked for, so its passes just age out.
pub(super) struct Passes(Cache<(StoreKey, usize), Arc<Pass>>);

impl Passes {
    pub(super) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    pub(super) fn find(&self, session: StoreKey, rule: &Rule, live: &Live, now: UnixTime) -> Option<Arc<Pass>> {
        let pass = self.0.get(&(session, rule.index))?;
        (pass.revision == Some(live.revision) && now < pass.fresh_until).then_some(pass)
    }

    pub(super) fn keep(&self, session: StoreKey, rule: &Rule, pass: &Arc<Pass>) {
        self.0.insert((session, rule.index), Arc::clone(pass));
    }
}
