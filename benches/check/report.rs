//! From rounds to ratios, and whether they mean anything.

use std::fmt;

/// The least throughput and the most p99, against the empty handler.
const THROUGHPUT_LIMIT: f64 = 0.80;
const LATENCY_LIMIT: f64 = 1.5;
/// How far the two empty handlers may differ in the median. Single rounds may differ as they like: a virtual machine is
/// slower for a second now and then, and there are enough rounds for the median not to care.
const THROUGHPUT_NOISE: f64 = 0.05;
const LATENCY_NOISE: f64 = 0.15;
/// The least share of the time in which a saturated server runs or could; below, the load was what gave out.
const SATURATED: f64 = 0.85;
/// The most of the time in which a server may wait for a core; above, somebody else had it.
const CROWDED: f64 = 0.10;

/// The three servers' figures of one round: empty, check, empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    pub(crate) figures: [f64; 3],
    /// In which share of the time each server's threads ran.
    pub(crate) ran: [f64; 3],
    /// In which share of the time they could have, but for others on the core.
    pub(crate) waited: [f64; 3],
}

impl Round {
    /// The check against the mean of the empty handlers around it.
    fn check(&self) -> f64 {
        self.figures[1] / f64::midpoint(self.figures[0], self.figures[2])
    }

    fn control(&self) -> f64 {
        self.figures[2] / self.figures[0]
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, check, two] = self.figures;
        write!(f, "empty {one:.0}, check {check:.0}, empty {two:.0}; check/empty {:.3}, ", self.check())?;
        let percent = |shares: [f64; 3]| shares.map(|share| share * 100.0);
        write!(
            f,
            "control {:.3}; ran {:.0?} %, waited {:.0?} %",
            self.control(),
            percent(self.ran),
            percent(self.waited)
        )
    }
}

#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<Round>);

impl Rounds {
    pub(crate) fn push(&mut self, round: Round) {
        self.0.push(round);
    }

    /// The median of one server's figures.
    pub(crate) fn median(&self, server: usize) -> f64 {
        Spread::of(self.0.iter().map(|round| round.figures[server])).median
    }

    fn check(&self) -> Spread {
        Spread::of(self.0.iter().map(Round::check))
    }

    fn control(&self) -> Spread {
        Spread::of(self.0.iter().map(Round::control))
    }

    /// The share of the time in which the least busy server had something to do, in its median round.
    fn least_busy(&self) -> f64 {
        let busy = |index: usize| Spread::of(self.0.iter().map(|round| round.ran[index] + round.waited[index])).median;
        (0..3).map(busy).fold(f64::INFINITY, f64::min)
    }

    fn most_waited(&self) -> f64 {
        self.0.iter().flat_map(|round| round.waited).fold(0.0, f64::max)
    }
}

#[derive(Clone, Copy, Debug)]
struct Spread {
    quarter: f64,
    median: f64,
    three_quarters: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |quarters: usize| values[(values.len() - 1) * quarters / 4];
        Self { quarter: at(1), median: at(2), three_quarters: at(3) }
    }

    /// Whether a control is near enough to 1.
    fn is_quiet(&self, noise: f64) -> bool {
        self.median.max(1.0 / self.median) - 1.0 <= noise
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} (median; half lie in {:.3} to {:.3})", self.median, self.quarter, self.three_quarters)
    }
}

/// Prints the ratios; 0 if the limits are met, 1 if not, 2 if nobody can tell.
pub(crate) fn judge(saturation: &Rounds, latency: &Rounds) -> u8 {
    println!("\nthroughput, check/empty:    {}, limit {THROUGHPUT_LIMIT:.2} at least", saturation.check());
    println!("throughput, control:        {}", saturation.control());
    println!("p99 at half, check/empty:   {}, limit {LATENCY_LIMIT:.2} at most", latency.check());
    println!("p99 at half, control:       {}", latency.control());
    let mut void = false;
    let mut void_if = |condition: bool, reason: String| {
        if condition {
            void = true;
            println!("VOID: {reason}");
        }
    };
    let differ = !saturation.control().is_quiet(THROUGHPUT_NOISE) || !latency.control().is_quiet(LATENCY_NOISE);
    void_if(differ, "the two empty handlers differ".into());
    let waited = saturation.most_waited().max(latency.most_waited());
    void_if(
        waited > CROWDED,
        format!("a server waited {:.0} % of the time for a core that others had", waited * 100.0),
    );
    let busy = saturation.least_busy();
    // Without the kernel's sched-stats nobody ever ran; then the control alone must do.
    void_if(
        busy > 0.0 && busy < SATURATED,
        format!("the load gave out first: a server was busy {:.0} % of the time", busy * 100.0),
    );
    if void {
        return 2;
    }
    if saturation.check().median < THROUGHPUT_LIMIT || latency.check().median > LATENCY_LIMIT {
        println!("MISSED");
        return 1;
    }
    println!("MET");
    0
}
