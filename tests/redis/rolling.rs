//! Replicas that are restarted one after the other under load, and replicas that are killed, behind real Envoys: one asks
//! over HTTP, one over gRPC, and neither tries anything twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::Backend;
use crate::gateways::{Endpoints, Gateway};
use crate::part::{eventually, free_port};
use crate::processes::{Browser, House, Verdict, users};
use crate::replicas::number;
use crate::servers::{Kind, Servers};

const REPLICAS: usize = 3;
/// How late gateways are told that a replica goes.
const LATE: Duration = Duration::from_secs(5);
/// So many ask through each gateway at a time.
const ASKERS: usize = 4;
const ANN: &str = "ann@example.com";

/// Replicas, and whoever tells gateways of them.
struct Fleet {
    house: House,
    endpoints: Endpoints,
    redis: Value,
    // Held for as long as the fleet is there.
    _servers: Servers,
    _backend: Backend,
}

/// Who asks all the time, and what came of it.
struct Load {
    /// Cookies, and whose they are.
    sessions: Vec<(String, String)>,
    pause: Duration,
    stop: AtomicBool,
    failures: Mutex<Vec<Failure>>,
}

#[derive(Clone, Debug)]
struct Failure {
    began: Instant,
    door: &'static str,
    what: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_nobody_though_gateways_are_told_late() {
    let rounds = number("ROLLS", 1);
    let (mut fleet, gateways) = Fleet::open().await;
    let load = Load::of(&fleet, Duration::from_millis(10)).await;
    let rolling = async {
        let mut served = [0, 0];
        for _ in 0..rounds * REPLICAS {
            let while_going = fleet.replace_the_oldest(&gateways, &load.sessions[0]).await;
            served = [served[0] + while_going[0], served[1] + while_going[1]];
        }
        load.stop();
        served
    };
    let (served, checks) = tokio::join!(rolling, load.run(&gateways));
    let failures = load.failures();
    for (gateway, (checks, served)) in gateways.iter().zip(checks.into_iter().zip(served)) {
        let failed = failures.iter().filter(|failure| failure.door == gateway.door).count();
        eprintln!(
            "{rounds} rolling restarts of {REPLICAS} over {}: {checks} checks, {failed} failed; {served} by replicas that \
             were going",
            gateway.door
        );
        assert!(checks > 1_000 && served > 100);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_replica_that_is_killed_only_what_was_under_way_there_fails() {
    let rounds = number("REPLICA_KILLS", 6);
    let (mut fleet, gateways) = Fleet::open().await;
    let load = Load::of(&fleet, Duration::ZERO).await;
    let killing = async {
        let mut under_way = [0, 0];
        for _ in 0..rounds {
            let there = fleet.kill_the_oldest(&gateways, &load).await;
            under_way = [under_way[0] + there[0], under_way[1] + there[1]];
        }
        load.stop();
        under_way
    };
    let (under_way, checks) = tokio::join!(killing, load.run(&gateways));
    let failures = load.failures();
    for (gateway, (checks, under_way)) in gateways.iter().zip(checks.into_iter().zip(under_way)) {
        let failed: Vec<&Failure> = failures.iter().filter(|failure| failure.door == gateway.door).collect();
        let (count, cut_off) = (failed.len() as u64, gateway.cut_off().await);
        eprintln!(
            "{rounds} replicas killed, over {}: {checks} checks, {count} failed; at least {under_way} were under way there, \
             {cut_off} were cut off or refused",
            gateway.door
        );
        assert!(under_way <= count && count <= cut_off, "{failed:#?}");
        // Nobody was taken for somebody without a session.
        assert!(failed.iter().all(|failure| failure.what.starts_with("503 ")), "{failed:#?}");
    }
}

impl Fleet {
    async fn open() -> (Self, [Gateway; 2]) {
        let servers = Servers::start(Kind::Standalone).await;
        let (redis, front) = (servers.config(), free_port());
        let house = House::open_at(&servers, &vec![redis.clone(); REPLICAS], |settings| {
            // As it is by default: it is the default that must do.
            settings.as_object_mut().and_then(|all| all.remove("shutdown")).expect("it was told to end at once");
            settings["token"]["issuer"] = format!("http://localhost:{front}").into();
        })
        .await;
        let (backend, endpoints) = (Backend::start().await, Endpoints::new());
        endpoints.set(&house.replicas);
        let gateways = [
            Gateway::over_http(front, backend.port(), &endpoints).await,
            Gateway::over_grpc(front, backend.port(), &endpoints).await,
        ];
        let fleet = Self { house, endpoints, redis, _servers: servers, _backend: backend };
        fleet.are_known(&gateways).await;
        (fleet, gateways)
    }

    /// As a rolling update does it, with gateways that are told late; how many checks it was asked through each door while
    /// it was going.
    async fn replace_the_oldest(&mut self, gateways: &[Gateway; 2], (cookie, user): &(String, String)) -> [u64; 2] {
        let mut going = self.house.replicas.remove(0);
        let before = [going.checks(gateways[0].door).await, going.checks(gateways[1].door).await];
        let terminated = Instant::now();
        going.terminate();
        eventually("it says that it goes", || async {
            let said = going.readiness().await;
            if said.contains("\"ready\": false") && said.contains("\"draining\": true") { Ok(()) } else { Err(said) }
        })
        .await;
        sleep_until(terminated + LATE).await;
        // It still lets people in, and new connections, too.
        assert_eq!(Browser::new().check(going.main, cookie).await, Verdict::Allow(user.clone()));
        let after = [going.checks(gateways[0].door).await, going.checks(gateways[1].door).await];
        self.endpoints.set(&self.house.replicas);
        going.goes().await;
        self.another_comes(gateways).await;
        [after[0] - before[0], after[1] - before[1]]
    }

    /// `kill -9`, and gateways are told at once. Whoever asks after they have heard does not fail, nor does anybody with a
    /// session that was begun there. At least so many were being answered there, through each.
    async fn kill_the_oldest(&mut self, gateways: &[Gateway; 2], load: &Load) -> [u64; 2] {
        let mut victim = self.house.replicas.remove(0);
        let ann = self.house.sign_in(&victim).await;
        sleep(Duration::from_millis(300)).await;
        let before = load.failures().len();
        // It hangs for a moment, so that somebody is being answered there when it is killed.
        victim.hang();
        let under_way = eventually("somebody asks it", || async {
            let there = [gateways[0].asking(&victim).await, gateways[1].asking(&victim).await];
            if there.iter().all(|count| *count > 0) { Ok(there) } else { Err(format!("{there:?}")) }
        })
        .await;
        victim.kill();
        self.endpoints.set(&self.house.replicas);
        self.are_known(gateways).await;
        let known = Instant::now();
        for gateway in gateways {
            assert_eq!(gateway.asked_by(&Gateway::client(), &ann).await, Ok(ANN.to_owned()));
        }
        self.another_comes(gateways).await;
        let later: Vec<Failure> =
            load.failures()[before..].iter().filter(|failure| failure.began > known).cloned().collect();
        assert!(later.is_empty(), "{later:#?}");
        under_way
    }

    async fn another_comes(&mut self, gateways: &[Gateway; 2]) {
        self.house.start_another(&self.redis);
        self.house.replicas[REPLICAS - 1].is_ready().await;
        self.endpoints.set(&self.house.replicas);
        self.are_known(gateways).await;
    }

    async fn are_known(&self, gateways: &[Gateway; 2]) {
        for gateway in gateways {
            gateway.knows(&self.house.replicas).await;
        }
    }
}

impl Load {
    async fn of(fleet: &Fleet, pause: Duration) -> Self {
        let house = &fleet.house;
        let model = house.shelf.model(&house.sign_in(&house.replicas[0]).await).await;
        let names = users(30);
        let cookies = house.seat(&model, &names).await;
        let sessions = cookies.into_iter().zip(names).collect();
        Self { sessions, pause, stop: AtomicBool::new(false), failures: Mutex::default() }
    }

    /// Asks through all gateways until it is stopped; how often, through each.
    async fn run(&self, gateways: &[Gateway; 2]) -> Vec<usize> {
        join_all(gateways.iter().map(async |gateway| {
            let client = Gateway::client();
            join_all((0..ASKERS).map(|_| self.ask(gateway, &client))).await.into_iter().sum()
        }))
        .await
    }

    async fn ask(&self, gateway: &Gateway, client: &reqwest::Client) -> usize {
        let mut checks = 0;
        for (cookie, user) in self.sessions.iter().cycle() {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let began = Instant::now();
            let said = gateway.asked_by(client, cookie).await;
            match said {
                Ok(whom) => assert_eq!(whom, *user, "somebody was taken for somebody else"),
                Err(what) => {
                    self.failures.lock().expect("whole").push(Failure { began, door: gateway.door, what });
                }
            }
            checks += 1;
            sleep(self.pause).await;
        }
        checks
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn failures(&self) -> Vec<Failure> {
        self.failures.lock().expect("whole").clone()
    }
}
