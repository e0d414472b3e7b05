//! What floods of strangers cost: checks of those who are signed in while ten thousand connections are open and ten thousand
//! forged tokens a second come, and the memory that a hundred thousand half-open logins take.
//!
//! `make bench-flood` prints the figures beside the limits, and ends with 0 if these are met, 1 if they are missed. It wants
//! two cores, and 20,000 open files in a process; what counts are the ratios of one run. `cargo bench --bench flood -- --only
//! memory` or `floods` measures one of the two.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "it builds servers as `app` does, and finds tools by the environment")]

#[path = "../scale/ahead.rs"]
#[expect(dead_code, reason = "the other bench uses all of it")]
mod ahead;
#[path = "../../tests/support/canaries.rs"]
mod canaries;
mod crowd;
#[path = "../scale/gateway.rs"]
#[expect(dead_code, reason = "the other bench uses all of it")]
mod gateway;
mod line;
#[path = "../check/load.rs"]
#[expect(dead_code, reason = "another bench uses the rest of it")]
mod load;
#[path = "../../tests/support/lying_idp.rs"]
mod lying_idp;
#[path = "../../tests/rig/part.rs"]
#[expect(dead_code, reason = "the rig uses all of it")]
mod part;
#[path = "../../tests/redis/processes.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod processes;
#[path = "../../tests/redis/servers.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod servers;
#[path = "../scale/shop.rs"]
#[expect(dead_code, reason = "the other bench uses all of it")]
mod shop;
mod traffic;
#[path = "../check/visitor.rs"]
mod visitor;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::SystemClock;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use gateway::Gateway;
use lying_idp::{KEYS, LyingIdp};
use shop::{Shelf, Shop};
use traffic::Traffic;

/// How many people are signed in, and how often one of them is asked about in a second.
const SIGNED_IN: u64 = 1_000;
const CHECKS: f64 = 2_000.0;
/// Forged tokens a second.
const FORGED: f64 = 10_000.0;
const IDLE: usize = 10_000;
/// How long it is quiet, before and after; how long the flood lasts. Longer than the pause between two looks at the keys;
/// shorter than an idle connection is kept.
const QUIET: Duration = Duration::from_secs(15);
const FLOOD: Duration = Duration::from_secs(40);
const HALF_OPEN: usize = 100_000;

const MOST_RATIO: f64 = 3.0;
const PAUSE: Duration = Duration::from_secs(30);
const MOST_MEMORY: u64 = 100_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|word| word == "generate") {
        traffic::generate(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let only = arguments.iter().position(|argument| argument == "--only").and_then(|place| arguments.get(place + 1));
    let is_meant = |name: &str| only.is_none_or(|only| only == name);
    let bench = Bench::open();
    // Each on its own gateway, so that neither pays for the other.
    let memory = !is_meant("memory") || bench.half_open_logins();
    let floods = !is_meant("floods") || bench.floods();
    println!("load average: {}", load_average());
    if memory && floods { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// What both measurements need.
struct Bench {
    // Dropped before the runtime that it runs on.
    idp: LyingIdp,
    shop: Shop,
    _runtime: Runtime,
}

impl Bench {
    fn open() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let runtime = Runtime::new().expect("a runtime");
        let idp = runtime.block_on(LyingIdp::start(Arc::new(SystemClock)));
        let shop = runtime.block_on(Shop::open(Shelf::Embedded, SIGNED_IN, &idp));
        Self { idp, shop, _runtime: runtime }
    }

    /// Behind a proxy on loopback, beside an issuer of tokens.
    fn gateway(&self) -> Gateway {
        let issuer = &self.idp.issuer;
        let source = json!({
            "kind": "jwt", "id": "robots", "issuer": issuer, "jwks_url": format!("{issuer}{KEYS}"),
            "audiences": ["countersign"], "algorithms": ["RS256", "ES256"],
        });
        let more: Value = json!({"trusted_proxies": ["127.0.0.1"], "bearer": [source]});
        let gateway = self.shop.gateway_with(more);
        gateway.await_provider();
        gateway
    }

    fn half_open_logins(&self) -> bool {
        println!("{HALF_OPEN} half-open logins, each from an address of its own");
        let gateway = self.gateway();
        // Connections are open, and whatever is allocated once is.
        crowd::start_logins(gateway.main, 0..1_000);
        let (before, begun) = (gateway.resident().now, Instant::now());
        crowd::start_logins(gateway.main, 1_000..1_000 + HALF_OPEN);
        let (after, took) = (gateway.resident(), begun.elapsed());
        gateway.stop();
        let grown = after.now.saturating_sub(before);
        println!(
            "  {:.1} s, {:.0} a second; resident {} before, {} after, {} at most",
            took.as_secs_f64(),
            shop::per(HALF_OPEN as u64, took),
            megabytes(before),
            megabytes(after.now),
            megabytes(after.most)
        );
        told(grown < MOST_MEMORY, &format!("they cost {}; the limit is {}", megabytes(grown), megabytes(MOST_MEMORY)))
    }

    fn floods(&self) -> bool {
        println!("{CHECKS:.0} checks a second of {SIGNED_IN} people who are signed in");
        let gateway = self.gateway();
        let traffic = |forged, span| Traffic::put(gateway.main, &self.shop.cookies, &self.idp.issuer, forged, span);
        // So that the sessions are in memory.
        traffic(0.0, Duration::from_secs(2));
        let before = traffic(0.0, QUIET);
        println!("  quiet: {before}");

        let crowd = crowd::Idle::open(gateway.main, IDLE);
        let with_crowd = gateway.resident();
        let (fetched, begun) = (self.idp.hits(KEYS), Instant::now());
        let during = traffic(FORGED, FLOOD);
        let (fetched, took) = (self.idp.hits(KEYS) - fetched, begun.elapsed());
        let (open, flooded) = (crowd.still_open(), gateway.resident());
        println!("  {IDLE} idle connections, and forged tokens: {during}");
        println!("  resident {} with the connections, {} after", megabytes(with_crowd.now), megabytes(flooded.now));
        drop(crowd);

        let after = traffic(0.0, QUIET);
        println!("  quiet again: {after}");
        gateway.stop();

        let quiet = before.p99.max(after.p99);
        let ratio = |p99: Duration, quiet: Duration| p99.as_secs_f64() / quiet.as_secs_f64();
        println!(
            "  p99 of all answers, however busy the machine: {:.2} of the quiet one",
            ratio(during.p99_of_all, before.p99_of_all.max(after.p99_of_all))
        );
        let may_fetch = 1 + took.as_secs() / PAUSE.as_secs();
        let limits = [
            told(
                ratio(during.p99, quiet) <= MOST_RATIO,
                &format!("p99 {:.2} of the quiet one; the limit is {MOST_RATIO}", ratio(during.p99, quiet)),
            ),
            told(during.checked > CHECKS * 0.99, &format!("{:.0} checks a second were answered", during.checked)),
            told(during.refused > FORGED * 0.99, &format!("{:.0} forged tokens a second were refused", during.refused)),
            told(open == IDLE, &format!("{open} of {IDLE} idle connections were open to the end")),
            told(
                fetched as u64 <= may_fetch,
                &format!("{fetched} fetches of the keys in {} s; the limit is {may_fetch}", took.as_secs()),
            ),
        ];
        limits.into_iter().all(|is_met| is_met)
    }
}

fn told(is_met: bool, what: &str) -> bool {
    println!("{} {what}", if is_met { "MET   " } else { "MISSED" });
    is_met
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", shop::per(bytes, Duration::from_secs(1_000_000)))
}

fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").map(|text| text.trim().to_owned()).unwrap_or_default()
}
