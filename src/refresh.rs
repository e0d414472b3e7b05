//! Renewal: the identity is read anew at its provider, one renewal a session at a time, finished though the request
//! that noticed it has gone. It answers no request: others go on with what they have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::audit;
use crate::clock::{Clock, UnixTime};
use crate::config::SessionSettings;
use crate::idp::{IdpError, Provider, SignedIn};
use crate::rules::admitted;
use crate::session::{Live, NewSession, Replaced, SessionCookie, Sessions, StoreKey};

/// How many sessions may wait for their renewal; further ones ask again with their next request.
const WAITING: usize = 4_096;

/// How many renewals run at a time.
const AT_A_TIME: usize = 32;

/// How long after a renewal that could not be finished the next one is tried.
const PAUSE: Duration = Duration::from_secs(30);

/// How long a store that did not take a renewed session is left alone at first, and how often it is asked again: for
/// about two minutes.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const STORE_TRIES: usize = 7;

/// Providers whose tokens live for seconds are not asked more often than this.
const AT_LEAST: Duration = Duration::from_secs(30);

/// Takes due sessions over from requests, each once: as cookies, for the provider's tokens open with nothing else.
#[derive(Clone, Debug)]
pub struct Renewals {
    queue: mpsc::Sender<SessionCookie>,
    known: Known,
}

/// Which sessions are being renewed, or are not to be tried again yet.
type Known = Arc<Mutex<HashMap<StoreKey, State>>>;

#[derive(Clone, Copy, Debug)]
enum State {
    UnderWay,
    NotBefore(UnixTime),
}

/// Renews. Its [`Refresher::run`] belongs to a task of its own.
pub struct Refresher {
    due: mpsc::Receiver<SessionCookie>,
    known: Known,
    renewing: Renewing,
}

struct Renewing {
    sessions: Arc<Sessions>,
    providers: Vec<Arc<Provider>>,
    clock: Arc<dyn Clock>,
    renew_every: Duration,
}

/// The two ends: what requests hold, and what works.
#[must_use]
pub fn renewals(
    sessions: Arc<Sessions>,
    providers: Vec<Arc<Provider>>,
    clock: Arc<dyn Clock>,
    settings: &SessionSettings,
) -> (Renewals, Refresher) {
    let (queue, due) = mpsc::channel(WAITING);
    let known = Known::default();
    let renewing = Renewing { sessions, providers, clock, renew_every: settings.renew_every };
    (Renewals { queue, known: Arc::clone(&known) }, Refresher { due, known, renewing })
}

/// When a session with these tokens is due: `renew_every` from `now`, or when they expire if that is sooner; never if
/// there is nothing to renew with.
#[must_use]
pub fn renew_at(signed_in: &SignedIn, now: UnixTime, renew_every: Duration) -> UnixTime {
    if signed_in.tokens.refresh_token.is_none() {
        return UnixTime::MAX;
    }
    let by_rule = now.plus(renew_every);
    signed_in.tokens_expire_at.map_or(by_rule, |expiry| by_rule.min(expiry.max(now.plus(AT_LEAST))))
}

impl Renewals {
    /// Takes a due session over, unless that has been done already.
    pub fn hand_over(&self, cookie: &SessionCookie, now: UnixTime) {
        let key = cookie.key;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.entry(key) {
            Entry::Occupied(mut entry) => match *entry.get() {
                State::NotBefore(time) if time <= now => {
                    entry.insert(State::UnderWay);
                }
                _ => return,
            },
            Entry::Vacant(entry) => {
                entry.insert(State::UnderWay);
            }
        }
        if self.queue.try_send(cookie.clone()).is_err() {
            known.remove(&key);
        }
    }
}

impl Refresher {
    /// Renews what is handed over until all [`Renewals`] are gone, and finishes what it has begun.
    pub async fn run(mut self) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                cookie = self.due.recv(), if running.len() < AT_A_TIME => match cookie {
                    Some(cookie) => running.push(self.renewing.one(cookie)),
                    None => break,
                },
                Some((key, outcome)) = running.next() => settle(&self.known, key, outcome, self.renewing.clock.now()),
            }
        }
        while running.next().await.is_some() {}
    }
}

impl std::fmt::Debug for Refresher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refresher").finish_non_exhaustive()
    }
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The session is renewed, or has ended: nothing is left to do.
    Settled,
    /// It goes on as it is, for now.
    TryAgain,
}

fn settle(known: &Known, key: StoreKey, outcome: Outcome, now: UnixTime) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Outcome::Settled => known.remove(&key),
        Outcome::TryAgain => {
            // Sessions that nobody uses any more would pile up here: pauses that are over mean nothing.
            known.retain(|_, state| !matches!(state, State::NotBefore(time) if *time <= now));
            known.insert(key, State::NotBefore(now.plus(PAUSE)))
        }
    };
}

impl Renewing {
    async fn one(&self, cookie: SessionCookie) -> (StoreKey, Outcome) {
        let outcome = match self.sessions.alone(cookie.key, Box::pin(self.renew(&cookie))).await {
            Ok(Some(outcome)) => outcome,
            // If the other replica dies over it, it is our turn after a pause.
            Ok(None) => Outcome::TryAgain,
            Err(error) => {
                tracing::warn!(%error, "who renews a session could not be settled");
                Outcome::TryAgain
            }
        };
        (cookie.key, outcome)
    }

    async fn renew(&self, cookie: &SessionCookie) -> Outcome {
        // Not what the request saw, nor what is in memory: it may have been renewed or ended since, here or by another
        // replica. Its refresh token would be spent then, and whoever shows a spent one may lose the session at the provider
        // (RFC 9700 section 4.14.2).
        let live = match self.sessions.read(cookie).await {
            Ok(Some(live)) if live.session.renew_at <= self.clock.now() => live,
            Ok(_) => return Outcome::Settled,
            Err(error) => {
                tracing::warn!(%error, "a session that is due could not be read");
                return Outcome::TryAgain;
            }
        };
        let identity = &live.session.identity;
        let Some(provider) = self.providers.iter().find(|provider| *provider.id() == identity.provider) else {
            return self.end(cookie, &live, "its provider is not configured any more").await;
        };
        let Ok(tokens) = self.sessions.tokens(cookie, &live) else {
            return self.end(cookie, &live, "its tokens cannot be opened").await;
        };
        let renewed = match provider.renew(&tokens, identity).await {
            Ok(renewed) => renewed,
            Err(error) if ends_session(&error) => return self.end(cookie, &live, &error.to_string()).await,
            Err(error) => {
                tracing::warn!(user = %identity.user, provider = %identity.provider, %error, "renewal failed; the session goes on");
                return Outcome::TryAgain;
            }
        };
        if let Err(reason) = admitted(&provider.settings().identity.admit, &renewed.identity) {
            return self.end(cookie, &live, &reason.to_string()).await;
        }
        // It is found by this name where somebody is to be signed out, and by no other.
        if renewed.identity.user != identity.user {
            return self.end(cookie, &live, "the provider gives its user another name now").await;
        }
        self.keep(cookie, &live, renewed).await
    }

    async fn keep(&self, cookie: &SessionCookie, live: &Live, renewed: SignedIn) -> Outcome {
        let renew_at = renew_at(&renewed, self.clock.now(), self.renew_every);
        let SignedIn { identity, tokens, provider_sid, .. } = renewed;
        let groups_changed = identity.groups != live.session.identity.groups;
        let row = NewSession { identity, tokens, provider_sid, renew_at };
        // What is in memory is dropped with the writing, and with it when the session was last used.
        self.sessions.flush().await;
        // The provider has spent the old refresh token: a store that is away for a moment must not cost the new one.
        let write = || self.sessions.renew(cookie, live, row.clone());
        let patiently = ExponentialBuilder::default().with_min_delay(SHORTEST_WAIT).with_max_times(STORE_TRIES);
        match write.retry(patiently).await {
            Ok(Replaced::Done(_)) => {
                let user = &live.session.identity.user;
                tracing::debug!(%user, sid = live.session.sid, groups_changed, "session renewed");
                Outcome::Settled
            }
            // Somebody else renewed it, or it has ended: what they wrote holds.
            Ok(Replaced::Superseded | Replaced::Gone) => Outcome::Settled,
            Err(error) => {
                tracing::warn!(%error, "a renewed session could not be kept");
                Outcome::TryAgain
            }
        }
    }

    async fn end(&self, cookie: &SessionCookie, live: &Live, reason: &str) -> Outcome {
        match self.sessions.end(cookie.key).await {
            Ok(_) => {
                audit::revocation(&live.session.identity, &live.session.sid, reason);
                Outcome::Settled
            }
            Err(error) => {
                tracing::warn!(%error, reason, "a session that must end could not be ended");
                Outcome::TryAgain
            }
        }
    }
}

/// Whether a failed renewal ends the session. A provider that cannot be reached, or answers nonsense, does not.
const fn ends_session(error: &IdpError) -> bool {
    matches!(error, IdpError::GrantRefused { .. } | IdpError::ChangedUser { .. } | IdpError::UnusableIdentity { .. })
}

#[cfg(test)]
mod tests;
