//! The way out: readiness goes first, requests are still served until the mesh has noticed, then whoever is still
//! connected is asked to go, then open requests are finished, then the rest is cut.

use std::future::Future;
use std::pin::pin;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::ShutdownSettings;

/// How far the way out has been gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// Not ready any more, but everything is served as ever, new connections too.
    LameDuck,
    /// The same, and who is connected is asked to go: HTTP/1 answers say so, HTTP/2 connections get a GOAWAY.
    Parting,
    /// Nobody is let in; open requests are finished.
    Closing,
    /// Time is up.
    Cut,
}

/// This part of the lame duck's time is the parting.
const PARTING: u32 = 5;

/// Whoever holds this decides when it is time to go.
#[derive(Debug)]
pub struct Shutdown(watch::Sender<Phase>);

/// Whoever holds this is told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
    lingers: bool,
}

impl Shutdown {
    /// The two ends, serving.
    #[must_use]
    pub fn new() -> (Self, Drain) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (Self(sender), Drain { phase: receiver, lingers: false })
    }

    /// Goes the way out: lame duck, parting, closing until `servers` have ended or the deadline is there, cut. It
    /// returns when `servers` has.
    pub async fn run(self, settings: ShutdownSettings, servers: impl Future<Output = ()>) {
        let mut servers = pin!(servers);
        tracing::info!(lame_duck = ?settings.lame_duck, deadline = ?settings.deadline, "draining");
        let parting = settings.lame_duck / PARTING;
        for (phase, span) in [(Phase::LameDuck, settings.lame_duck.saturating_sub(parting)), (Phase::Parting, parting)]
        {
            self.reach(phase);
            if timeout(span, &mut servers).await.is_ok() {
                return;
            }
        }
        self.reach(Phase::Closing);
        if timeout(settings.deadline, &mut servers).await.is_err() {
            tracing::warn!("requests were still open at the deadline; they are cut");
            self.reach(Phase::Cut);
            servers.await;
        }
    }

    /// Says how far it is, whatever the time.
    pub fn reach(&self, phase: Phase) {
        self.0.send_replace(phase);
    }
}

impl Drain {
    /// The same way out, for a port that is to answer to its very end: it stays a lame duck until the cut.
    #[must_use]
    pub fn lingering(self) -> Self {
        Self { lingers: true, ..self }
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.as_told(*self.phase.borrow())
    }

    /// Whether the way out has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() > Phase::Serving
    }

    /// Returns once it is at `phase` or further. Never, if nobody is left who could say so.
    pub async fn reached(&self, phase: Phase) {
        if self.phase.clone().wait_for(|current| self.as_told(*current) >= phase).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn as_told(&self, phase: Phase) -> Phase {
        if self.lingers && phase < Phase::Cut { phase.min(Phase::LameDuck) } else { phase }
    }
}

/// Returns when the process is asked to end: SIGTERM, or SIGINT from a terminal.
///
/// # Errors
/// If the handlers cannot be installed.
pub async fn signalled() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
