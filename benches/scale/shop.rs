//! A store with so many sessions in it, their cookies, and the gateways that are run on it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::{Clock, SystemClock};
use countersign::entropy::SystemEntropy;
use countersign::identity::ProviderId;
use countersign::keyring::init_directory;
use countersign::seal::SessionKeys;
use countersign::secret::{generate_session_key, parse_session_key};
use countersign::session::{Embedded, Redis, Sessions, Store, Whence};
use futures_util::stream::{self, StreamExt};
use redis::cmd;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ahead::Ahead;
use crate::gateway::Gateway;
use crate::lying_idp::{LyingIdp, registration};
use crate::processes::session_settings;
use crate::servers::{Kind, Servers};
use crate::visitor;

/// How often a store is tried again that has more to do than it can.
const TRIES: u32 = 50;

/// Where sessions are kept.
pub(crate) enum Shelf {
    Embedded,
    Redis(Servers),
}

/// The store, and all that its gateways need.
pub(crate) struct Shop {
    pub(crate) sessions: u64,
    /// Their cookies' values, one a line.
    pub(crate) cookies: PathBuf,
    /// What a session takes in the store, in bytes.
    pub(crate) bytes_each: f64,
    /// How many were taken in a second.
    pub(crate) seeded_a_second: f64,
    pub(crate) shelf: Shelf,
    session_key: String,
    issuer: String,
    folder: TempDir,
}

impl Shop {
    /// A store with `count` sessions in it.
    pub(crate) async fn open(shelf: Shelf, count: u64, idp: &LyingIdp) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        init_directory(&folder.path().join("keys"), SystemClock.now(), Arc::new(SystemEntropy)).expect("keys");
        std::fs::create_dir(folder.path().join("data")).expect("a directory");
        let mut shop = Self {
            sessions: count,
            cookies: folder.path().join("cookies"),
            bytes_each: 0.0,
            seeded_a_second: 0.0,
            shelf,
            session_key: generate_session_key(&SystemEntropy),
            issuer: idp.issuer.clone(),
            folder,
        };
        let (before, begun) = (shop.bytes().await, Instant::now());
        shop.seat(count, Arc::new(SystemClock), &shop.cookies).await;
        shop.seeded_a_second = per(count, begun.elapsed());
        let taken = shop.bytes().await - before;
        #[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
        {
            shop.bytes_each = taken as f64 / count as f64;
        }
        shop
    }

    /// Makes sessions as sign-ins do, through the store's port; their cookies go to a file.
    pub(crate) async fn seat(&self, count: u64, clock: Arc<dyn Clock>, cookies: &Path) {
        let store = self.store();
        let key = parse_session_key(&self.session_key).expect("a key");
        let keys = Arc::new(SessionKeys::new(vec![key]).expect("keys"));
        let settings = session_settings();
        let sessions = &Sessions::new(store, keys, clock, Arc::new(SystemEntropy), &settings);
        let mut file = BufWriter::new(File::create(cookies).expect("a file"));
        let made = stream::iter(0..count).map(|number| async move {
            let new = newcomer(number);
            let whence = Whence { device: Some("Firefox on Linux".into()), address: "192.0.2.1".parse().ok() };
            for _ in 0..TRIES {
                match sessions.create_from(new.clone(), whence.clone()).await {
                    Ok((value, _)) => return value,
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
            panic!("the store takes no session");
        });
        let mut made = made.buffer_unordered(self.shelf.at_a_time());
        let (begun, mut done) = (Instant::now(), 0);
        while let Some(value) = made.next().await {
            writeln!(file, "{value}").expect("written");
            done += 1;
            if done % 100_000 == 0 {
                println!("  {done} sessions after {:.0} s", begun.elapsed().as_secs_f64());
            }
        }
        file.flush().expect("written");
    }

    /// Starts a gateway on it, as people run it.
    pub(crate) fn gateway(&self) -> Gateway {
        self.gateway_with(json!({}))
    }

    /// Starts a gateway on it that is told these things as well.
    pub(crate) fn gateway_with(&self, more: Value) -> Gateway {
        let mut settings = self.settings();
        let (Value::Object(settings_by_key), Value::Object(more)) = (&mut settings, more) else { panic!("two maps") };
        settings_by_key.extend(more);
        Gateway::start(settings, Duration::ZERO)
    }

    /// Starts a gateway on it whose clock is ahead.
    pub(crate) fn gateway_ahead(&self, ahead: Duration) -> Gateway {
        Gateway::start(self.settings(), ahead)
    }

    /// The clock of such a gateway.
    pub(crate) fn clock_ahead(ahead: Duration) -> Arc<dyn Clock> {
        Arc::new(Ahead(ahead))
    }

    /// A file beside the store's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> Arc<dyn Store> {
        match &self.shelf {
            Shelf::Embedded => Arc::new(Embedded::open(self.file()).expect("a store")),
            Shelf::Redis(servers) => Arc::new(Redis::new(&servers.settings(), Arc::new(SystemClock)).expect("a store")),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("data/sessions.redb")
    }

    /// What the store takes: of the disk, or of Redis' memory.
    async fn bytes(&self) -> u64 {
        match &self.shelf {
            Shelf::Embedded => std::fs::metadata(self.file()).map_or(0, |file| file.len()),
            Shelf::Redis(servers) => {
                let info: String = servers.stores[0].ask(cmd("INFO").arg("memory")).await.expect("answered");
                let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a figure");
                used.trim().parse().expect("a number")
            }
        }
    }

    /// What a gateway is told, but for where it listens.
    fn settings(&self) -> Value {
        let provider: Value = serde_json::from_str(&registration("corp", &self.issuer)).expect("JSON");
        let mut session = json!({"keys": [self.session_key]});
        if let Shelf::Redis(servers) = &self.shelf {
            session["store"] = json!("redis");
            session["redis"] = servers.config();
        }
        json!({
            "public_url": "https://mesh.example.com",
            "data_dir": self.folder.path().join("data"),
            "providers": [provider],
            "token": {"keys": {"dir": self.folder.path().join("keys")}},
            "session": session,
            // All of them sign in from one address.
            "limits": {"sign_ins": "4000000000/5m", "sign_ins_per_address": "4000000000/5m"},
            "shutdown": {"lame_duck": "0s", "deadline": "5s"},
            "log": {"level": "info,countersign::session=debug"},
        })
    }
}

impl Shelf {
    /// How many sessions are on their way into the store at a time: so many as the file's writer makes durable together;
    /// no more than Redis answers well before the deadline of an answer.
    const fn at_a_time(&self) -> usize {
        match self {
            Self::Embedded => 512,
            Self::Redis(_) => 128,
        }
    }

    /// A server that keeps everything in memory.
    pub(crate) async fn redis() -> Self {
        Self::Redis(Servers::start(Kind::Standalone).await)
    }
}

/// Somebody who was not here before. The provider names its session, as Keycloak does, and gives no tokens.
fn newcomer(number: u64) -> countersign::session::NewSession {
    let provider = ProviderId::parse("corp").expect("a provider");
    let subject = format!("f:08a8684b-db88-4b73-90a9-{number:012}");
    let user = format!("user-{number}@example.com");
    let new = visitor::session(provider, &user, &subject, visitor::tokens("", "", None));
    countersign::session::NewSession { provider_sid: Some(format!("0a1b2c3d-4e5f-4a6b-8c7d-{number:012}")), ..new }
}

/// So many in that time: how many in a second.
pub(crate) fn per(count: u64, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
    let count = count as f64;
    count / span.as_secs_f64()
}
