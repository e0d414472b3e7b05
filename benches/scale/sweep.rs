//! The sweep: all sessions are over at once, and a gateway takes them out while others are checked.

use std::time::{Duration, Instant};

use crate::Bench;
use crate::checks::{IN_USE, drawn_from, p99_at};
use crate::shop::Shop;

/// By then all sessions are over.
const LATER: Duration = Duration::from_hours(9);
/// The longest that it may take until it is done; it begins a minute after the gateway did.
const PATIENCE: Duration = Duration::from_mins(15);

/// What the sweep takes, and what checks cost meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swept {
    /// How many sessions it took out.
    pub(crate) sessions: f64,
    pub(crate) took: Duration,
    /// The p99 of checks before it began, and while it went on (if that was long enough to tell).
    pub(crate) before: Duration,
    pub(crate) meanwhile: Option<Duration>,
}

/// Has all sessions swept, and others checked at this rate.
pub(crate) fn measure(bench: &Bench, shop: &Shop, rate: f64) -> Swept {
    let cookies = shop.path("cookies-later");
    bench.runtime.block_on(shop.seat(IN_USE, Shop::clock_ahead(LATER), &cookies));
    let gateway = shop.gateway_ahead(LATER);
    let question = drawn_from(&cookies, IN_USE);
    let opened = Instant::now();
    let mut loads: Vec<(Instant, Instant, Duration)> = Vec::new();
    let told = |field| gateway.logged("swept sessions that were over", field);
    let sessions = loop {
        assert!(opened.elapsed() < PATIENCE, "nothing is swept");
        let began = Instant::now();
        let p99 = p99_at(&gateway, &question, rate);
        loads.push((began, Instant::now(), p99));
        println!("  after {:.0} s: p99 {} us", opened.elapsed().as_secs_f64(), p99.as_micros());
        if let Some(sessions) = told("sessions") {
            break sessions;
        }
    };
    let took = Duration::from_secs_f64(told("seconds").expect("it says how long"));
    // It ended within the last load.
    let (last, _, _) = loads.pop().expect("one load");
    let start = last.checked_sub(took).unwrap_or(opened);
    let during = |began: Instant, ended: Instant| began > start && ended <= last;
    let of = |is_meant: &dyn Fn(Instant, Instant) -> bool| {
        let mut p99s: Vec<Duration> =
            loads.iter().filter(|(began, ended, _)| is_meant(*began, *ended)).map(|(_, _, p99)| *p99).collect();
        p99s.sort_unstable();
        p99s.get(p99s.len() / 2).copied()
    };
    let before = of(&|_, ended| ended < start).expect("a minute before it");
    let swept = Swept { sessions, took, before, meanwhile: of(&during) };
    gateway.kill();
    swept
}
