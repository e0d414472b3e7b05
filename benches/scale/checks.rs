//! Checks against the empty handler: throughput at saturation, and latency at a rate that all of them can bear.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;

use crate::Plan;
use crate::gateway::Gateway;
use crate::house::{self, Server, empty};
use crate::load::{self, COOKIE, Load, Pace, Question};
use crate::shop::{Shop, per};
use crate::visitor;

/// How many sessions are in use at a time where all of those in use fit into memory.
pub(crate) const IN_USE: u64 = 1_000;
/// How many checks are asked at a time.
const CONNECTIONS: usize = 32;
const LOADS: &str = "countersign_store_requests_total{operation=\"load\",outcome=\"ok\"}";

/// Stores, each with a gateway.
pub(crate) struct Subjects<'a> {
    pub(crate) few: (&'a Shop, &'a Gateway),
    pub(crate) many: (&'a Shop, &'a Gateway),
}

/// What was found, in the same run and at the same rate.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// Checks a second at which latencies were taken.
    pub(crate) rate: f64,
    pub(crate) empty: Measured,
    /// The two empty handlers against each other: throughput, p99.
    pub(crate) control: [f64; 2],
    pub(crate) few: Measured,
    /// Of many sessions: few are in use; all of them are.
    pub(crate) warm: Measured,
    pub(crate) uniform: Measured,
}

/// Of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Checks a second.
    pub(crate) throughput: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Which share of the checks asked the store, when latencies were taken.
    pub(crate) cold: f64,
}

struct Target<'a> {
    address: SocketAddr,
    question: Question,
    gateway: Option<&'a Gateway>,
}

impl Checked {
    pub(crate) fn measure(subjects: &Subjects<'_>, plan: Plan) -> Self {
        let headers = answered(subjects.few);
        let servers = ["empty-one", "empty-two"].map(|name| Server::start(name, empty(headers.clone())));
        let (few, many) = (subjects.few, subjects.many);
        let floor = |server: &Server| Target { address: server.address, question: drawn(few.0, IN_USE), gateway: None };
        let of = |(shop, gateway): (&Shop, &'_ Gateway), among| Target {
            address: gateway.main,
            question: drawn(shop, among),
            gateway: None,
        };
        let watched = |target: Target<'_>, gateway| Target { gateway: Some(gateway), ..target };
        let uniform = watched(of(many, many.0.sessions), many.1);
        let all = [floor(&servers[0]), watched(of(few, few.0.sessions), few.1), uniform, floor(&servers[1])];
        let in_use = watched(of(many, IN_USE.min(many.0.sessions)), many.1);
        let warm = [floor(&servers[0]), in_use];

        warm_up(&all[1]);
        let saturated = alternate(&all, plan, Pace::Closed);
        warm_up(&warm[1]);
        let saturated_warm = alternate(&warm, plan, Pace::Closed);
        let throughput = |rounds: &[Vec<(Load, f64)>], index: usize| median(&rounds[index], |(load, _)| load.rate);
        let rate = (1..3).map(|index| throughput(&saturated, index)).fold(f64::INFINITY, f64::min) / 2.0;
        println!("  latencies at {rate:.0} checks a second");
        let slow = alternate(&all, plan, Pace::Open(rate));
        warm_up(&warm[1]);
        let slow_warm = alternate(&warm, plan, Pace::Open(rate));

        let measured = |saturated: &[Vec<(Load, f64)>], slow: &[Vec<(Load, f64)>], index: usize| Measured {
            throughput: throughput(saturated, index),
            p50: Duration::from_secs_f64(median(&slow[index], |(load, _)| load.p50.as_secs_f64())),
            p99: Duration::from_secs_f64(median(&slow[index], |(load, _)| load.p99.as_secs_f64())),
            cold: median(&slow[index], |(_, cold)| *cold),
        };
        let empties = [0, 3].map(|index| measured(&saturated, &slow, index));
        Self {
            rate,
            empty: empties[0],
            control: [
                empties[1].throughput / empties[0].throughput,
                empties[1].p99.as_secs_f64() / empties[0].p99.as_secs_f64(),
            ],
            few: measured(&saturated, &slow, 1),
            uniform: measured(&saturated, &slow, 2),
            warm: measured(&saturated_warm, &slow_warm, 1),
        }
    }
}

/// Checks a second through all of these gateways together, with few sessions in use.
pub(crate) fn through(shop: &Shop, gateways: &[Gateway], plan: Plan) -> f64 {
    let addresses: Vec<SocketAddr> = gateways.iter().map(|gateway| gateway.main).collect();
    let question = drawn(shop, IN_USE.min(shop.sessions));
    let span = Duration::from_secs(plan.seconds);
    let put = || load::put(&addresses, &question, Pace::Closed, CONNECTIONS, span);
    put();
    let rounds: Vec<Load> = (0..plan.rounds).map(|_| put()).collect();
    median(&rounds, |load| load.rate)
}

/// Checks of sessions with these cookies.
pub(crate) fn drawn(shop: &Shop, among: u64) -> Question {
    drawn_from(&shop.cookies, among)
}

pub(crate) fn drawn_from(cookies: &std::path::Path, among: u64) -> Question {
    Question::Drawn(visitor::request("__Host-countersign", COOKIE), cookies.to_owned(), among)
}

/// One round at this rate for a second: its p99.
pub(crate) fn p99_at(gateway: &Gateway, question: &Question, rate: f64) -> Duration {
    load::put(&[gateway.main], question, Pace::Open(rate), CONNECTIONS, Duration::from_secs(1)).p99
}

/// So that what is in use is in memory.
fn warm_up(target: &Target<'_>) {
    load::put(&[target.address], &target.question, Pace::Closed, CONNECTIONS, Duration::from_secs(2));
}

/// What the gateway answers, for the empty handler to answer the same.
fn answered((shop, gateway): (&Shop, &Gateway)) -> HeaderMap {
    let cookies = std::fs::read_to_string(&shop.cookies).expect("the cookies");
    let cookie = cookies.lines().next().expect("a cookie");
    house::answer_headers(gateway.main, &visitor::request("__Host-countersign", cookie))
}

/// Loads on each of them in turn, and which share of the checks asked the store.
fn alternate(targets: &[Target<'_>], plan: Plan, pace: Pace) -> Vec<Vec<(Load, f64)>> {
    let mut rounds = vec![Vec::new(); targets.len()];
    for number in 1..=plan.rounds {
        let mut line = Vec::new();
        for (target, loads) in targets.iter().zip(&mut rounds) {
            let counted = |series| target.gateway.map_or(0, |gateway| gateway.counted(series));
            let before = [LOADS, CHECKS].map(counted);
            let span = Duration::from_secs(plan.seconds);
            let load = load::put(&[target.address], &target.question, pace, CONNECTIONS, span);
            let after = [LOADS, CHECKS].map(counted);
            let [asked, checks] = [0, 1].map(|index| after[index].saturating_sub(before[index]));
            let cold = per(asked, Duration::from_secs(checks.max(1)));
            let micros = [load.p50, load.p99].map(|latency| latency.as_micros());
            let (rate, cold_percent) = (load.rate, cold * 100.0);
            line.push(format!("{rate:.0}/s p50 {} p99 {} us, {cold_percent:.0} % cold", micros[0], micros[1]));
            loads.push((load, cold));
        }
        println!("  round {number}: {}", line.join("; "));
    }
    rounds
}

const CHECKS: &str = "countersign_checks_total{door=\"http\",verdict=\"allow\",reason=\"session\"}";

fn median<T>(values: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = values.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
