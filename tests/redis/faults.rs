//! Servers that go, hang, come back, or take over from others: nobody is let in who was signed out, nobody waits for
//! long, and nothing has to be started again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::clock::{SystemClock, UnixTime};
use countersign::session::{NewRow, Redis, Store, StoreKey, Told};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::part::eventually;
use crate::servers::{Kind, Server, Servers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_replica_is_told_what_another_one_changes() {
    for kind in [Kind::Standalone, Kind::Valkey, Kind::Sentinel, Kind::Cluster] {
        let servers = Servers::start(kind).await;
        let (here, there) = (replica(&servers), replica(&servers));
        let told = Listening::on(&there).await;
        for n in 0..60 {
            here.create(key(n), row()).await.expect("created");
        }
        for n in 0..60 {
            told.hears_of(key(n)).await;
        }
        told.forget();
        here.touch((0..60).map(|n| (key(n), in_an_hour())).collect()).await.expect("touched");
        assert_eq!(here.remove(key(7), in_an_hour()).await, Ok(true));
        told.hears_of(key(7)).await;
        assert_eq!(told.changed(), HashSet::from([key(7)]), "{kind:?}: a touch is nothing to be told of");
        assert_eq!(there.load(key(7), now()).await, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_longer_told_knows_it_and_begins_anew() {
    let servers = Servers::start(Kind::Standalone).await;
    let store = replica(&servers);
    let told = Listening::on(&store).await;
    let () = servers.stores[0].ask(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).await.expect("cut");
    told.begins_anew(1).await;
    let () = servers.stores[0].ask(&redis::cmd("FLUSHALL")).await.expect("emptied");
    told.begins_anew(2).await;
    servers.stores[0].hang(true);
    told.knows_it_misses_something().await;
    servers.stores[0].hang(false);
    told.begins_anew(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_server_that_hangs() {
    let servers = Servers::start(Kind::Standalone).await;
    let store = replica(&servers);
    store.create(key(1), row()).await.expect("created");
    servers.stores[0].hang(true);
    for _ in 0..20 {
        let asked = Instant::now();
        assert!(store.load(key(1), now()).await.is_err());
        // A gateway gives up after two seconds; what stands here is a bound by design, with room for a slow machine.
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    servers.stores[0].hang(false);
    eventually("the session is found again", || async {
        match store.load(key(1), now()).await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ended_does_not_come_back_with_a_server_that_knows_nothing_of_it() {
    let mut servers = Servers::start(Kind::Standalone).await;
    let store = replica(&servers);
    store.create(key(1), row()).await.expect("created");
    let row_key = format!("cs:1:s:{{{}}}", base64(key(1)));
    let old: Vec<u8> = servers.stores[0].ask(redis::cmd("DUMP").arg(&row_key)).await.expect("a copy");
    let told = Listening::on(&store).await;
    store.remove(key(1), in_an_hour()).await.expect("ended");

    let port = servers.stores[0].port;
    servers.stores.remove(0).kill();
    told.knows_it_misses_something().await;
    servers.stores.push(Server::start(port, &[]).await);
    let restore = servers.stores[0].ask::<()>(redis::cmd("RESTORE").arg(&row_key).arg(0).arg(&old)).await;
    // It may have been told of the ending before we came to bring the row back.
    assert!(restore.is_ok() || restore.is_err_and(|error| error.to_string().contains("BUSYKEY")));
    told.begins_anew(1).await;
    let row: Vec<u8> = servers.stores[0].ask(redis::cmd("GET").arg(&row_key)).await.expect("answered");
    assert_eq!(row, b"x", "another replica would find it");
    assert_eq!(store.load(key(1), now()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_with_all_that_was_answered() {
    let mut servers = Servers::start(Kind::Sentinel).await;
    let store = replica(&servers);
    let told = Listening::on(&store).await;
    for n in 0..20 {
        store.create(key(n), row()).await.expect("created");
    }
    for n in 0..10 {
        assert_eq!(store.remove(key(n), in_an_hour()).await, Ok(true));
    }
    servers.stores.remove(0).kill();
    told.begins_anew(1).await;
    for n in 0..10 {
        assert_eq!(store.load(key(n), now()).await, Ok(None), "{n} was signed out");
    }
    for n in 10..20 {
        assert!(store.load(key(n), now()).await.expect("answered").is_some(), "{n} was signed in");
    }
    store.create(key(30), row()).await.expect("it takes new ones");
}

pub(crate) fn replica(servers: &Servers) -> Arc<Redis> {
    Arc::new(Redis::new(&servers.settings(), Arc::new(SystemClock)).expect("a store"))
}

/// What a store tells, for as long as this is there.
pub(crate) struct Listening {
    told: Arc<Recorder>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Recorder(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    changed: HashSet<StoreKey>,
    tracked: u32,
    is_tracked: bool,
}

impl Listening {
    pub(crate) async fn on(store: &Arc<Redis>) -> Self {
        let told = Arc::new(Recorder::default());
        let (store, recorder) = (Arc::clone(store), Arc::clone(&told));
        let task = tokio::spawn(async move { store.watch(&*recorder).await });
        let listening = Self { told, task };
        listening.begins_anew(0).await;
        listening
    }

    fn forget(&self) {
        self.told.0.lock().expect("whole").changed.clear();
    }

    fn changed(&self) -> HashSet<StoreKey> {
        self.told.0.lock().expect("whole").changed.clone()
    }

    async fn hears_of(&self, key: StoreKey) {
        eventually("it is told", || async {
            let changed = self.changed();
            if changed.contains(&key) { Ok(()) } else { Err(format!("{changed:?}")) }
        })
        .await;
    }

    pub(crate) async fn knows_it_misses_something(&self) {
        self.sees("it knows", |recorded| !recorded.is_tracked).await;
    }

    /// Until nothing is missed, after so many losses.
    pub(crate) async fn begins_anew(&self, losses: u32) {
        self.sees("it begins anew", |recorded| recorded.is_tracked && recorded.tracked > losses).await;
    }

    async fn sees(&self, what: &str, is_so: impl Fn(&Recorded) -> bool) {
        eventually(what, || async {
            let recorded = self.told.0.lock().expect("whole");
            if is_so(&recorded) { Ok(()) } else { Err(format!("{} {}", recorded.tracked, recorded.is_tracked)) }
        })
        .await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Told for Recorder {
    fn changed(&self, key: StoreKey) {
        self.0.lock().expect("whole").changed.insert(key);
    }

    fn lost(&self) {
        self.0.lock().expect("whole").is_tracked = false;
    }

    fn tracked(&self) {
        let mut recorded = self.0.lock().expect("whole");
        recorded.tracked += 1;
        recorded.is_tracked = true;
    }
}

pub(crate) fn key(n: u8) -> StoreKey {
    StoreKey::from_bytes([n.wrapping_mul(37); 32])
}

pub(crate) fn base64(key: StoreKey) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.as_bytes())
}

pub(crate) fn row() -> NewRow {
    NewRow { row: b"sealed".to_vec(), until: in_an_hour(), ends_at: in_an_hour(), tags: Vec::new() }
}

pub(crate) fn now() -> UnixTime {
    use countersign::clock::Clock;
    SystemClock.now()
}

pub(crate) fn in_an_hour() -> UnixTime {
    now().plus(Duration::from_hours(1))
}
