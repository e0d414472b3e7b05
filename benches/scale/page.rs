//! The page that the figures stand on: words from a template, and which limits are met.

use std::time::Duration;

use minijinja::Environment;
use minijinja::value::Serde;
use serde_json::{Value, json};

use crate::checks::{IN_USE, Measured};
use crate::figures::{Figures, Started};
use crate::{FEW, Plan};

const TEMPLATE: &str = include_str!("page.md");

/// The most that a p99 may grow, that a gateway may take, and that a session may take in Redis (bytes).
const P99_GROWTH: f64 = 2.0;
const RESIDENT: f64 = 600e6;
const BYTES_EACH: f64 = 2048.0;
/// The admin port is up at once.
const ALIVE_AFTER: Duration = Duration::from_secs(3);

/// The page.
pub(crate) struct Page {
    pub(crate) text: String,
    /// Whether no limit is missed.
    pub(crate) is_met: bool,
}

pub(crate) fn of(plan: Plan, embedded: &Figures, redis: &Figures) -> Page {
    let mut limits = Limits { embedded, redis, rows: Vec::new(), is_met: true };
    let growth = |of: fn(&Figures) -> Measured| {
        move |figures: &Figures| of(figures).p99.as_secs_f64() / figures.checked.few.p99.as_secs_f64()
    };
    let (many, few) = (count(plan.sessions), count(FEW));
    let p99 = |in_use| format!("p99 of a check with {many} sessions, {in_use} in use, of that with {few}");
    limits.judge(&p99(count(IN_USE)), P99_GROWTH, &ratio, growth(|figures| figures.checked.warm), true);
    limits.judge(&p99("all".into()), P99_GROWTH, &ratio, growth(|figures| figures.checked.uniform), true);
    limits.judge("most memory of a gateway", RESIDENT, &megabytes, |figures| precise(figures.most()), true);
    limits.judge(
        "bytes a session in the store",
        BYTES_EACH,
        &|bytes| format!("{bytes:.0}"),
        |figures| figures.cost[1].bytes_each,
        false,
    );
    limits.judge(
        "the admin port answers after",
        ALIVE_AFTER.as_secs_f64(),
        &|seconds| span(Duration::from_secs_f64(seconds)),
        |figures| figures.killed.alive_after.max(figures.closed.alive_after).as_secs_f64(),
        true,
    );
    let Limits { rows: limits, is_met, .. } = limits;
    let context = json!({
        "few": few,
        "many": many,
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "limits": limits,
        "stores": [store("embedded", plan, embedded), store("Redis", plan, redis)],
        "replicas": replicas(redis),
    });
    let mut environment = Environment::empty();
    environment.add_template("page", TEMPLATE).expect("a template");
    let text = environment.get_template("page").and_then(|page| page.render(Serde(context))).expect("the page");
    Page { text: text.trim_end().to_owned() + "\n", is_met }
}

struct Limits<'a> {
    embedded: &'a Figures,
    redis: &'a Figures,
    rows: Vec<Value>,
    is_met: bool,
}

impl Limits<'_> {
    /// Not all of them bind the embedded store.
    fn judge(
        &mut self,
        what: &str,
        limit: f64,
        write: &dyn Fn(f64) -> String,
        figure: impl Fn(&Figures) -> f64,
        binds_embedded: bool,
    ) {
        let [embedded, redis] = [self.embedded, self.redis].map(figure);
        let missed = |value: f64| if value <= limit { "" } else { ", missed" };
        let of_embedded = if binds_embedded { missed(embedded) } else { "" };
        self.is_met &= of_embedded.is_empty() && missed(redis).is_empty();
        self.rows.push(json!({
            "what": what,
            "limit": format!("{} at most{}", write(limit), if binds_embedded { "" } else { ", in Redis" }),
            "embedded": write(embedded) + of_embedded,
            "redis": write(redis) + missed(redis),
        }));
    }
}

impl Figures {
    /// The most memory that any gateway took, with many sessions.
    fn most(&self) -> u64 {
        let replicas = self.replicated.iter().flatten().map(|replicas| replicas.resident);
        replicas.chain([self.resident[1].most, self.most_when_started]).max().unwrap_or_default()
    }
}

fn store(name: &str, plan: Plan, figures: &Figures) -> Value {
    let (cost, checked) = (&figures.cost, &figures.checked);
    let resident = [figures.resident[0].now, figures.idle.now, figures.resident[1].now].map(precise);
    let row = |sessions: u64, in_use: u64, measured: &Measured| {
        json!({
            "sessions": count(sessions),
            "in_use": count(in_use),
            "throughput": rate(measured.throughput),
            "of_empty": ratio(measured.throughput / checked.empty.throughput),
            "p50": span(measured.p50),
            "p99": span(measured.p99),
            "ratio": ratio(measured.p99.as_secs_f64() / checked.few.p99.as_secs_f64()),
            "cold": format!("{:.0} %", measured.cold * 100.0),
        })
    };
    let floor = json!({
        "sessions": "empty handler", "in_use": "", "throughput": rate(checked.empty.throughput), "of_empty": "1",
        "p50": span(checked.empty.p50), "p99": span(checked.empty.p99),
        "ratio": ratio(checked.empty.p99.as_secs_f64() / checked.few.p99.as_secs_f64()), "cold": "",
    });
    let start = |sessions: String, started: Started| {
        json!({
            "sessions": sessions,
            "alive": span(started.alive_after),
            "ready": span(started.ready_after),
            "ratio": ratio(started.ready_after.as_secs_f64() / figures.started[0].ready_after.as_secs_f64()),
        })
    };
    let swept = &figures.swept;
    let growth = |meanwhile: Duration| ratio(meanwhile.as_secs_f64() / swept.before.as_secs_f64());
    let untold = || "too short to tell".to_owned();
    json!({
        "name": name,
        "bytes": [
            format!("{:.0}", cost[0].bytes_each),
            format!("{:.0}", cost[1].bytes_each),
            ratio(cost[1].bytes_each / cost[0].bytes_each),
        ],
        "memory": [
            megabytes(resident[0]),
            megabytes(resident[1]),
            megabytes(resident[2]),
            megabytes(precise(figures.most())),
            ratio(resident[2] / resident[0]),
        ],
        "rate": rate(checked.rate),
        "control": checked.control.map(ratio),
        "checks": [
            floor,
            row(FEW, FEW, &checked.few),
            row(plan.sessions, IN_USE, &checked.warm),
            row(plan.sessions, plan.sessions, &checked.uniform),
        ],
        "starts": [
            start(count(FEW), figures.started[0]),
            start(count(plan.sessions), figures.closed),
            start(format!("{}, after `kill -9`", count(plan.sessions)), figures.killed),
        ],
        "sign_ins": [
            rate(figures.sign_ins[0]),
            rate(figures.sign_ins[1]),
            ratio(figures.sign_ins[1] / figures.sign_ins[0]),
        ],
        "sweep": {
            "sessions": rate(swept.sessions),
            "took": span(swept.took),
            "before": span(swept.before),
            "meanwhile": swept.meanwhile.map_or_else(untold, span),
            "ratio": swept.meanwhile.map_or_else(String::new, growth),
        },
    })
}

fn replicas(figures: &Figures) -> Vec<Value> {
    let all: Vec<_> = figures.replicated.iter().flatten().collect();
    let rows = all.iter().map(|replicas| {
        json!({
            "replicas": replicas.replicas,
            "checks": rate(replicas.checks),
            "checks_ratio": ratio(replicas.checks / all[0].checks),
            "sign_ins": rate(replicas.sign_ins),
            "sign_ins_ratio": ratio(replicas.sign_ins / all[0].sign_ins),
            "memory": megabytes(precise(replicas.resident)),
        })
    });
    rows.collect()
}

/// With commas.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits count, the rest is noise.
fn rate(number: f64) -> String {
    let mut step = 1.0;
    while number / step >= 1000.0 {
        step *= 10.0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and not negative")]
    let rounded = ((number / step).round() * step) as u64;
    count(rounded)
}

fn ratio(number: f64) -> String {
    if number < 10.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}

fn span(span: Duration) -> String {
    match span.as_secs_f64() {
        seconds if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn precise(bytes: u64) -> f64 {
    bytes as f64
}
