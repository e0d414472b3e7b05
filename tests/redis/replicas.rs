//! Three real replicas on one Redis: what one is told, the others know.

use futures_util::future::join_all;

use crate::fault_proxy::{Fault, FaultProxy};
use crate::lying_idp::TOKEN;
use crate::part::eventually;
use crate::processes::{House, Replica, Verdict, percentiles, users};
use crate::servers::{Kind, Servers};

const ANN: &str = "ann@example.com";
/// What a listener says, and nobody else.
const TRACKING: &[u8] = b"TRACKING";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_at_one_is_signed_out_at_all_of_them() {
    let servers = Servers::start(Kind::Standalone).await;
    let house = House::open(&servers, 3).await;
    let [one, two, three] = &house.replicas[..] else { panic!("three") };
    let ann = house.sign_in(one).await;
    for replica in &house.replicas {
        assert_eq!(house.browser.check(replica.main, &ann).await, Verdict::Allow(ANN.into()));
    }
    let model = house.shelf.model(&ann).await;
    assert!(house.browser.sign_out(two.main, &ann).await.expect("an answer") < 400);
    for replica in &house.replicas {
        house.until(replica, &ann, |said| !said.is_allow()).await;
    }

    let count = number("SIGN_OUTS", 1_000);
    let mut times = Vec::new();
    for batch in users(count).chunks(50) {
        let cookies = house.seat(&model, batch).await;
        for (user, cookie) in batch.iter().zip(&cookies) {
            for replica in [two, three] {
                assert_eq!(house.browser.check(replica.main, cookie).await, Verdict::Allow(user.clone()));
            }
        }
        for replica in [two, three] {
            has_in_memory(&house, replica, &cookies).await;
        }
        for cookie in &cookies {
            assert!(house.browser.sign_out(one.main, cookie).await.expect("an answer") < 400);
            let gone = [two, three].map(|replica| house.until(replica, cookie, |said| !said.is_allow()));
            times.extend(join_all(gone).await);
        }
    }
    eprintln!("{count} sign-outs, from the answer until the other two refuse: {}", percentiles(times));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_told_of_a_sign_out_asks_the_store() {
    let servers = Servers::start(Kind::Standalone).await;
    let proxy = FaultProxy::to(servers.stores[0].port).await;
    let far = serde_json::json!({"urls": [format!("redis://127.0.0.1:{}", proxy.port)]});
    let house = House::open_at(&servers, &[servers.config(), far.clone(), far], |_| ()).await;
    let [one, two, three] = &house.replicas[..] else { panic!("three") };
    let model = house.shelf.model(&house.sign_in(one).await).await;
    let (rounds, at_a_time) = (number("CUTS", 10), 20);
    let mut times = Vec::new();
    for round in 0..rounds {
        let cookies = house.seat(&model, &users(at_a_time)).await;
        for replica in [two, three] {
            has_in_memory(&house, replica, &cookies).await;
        }
        // Each time another way to lose it; the first two say nothing to anybody.
        let fault = [Fault::HalfOpen, Fault::Hang, Fault::Reset][round % 3];
        proxy.set_where_said(TRACKING, fault);
        let signed_out = cookies.iter().map(async |cookie| {
            assert!(house.browser.sign_out(one.main, cookie).await.expect("an answer") < 400);
            let gone = [two, three].map(|replica| house.until(replica, cookie, |said| !said.is_allow()));
            join_all(gone).await
        });
        times.extend(join_all(signed_out).await.into_iter().flatten());
        proxy.set(Fault::None);
    }
    let count = rounds * at_a_time;
    eprintln!("{count} sign-outs with the listeners cut, from the answer until both refuse: {}", percentiles(times));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_due_is_renewed_once_over_all_replicas() {
    let servers = Servers::start(Kind::Standalone).await;
    let house = House::open(&servers, 2).await;
    let ann = house.sign_in(&house.replicas[0]).await;
    for replica in &house.replicas {
        assert!(house.browser.check(replica.main, &ann).await.is_allow());
    }
    house.shelf.make_due(&ann).await;
    let (_, due) = house.shelf.read(&ann).await.expect("there");
    let checks = (0..200).map(|n| house.browser.check(house.replicas[n % 2].main, &ann));
    for said in join_all(checks).await {
        assert_eq!(said, Verdict::Allow(ANN.into()));
    }
    eventually("it is renewed", || async {
        // Replicas that were told of nothing yet may hand it over only now.
        for replica in &house.replicas {
            assert!(house.browser.check(replica.main, &ann).await.is_allow());
        }
        let (_, live) = house.shelf.read(&ann).await.expect("there");
        if live.revision > due.revision { Ok(()) } else { Err("not yet".into()) }
    })
    .await;
    let again = (0..50).map(|n| house.browser.check(house.replicas[n % 2].main, &ann));
    assert!(join_all(again).await.iter().all(Verdict::is_allow));
    let refreshed = house.idp.seen(TOKEN).iter().filter(|seen| seen.form["grant_type"] == "refresh_token").count();
    assert_eq!(refreshed, 1);
}

/// Until it asks the store for none of them any more. On a busy machine a replica may think for a moment that nobody tells it
/// of changes, and forgets what it has.
async fn has_in_memory(house: &House, replica: &Replica, cookies: &[String]) {
    eventually("it keeps sessions in memory", || async {
        let before = loads(replica).await;
        for cookie in cookies {
            assert!(house.browser.check(replica.main, cookie).await.is_allow());
        }
        let after = loads(replica).await;
        if after == before { Ok(()) } else { Err(format!("{before:?} {after:?}")) }
    })
    .await;
}

/// How often this replica has asked the store for a session.
async fn loads(replica: &Replica) -> Option<u64> {
    replica.counted("countersign_store_requests_total{operation=\"load\",outcome=\"ok\"}").await
}

/// How many of them: fewer or more by a variable, `COUNTERSIGN_TEST_` and `SIGN_OUTS`, `CUTS`, `KILLS`, `ROLLS`,
/// `REPLICA_KILLS`, `FAILOVERS` or `HANGING_SECONDS`.
#[expect(clippy::disallowed_methods, reason = "tests read the environment")]
pub(crate) fn number(name: &str, default: usize) -> usize {
    std::env::var(format!("COUNTERSIGN_TEST_{name}")).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
