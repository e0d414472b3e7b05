//! A primary that is killed again and again, under load: nobody is taken for somebody else, nobody who has signed out is let
//! in, and soon after another one has taken over everybody is known again.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign::entropy::{Entropy, SystemEntropy};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::processes::{House, Verdict, percentiles, users};
use crate::replicas::number;
use crate::servers::{Kind, Servers};

/// A sign-out holds everywhere after that.
const BOUND: Duration = Duration::from_secs(1);
const ASKERS: usize = 6;

/// What everybody agrees on.
struct Truth {
    /// Each cookie that was given out, and whose it is.
    users: Vec<(String, String)>,
    /// When signing out was confirmed, and where.
    ended: Mutex<HashMap<String, (Instant, usize)>>,
    /// Who asked to be signed out; whether they are is only known if it was confirmed.
    leaving: Mutex<HashSet<String>>,
    stop: AtomicBool,
    checks: AtomicUsize,
    allows: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_killed_under_load_takes_nobody_along() {
    let rounds = number("FAILOVERS", 3);
    let mut servers = Servers::start(Kind::Sentinel).await;
    let house = House::open(&servers, 2).await;
    let model = house.shelf.model(&house.sign_in(&house.replicas[0]).await).await;
    let names = users(30 * (rounds + 1));
    let cookies = house.seat(&model, &names).await;
    let truth = Truth {
        users: cookies.into_iter().zip(names).collect(),
        ended: Mutex::default(),
        leaving: Mutex::default(),
        stop: AtomicBool::new(false),
        checks: AtomicUsize::new(0),
        allows: AtomicUsize::new(0),
        wrong: Mutex::default(),
    };
    let killing = async {
        let (mut failovers, mut recoveries) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            tokio::time::sleep(Duration::from_millis(300 + random() as u64 % 1_000)).await;
            let killed = Instant::now();
            let primary = servers.primary().await;
            let dead = servers.stores.iter().position(|server| server.port == primary).expect("one of ours");
            servers.stores.remove(dead).kill();
            servers.has_another_primary(primary).await;
            failovers.push(killed.elapsed());
            let failed_over = Instant::now();
            // Everybody who has not asked to be signed out, at each replica.
            let staying = truth.users.iter().filter(|(cookie, _)| !truth.leaving().contains(cookie)).take(5);
            for (cookie, _) in staying {
                for replica in &house.replicas {
                    house.until(replica, cookie, Verdict::is_allow).await;
                }
            }
            recoveries.push(failed_over.elapsed());
            if round + 1 < rounds {
                servers.another_follows(primary).await;
            }
        }
        truth.stop.store(true, Ordering::SeqCst);
        (failovers, recoveries)
    };
    let asking = join_all((0..ASKERS).map(|_| ask(&truth, &house)));
    let ((failovers, recoveries), _, ()) = tokio::join!(killing, asking, sign_out(&truth, &house));

    // With all at rest, what was said holds.
    let ended = truth.ended.lock().expect("whole").clone();
    for (cookie, user) in &truth.users {
        for replica in &house.replicas {
            let said = house.browser.check(replica.main, cookie).await;
            if ended.contains_key(cookie) {
                assert!(!said.is_allow(), "{user} came back");
            } else if !truth.leaving().contains(cookie) {
                assert_eq!(said, Verdict::Allow(user.clone()));
            }
        }
    }
    let (checks, allows) = (truth.checks.load(Ordering::SeqCst), truth.allows.load(Ordering::SeqCst));
    let wrong = truth.wrong.lock().expect("whole").clone();
    eprintln!(
        "{rounds} primaries killed: {checks} checks, {allows} allowed, {} signed out, {} wrong; another primary after {}; \
         all known again after that: {}",
        ended.len(),
        wrong.len(),
        percentiles(failovers),
        percentiles(recoveries)
    );
    assert!(allows > 0 && !ended.is_empty());
    assert_eq!(wrong, Vec::<String>::new());
}

/// Asks for anybody, anywhere, and compares.
async fn ask(truth: &Truth, house: &House) {
    while !truth.stop.load(Ordering::SeqCst) {
        let (cookie, user) = &truth.users[random() % truth.users.len()];
        let place = random() % house.replicas.len();
        let (ended, began) = (truth.ended.lock().expect("whole").get(cookie).copied(), Instant::now());
        let said = house.browser.check(house.replicas[place].main, cookie).await;
        truth.checks.fetch_add(1, Ordering::SeqCst);
        let Verdict::Allow(whom) = said else { continue };
        truth.allows.fetch_add(1, Ordering::SeqCst);
        if whom != *user {
            truth.wrong(format!("{user} was taken for {whom}"));
        }
        // Where they signed out it holds at once.
        if let Some((since, there)) = ended
            && (there == place || began > since + BOUND)
        {
            truth.wrong(format!("{user} signed out {:?} before", began - since));
        }
    }
}

/// Signs one after the other out, here and there, also while nobody can confirm it.
async fn sign_out(truth: &Truth, house: &House) {
    let mut leaving = truth.users.iter().rev();
    while !truth.stop.load(Ordering::SeqCst) {
        let Some((cookie, _)) = leaving.next() else { break };
        if truth.leaving().len() + 10 > truth.users.len() {
            break;
        }
        truth.leaving.lock().expect("whole").insert(cookie.clone());
        let place = random() % house.replicas.len();
        if house.browser.sign_out(house.replicas[place].main, cookie).await.is_ok_and(|status| status < 400) {
            truth.ended.lock().expect("whole").insert(cookie.clone(), (Instant::now(), place));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Truth {
    fn leaving(&self) -> HashSet<String> {
        self.leaving.lock().expect("whole").clone()
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().expect("whole").push(what);
    }
}

fn random() -> usize {
    let mut bytes = [0; 2];
    SystemEntropy.fill(&mut bytes);
    usize::from(u16::from_be_bytes(bytes))
}
