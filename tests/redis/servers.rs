//! Real servers on free ports of the loopback, gone with the test.

use std::process::Command;
use std::time::Duration;

use countersign::config::{RedisMode, RedisSettings};
use redis::{Client, RedisResult, cmd};
use serde_json::{Value, json};
use url::Url;

use crate::part::{Part, accepts, empty_folder, eventually, free_port, tool};

/// How they belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Standalone,
    /// One, that is not Redis itself.
    Valkey,
    Sentinel,
    Cluster,
}

/// Running servers.
pub(crate) struct Servers {
    kind: Kind,
    /// The servers with sessions; the first is the primary, at first.
    pub(crate) stores: Vec<Server>,
    pub(crate) sentinels: Vec<Server>,
}

/// One of them.
pub(crate) struct Server {
    pub(crate) port: u16,
    process: Part,
}

/// What the sentinels call the primary.
const MASTER: &str = "sessions";

impl Servers {
    pub(crate) async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Standalone => Self { kind, stores: vec![Server::start(free_port(), &[]).await], sentinels: vec![] },
            Kind::Valkey => Self { kind, stores: vec![Server::valkey(free_port()).await], sentinels: vec![] },
            Kind::Sentinel => Self::under_sentinels().await,
            Kind::Cluster => Self::cluster().await,
        }
    }

    /// What Countersign is told of them.
    pub(crate) fn settings(&self) -> RedisSettings {
        let url = |server: &Server| Url::parse(&format!("redis://127.0.0.1:{}", server.port)).expect("an address");
        let (mode, named) = match self.kind {
            Kind::Standalone | Kind::Valkey => (RedisMode::Standalone, &self.stores),
            Kind::Cluster => (RedisMode::Cluster, &self.stores),
            Kind::Sentinel => {
                (RedisMode::Sentinel { master: MASTER.into(), username: None, password: None }, &self.sentinels)
            }
        };
        RedisSettings {
            mode,
            urls: named.iter().map(url).collect(),
            username: None,
            password: None,
            ca: None,
            grace: Duration::ZERO,
        }
    }

    /// The same, as a file spells it.
    pub(crate) fn config(&self) -> Value {
        let settings = self.settings();
        let urls: Vec<&str> = settings.urls.iter().map(Url::as_str).collect();
        match &settings.mode {
            RedisMode::Standalone => json!({"urls": urls}),
            RedisMode::Cluster => json!({"mode": "cluster", "urls": urls}),
            RedisMode::Sentinel { master, .. } => json!({"mode": "sentinel", "urls": urls, "master": master}),
        }
    }

    /// The port of the one that the sentinels take for the primary.
    pub(crate) async fn primary(&self) -> u16 {
        eventually("a sentinel names the primary", || self.named_primary()).await
    }

    /// Until the sentinels name another one than this, and it knows it.
    pub(crate) async fn has_another_primary(&self, old: u16) {
        eventually("another one is primary", || async {
            let named = self.named_primary().await?;
            let server = self.stores.iter().find(|server| server.port == named && named != old).ok_or("the old one")?;
            let role: Vec<redis::Value> = server.ask(&cmd("ROLE")).await.map_err(text)?;
            if role.first() == Some(&redis::Value::BulkString(b"master".to_vec())) {
                Ok(())
            } else {
                Err("none".into())
            }
        })
        .await;
    }

    /// Starts a server at this port that follows the primary, and waits until the sentinels would have it take over.
    pub(crate) async fn another_follows(&mut self, port: u16) {
        let primary = self.primary().await.to_string();
        self.stores.push(Server::start(port, &["--replicaof", "127.0.0.1", &primary]).await);
        let follower = &self.stores[self.stores.len() - 1];
        follower.has_what_its_primary_has().await;
        for sentinel in &self.sentinels {
            eventually("the sentinel knows the follower", || async {
                let known: Vec<std::collections::HashMap<String, String>> =
                    sentinel.ask(cmd("SENTINEL").arg("REPLICAS").arg(MASTER)).await.map_err(text)?;
                let is_well = |replica: &std::collections::HashMap<String, String>| {
                    replica.get("port") == Some(&port.to_string())
                        && replica.get("flags").map(String::as_str) == Some("slave")
                        && replica.get("master-link-status").map(String::as_str) == Some("ok")
                };
                if known.iter().any(is_well) { Ok(()) } else { Err(format!("{known:?}")) }
            })
            .await;
        }
    }

    async fn named_primary(&self) -> Result<u16, String> {
        let mut ask = cmd("SENTINEL");
        let (_, port): (String, u16) =
            self.sentinels[0].ask(ask.arg("GET-MASTER-ADDR-BY-NAME").arg(MASTER)).await.map_err(text)?;
        Ok(port)
    }

    async fn under_sentinels() -> Self {
        let primary = Server::start(free_port(), &[]).await;
        let port = primary.port.to_string();
        let replica = Server::start(free_port(), &["--replicaof", "127.0.0.1", &port]).await;
        replica.has_what_its_primary_has().await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Server::sentinel(free_port(), primary.port).await);
        }
        for sentinel in &sentinels {
            eventually("the sentinel knows the replica and the others", || async {
                let mut ask = cmd("SENTINEL");
                let known: Vec<redis::Value> = sentinel.ask(ask.arg("MASTER").arg(MASTER)).await.map_err(text)?;
                let known: std::collections::HashMap<String, String> =
                    redis::from_redis_value(redis::Value::Array(known)).map_err(|error| error.to_string())?;
                let counts = (known.get("num-slaves"), known.get("num-other-sentinels"));
                if counts == (Some(&"1".into()), Some(&"2".into())) { Ok(()) } else { Err(format!("{counts:?}")) }
            })
            .await;
        }
        Self { kind: Kind::Sentinel, stores: vec![primary, replica], sentinels }
    }

    async fn cluster() -> Self {
        let mut stores = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            let options =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", bus.as_str()];
            stores.push(Server::start(free_port(), &options).await);
            buses.push(bus);
        }
        let slots = [(0, 5460), (5461, 10922), (10923, 16383)];
        for (server, (first, last)) in stores.iter().zip(slots) {
            let mut add = cmd("CLUSTER");
            let () = server.ask(add.arg("ADDSLOTSRANGE").arg(first).arg(last)).await.expect("slots");
            let mut meet = cmd("CLUSTER");
            let () =
                server.ask(meet.arg("MEET").arg("127.0.0.1").arg(stores[0].port).arg(&buses[0])).await.expect("met");
        }
        for server in &stores {
            eventually("the cluster is whole", || async {
                let mut ask = cmd("CLUSTER");
                let info: String = server.ask(ask.arg("INFO")).await.map_err(text)?;
                let whole = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
                if whole { Ok(()) } else { Err(info) }
            })
            .await;
        }
        Self { kind: Kind::Cluster, stores, sentinels: vec![] }
    }
}

impl Server {
    pub(crate) async fn start(port: u16, more: &[&str]) -> Self {
        Self::run(Command::new(tool("REDIS", "redis", "bin/redis-server")), port, more).await
    }

    async fn valkey(port: u16) -> Self {
        Self::run(Command::new(tool("VALKEY", "valkey", "bin/valkey-server")), port, &[]).await
    }

    async fn run(mut command: Command, port: u16, more: &[&str]) -> Self {
        let folder = empty_folder();
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--repl-diskless-sync-delay", "0"]);
        command.args(more).arg("--dir").arg(folder.path());
        let mut process = Part::start("redis", folder, &mut command);
        process.await_ready(|| accepts(port)).await;
        Self { port, process }
    }

    async fn sentinel(port: u16, primary: u16) -> Self {
        let folder = empty_folder();
        let config = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
        );
        std::fs::write(&config, text).expect("a config");
        let mut command = Command::new(tool("REDIS", "redis", "bin/redis-server"));
        command.arg(&config).arg("--sentinel").arg("--dir").arg(folder.path());
        let mut process = Part::start("sentinel", folder, &mut command);
        process.await_ready(|| accepts(port)).await;
        Self { port, process }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) {
        self.process.kill();
    }

    /// Has it hang, or go on.
    pub(crate) fn hang(&self, hangs: bool) {
        let signal = if hangs { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().expect("sent");
        assert!(sent.success());
    }

    async fn has_what_its_primary_has(&self) {
        eventually("the replica has what the primary has", || async {
            let info: String = self.ask(cmd("INFO").arg("replication")).await.map_err(text)?;
            if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
        })
        .await;
    }

    /// Asks it something.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        let client = Client::open(("127.0.0.1", self.port))?;
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn text(error: redis::RedisError) -> String {
    error.to_string()
}
