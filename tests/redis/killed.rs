//! Gateways that are killed at any moment while people sign in and out, on the store that replicas share and on the embedded
//! one: no session is lost whose cookie was sent, none comes back whose end was confirmed, no row is half-written.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::clock::SystemClock;
use countersign::entropy::{Entropy, SystemEntropy};
use countersign::identity::UserId;
use countersign::seal::Purpose;
use countersign::session::{Cursor, Embedded, Of, StoreKey};
use futures_util::future::join_all;
use redis::cmd;

use crate::lying_idp::LyingIdp;
use crate::processes::{Browser, House, Replica, Shelf, Verdict, settings};
use crate::replicas::number;
use crate::servers::{Kind, Servers};

const ANN: &str = "ann@example.com";

/// Cookies, after all is over.
#[derive(Default)]
struct Outcome {
    /// Of whom nobody signed out.
    kept: Vec<String>,
    /// Of whom it was confirmed.
    ended: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_got_a_cookie_keeps_the_session_though_replicas_are_killed() {
    let servers = Servers::start(Kind::Standalone).await;
    let mut house = House::open(&servers, 2).await;
    let outcome = kill_again_and_again(&mut house.replicas, &house.browser, &house.idp).await;
    let names: Vec<String> = servers.stores[0].ask(cmd("KEYS").arg("cs:1:s:*")).await.expect("answered");
    let mut rows = 0;
    for name in names {
        let row: Vec<u8> = servers.stores[0].ask(cmd("GET").arg(&name)).await.expect("answered");
        if row != b"x" {
            let id = name.trim_start_matches("cs:1:s:{").trim_end_matches('}');
            let id = URL_SAFE_NO_PAD.decode(id).expect("a key");
            is_whole(&house.shelf, StoreKey::from_bytes(id.try_into().expect("a key"))).await;
            rows += 1;
        }
    }
    outcome.is_in(&house.shelf).await;
    outcome.tell("Redis", rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_got_a_cookie_keeps_the_session_though_the_only_gateway_is_killed() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    let browser = Browser::new();
    let mut gateway = [Replica::start(settings(&idp))];
    gateway[0].is_ready().await;
    let outcome = kill_again_and_again(&mut gateway, &browser, &idp).await;
    let folder = gateway[0].kill();
    let shelf = Shelf::over(Arc::new(Embedded::open(folder.path().join("data/sessions.redb")).expect("it opens")));
    let (mut rows, mut next) = (HashSet::new(), Some(Cursor::START));
    while let Some(after) = next {
        let page = shelf.store.page(after).await.expect("answered");
        for key in page.keys {
            is_whole(&shelf, key).await;
            rows.insert(key);
        }
        next = page.next;
    }
    // What a session is found by is written with it and goes with it.
    let of_ann = shelf.sessions.keys_of(Of::User(&UserId::parse(ANN).expect("a user"))).await.expect("answered");
    assert_eq!(of_ann.into_iter().collect::<HashSet<_>>(), rows);
    outcome.is_in(&shelf).await;
    outcome.tell("the embedded store", rows.len());
}

/// One after the other is killed while it signs people in and out, and comes back with what it has on its disk.
async fn kill_again_and_again(replicas: &mut [Replica], browser: &Browser, idp: &LyingIdp) -> Outcome {
    let mut outcome = Outcome::default();
    for round in 0..number("KILLS", 50) {
        let victim = round % replicas.len();
        let port = replicas[victim].main;
        let stop = AtomicBool::new(false);
        let leaving = outcome.kept.split_off(outcome.kept.len() - outcome.kept.len() / 4);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(20 + u64::from(random()))).await;
            replicas[victim].kill_and_restart();
            stop.store(true, Ordering::SeqCst);
        };
        let signing_in = join_all((0..4).map(|_| sign_in_until(&stop, browser, idp, port)));
        let signing_out = sign_out_until(&stop, browser, &leaving, port);
        let (came, left, ()) = tokio::join!(signing_in, signing_out, killing);
        // What was asked for and not answered may have happened or not.
        outcome.kept.extend(leaving.iter().skip(left.len()).cloned());
        let came: Vec<String> = came.into_iter().flatten().collect();
        let left: Vec<String> = left.into_iter().filter_map(|(cookie, is_out)| is_out.then_some(cookie)).collect();
        // Where there is another one it knows at once, and the one that comes back knows it, too.
        for place in [(victim + 1) % replicas.len(), victim] {
            replicas[place].is_ready().await;
            for cookie in &came {
                let said = browser.check(replicas[place].main, cookie).await;
                assert_eq!(said, Verdict::Allow(ANN.into()), "lost in round {round}");
            }
        }
        for cookie in &left {
            assert!(!browser.check(port, cookie).await.is_allow(), "came back in round {round}");
        }
        outcome.kept.extend(came);
        outcome.ended.extend(left);
    }
    for replica in replicas {
        for cookie in &outcome.kept {
            assert_eq!(browser.check(replica.main, cookie).await, Verdict::Allow(ANN.into()));
        }
        for cookie in &outcome.ended {
            assert!(!browser.check(replica.main, cookie).await.is_allow());
        }
    }
    outcome
}

impl Outcome {
    /// Each that was kept can be read to its end, and none that ended is there.
    async fn is_in(&self, store: &Shelf) {
        for cookie in &self.kept {
            let (_, live) = store.read(cookie).await.expect("it is there");
            assert_eq!(live.session.identity.user.as_str(), ANN);
        }
        for cookie in &self.ended {
            assert!(store.read(cookie).await.is_none());
        }
    }

    fn tell(&self, store: &str, rows: usize) {
        let (rounds, kept, ended) = (number("KILLS", 50), self.kept.len(), self.ended.len());
        eprintln!("{rounds} kills over {store}: {kept} sessions kept, {ended} signed out, {rows} rows, all whole");
        // A busy machine signs few in before it is killed; not so few that this would show nothing.
        assert!(kept > rounds / 10 && ended > rounds / 10 && rows >= kept);
    }
}

/// What is filed there is a whole row, with its idle clock.
async fn is_whole(shelf: &Shelf, key: StoreKey) {
    let row = shelf.store.load(key, crate::faults::now()).await.expect("answered").expect("a whole row");
    shelf.keys.open(Purpose::Row, key.as_bytes(), &row.row).expect("it opens");
}

/// Signs in again and again; the cookies that came.
async fn sign_in_until(stop: &AtomicBool, browser: &Browser, idp: &LyingIdp, port: u16) -> Vec<String> {
    let mut cookies = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        match browser.sign_in(idp, port).await {
            Ok(cookie) => cookies.push(cookie),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    cookies
}

/// Signs one after the other out; for each that was asked for, whether it was confirmed.
async fn sign_out_until(stop: &AtomicBool, browser: &Browser, leaving: &[String], port: u16) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    for cookie in leaving {
        let is_out = browser.sign_out(port, cookie).await.is_ok_and(|status| status < 400);
        out.push((cookie.clone(), is_out));
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    out
}

fn random() -> u8 {
    let mut byte = [0];
    SystemEntropy.fill(&mut byte);
    byte[0]
}
