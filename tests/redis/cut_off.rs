//! Servers that are cut off from the rest or hang, beside others that do not: what they say is not believed for long, and
//! who does not need them does not wait for them.

use countersign::session::{Store, StoreKey};
use futures_util::future::join_all;
use redis::cmd;
use tokio::time::timeout;

use crate::faults::{Listening, base64, in_an_hour, key, now, replica, row};
use crate::house::until;
use crate::part::{PATIENCE, eventually};
use crate::servers::{Kind, Server, Servers};

/// How many are signed out at a time.
const MANY: u8 = 220;

/// A primary that was replaced while it hung takes itself for one for some seconds more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_primary_is_not_believed_when_it_is_back() {
    let servers = Servers::start(Kind::Sentinel).await;
    let (here, there) = (replica(&servers), replica(&servers));
    let told = Listening::on(&here).await;
    for n in 0..4 {
        here.create(key(n), row()).await.expect("created");
    }
    // Both its lines are open.
    here.remove(key(0), in_an_hour()).await.expect("ended");
    let old = servers.primary().await;
    let former = servers.stores.iter().find(|server| server.port == old).expect("one of ours");
    former.hang(true);
    servers.has_another_primary(old).await;
    told.begins_anew(1).await;
    former.hang(false);
    let is_back = || async { former.ask::<String>(&cmd("PING")).await.map(drop).map_err(|error| error.to_string()) };
    eventually("the former primary is back", is_back).await;

    until("an end is confirmed there", async || there.remove(key(1), in_an_hour()).await.is_ok()).await;
    assert_eq!(here.load(key(1), now()).await, Ok(None), "ended elsewhere");
    until("an end is confirmed here", async || here.remove(key(2), in_an_hour()).await.is_ok()).await;
    let fresh = replica(&servers);
    assert_eq!(fresh.load(key(2), now()).await, Ok(None), "ended here");
    assert!(here.load(key(3), now()).await.expect("answered").is_some(), "nobody ended that one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_hangs_is_not_waited_for() {
    for hanging in 0..3 {
        let servers = Servers::start(Kind::Sentinel).await;
        servers.sentinels[hanging].hang(true);
        let store = replica(&servers);
        assert_eq!(store.create(key(1), row()).await, Ok(()), "sentinel {hanging}");
        let told = Listening::on(&store).await;
        store.remove(key(1), in_an_hour()).await.expect("ended");
        drop(told);
    }
}

/// Fewer cannot have another server take over, and would not know if others did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_than_half_of_the_sentinels_are_not_believed() {
    let servers = Servers::start(Kind::Sentinel).await;
    let early = replica(&servers);
    let told = Listening::on(&early).await;
    for sentinel in &servers.sentinels[1..] {
        sentinel.hang(true);
    }
    let refused = replica(&servers).create(key(1), row()).await.expect_err("nobody knows who is primary");
    assert!(refused.to_string().contains("not half of the sentinels answer"), "{refused}");
    told.knows_it_misses_something().await;
    for sentinel in &servers.sentinels[1..] {
        sentinel.hang(false);
    }
    told.begins_anew(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_signed_out_though_a_replica_of_redis_hangs() {
    let servers = Servers::start(Kind::Sentinel).await;
    let store = replica(&servers);
    for n in 0..MANY {
        store.create(key(n), row()).await.expect("created");
    }
    let primary = servers.primary().await;
    for server in servers.stores.iter().filter(|server| server.port != primary) {
        server.hang(true);
    }
    // If each waited for the replica by itself, it would be half as long again.
    let ending = timeout(PATIENCE, join_all((0..MANY).map(|n| store.remove(key(n), in_an_hour()))));
    let outcomes = ending.await.expect("they end");
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_err()).collect();
    assert!(failed.is_empty(), "{} of {MANY}: {:?}", failed.len(), failed.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_the_other_servers_of_a_cluster_goes_on() {
    let servers = Servers::start(Kind::Cluster).await;
    let store = replica(&servers);
    let mut elsewhere = Vec::new();
    for n in 0..60 {
        store.create(key(n), row()).await.expect("created");
        if !has_row(&servers.stores[0], key(n)).await {
            elsewhere.push(key(n));
        }
    }
    assert!((20..60).contains(&elsewhere.len()), "{} of 60", elsewhere.len());
    for server in &servers.stores {
        // What a cluster does about a part of it that is missing, its operator decides.
        let () =
            server.ask(cmd("CONFIG").arg("SET").arg("cluster-require-full-coverage").arg("no")).await.expect("set");
    }
    servers.stores[0].hang(true);
    let asked = &store;
    // Those of the server that hangs are asked for as well, and cost no one else an answer.
    for round in 0..8 {
        let answers = join_all((0..60).map(|n| async move { (key(n), asked.load(key(n), now()).await) })).await;
        let lost: Vec<_> = answers.iter().filter(|(key, found)| elsewhere.contains(key) && found.is_err()).collect();
        assert!(lost.is_empty(), "round {round}: {} of {}: {:?}", lost.len(), elsewhere.len(), lost.first());
        assert!(answers.iter().any(|(_, found)| found.is_err()), "none of them is on the server that hangs");
    }
    // A replica that begins now finds what there is, too.
    let fresh = replica(&servers);
    assert!(fresh.load(elsewhere[0], now()).await.expect("answered").is_some());
}

async fn has_row(server: &Server, key: StoreKey) -> bool {
    let row = format!("cs:1:s:{{{}}}", base64(key));
    // Another server's slot is an error.
    server.ask(cmd("EXISTS").arg(row)).await.unwrap_or(false)
}
