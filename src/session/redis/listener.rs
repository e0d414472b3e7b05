//! What others change, as the servers tell it: one connection to each primary, which is asked ten times a second whether
//! it is still there. As long as all of them are, nothing is missed.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value, cmd};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::super::store::Told;
use super::servers::{Listened, address, patience};
use super::{ROWS, Redis, deadlines, key_of};

/// How long to wait before it is tried anew.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens for ever.
pub(super) async fn listen(store: &Redis, told: &dyn Told) {
    let mut complaint = String::new();
    loop {
        let (sender, mut pushes) = mpsc::unbounded_channel();
        match Listeners::connect(store, &sender).await {
            Ok(listeners) => {
                store.begin_anew();
                // Whoever is primary now may have been none when a session ended.
                if store.write_endings_again().await.is_ok() {
                    complaint.clear();
                    told.tracked();
                    let why = listeners.run(store, &mut pushes, told).await;
                    told.lost();
                    // What is read meanwhile is not kept, but is to be that of the primary all the same.
                    store.begin_anew();
                    tracing::warn!(
                        why,
                        "the session store no longer tells what is changed; sessions are read from it until it does"
                    );
                }
            }
            Err(error) => {
                // Once, not at each try.
                let error = store.servers.told(&error);
                if complaint != error {
                    tracing::warn!(
                        error,
                        "the session store cannot be listened to; each check asks it until it can (with an ACL, look for \
                         `+client|tracking`)"
                    );
                    complaint = error;
                }
            }
        }
        sleep(PAUSE).await;
    }
}

struct Listeners(Vec<Listened>);

impl Listeners {
    async fn connect(store: &Redis, sender: &mpsc::UnboundedSender<PushInfo>) -> RedisResult<Self> {
        let primaries = timeout(deadlines::QUESTION, store.servers.primaries()).await.map_err(|_| late())??;
        let mut listened = Vec::new();
        for client in primaries {
            let config = patience().set_response_timeout(Some(deadlines::SILENCE)).set_push_sender(sender.clone());
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = timeout(deadlines::CONNECT, connecting).await.map_err(|_| late())??;
            let mut tracking = cmd("CLIENT");
            tracking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(ROWS);
            let () = tracking.query_async(&mut connection).await?;
            listened.push(Listened { address: address(&client), connection });
        }
        Ok(Self(listened))
    }

    /// Tells what is changed, until something may be missed; why that is.
    async fn run(
        &self,
        store: &Redis,
        pushes: &mut mpsc::UnboundedReceiver<PushInfo>,
        told: &dyn Told,
    ) -> &'static str {
        // Each by itself: one that is slow must not put off the question to the others.
        let mut hearts: FuturesUnordered<_> = self.0.iter().map(|it| falls_silent(it.connection.clone())).collect();
        let heartbeat = async {
            match hearts.next().await {
                Some(()) => "a server does not answer",
                None => "there is no server to listen to",
            }
        };
        let telling = async {
            while let Some(push) = pushes.recv().await {
                match push.kind {
                    PushKind::Disconnection => return "the connection is lost",
                    PushKind::Invalidate if !tell(&push.data, told) => return "a server has forgotten everything",
                    _ => {}
                }
            }
            "nobody tells any more"
        };
        tokio::select! {
            why = telling => why,
            why = heartbeat => why,
            why = self.leads_no_more(store) => why,
        }
    }

    /// Until another server is primary, or nobody has said for long who is.
    async fn leads_no_more(&self, store: &Redis) -> &'static str {
        let mut seen = Instant::now();
        loop {
            sleep(deadlines::TOPOLOGY).await;
            match timeout(deadlines::QUESTION, store.servers.still_lead(&self.0)).await {
                Ok(Ok(true)) => seen = Instant::now(),
                Ok(Ok(false)) => return "another server has become primary",
                Ok(Err(_)) | Err(_) if seen.elapsed() < deadlines::BLINDNESS => {}
                Ok(Err(_)) | Err(_) => return "nobody says who is primary",
            }
        }
    }
}

/// Until it is asked in vain whether it is still there.
async fn falls_silent(mut connection: MultiplexedConnection) {
    let mut beats = interval(deadlines::HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let ping = cmd("PING");
        if !matches!(timeout(deadlines::SILENCE, ping.query_async::<()>(&mut connection)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Tells what was changed; `false` if that is all there is (FLUSHALL).
fn tell(data: &[Value], told: &dyn Told) -> bool {
    let Some(Value::Array(keys)) = data.first() else { return false };
    for key in keys {
        if let Value::BulkString(key) = key
            && let Some(key) = key_of(key)
        {
            told.changed(key);
        }
    }
    true
}

fn late() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
