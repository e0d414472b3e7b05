//! Who is primary, as sentinels know it. All are asked, each by itself: one that hangs must not hold the others up, and one
//! that is cut off from the others may not have heard who took over.

use std::collections::HashMap;

use futures_util::future::join_all;
use redis::{Client, ErrorKind, RedisResult, cmd};
use tokio::time::timeout;

use super::deadlines;
use super::servers::{Reach, patience};

/// The sentinels of one primary.
pub(super) struct Sentinels {
    clients: Vec<Client>,
    /// What they call the primary.
    master: String,
}

/// What one of them says.
struct Word {
    /// Counted up by each change of primary: the highest is the newest.
    epoch: u64,
    host: String,
    port: u16,
}

impl Sentinels {
    pub(super) const fn new(clients: Vec<Client>, master: String) -> Self {
        Self { clients, master }
    }

    /// The primary, by the newest word of those who answer: more than half of them, because fewer cannot have another
    /// server take over, and would not learn of it if others did.
    pub(super) async fn primary(&self, reach: &Reach) -> RedisResult<Client> {
        let asking = self.clients.iter().map(|sentinel| timeout(deadlines::SENTINEL, self.ask(sentinel)));
        let answers = join_all(asking).await;
        let words: Vec<Option<Word>> = answers.into_iter().filter_map(|answer| answer.ok()?.ok()).collect();
        if words.len() * 2 <= self.clients.len() {
            return Err((ErrorKind::Io, "not half of the sentinels answer").into());
        }
        let newest = words.into_iter().flatten().max_by_key(|word| word.epoch);
        let Some(Word { host, port, .. }) = newest else {
            let known = "the sentinels know no primary of that name";
            return Err((ErrorKind::InvalidClientConfig, known, self.master.clone()).into());
        };
        reach.client(reach.at(host, port)?)
    }

    async fn ask(&self, sentinel: &Client) -> RedisResult<Option<Word>> {
        let mut connection = sentinel.get_multiplexed_async_connection_with_config(&patience()).await?;
        let masters: Vec<HashMap<String, String>> = cmd("SENTINEL").arg("MASTERS").query_async(&mut connection).await?;
        let of = |master: &HashMap<String, String>| {
            let text = |name: &str| master.get(name).cloned();
            let (epoch, port) = (text("config-epoch")?.parse().ok()?, text("port")?.parse().ok()?);
            Some(Word { epoch, host: text("ip")?, port })
        };
        Ok(masters.iter().find(|master| master.get("name") == Some(&self.master)).and_then(of))
    }
}
