//! The way out: readiness goes first, requests are still served until the mesh has noticed, then open requests are
//! finished, then the rest is cut.

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
    /// Not ready any more, but everything is served, new connections too; HTTP/1 answers ask to close.
    LameDuck,
    /// Nobody is let in; open requests are finished.
    Closing,
    /// Time is up.
    Cut,
}

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

    /// Goes the way out: lame duck, closing until `servers` have ended or the deadline is there, cut. It returns when
    /// `servers` has.
    pub async fn run(self, settings: ShutdownSettings, servers: impl Future<Output = ()>) {
        let mut servers = pin!(servers);
        tracing::info!(lame_duck = ?settings.lame_duck, deadline = ?settings.deadline, "draining");
        self.0.send_replace(Phase::LameDuck);
        if timeout(settings.lame_duck, &mut servers).await.is_ok() {
            return;
        }
        self.0.send_replace(Phase::Closing);
        if timeout(settings.deadline, &mut servers).await.is_err() {
            tracing::warn!("requests were still open at the deadline; they are cut");
            self.0.send_replace(Phase::Cut);
            servers.await;
        }
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
        if self.lingers && phase == Phase::Closing { Phase::LameDuck } else { phase }
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
