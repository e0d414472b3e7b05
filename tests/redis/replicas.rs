//! Three real replicas on one Redis: what one is told, the others know, and what dies takes nothing along.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign::entropy::{Entropy, SystemEntropy};
use countersign::seal::Purpose;
use countersign::session::{Store, StoreKey};
use futures_util::future::join_all;
use redis::cmd;

use crate::fault_proxy::{Fault, FaultProxy};
use crate::lying_idp::TOKEN;
use crate::part::eventually;
use crate::processes::{Browser, House, Verdict, percentiles, users};
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
        // They are in memory: nobody asks the store for them any more.
        let before = (loads(two).await, loads(three).await);
        for cookie in &cookies {
            assert!(house.browser.check(two.main, cookie).await.is_allow());
            assert!(house.browser.check(three.main, cookie).await.is_allow());
        }
        assert_eq!((loads(two).await, loads(three).await), before);
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
            eventually("it keeps sessions in memory again", || async {
                for cookie in &cookies {
                    assert!(house.browser.check(replica.main, cookie).await.is_allow());
                }
                let before = loads(replica).await;
                for cookie in &cookies {
                    assert!(house.browser.check(replica.main, cookie).await.is_allow());
                }
                let after = loads(replica).await;
                if after == before { Ok(()) } else { Err(format!("{before:?} {after:?}")) }
            })
            .await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_got_a_cookie_keeps_the_session_though_replicas_are_killed() {
    let servers = Servers::start(Kind::Standalone).await;
    let mut house = House::open(&servers, 2).await;
    let rounds = number("KILLS", 50);
    let (mut kept, mut ended): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let victim = round % 2;
        let (port, other) = (house.replicas[victim].main, house.replicas[1 - victim].main);
        let stop = AtomicBool::new(false);
        let leaving = kept.split_off(kept.len() - kept.len() / 4);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(20 + u64::from(random()))).await;
            house.replicas[victim].kill_and_restart();
            stop.store(true, Ordering::SeqCst);
        };
        let signing_in = join_all((0..4).map(|_| sign_in_until(&stop, &house.browser, &house.idp, port)));
        let signing_out = async {
            let mut out = Vec::new();
            for cookie in &leaving {
                let is_out = house.browser.sign_out(port, cookie).await.is_ok_and(|status| status < 400);
                out.push((cookie.clone(), is_out));
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
            out
        };
        let (came, left, ()) = tokio::join!(signing_in, signing_out, killing);
        let asked = left.len();
        ended.extend(left.into_iter().filter(|(_, is_out)| *is_out).map(|(cookie, _)| cookie));
        // What was asked for and not answered may have happened or not.
        kept.extend(leaving.into_iter().skip(asked));
        for cookie in came.into_iter().flatten() {
            assert_eq!(house.browser.check(other, &cookie).await, Verdict::Allow(ANN.into()), "lost in round {round}");
            kept.push(cookie);
        }
        house.replicas[victim].is_ready().await;
    }
    for replica in &house.replicas {
        for cookie in &kept {
            assert_eq!(house.browser.check(replica.main, cookie).await, Verdict::Allow(ANN.into()));
        }
        for cookie in &ended {
            assert!(!house.browser.check(replica.main, cookie).await.is_allow());
        }
    }
    let rows = rows_that_open(&servers, &house).await;
    eprintln!("{rounds} kills: {} sessions kept, {} signed out, {rows} rows, all whole", kept.len(), ended.len());
    assert!(kept.len() > rounds && !ended.is_empty() && rows >= kept.len());
}

/// Signs in again and again; the cookies that came.
async fn sign_in_until(
    stop: &AtomicBool,
    browser: &Browser,
    idp: &crate::lying_idp::LyingIdp,
    port: u16,
) -> Vec<String> {
    let mut cookies = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        match browser.sign_in(idp, port).await {
            Ok(cookie) => cookies.push(cookie),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    cookies
}

/// How many rows there are; each must be one that replicas can read, idle clock included.
async fn rows_that_open(servers: &Servers, house: &House) -> usize {
    use base64::Engine;
    let names: Vec<String> = servers.stores[0].ask(cmd("KEYS").arg("cs:1:s:*")).await.expect("answered");
    let mut rows = 0;
    for name in names {
        let id = name.trim_start_matches("cs:1:s:{").trim_end_matches('}');
        let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(id).expect("a key");
        let key = StoreKey::from_bytes(id.try_into().expect("a key"));
        let row: Vec<u8> = servers.stores[0].ask(cmd("GET").arg(&name)).await.expect("answered");
        if row == b"x" {
            continue;
        }
        let row = house.shelf.store.load(key, crate::faults::now()).await.expect("answered").expect("a whole row");
        house.shelf.keys.open(Purpose::Row, key.as_bytes(), &row.row).expect("it opens");
        rows += 1;
    }
    rows
}

/// How often this replica has asked the store for a session.
async fn loads(replica: &crate::processes::Replica) -> Option<u64> {
    replica.counted("countersign_store_requests_total{operation=\"load\",outcome=\"ok\"}").await
}

fn random() -> u8 {
    let mut byte = [0];
    SystemEntropy.fill(&mut byte);
    byte[0]
}

/// How many of them: fewer or more by a variable.
#[expect(clippy::disallowed_methods, reason = "tests read the environment")]
pub(crate) fn number(name: &str, default: usize) -> usize {
    std::env::var(format!("COUNTERSIGN_TEST_{name}")).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
