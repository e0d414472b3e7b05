//! The whole gateway beside a provider that lies, or is odd and honest: every behaviour by its name, one after another.
//! Whatever is refused leaves nothing behind; whatever is honest gets in.

#[path = "../support/behaviours.rs"]
mod behaviours;
#[expect(dead_code, reason = "another part of it is used elsewhere")]
#[path = "../front_door/browser.rs"]
mod browser;
#[path = "../support/canaries.rs"]
mod canaries;
#[expect(dead_code, reason = "another part of it is used elsewhere")]
#[path = "../front_door/house.rs"]
mod house;
#[path = "../support/trace_journal.rs"]
mod journal;
#[path = "../support/lying_idp.rs"]
mod lying_idp;
#[path = "../front_door/rc_token.rs"]
mod rc_token;
#[path = "../support/settings.rs"]
mod settings;

mod homes;
mod ledger;
mod logout;
mod renewal;
mod sign_in;
mod table;

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::AssertUnwindSafe;

use futures_util::stream::{self, StreamExt};
use futures_util::{FutureExt, future};

use crate::canaries::Watch;
use crate::homes::{Home, Way};
use crate::table::{ACCEPTED, Accepted, REFUSED, Refused};

/// How many rows share a house.
const ROWS: usize = 16;
/// How many houses of one row each stand at a time.
const HOUSES: usize = 4;

/// A row of either list.
#[derive(Clone, Copy)]
enum Row {
    Refused(&'static Refused),
    Accepted(&'static Accepted),
}

/// A row that came to its end.
type Judged = (&'static str, bool);

#[tokio::test]
async fn every_lie_is_refused_and_every_oddity_accepted() {
    let refused = REFUSED.iter().map(Row::Refused);
    let rows: Vec<Row> = refused.chain(ACCEPTED.iter().map(Row::Accepted)).collect();
    let (alone, together): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.needs_a_house());
    // A few rows share a house, one after another, by both ways back.
    let shared = [Way::Query, Way::Form].into_iter().flat_map(|way| together.chunks(ROWS).map(move |rows| (rows, way)));
    let shared = future::join_all(shared.map(|(rows, way)| one_after_another(rows, way)));
    let alone = stream::iter(alone).map(|row| judged(row, None)).buffer_unordered(HOUSES).collect::<Vec<Judged>>();
    let (shared, alone) = future::join(shared, alone).await;
    let outcomes: Vec<Judged> = shared.into_iter().flatten().chain(alone).collect();
    let failed: BTreeSet<&str> = outcomes.iter().filter(|(_, good)| !good).map(|(name, _)| *name).collect();
    let good = |names: Vec<&str>| names.into_iter().filter(|name| !failed.contains(name)).count();
    let refused = good(REFUSED.iter().map(|row| row.name).collect());
    let accepted = good(ACCEPTED.iter().map(|row| row.name).collect());
    let sum = format!("refused {refused} of {}, accepted {accepted} of {}", REFUSED.len(), ACCEPTED.len());
    // Past the test runner's capture: it is to be seen where all is well, too.
    writeln!(std::io::stderr(), "a provider that lies: {sum}").expect("it is written");
    assert!(failed.is_empty(), "{sum}; not as expected: {failed:?}");
    nothing_secret_was_told();
}

/// Refusals are where secrets slip out: whatever was refused, or let in, is in the log with everything that anybody says at
/// `trace`, and none of it is secret. Nor is what was answered, or the metrics that were read meanwhile.
fn nothing_secret_was_told() {
    let (all, trace) = (Watch::of_all(), journal::trace());
    assert!(all.secrets() > 1000 && trace.len() > 100_000, "{} secrets, {} bytes", all.secrets(), trace.len());
    all.judge(&[("the log", &trace), ("what was said to be logged", journal::said().as_bytes())]);
}

#[test]
fn every_behaviour_has_one_row_and_every_row_a_behaviour() {
    let rows: Vec<&str> = REFUSED.iter().map(|row| row.name).chain(ACCEPTED.iter().map(|row| row.name)).collect();
    let known: Vec<&str> = behaviours::names().collect();
    let sorted = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<&str>>();
    assert_eq!(sorted(&rows), sorted(&known));
    assert_eq!((rows.len(), known.len()), (sorted(&rows).len(), sorted(&known).len()), "each once");
    for name in known {
        assert!(!behaviours::named(name).is_empty(), "{name}");
    }
}

impl Row {
    const fn name(self) -> &'static str {
        match self {
            Self::Refused(row) => row.name,
            Self::Accepted(row) => row.name,
        }
    }

    fn needs_a_house(self) -> bool {
        use behaviours::Since::{Beginning, BeginningInPublic};
        let on_its_own = match self {
            Self::Refused(row) => row.kind.is_about_a_session() || row.is_slow,
            Self::Accepted(row) => row.kind.is_about_a_session(),
        };
        let lies = behaviours::named(self.name());
        on_its_own || lies.iter().any(|lie| matches!(lie.since, Beginning | BeginningInPublic))
    }
}

async fn one_after_another(rows: &[Row], way: Way) -> Vec<Judged> {
    let home = Home::open(None, way).await;
    let mut outcomes = Vec::new();
    for row in rows {
        outcomes.push(judged(*row, Some(&home)).await);
    }
    outcomes
}

/// Judges all variants of a row, in `home` or in houses of their own. Whatever is wrong is written as it is found.
async fn judged(row: Row, home: Option<&Home>) -> Judged {
    let judging = async {
        for lie in behaviours::named(row.name()) {
            let own = if home.is_none() { Some(Home::open(Some(&lie), Way::Query).await) } else { None };
            let home = home.or(own.as_ref()).expect("one of them");
            if own.is_none() {
                home.begin_anew();
            }
            match row {
                Row::Refused(row) => row.judge(home, &lie).await,
                Row::Accepted(row) => row.judge(home, &lie).await,
            }
        }
    };
    let outcome = AssertUnwindSafe(judging).catch_unwind().await;
    if outcome.is_err() {
        writeln!(std::io::stderr(), "a provider that lies: {} is not as expected", row.name()).expect("it is written");
    }
    (row.name(), outcome.is_ok())
}
