//! What is done about sessions beside the requests, in the background: idle times are written, what is over is taken out, ends
//! are asked for again, rows are sealed anew.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::super::row;
use super::super::store::{StoreError, StoreKey};
use super::{Forget, Sessions};

const FLUSH_EVERY: Duration = Duration::from_secs(5);
const FLUSHES_A_SWEEP: u32 = 12;

impl Sessions {
    /// Seals rows anew that an older key has sealed and that were used since. Nothing else of them changes, and whoever
    /// writes such a row meanwhile wins. (Cookies keep their key, and so does what a session is found by: an older key is
    /// of use until the last session that began with it has ended.)
    pub async fn reseal(&self) {
        for key in self.reseals.take() {
            if let Err(error) = self.reseal_one(key).await {
                tracing::warn!(%error, "rows could not be sealed with the newest key; it is tried again when they are used");
                return;
            }
        }
    }

    /// Writes idle times every few seconds and takes out what is over once a minute, for as long as it is polled.
    pub async fn keep_house(&self) -> ! {
        let mut beat = interval(FLUSH_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for _ in 0..FLUSHES_A_SWEEP {
                beat.tick().await;
                self.grace.look(self.clock.now());
                self.end_again().await;
                self.flush().await;
                self.reseal().await;
            }
            self.sweep().await;
        }
    }

    /// Writes the idle times that wait to be written: at shutdown, so that nobody loses a minute.
    pub async fn flush(&self) {
        let touches = self.touches.take();
        if touches.is_empty() {
            return;
        }
        if let Err(error) = self.store.touch(touches.clone()).await {
            tracing::warn!(%error, sessions = touches.len(), "idle times could not be written; they are tried again");
            self.touches.put_back(touches);
        }
    }

    /// Asks once more for the ends that the store has not confirmed.
    pub(super) async fn end_again(&self) {
        for (key, ends_at) in self.endings.unconfirmed(self.clock.now()) {
            match self.store.remove(key, ends_at).await {
                Ok(was_there) => {
                    self.ended(key);
                    tracing::info!(
                        ?key,
                        was_there,
                        "the store has confirmed the end of a session that it could not before"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "sessions whose end was asked for may go on elsewhere; the store is asked again");
                    return;
                }
            }
        }
    }

    async fn reseal_one(&self, key: StoreKey) -> Result<(), StoreError> {
        let Some(found) = self.store.load(key, self.clock.now()).await? else { return Ok(()) };
        // What cannot be opened any more is left as it is; whoever comes with its cookie is told.
        let Ok(Some(row)) = row::reseal(&found.row, &self.keys, key) else { return Ok(()) };
        let _outdated = Forget { cache: &self.cache, key };
        self.store.replace(key, row, found.revision).await.map(drop)
    }

    pub(super) async fn sweep(&self) {
        let now = self.clock.now();
        let began = Instant::now();
        match self.store.sweep(now).await {
            Ok(0) => {}
            Ok(sessions) => {
                let seconds = began.elapsed().as_secs_f64();
                tracing::debug!(sessions, seconds, "swept sessions that were over");
            }
            Err(error) => tracing::warn!(%error, "sessions that are over could not be swept; it is tried again"),
        }
    }
}
