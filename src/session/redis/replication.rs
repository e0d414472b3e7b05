//! Waiting until a replica of Redis has what was written. Whoever waits holds up all who share the connection: so it is one
//! at a time, and for a moment nobody where no replica answers.

use std::time::Duration;

use redis::pipe;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::super::store::StoreError;
use super::deadlines;
use super::line::unavailable;
use super::servers::{Link, Servers};

/// Until when it is of no use to wait.
#[derive(Debug, Default)]
pub(super) struct Replication(Mutex<Option<Instant>>);

/// Replicas that hang are not waited for again before that.
const PAUSE: Duration = Duration::from_secs(1);

impl Replication {
    /// Waits until a replica has what was written to `row` by this connection, or it is clear that none answers: the
    /// writing is done all the same, and is done again where another server takes over.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) async fn wait(&self, servers: &Servers, mut link: Link, row: &str) -> Result<(), StoreError> {
        let mut useless_until = self.0.lock().await;
        if useless_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let patience = u64::try_from(deadlines::REPLICATION.as_millis()).unwrap_or(u64::MAX);
        let mut waiting = pipe();
        // The first leads to the server that has the row.
        waiting.cmd("EXISTS").arg(row).ignore().cmd("WAIT").arg(1).arg(patience);
        let waited = timeout(deadlines::ANSWER, waiting.query_async::<(u64,)>(&mut link)).await;
        let waited = waited.map_err(|_| unavailable("no answer in time"))?;
        let (replicas,) = waited.map_err(|error| unavailable(servers.told(&error)))?;
        *useless_until = (replicas == 0).then(|| Instant::now() + PAUSE);
        if replicas == 0 {
            tracing::warn!(
                "no replica of Redis has the end of a session yet; should its primary fail now, it is written again"
            );
        }
        Ok(())
    }
}
