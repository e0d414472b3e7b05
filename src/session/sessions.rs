//! The sessions, as everyone else uses them: proven by a cookie, found in memory or in the store, ended for good.

mod housekeeping;
mod others;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::endings::Endings;
use super::grace::Grace;
use super::live::Live;
use super::reseals::Reseals;
use super::row::{self, Session, Whence};
use super::store::{Holder, NewRow, Replaced, Revision, Store, StoreError, StoreKey, Told};
use super::tags::{self, Of};
use super::touches::Touches;
use super::truth::{Since, Truth};
use crate::clock::{Clock, UnixTime};
use crate::config::SessionSettings;
use crate::entropy::{Entropy, random};
use crate::identity::{Identity, ProviderTokens};
use crate::seal::{BadCookie, CookieSecret, SessionKeys};

pub use others::{Filed, Found};

/// All sessions of this gateway.
pub struct Sessions {
    store: Arc<dyn Store>,
    keys: Arc<SessionKeys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    max_age: Duration,
    idle: Duration,
    precision: Duration,
    cache: Cache<StoreKey, Kept, ByBytes>,
    truth: Truth,
    grace: Grace,
    touches: Touches,
    reseals: Reseals,
    endings: Endings,
    is_back: Notify,
}

/// A session cookie that was made here. Whether its session still lives is another question.
#[derive(Clone)]
pub struct SessionCookie {
    /// Where the session is filed.
    pub key: StoreKey,
    secret: CookieSecret,
}

/// What a sign-in or a renewal brings.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who it is.
    pub identity: Identity,
    /// What the provider gave.
    pub tokens: ProviderTokens,
    /// The provider's own name for its session.
    pub provider_sid: Option<String>,
    /// When the identity is to be read anew.
    pub renew_at: UnixTime,
}

/// Why a session does not yield what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The tokens were sealed under another cookie, or have been changed.
    #[error("the provider's tokens in the session cannot be opened with this cookie")]
    TokensSealedElsewhere,
}

/// What the cache may take, and how many sessions that is, as a first guess.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
const CACHE_SESSIONS: usize = 16 * 1024;
/// How precisely the store knows when a session was last used.
const PRECISION: Duration = Duration::from_mins(1);
/// The answer must be out before the gateway gives up (2 s in our manifests).
const FIND_DEADLINE: Duration = Duration::from_millis(1600);
/// A replica that dies leaves what it was doing to others after that.
const LEASE: Duration = Duration::from_secs(10);
/// How often a renewal is written over rows that only their seal distinguishes.
const RENEWAL_TRIES: u32 = 5;

impl Sessions {
    /// The sessions in `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        keys: Arc<SessionKeys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: &SessionSettings,
    ) -> Self {
        let cache = Cache::with_weighter(CACHE_SESSIONS, CACHE_BYTES, ByBytes);
        Self {
            store,
            keys,
            clock,
            entropy,
            max_age: settings.max_age,
            idle: settings.idle,
            // Whoever lets sessions idle for a minute only wants that minute measured.
            precision: PRECISION.min(settings.idle / 4),
            cache,
            truth: Truth::default(),
            grace: Grace::of(settings.redis.as_ref().map_or(Duration::ZERO, |redis| redis.grace)),
            touches: Touches::default(),
            reseals: Reseals::default(),
            endings: Endings::default(),
            is_back: Notify::new(),
        }
    }

    /// Proves that a cookie's value was made here. No I/O, no allocation.
    ///
    /// # Errors
    /// If it is malformed, forged, or made with a key that is no longer known.
    pub fn prove(&self, cookie_value: &str) -> Result<SessionCookie, BadCookie> {
        self.keys.open_cookie(cookie_value).map(SessionCookie::from)
    }

    /// The session, if it is in memory and lives at `now`; its idle clock is wound up. This is the way of nearly every
    /// check: one look-up, no I/O. Nothing here means: ask [`Self::find`].
    pub fn cached(&self, key: StoreKey, now: UnixTime) -> Option<Arc<Live>> {
        let since = self.truth.now()?;
        let kept = self.cache.get(&key).filter(|kept| kept.since == since)?;
        self.use_at(key, &kept.live, now).then_some(kept.live)
    }

    /// The session, if it lives, from memory or from the store; its idle clock is wound up. While the store is away,
    /// what was in memory when it went goes on within [`Self::grace_left`].
    ///
    /// # Errors
    /// If the store does not answer in time.
    pub async fn find(&self, cookie: &SessionCookie) -> Result<Option<Arc<Live>>, StoreError> {
        let now = self.clock.now();
        if self.grace.is_silent(now)
            && let Some(live) = self.by_grace(cookie.key, now)
        {
            return Ok(Some(live));
        }
        let late = |_| Err(StoreError::Unavailable { reason: "it did not answer in time".into() });
        let found = timeout(FIND_DEADLINE, self.look_up(cookie.key)).await.unwrap_or_else(late);
        if found.is_ok() {
            // Perhaps one server of many is silent: what the others say counts.
            self.grace.answers();
            return found;
        }
        let now = self.clock.now();
        self.grace.silent(now);
        self.by_grace(cookie.key, now).map_or(found, |live| Ok(Some(live)))
    }

    /// How long sessions in memory still go on without the store; none if it is there, or that is over, or was never
    /// allowed.
    pub fn grace_left(&self) -> Option<Duration> {
        self.grace.left(self.clock.now())
    }

    /// Makes a session, and the value of its cookie. When this has returned, the session survives a crash.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn create(&self, new: NewSession) -> Result<(String, Arc<Live>), StoreError> {
        self.create_from(new, Whence::default()).await
    }

    /// The same, with what is known of where the browser is.
    ///
    /// # Errors
    /// As [`Sessions::create`].
    pub async fn create_from(&self, new: NewSession, whence: Whence) -> Result<(String, Arc<Live>), StoreError> {
        let now = self.clock.now();
        let secret = CookieSecret::generate(&*self.entropy);
        let value = self.keys.cookie_value(&secret);
        let cookie = SessionCookie::from(secret);
        let sid = URL_SAFE_NO_PAD.encode(random::<16>(&*self.entropy));
        let session = Session {
            sealed_tokens: row::seal_tokens(&new.tokens, &cookie.secret, &sid),
            identity: new.identity,
            sid,
            signed_in_at: now,
            ends_at: now.plus(self.max_age),
            renew_at: new.renew_at,
            provider_sid: new.provider_sid,
            whence,
        };
        let until = now.plus(self.idle).min(session.ends_at);
        let row = row::seal(&session, &self.keys, cookie.key);
        let (ends_at, tags) = (session.ends_at, tags::of(&session, &self.keys));
        let live = Arc::new(Live::new(session, Revision::FIRST, until, &row));
        let new = NewRow { row, until, ends_at, tags };
        let since = self.truth.now();
        // The place is taken before, so that whoever ends the session at once takes it away.
        let place = self.cache.get_value_or_guard_async(&cookie.key).await.err();
        self.store.create(cookie.key, new).await?;
        if let (Some(since), Some(place)) = (since, place) {
            let _ = place.insert(Kept { since, live: Arc::clone(&live) });
        }
        Ok((value, live))
    }

    /// Puts what a renewal brought in the place of what was `seen`. The session keeps its `sid`, its cookie, its
    /// beginning and its end.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn renew(
        &self,
        cookie: &SessionCookie,
        seen: &Live,
        renewed: NewSession,
    ) -> Result<Replaced, StoreError> {
        let session = Session {
            sealed_tokens: row::seal_tokens(&renewed.tokens, &cookie.secret, &seen.session.sid),
            identity: renewed.identity,
            sid: seen.session.sid.clone(),
            signed_in_at: seen.session.signed_in_at,
            ends_at: seen.session.ends_at,
            renew_at: renewed.renew_at,
            provider_sid: renewed.provider_sid.or_else(|| seen.session.provider_sid.clone()),
            whence: seen.session.whence.clone(),
        };
        let row = row::seal(&session, &self.keys, cookie.key);
        // Whatever comes of it, even if nobody waits for it: what is in memory is out of date. It is not replaced
        // there, because the session may be ended between the store's answer and ours.
        let _outdated = Forget { cache: &self.cache, key: cookie.key };
        let mut expected = seen.revision;
        for _ in 0..RENEWAL_TRIES {
            let replaced = self.store.replace(cookie.key, row.clone(), expected).await?;
            if replaced != Replaced::Superseded {
                return Ok(replaced);
            }
            // Perhaps by the very same row, sealed anew. What the renewal brought must not be lost for that: the provider
            // has spent the refresh token that is in there.
            let Some(found) = self.store.load(cookie.key, self.clock.now()).await? else { return Ok(Replaced::Gone) };
            match row::open(&found.row, &self.keys, cookie.key) {
                Ok(newer) if newer.sealed_tokens == seen.session.sealed_tokens => expected = found.revision,
                _ => break,
            }
        }
        Ok(Replaced::Superseded)
    }

    /// Does something that only one replica may do with a session at a time; nothing, while another one is at it.
    ///
    /// # Errors
    /// If the store does not say who is.
    pub async fn alone<T>(&self, key: StoreKey, work: impl Future<Output = T>) -> Result<Option<T>, StoreError> {
        let holder = Holder(random(&*self.entropy));
        if !self.store.lease(key, holder, LEASE).await? {
            return Ok(None);
        }
        let mut work = pin!(work);
        let done = loop {
            if let Ok(done) = timeout(LEASE / 4, &mut work).await {
                break done;
            }
            match self.store.lease(key, holder, LEASE).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(?key, "another replica works on the same session"),
                Err(error) => tracing::debug!(%error, "a lease could not be prolonged; it is tried again"),
            }
        };
        if let Err(error) = self.store.release(key, holder).await {
            tracing::debug!(%error, "a lease could not be given back; it ends with its time");
        }
        Ok(Some(done))
    }

    /// The session as the store has it now, whatever is in memory.
    ///
    /// # Errors
    /// If the store does not answer in time.
    pub async fn read(&self, cookie: &SessionCookie) -> Result<Option<Arc<Live>>, StoreError> {
        let found = self.load(cookie.key, self.clock.now()).await?;
        Ok(found.filter(|_| !self.endings.hold(cookie.key)))
    }

    /// Ends the session; whether there was one. From the moment this is called nobody finds it here any more.
    ///
    /// # Errors
    /// If the store does not confirm: other replicas may still find it. The store is asked again until it does.
    pub async fn end(&self, key: StoreKey) -> Result<bool, StoreError> {
        self.begin_to_end(&[key]);
        let removed = self.store.remove(key, self.clock.now().plus(self.max_age)).await?;
        self.ended(key);
        Ok(removed)
    }

    /// From now on nobody finds these here. Whoever called ends each of them; should they go away in the middle of that,
    /// it is done for them.
    pub fn begin_to_end(&self, keys: &[StoreKey]) {
        let now = self.clock.now();
        for key in keys {
            // First this, then the cache: a load that is under way loses its place in the cache, and one that begins later
            // sees this. It stays if the store fails, or if our caller goes away before the store has answered.
            self.endings.begin(*key, now, now.plus(self.max_age));
            self.cache.remove(key);
        }
    }

    /// Whether somebody has asked for the end of the session here, and the store has not confirmed it.
    pub fn is_ending(&self, key: StoreKey) -> bool {
        self.endings.hold(key)
    }

    /// Where the sessions of somebody are filed. Some may have ended meanwhile.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn keys_of(&self, whose: Of<'_>) -> Result<Vec<StoreKey>, StoreError> {
        let mut keys = Vec::new();
        for tag in whose.tags(&self.keys) {
            keys.extend(self.store.tagged(tag).await?);
        }
        Ok(keys)
    }

    /// The provider's tokens in the session, which open with its cookie alone.
    ///
    /// # Errors
    /// If it is another session's cookie.
    pub fn tokens(&self, cookie: &SessionCookie, live: &Live) -> Result<ProviderTokens, SessionError> {
        let Session { sealed_tokens, sid, .. } = &live.session;
        row::open_tokens(sealed_tokens, &cookie.secret, sid).map_err(|_| SessionError::TokensSealedElsewhere)
    }

    /// Marks a login flow, or whatever else works once, as used until `until`; `false` if it was marked already.
    ///
    /// # Errors
    /// If the store does not confirm.
    pub async fn burn_flow(&self, flow: [u8; 16], until: UnixTime) -> Result<bool, StoreError> {
        self.store.burn(flow, until).await
    }

    /// Whether it was marked as used.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, StoreError> {
        self.store.is_burnt(flow).await
    }

    /// Keeps what is in memory true, for as long as it is polled; without it nothing is kept in memory.
    pub async fn keep_true(&self) -> ! {
        let ending = async {
            loop {
                // Whoever was told that their sign-out could not be confirmed is out as soon as it can be.
                self.is_back.notified().await;
                self.end_again().await;
            }
        };
        tokio::join!(self.store.watch(self), ending).1
    }

    /// How many sessions there are, some of them over but not swept yet.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.store.count().await
    }

    fn ended(&self, key: StoreKey) {
        // Once more, for the case that another call for the same session confirmed in between.
        self.cache.remove(&key);
        self.endings.confirm(key);
    }

    /// The session, if it was in memory when the store went, and goes on without it.
    fn by_grace(&self, key: StoreKey, now: UnixTime) -> Option<Arc<Live>> {
        self.grace.left(now)?;
        // Before the cache is looked at: what is lost and found meanwhile is another time.
        let since = self.truth.last()?;
        let kept = self.cache.get(&key).filter(|kept| kept.since == since)?;
        if self.endings.hold(key) || !self.use_at(key, &kept.live, now) {
            return None;
        }
        self.grace.used();
        Some(kept.live)
    }

    async fn look_up(&self, key: StoreKey) -> Result<Option<Arc<Live>>, StoreError> {
        let now = self.clock.now();
        let mut loaded = None;
        // More than once if the session was renewed or ended while it was loaded, or if what is in memory is over (it
        // may have been used elsewhere). A session too large for the cache is loaded twice, and used without it.
        for _ in 0..3 {
            let Some(since) = self.truth.now() else { break };
            let place = match self.cache.get_value_or_guard_async(&key).await {
                // What was waited for may have been read before an end that was asked for meanwhile.
                Ok(kept) if kept.since == since && self.use_at(key, &kept.live, now) => {
                    return Ok((!self.endings.hold(key)).then_some(kept.live));
                }
                Ok(over) => {
                    self.cache.remove_if(&key, |held| Arc::ptr_eq(&held.live, &over.live));
                    continue;
                }
                Err(place) => place,
            };
            // Only now: an ending that began before we had our place is seen here, a later one takes the place away.
            if self.endings.hold(key) {
                return Ok(None);
            }
            let Some(live) = self.load(key, now).await? else { return Ok(None) };
            if place.insert(Kept { since, live: Arc::clone(&live) }).is_ok() {
                return Ok(Some(live));
            }
            loaded = Some(live);
        }
        if loaded.is_none() && !self.endings.hold(key) {
            loaded = self.load(key, now).await?;
        }
        Ok(loaded.filter(|_| !self.endings.hold(key)))
    }

    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<Arc<Live>>, StoreError> {
        let Some(found) = self.store.load(key, now).await? else { return Ok(None) };
        match row::open(&found.row, &self.keys, key) {
            Ok(session) => {
                let live = Live::new(session, found.revision, found.until, &found.row);
                self.look_at_seal(key, &live);
                Ok(self.use_at(key, &live, now).then(|| Arc::new(live)))
            }
            Err(error) => {
                tracing::warn!(%error, ?key, "a session's row cannot be opened; its browser has to sign in again");
                Ok(None)
            }
        }
    }

    /// Winds the idle clock up, unless the session is over.
    fn use_at(&self, key: StoreKey, live: &Live, now: UnixTime) -> bool {
        if live.is_over(now) {
            return false;
        }
        if let Some(until) = live.wind(now, self.idle, self.precision) {
            self.touches.note(key, until);
            self.look_at_seal(key, live);
        }
        true
    }

    fn look_at_seal(&self, key: StoreKey, live: &Live) {
        if live.sealed_by.is_some_and(|maker| self.keys.is_outdated(maker)) {
            self.reseals.note(key);
        }
    }
}

impl Told for Sessions {
    fn changed(&self, key: StoreKey) {
        // Also the place of a load that is under way: what it brings may be what was there before.
        self.cache.remove(&key);
    }

    fn lost(&self) {
        self.truth.end();
        self.grace.lost(self.clock.now());
    }

    fn tracked(&self) {
        self.truth.begin();
        self.grace.found();
        self.is_back.notify_one();
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("cached", &self.cache.len()).finish_non_exhaustive()
    }
}

impl From<CookieSecret> for SessionCookie {
    fn from(secret: CookieSecret) -> Self {
        Self { key: StoreKey(secret.store_key()), secret }
    }
}

impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionCookie").field(&self.key).finish()
    }
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl Weighter<StoreKey, Kept> for ByBytes {
    fn weight(&self, _key: &StoreKey, kept: &Kept) -> u64 {
        kept.live.bytes()
    }
}

/// A session in memory, and the time in which that is the truth.
#[derive(Clone, Debug)]
struct Kept {
    since: Since,
    live: Arc<Live>,
}

/// Takes a session out of the cache when it is dropped, and the place of a load that is under way.
struct Forget<'a> {
    cache: &'a Cache<StoreKey, Kept, ByBytes>,
    key: StoreKey,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.cache.remove(&self.key);
    }
}

#[cfg(test)]
mod tests;
