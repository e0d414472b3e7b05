//! What many sessions cost: the gateway with a thousand and with a million of them, in the embedded store and in Redis.
//! Each figure of a million stands beside the same of a thousand, from the same run: the ratio is what counts.
//!
//! `make bench-scale` writes docs/performance.md. `cargo bench --bench scale -- --sessions 10000` is a quick try that
//! prints the page and leaves the file alone; `--store embedded|redis` measures one store, without a page.
//! It ends with 0 if the limits are met, 1 if they are missed.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "it builds servers as `app` does, and finds tools by the environment")]

mod ahead;
#[path = "../../tests/support/canaries.rs"]
mod canaries;
mod checks;
mod figures;
mod gateway;
#[path = "../../tests/support/grpc_check.rs"]
mod grpc_check;
#[path = "../check/house.rs"]
#[expect(dead_code, reason = "the other bench uses all of it")]
mod house;
#[path = "../check/load.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod load;
#[path = "../../tests/support/lying_idp.rs"]
mod lying_idp;
mod page;
#[path = "../../tests/rig/part.rs"]
#[expect(dead_code, reason = "the rig uses all of it")]
mod part;
#[path = "../../tests/redis/processes.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod processes;
#[path = "../../tests/redis/servers.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod servers;
mod shop;
mod sign_ins;
mod sweep;
#[path = "../check/visitor.rs"]
mod visitor;

use std::process::ExitCode;
use std::sync::Arc;

use countersign::clock::SystemClock;
use tokio::runtime::Runtime;

use checks::{Checked, Subjects};
use figures::{Cost, Figures, Replicated, Started};
use lying_idp::{LyingIdp, Signing};
use shop::{Shelf, Shop};

/// With how many sessions all others are compared.
const FEW: u64 = 1_000;
/// What the page is written for.
const MANY: u64 = 1_000_000;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How many sessions are many.
    sessions: u64,
    /// How often each server is put under load, and for how many seconds.
    rounds: usize,
    seconds: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("generate") => {
            load::generate(&arguments[1..]);
            return ExitCode::SUCCESS;
        }
        Some("ahead") => {
            ahead::serve(&arguments[1..]);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let sessions = option(&arguments, "--sessions", MANY).max(FEW);
    let is_whole = sessions >= MANY;
    let plan = Plan {
        sessions,
        rounds: option(&arguments, "--rounds", if is_whole { 5 } else { 3 }),
        seconds: option(&arguments, "--seconds", if is_whole { 3 } else { 1 }),
    };
    let meant: String = option(&arguments, "--store", "both".into());
    let bench = Bench::open(plan);
    let embedded = (meant != "redis").then(|| bench.measure("embedded", async || Shelf::Embedded));
    let redis = (meant != "embedded").then(|| bench.measure("Redis", Shelf::redis));
    let (Some(embedded), Some(redis)) = (embedded, redis) else { return ExitCode::SUCCESS };
    let page = page::of(plan, &embedded, &redis);
    if is_whole {
        std::fs::write("docs/performance.md", &page.text).expect("the page is written");
        println!("docs/performance.md is written");
    } else {
        println!("\n{}", page.text);
    }
    if page.is_met { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// What all measurements need.
pub(crate) struct Bench {
    plan: Plan,
    runtime: Runtime,
    idp: LyingIdp,
}

impl Bench {
    fn open(plan: Plan) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let runtime = Runtime::new().expect("a runtime");
        let idp = runtime.block_on(LyingIdp::start(Arc::new(SystemClock)));
        // The provider shares the cores: it is to take little of them.
        idp.lie(|behaviour| behaviour.signing = Signing::Es256);
        Self { plan, runtime, idp }
    }

    fn measure(&self, name: &str, new: impl AsyncFn() -> Shelf) -> Figures {
        let seeded = |count| {
            println!("{name}: {count} sessions are made");
            let shop = self.runtime.block_on(async { Shop::open(new().await, count, &self.idp).await });
            println!("  {:.0} bytes each, {:.0} made a second", shop.bytes_each, shop.seeded_a_second);
            shop
        };
        let [few, many] = [FEW, self.plan.sessions].map(seeded);

        println!("{name}: checks");
        let gateways = [few.gateway(), many.gateway()];
        let started = [0, 1].map(|index| Started::of(&gateways[index]));
        let idle = gateways[1].resident();
        let subjects = Subjects { few: (&few, &gateways[0]), many: (&many, &gateways[1]) };
        let checked = Checked::measure(&subjects, self.plan);
        let resident = [0, 1].map(|index| gateways[index].resident());

        println!("{name}: sign-ins");
        let sign_ins = [0, 1].map(|index| self.sign_ins(&gateways[index..=index]));
        let [one, two] = gateways;
        one.stop();
        two.stop();
        let replicated = matches!(many.shelf, Shelf::Redis(_)).then(|| self.replicated(&many));

        println!("{name}: starts");
        let again = many.gateway();
        let closed = Started::of(&again);
        again.kill();
        let again = many.gateway();
        let killed = Started::of(&again);
        let most_when_started = again.resident().most;
        again.stop();

        println!("{name}: the sweep");
        let swept = sweep::measure(self, &many, checked.rate);
        let cost = [few, many].map(|shop| Cost { bytes_each: shop.bytes_each });
        let figures = Figures {
            cost,
            started,
            closed,
            killed,
            idle,
            resident,
            most_when_started,
            checked,
            sign_ins,
            replicated,
            swept,
        };
        println!("{name}: {figures:#?}");
        figures
    }

    /// Checks and sign-ins through one, two and three gateways on one store.
    fn replicated(&self, many: &Shop) -> Vec<Replicated> {
        println!("Redis: replicas");
        let one_to_three = 1..=3;
        let measured = one_to_three.map(|replicas| {
            let gateways: Vec<_> = (0..replicas).map(|_| many.gateway()).collect();
            let checks = checks::through(many, &gateways, self.plan);
            let sign_ins = self.sign_ins(&gateways);
            let resident = gateways.iter().map(|gateway| gateway.resident().most).max().unwrap_or_default();
            gateways.into_iter().for_each(gateway::Gateway::stop);
            Replicated { replicas, checks, sign_ins, resident }
        });
        measured.collect()
    }

    fn sign_ins(&self, gateways: &[gateway::Gateway]) -> f64 {
        gateways.iter().for_each(gateway::Gateway::await_provider);
        let ports: Vec<u16> = gateways.iter().map(|gateway| gateway.main.port()).collect();
        self.runtime.block_on(sign_ins::a_second(&self.idp, &ports, self.plan.seconds * 3))
    }
}

fn option<T: std::str::FromStr>(arguments: &[String], name: &str, otherwise: T) -> T {
    let place = arguments.iter().position(|argument| argument == name);
    place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(otherwise)
}
