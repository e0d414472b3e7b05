//! The store of many replicas: Redis or Valkey, one server, sentinels or a cluster. Of a session it keeps the sealed row
//! (`cs:1:s:{…}`), whose life is that of the session and whose changes every replica is told of, and apart from it the
//! idle clock (`cs:1:i:{…}`), which nobody needs to be told of. Besides there are lists: by tag, and of all sessions in
//! the order in which they would be over. They may be behind the rows, and are mended when they are read.

mod deadlines;
mod endings;
mod line;
mod listener;
mod pages;
mod replication;
mod scripts;
mod sentinels;
mod servers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::{Value, cmd, pipe};

use self::endings::Endings;
use self::line::{Line, unavailable};
use self::replication::Replication;
use self::scripts::{END, ENDED, Scripts};
use self::servers::{Link, Servers};
use super::store::{
    Cursor, Holder, NewRow, Page, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag, Told,
};
use crate::clock::{Clock, UnixTime};
use crate::config::RedisSettings;

/// Sessions in a Redis or Valkey.
pub struct Redis {
    servers: Arc<Servers>,
    line: Line,
    /// Endings wait for a replica to have them, and whoever shares their connection waits as well.
    endings_line: Line,
    endings: Endings,
    replication: Replication,
    scripts: Scripts,
    clock: Arc<dyn Clock>,
}

/// What every key begins with: ours, and how what is under it is written.
const PREFIX: &str = "cs:1:";
const ROWS: &str = "cs:1:s:";

/// Into so many lists all sessions are spread.
const LISTS: u8 = 64;
/// How many questions of one kind are under way at a time.
const AT_A_TIME: usize = 64;
/// How many entries of a list are looked at in one step.
const BATCH: usize = 512;

impl Redis {
    /// A store at those servers. They are not asked anything yet.
    ///
    /// # Errors
    /// If the settings name no servers that could be asked.
    pub fn new(settings: &RedisSettings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let servers = Arc::new(Servers::new(settings).map_err(unavailable)?);
        Ok(Self {
            line: Line::new(Arc::clone(&servers)),
            endings_line: Line::new(Arc::clone(&servers)),
            servers,
            endings: Endings::default(),
            replication: Replication::default(),
            scripts: Scripts::new(),
            clock,
        })
    }

    /// How long something is to be kept that is of use until `end`, in milliseconds.
    fn life(&self, end: UnixTime) -> u64 {
        // The servers' clocks and ours may differ; that something is over, the one who reads it sees for themselves.
        const SPARE: Duration = Duration::from_mins(1);
        u64::try_from((end.since(self.clock.now()) + SPARE).as_millis()).unwrap_or(u64::MAX)
    }

    /// What is asked from now on is asked of whoever is primary now.
    fn begin_anew(&self) {
        self.line.begin_anew();
        self.endings_line.begin_anew();
    }

    /// Writes the end of a session, and waits for a replica to have it where there are some. Whether there was a row.
    async fn write_ending(&self, key: StoreKey, ends_at: UnixTime) -> Result<bool, StoreError> {
        let life = self.life(ends_at);
        let (row, clock) = (row_key(key), clock_key(key));
        let keys = &(&row, &clock);
        let (had, has_replicas, link) = self
            .endings_line
            .ask(deadlines::QUESTION, move |mut link| async move {
                let mut ending = pipe();
                ending.cmd("EVAL").arg(END).arg(2).arg(keys).arg(life).cmd("ROLE");
                let (had, role): (bool, Vec<Value>) = ending.query_async(&mut link).await?;
                let has_replicas = matches!(role.get(2), Some(Value::Array(replicas)) if !replicas.is_empty());
                Ok((had, has_replicas, link))
            })
            .await?;
        if has_replicas {
            self.replication.wait(&self.servers, link, &row).await?;
        }
        Ok(had)
    }

    /// Writes all endings that are remembered once more: to servers that may not have them.
    async fn write_endings_again(&self) -> Result<(), StoreError> {
        self.endings.forget_over(self.clock.now());
        stream::iter(self.endings.all())
            .map(|(key, ends_at)| self.write_ending(key, ends_at))
            .buffer_unordered(AT_A_TIME)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
    }

    async fn sweep_list(&self, list: u8, now: UnixTime) -> Result<u64, StoreError> {
        let mut swept = 0;
        loop {
            let over: Vec<Vec<u8>> = self
                .line
                .ask(deadlines::HOUSEKEEPING, move |mut link| async move {
                    let mut range = cmd("ZRANGEBYSCORE");
                    range.arg(list_key(list)).arg("-inf").arg(now.as_secs()).arg("LIMIT").arg(0).arg(BATCH);
                    range.query_async(&mut link).await
                })
                .await?;
            let found = over.len();
            swept += stream::iter(over)
                .map(|id| self.sweep_one(list, id, now))
                .buffer_unordered(AT_A_TIME)
                .try_fold(0, |sum, one| std::future::ready(Ok(sum + u64::from(one))))
                .await?;
            if found < BATCH {
                return Ok(swept);
            }
        }
    }

    /// Takes a session out that its list says is over; whether it was. Otherwise the list is mended.
    async fn sweep_one(&self, list: u8, id: Vec<u8>, now: UnixTime) -> Result<bool, StoreError> {
        let (script, id) = (&self.scripts.sweep, &id);
        let Ok(key) = <[u8; 32]>::try_from(&id[..]).map(StoreKey) else {
            // Nothing of ours; left there, it would be found again and again.
            let remove = move |mut link: Link| async move {
                cmd("ZREM").arg(list_key(list)).arg(id).query_async(&mut link).await
            };
            return self.line.ask(deadlines::HOUSEKEEPING, remove).await.map(|()| false);
        };
        self.line
            .ask(deadlines::HOUSEKEEPING, move |mut link| async move {
                let mut sweep = script.key(row_key(key));
                let until: i64 = sweep.key(clock_key(key)).arg(now.as_secs()).invoke_async(&mut link).await?;
                let list = list_key(list);
                if until > 0 {
                    let () = cmd("ZADD").arg(list).arg("XX").arg(until).arg(id).query_async(&mut link).await?;
                } else {
                    let () = cmd("ZREM").arg(list).arg(id).query_async(&mut link).await?;
                }
                Ok(until == 0)
            })
            .await
    }
}

#[async_trait]
impl Store for Redis {
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError> {
        let until = new.until.min(new.ends_at);
        let (row_life, clock_life, now) = (self.life(new.ends_at), self.life(until), self.clock.now());
        let (scripts, new) = (&self.scripts, &new);
        self.line
            .ask(deadlines::QUESTION, move |mut link| async move {
                // The lists first: what they name and is not there, they lose again; a row that no list has would stay.
                for tag in &new.tags {
                    let mut tagging = scripts.tag.key(tag_key(*tag));
                    tagging.arg(new.ends_at.as_secs()).arg(key.as_bytes()).arg(row_life).arg(now.as_secs());
                    let () = tagging.invoke_async(&mut link).await?;
                }
                let mut listing = cmd("ZADD");
                listing.arg(list_key(list_of(key))).arg(until.as_secs()).arg(key.as_bytes());
                let () = listing.query_async(&mut link).await?;
                let mut creating = scripts.create.key(row_key(key));
                creating.key(clock_key(key)).arg(&new.row).arg(row_life).arg(until.as_secs()).arg(clock_life);
                // Keys are random: if something is there, it is what we wrote before the connection was lost.
                creating.invoke_async::<()>(&mut link).await
            })
            .await
    }

    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, StoreError> {
        if self.endings.hold(key) {
            return Ok(None);
        }
        let (row, clock): (Option<Vec<u8>>, Option<u64>) = self
            .line
            .ask(deadlines::QUESTION, move |mut link| async move {
                let mut loading = pipe();
                loading.cmd("GET").arg(row_key(key)).cmd("GET").arg(clock_key(key));
                loading.query_async(&mut link).await
            })
            .await?;
        let (Some((revision, row)), Some(until)) = (row.and_then(written), clock) else { return Ok(None) };
        let until = UnixTime::from_secs(until);
        Ok((until > now).then_some(StoredRow { row, revision, until }))
    }

    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError> {
        let (script, row) = (&self.scripts.replace, &row);
        let revision: i64 = self
            .line
            .ask(deadlines::QUESTION, move |mut link| async move {
                script.key(row_key(key)).arg(expected.0).arg(row).invoke_async(&mut link).await
            })
            .await?;
        Ok(match u64::try_from(revision) {
            Ok(0) => Replaced::Gone,
            Ok(revision) => Replaced::Done(Revision(revision)),
            Err(_) => Replaced::Superseded,
        })
    }

    async fn touch(&self, touches: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError> {
        let script = &self.scripts.touch;
        stream::iter(touches)
            .map(|(key, until)| {
                let life = self.life(until);
                self.line.ask(deadlines::HOUSEKEEPING, move |mut link| async move {
                    let mut touching = script.key(clock_key(key));
                    touching.arg(until.as_secs()).arg(life).invoke_async(&mut link).await
                })
            })
            .buffer_unordered(AT_A_TIME)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
    }

    async fn remove(&self, key: StoreKey, ends_at: UnixTime) -> Result<bool, StoreError> {
        let had = self.write_ending(key, ends_at).await?;
        self.endings.remember(key, ends_at);
        self.line
            .ask(deadlines::QUESTION, move |mut link| async move {
                cmd("ZREM").arg(list_key(list_of(key))).arg(key.as_bytes()).query_async::<()>(&mut link).await
            })
            .await
            // The list is mended when it is swept.
            .unwrap_or_else(|error| tracing::debug!(%error, "an ended session is still listed"));
        Ok(had)
    }

    async fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, StoreError> {
        let ids: Vec<Vec<u8>> = self
            .line
            .ask(deadlines::QUESTION, move |mut link| async move {
                cmd("ZRANGE").arg(tag_key(tag)).arg(0).arg(-1).query_async(&mut link).await
            })
            .await?;
        let keys: Vec<StoreKey> = ids.into_iter().filter_map(|id| id.try_into().ok()).map(StoreKey).collect();
        let found: Vec<(StoreKey, bool, bool)> = stream::iter(keys)
            .map(|key| async move {
                let first = self.line.ask(deadlines::QUESTION, move |mut link| async move {
                    cmd("GETRANGE").arg(row_key(key)).arg(0).arg(0).query_async::<Vec<u8>>(&mut link).await
                });
                let first = first.await?;
                Ok::<_, StoreError>((key, !first.is_empty() && first != ENDED, first == ENDED))
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        // Only those that have ended: one that is not there may be about to come.
        let ended: Vec<&[u8]> = found.iter().filter(|(_, _, ended)| *ended).map(|(key, ..)| &key.0[..]).collect();
        if !ended.is_empty() {
            let ended = &ended;
            self.line
                .ask(deadlines::QUESTION, move |mut link| async move {
                    cmd("ZREM").arg(tag_key(tag)).arg(ended).query_async::<()>(&mut link).await
                })
                .await?;
        }
        Ok(found.into_iter().filter(|(_, is_there, _)| *is_there).map(|(key, ..)| key).collect())
    }

    async fn page(&self, after: Cursor) -> Result<Page, StoreError> {
        pages::page(self, after).await
    }

    async fn burn(&self, flow: [u8; 16], until: UnixTime) -> Result<bool, StoreError> {
        let life = self.life(until);
        self.line
            .ask(deadlines::QUESTION, move |mut link| async move {
                let set: Option<String> =
                    cmd("SET").arg(flow_key(flow)).arg(1).arg("NX").arg("PX").arg(life).query_async(&mut link).await?;
                Ok(set.is_some())
            })
            .await
    }

    async fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, StoreError> {
        self.line
            .ask(deadlines::QUESTION, move |mut link| async move {
                cmd("EXISTS").arg(flow_key(flow)).query_async(&mut link).await
            })
            .await
    }

    async fn lease(&self, key: StoreKey, holder: Holder, span: Duration) -> Result<bool, StoreError> {
        let (script, span) = (&self.scripts.lease, u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        self.line
            .ask(deadlines::QUESTION, move |mut link| async move {
                script.key(lease_key(key)).arg(&holder.0).arg(span).invoke_async(&mut link).await
            })
            .await
    }

    async fn release(&self, key: StoreKey, holder: Holder) -> Result<(), StoreError> {
        let script = &self.scripts.release;
        self.line
            .ask(deadlines::QUESTION, move |mut link| async move {
                script.key(lease_key(key)).arg(&holder.0).invoke_async(&mut link).await
            })
            .await
    }

    async fn sweep(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.endings.forget_over(now);
        let mut swept = 0;
        for list in 0..LISTS {
            swept += self.sweep_list(list, now).await?;
        }
        Ok(swept)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        stream::iter(0..LISTS)
            .map(|list| {
                self.line.ask(deadlines::QUESTION, move |mut link| async move {
                    cmd("ZCARD").arg(list_key(list)).query_async::<u64>(&mut link).await
                })
            })
            .buffer_unordered(AT_A_TIME)
            .try_fold(0, |sum, one| std::future::ready(Ok(sum + one)))
            .await
    }

    async fn watch(&self, told: &dyn Told) {
        listener::listen(self, told).await;
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

fn row_key(key: StoreKey) -> String {
    format!("{ROWS}{{{}}}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

fn clock_key(key: StoreKey) -> String {
    format!("{PREFIX}i:{{{}}}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

fn lease_key(key: StoreKey) -> String {
    format!("{PREFIX}r:{{{}}}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

fn flow_key(flow: [u8; 16]) -> String {
    format!("{PREFIX}f:{}", URL_SAFE_NO_PAD.encode(flow))
}

fn tag_key(tag: Tag) -> String {
    format!("{PREFIX}t:{}", URL_SAFE_NO_PAD.encode(tag.as_bytes()))
}

fn list_key(list: u8) -> String {
    format!("{PREFIX}l:{list}")
}

fn list_of(key: StoreKey) -> u8 {
    key.as_bytes()[0] % LISTS
}

/// The key of a row, read back.
fn key_of(row_key: &[u8]) -> Option<StoreKey> {
    let id = row_key.strip_prefix(ROWS.as_bytes())?.strip_prefix(b"{")?.strip_suffix(b"}")?;
    URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok().map(StoreKey)
}

/// Which writing of a row this is, and what was sealed; nothing if its session has ended.
fn written(mut text: Vec<u8>) -> Option<(Revision, Vec<u8>)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let row = text.split_off(colon + 1);
    let revision = std::str::from_utf8(&text[..colon]).ok()?.parse().ok()?;
    Some((Revision(revision), row))
}
