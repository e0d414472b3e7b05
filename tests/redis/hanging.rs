//! The store or the provider slow, hanging, half-open, resetting, gone, and back again: every check is answered before its
//! gateway gives up, memory does not grow, and nothing has to be started again.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::SystemClock;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::fault_proxy::{Fault, FaultProxy};
use crate::lying_idp::LyingIdp;
use crate::part::eventually;
use crate::processes::{House, Replica, Verdict, percentiles, users};
use crate::replicas::number;
use crate::servers::{Kind, Servers};

/// What gateways wait for a check is 2 s; that is kept by design, and a slow machine may take somewhat longer. Without
/// deadlines these would be minutes.
const TOO_LONG: Duration = Duration::from_secs(5);
const FAULTS: [Fault; 5] =
    [Fault::Latency(Duration::from_secs(3)), Fault::Hang, Fault::HalfOpen, Fault::Reset, Fault::Drop];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_waits_for_a_store_longer_than_its_gateway_would() {
    let servers = Servers::start(Kind::Standalone).await;
    let proxy = FaultProxy::to(servers.stores[0].port).await;
    let house = House::open_at(&servers, &[through(&proxy)], |_| ()).await;
    let replica = &house.replicas[0];
    let model = house.shelf.model(&house.sign_in(replica).await).await;
    let users = users(20);
    let cookies = house.seat(&model, &users).await;
    proxy.set(Fault::Latency(Duration::from_millis(20)));
    for (said, _) in checks(&house, replica, &cookies).await {
        assert!(said.is_allow(), "a store that is slow is asked all the same: {said:?}");
    }
    for fault in FAULTS {
        proxy.set(fault);
        let mut times = Vec::new();
        eventually("the replica notices", || async {
            let said = house.browser.check(replica.main, &cookies[0]).await;
            if said.is_allow() { Err(format!("{said:?}")) } else { Ok(()) }
        })
        .await;
        for _ in 0..5 {
            for (said, took) in checks(&house, replica, &cookies).await {
                assert_eq!(said, Verdict::Away, "{fault:?}");
                times.push(took);
            }
        }
        assert!(times.iter().max() < Some(&TOO_LONG), "{fault:?}: {times:?}");
        proxy.set(Fault::None);
        let well = Instant::now();
        eventually("all are known again", || async {
            for ((said, _), user) in checks(&house, replica, &cookies).await.into_iter().zip(&users) {
                if said != Verdict::Allow(user.clone()) {
                    return Err(format!("{said:?}"));
                }
            }
            Ok(())
        })
        .await;
        eprintln!("store, {fault:?}: checks {}; well again after {:?}", percentiles(times), well.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_while_the_store_hangs() {
    let servers = Servers::start(Kind::Standalone).await;
    let proxy = FaultProxy::to(servers.stores[0].port).await;
    let house = House::open_at(&servers, &[through(&proxy)], |_| ()).await;
    let replica = &house.replicas[0];
    let model = house.shelf.model(&house.sign_in(replica).await).await;
    let cookies = house.seat(&model, &users(64)).await;
    proxy.set(Fault::Hang);
    // The first checks fill pools and buffers.
    for _ in 0..3 {
        checks(&house, replica, &cookies).await;
    }
    let (before, began) = (replica.resident(), Instant::now());
    let (span, mut count) = (Duration::from_secs(number("HANGING_SECONDS", 8) as u64), 0);
    while began.elapsed() < span {
        count += checks(&house, replica, &cookies).await.len();
    }
    let after = replica.resident();
    let connections = proxy.accepted();
    eprintln!(
        "{count} checks in {span:?} at a store that hangs: {before} KiB before, {after} KiB after, {connections} connections"
    );
    // Rather less than a check that is left behind would take, 64 at a time.
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
    proxy.set(Fault::None);
    house.until(replica, &cookies[0], Verdict::is_allow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_go_on_while_their_provider_is_away() {
    let servers = Servers::start(Kind::Standalone).await;
    let proxy = FaultProxy::to_nowhere().await;
    let idp = LyingIdp::start_behind(&format!("http://127.0.0.1:{}", proxy.port), Arc::new(SystemClock)).await;
    proxy.lead_to(url::Url::parse(&idp.address).expect("an address").port().expect("a port"));
    let house = House::open_with(idp, &servers, &[servers.config()], |_| ()).await;
    let replica = &house.replicas[0];
    for fault in [Fault::Hang, Fault::Reset, Fault::Drop] {
        let ann = house.sign_in(replica).await;
        proxy.set(fault);
        // Due for renewal, which cannot be had.
        house.shelf.make_due(&ann).await;
        let mut times = Vec::new();
        for _ in 0..50 {
            let asked = Instant::now();
            assert_eq!(house.browser.check(replica.main, &ann).await, Verdict::Allow("ann@example.com".into()));
            times.push(asked.elapsed());
        }
        assert!(times.iter().max() < Some(&TOO_LONG), "{fault:?}: {times:?}");
        let asked = Instant::now();
        let said = house.browser.sign_in(&house.idp, replica.main).await;
        assert!(said.is_err(), "{fault:?}: {said:?}");
        let refused = asked.elapsed();
        proxy.set(Fault::None);
        let well = Instant::now();
        eventually("signing in works again", || house.browser.sign_in(&house.idp, replica.main)).await;
        assert!(house.browser.check(replica.main, &ann).await.is_allow());
        eprintln!(
            "provider, {fault:?}: checks {}; a sign-in is refused after {refused:?}; well again after {:?}",
            percentiles(times),
            well.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_grace_sessions_in_memory_go_on_without_the_store() {
    let servers = Servers::start(Kind::Standalone).await;
    let proxy = FaultProxy::to(servers.stores[0].port).await;
    let mut redis = through(&proxy);
    redis["grace"] = "5m".into();
    let house = House::open_at(&servers, &[redis], |_| ()).await;
    let replica = &house.replicas[0];
    let ann = house.sign_in(replica).await;
    let model = house.shelf.model(&ann).await;
    let cookies = house.seat(&model, &users(20)).await;
    checks(&house, replica, &cookies).await;
    let unknown = house.shelf.seat(&model, "bob@example.com").await;
    proxy.set(Fault::Hang);
    eventually("it says so", || async {
        let said = replica.readiness().await;
        if said.contains("\"store\": \"grace for ") && said.contains("\"ready\": true") { Ok(()) } else { Err(said) }
    })
    .await;
    let mut times = Vec::new();
    for _ in 0..5 {
        for (said, took) in checks(&house, replica, &cookies).await {
            assert!(said.is_allow(), "{said:?}");
            times.push(took);
        }
    }
    eprintln!("store, Hang, by grace: checks {}", percentiles(times));
    assert_eq!(house.browser.check(replica.main, &unknown).await, Verdict::Away);
    // Whoever signs out here has done so.
    assert!(house.browser.sign_out(replica.main, &cookies[0]).await.expect("an answer") >= 500);
    assert!(!house.browser.check(replica.main, &cookies[0]).await.is_allow());
    assert!(replica.counted("countersign_store_grace_seconds").await > Some(0));
    proxy.set(Fault::None);
    // Whoever signed out elsewhere meanwhile is noticed.
    let (_, value) = cookies[1].split_once('=').expect("a cookie");
    let elsewhere = house.shelf.sessions.prove(value).expect("ours");
    assert_eq!(house.shelf.sessions.end(elsewhere.key).await, Ok(true));
    house.until(replica, &cookies[1], |said| matches!(said, Verdict::Deny(_))).await;
    house.until(replica, &unknown, Verdict::is_allow).await;
    eventually("it is over", || async {
        let log = replica.log();
        let said = ["began", "ended"].map(|what| log.matches(&format!("grace of the session store {what}")).count());
        if said == [1, 1] { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
}

/// Where the store is for a replica that comes through this proxy.
fn through(proxy: &FaultProxy) -> serde_json::Value {
    serde_json::json!({"urls": [format!("redis://127.0.0.1:{}", proxy.port)]})
}

/// All of them at once: what each says, and how long it took.
async fn checks(house: &House, replica: &Replica, cookies: &[String]) -> Vec<(Verdict, Duration)> {
    join_all(cookies.iter().map(async |cookie| {
        let asked = Instant::now();
        (house.browser.check(replica.main, cookie).await, asked.elapsed())
    }))
    .await
}
