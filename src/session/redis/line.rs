//! A line to the servers: made anew when it is lost, with a deadline on every call, and shut for a moment when nobody
//! answers, so that callers are told at once.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{RedisError, RedisResult};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

use super::super::store::StoreError;
use super::deadlines;
use super::servers::{Link, Servers};

/// A line to the servers.
pub(super) struct Line {
    servers: Arc<Servers>,
    state: Mutex<State>,
    /// Held by the one who connects.
    connecting: AsyncMutex<()>,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    /// Which connection it is, so that nobody drops the next one for the faults of the last.
    number: u64,
    /// How many calls in a row have not been answered in time.
    unanswered: u32,
    /// Until when it is shut, and why.
    shut: Option<(Instant, String)>,
}

/// After so many calls without an answer the connection is taken for lost.
const PATIENCE: u32 = 3;
/// How long the line is shut after it could not be made.
const PAUSE: Duration = Duration::from_millis(200);

impl Line {
    pub(super) fn new(servers: Arc<Servers>) -> Self {
        Self { servers, state: Mutex::default(), connecting: AsyncMutex::default() }
    }

    /// Asks something, and waits no longer than `deadline`. If the connection turns out to be lost it is asked once more:
    /// a question that was answered already must come to the same.
    pub(super) async fn ask<T, A>(&self, deadline: Duration, question: impl Fn(Link) -> A) -> Result<T, StoreError>
    where
        A: Future<Output = RedisResult<T>>,
    {
        let asking = async {
            let (link, number) = self.link().await?;
            let answer = timeout(deadlines::ANSWER, question(link)).await;
            match self.note(number, answer) {
                Err(_) if self.has_lost(number) => {
                    let (link, number) = self.link().await?;
                    let answer = timeout(deadlines::ANSWER, question(link)).await;
                    self.note(number, answer)
                }
                answer => answer,
            }
        };
        timeout(deadline, asking).await.unwrap_or_else(|_| Err(unavailable("no answer in time")))
    }

    /// What is asked from now on is asked of whoever is primary now: the one that was may still answer, and have missed
    /// much.
    pub(super) fn begin_anew(&self) {
        let mut state = self.lock();
        state.link = None;
        state.number += 1;
    }

    /// Whether that connection is no more, and another one may be had.
    fn has_lost(&self, number: u64) -> bool {
        let state = self.lock();
        (state.link.is_none() && state.shut.is_none()) || state.number != number
    }

    async fn link(&self) -> Result<(Link, u64), StoreError> {
        if let Some(open) = self.open()? {
            return Ok(open);
        }
        let _connecting = self.connecting.lock().await;
        // Somebody else may have made it meanwhile, or failed to.
        if let Some(open) = self.open()? {
            return Ok(open);
        }
        let made = match timeout(deadlines::CONNECT, self.servers.connect()).await {
            Ok(made) => made.map_err(|error| format!("{} ({})", self.servers.told(&error), self.servers.named)),
            Err(_) => Err(format!("nobody answers ({})", self.servers.named)),
        };
        let mut state = self.lock();
        match made {
            Ok(link) => {
                state.number += 1;
                state.unanswered = 0;
                state.reopen();
                state.link = Some(link.clone());
                Ok((link, state.number))
            }
            Err(reason) => {
                state.shut_for(&reason);
                Err(unavailable(reason))
            }
        }
    }

    fn open(&self) -> Result<Option<(Link, u64)>, StoreError> {
        let state = self.lock();
        if let Some(link) = &state.link {
            return Ok(Some((link.clone(), state.number)));
        }
        match &state.shut {
            Some((until, reason)) if Instant::now() < *until => Err(unavailable(reason)),
            _ => Ok(None),
        }
    }

    fn note<T, Late>(&self, number: u64, answer: Result<RedisResult<T>, Late>) -> Result<T, StoreError> {
        let mut state = self.lock();
        let is_current = state.number == number;
        match answer {
            Ok(Ok(answer)) => {
                state.unanswered = 0;
                return Ok(answer);
            }
            Ok(Err(error)) if !error.is_timeout() => {
                if is_current && is_lost(&error) {
                    state.link = None;
                }
                return Err(unavailable(self.servers.told(&error)));
            }
            Ok(Err(_)) | Err(_) => {}
        }
        // In a cluster it may be one server of many that is silent.
        if is_current && !matches!(state.link, Some(Link::Many(_))) {
            state.unanswered += 1;
            if state.unanswered >= PATIENCE {
                state.link = None;
                state.shut_for("the servers do not answer");
            }
        }
        Err(unavailable("no answer in time"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Shuts the line for a moment. That nobody can be reached is said once, not at each try.
    fn shut_for(&mut self, reason: &str) {
        if self.shut.is_none() {
            tracing::error!(reason, "the session store cannot be reached");
        } else {
            tracing::debug!(reason, "the session store still cannot be reached");
        }
        self.shut = Some((Instant::now() + PAUSE, reason.to_owned()));
    }

    fn reopen(&mut self) {
        if self.shut.take().is_some() {
            tracing::info!("the session store can be reached again");
        }
    }
}

/// Whether another connection may do better: this one is cut, or leads to what is no primary any more.
fn is_lost(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    let is_elsewhere = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
    );
    is_elsewhere || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

pub(super) fn unavailable(reason: impl Display) -> StoreError {
    StoreError::Unavailable { reason: format!("Redis: {reason}") }
}
