//! What the documentation has Redis let us do is all that we need.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{Clock, SystemClock};
use countersign::config::RedisMode;
use countersign::secret::SecretText;
use countersign::session::{Cursor, Holder, NewRow, Redis, Replaced, Revision, Store, StoreKey, Tag, Told};

use crate::servers::{Kind, Servers};

const DOCS: &str = include_str!("../../docs/operations.md");
const PASSWORD: &str = "s3cret";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_in_the_docs_suffice() {
    let mut rules =
        DOCS.lines().filter_map(|line| line.strip_prefix("user ").filter(|rule| rule.contains(">PASSWORD")));
    let mut rule = || rules.next().expect("a rule").replace("PASSWORD", PASSWORD);
    let (on_servers, on_sentinels) = (rule(), rule());
    let name = |rule: &str| rule.split(' ').next().map(str::to_owned);
    for kind in [Kind::Standalone, Kind::Valkey, Kind::Sentinel, Kind::Cluster] {
        let servers = Servers::start(kind).await;
        let stores = servers.stores.iter().map(|server| (server, &on_servers));
        for (server, rule) in stores.chain(servers.sentinels.iter().map(|server| (server, &on_sentinels))) {
            let mut command = redis::cmd("ACL");
            command.arg("SETUSER").arg(rule.split(' ').collect::<Vec<_>>());
            let () = server.ask(&command).await.expect("a rule that Redis understands");
        }
        let secret = || Some(SecretText::new(PASSWORD.to_owned()));
        let mut settings = servers.settings();
        (settings.username, settings.password) = (name(&on_servers), secret());
        if let RedisMode::Sentinel { username, password, .. } = &mut settings.mode {
            (*username, *password) = (name(&on_sentinels), secret());
        }
        let store = Redis::new(&settings, Arc::new(SystemClock)).expect("a store");
        everything(&store).await;
        for server in servers.stores.iter().chain(&servers.sentinels) {
            let mut refused: Vec<redis::Value> = server.ask(redis::cmd("ACL").arg("LOG")).await.expect("told");
            // Our name, which older servers do not want to know.
            refused.retain(|entry| !format!("{entry:?}").contains("setinfo"));
            assert!(refused.is_empty(), "{kind:?}: {refused:?}");
        }
    }
}

async fn everything(store: &Redis) {
    let (key, tag) = (StoreKey::from_bytes([7; 32]), Tag::from_bytes([1; 16]));
    let now = SystemClock.now();
    let until = now.plus(Duration::from_hours(1));
    store.create(key, NewRow { row: vec![1], until, ends_at: until, tags: vec![tag] }).await.expect("created");
    assert!(store.load(key, now).await.expect("loaded").is_some());
    assert_eq!(store.replace(key, vec![2], Revision::FIRST).await, Ok(Replaced::Done(Revision(2))));
    assert_eq!(store.touch(vec![(key, until.plus(Duration::from_secs(9)))]).await, Ok(()));
    assert_eq!(store.tagged(tag).await, Ok(vec![key]));
    assert_eq!(store.count().await, Ok(1));
    assert_eq!(store.page(Cursor::START).await.expect("a page").keys, [key]);
    assert_eq!(store.burn([3; 16], until).await, Ok(true));
    let holder = Holder([4; 16]);
    assert_eq!(store.lease(key, holder, Duration::from_secs(10)).await, Ok(true));
    assert_eq!(store.release(key, holder).await, Ok(()));
    // A session that is over, and one whose list is behind.
    let over = StoreKey::from_bytes([8; 32]);
    store.create(over, NewRow { row: vec![1], until: now, ends_at: until, tags: vec![] }).await.expect("created");
    assert_eq!(store.sweep(now.plus(Duration::from_secs(1))).await, Ok(1));
    assert_eq!(store.sweep(until.plus(Duration::from_secs(1))).await, Ok(0));
    assert_eq!(store.remove(key, until).await, Ok(true));
    assert_eq!(store.tagged(tag).await, Ok(vec![]));

    let tracked = Tracked::default();
    tokio::select! {
        () = store.watch(&tracked) => {}
        () = tracked.0.notified() => {}
    }
}

/// Waits until changes are told of.
#[derive(Default)]
struct Tracked(tokio::sync::Notify);

impl Told for Tracked {
    fn changed(&self, _: StoreKey) {}
    fn lost(&self) {}
    fn tracked(&self) {
        self.0.notify_one();
    }
}

/// Where HELLO was renamed, Redis repeats what came behind it: our password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_a_server_repeats_is_not_told_on() {
    let server = crate::servers::Server::start(crate::part::free_port(), &["--rename-command", "HELLO", ""]).await;
    let mut settings = Servers::start(Kind::Standalone).await.settings();
    settings.urls = vec![format!("redis://127.0.0.1:{}", server.port).parse().expect("an address")];
    // Redis repeats 128 bytes at most.
    let short = "a-password-that-is-repeated-6Vq2".to_owned();
    let long = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/-_".repeat(4)[..128].to_owned();
    for (mode, password) in
        [(RedisMode::Standalone, &short), (RedisMode::Standalone, &long), (RedisMode::Cluster, &short)]
    {
        settings.mode = mode;
        settings.password = Some(SecretText::new(password.clone()));
        let store = Redis::new(&settings, Arc::new(SystemClock)).expect("a store");
        let error = store.count().await.expect_err("it knows no HELLO");
        let told = format!("{error} {error:?} {settings:?}");
        assert!(!told.contains(&password[..16]), "{told}");
        // It is what this is about, as far as the library hands it on.
        assert!(matches!(settings.mode, RedisMode::Cluster) || told.contains("unknown command 'HELLO'"), "{told}");
    }
}
