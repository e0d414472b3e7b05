//! Puts the corpus to gateways and counts. Each request goes to both doors of a place, whose answers are compared.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::exchange::{Asker, Outcome};
use super::judge::{Contract, Judge};
use super::ordinary::ORDINARY;
use super::site::Site;
use super::variants::Variant;

/// A gateway in one mode, behind all of its doors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// How its paths are normalised.
    pub(crate) mode: String,
    /// Each door's name and address.
    pub(crate) doors: Vec<(String, String)>,
}

/// How the gateway is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    /// What browsers write as `Host`.
    pub(crate) host: String,
    /// Each person's name and the header line that signs them in.
    pub(crate) sessions: Vec<(String, (String, String))>,
    pub(crate) contract: Contract,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: usize,
    pub(crate) served: usize,
    pub(crate) refused: usize,
    /// By status; 0 is a connection that was closed.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// Served, by who was signed in.
    pub(crate) served_to: BTreeMap<String, usize>,
    pub(crate) wrong: Vec<String>,
    pub(crate) disagreements: Vec<String>,
    /// Served with a header that some few servers may take for another.
    pub(crate) doubtful: usize,
    /// What is ordinary and was not served.
    pub(crate) turned_away: Vec<String>,
}

/// So many connections to each door.
const AT_ONCE: usize = 12;

/// Asks everything of a place.
pub(crate) async fn run(place: &Place, manners: &Manners, variants: &Arc<Vec<Variant>>, judge: &Arc<Judge>) -> Tally {
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (place, manners, variants) = (place.clone(), manners.clone(), Arc::clone(variants));
            let (judge, next) = (Arc::clone(judge), Arc::clone(&next));
            tokio::spawn(async move {
                let mut tally = Tally::default();
                let mut askers: Vec<_> = place.doors.iter().map(|(_, address)| Asker::of(address)).collect();
                while let Some(variant) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let request = manners.written(variant);
                    let mut outcomes = Vec::new();
                    for asker in &mut askers {
                        outcomes.push(answer(asker, &request, variant).await);
                    }
                    tally.add(&place, variant, &outcomes, &judge);
                }
                tally
            })
        })
        .collect();
    let mut all = Tally::default();
    for worker in workers {
        all += worker.await.expect("every request has some end");
    }
    all
}

/// A gateway that could not ask says 503, on a busy machine: then it is asked again.
async fn answer(asker: &mut Asker, request: &[u8], variant: &Variant) -> Outcome {
    let mut outcome = Outcome::HungUp;
    for _ in 0..5 {
        outcome = asker.ask(request, variant.method == "HEAD").await;
        if outcome != Outcome::Answered(503) {
            break;
        }
    }
    outcome
}

/// Judges by this site.
pub(crate) fn judge(manners: &Manners) -> Arc<Judge> {
    Arc::new(Judge::new(Site::of_the_corpus(), manners.contract.clone()))
}

impl Manners {
    fn written(&self, variant: &Variant) -> Vec<u8> {
        let target = self.filled_in(&variant.target);
        let mut text = format!("{} {target} HTTP/1.1\r\nHost: {}\r\n", variant.method, self.filled_in(variant.host));
        if let Some(who) = variant.who {
            let session = self.sessions.iter().find(|(name, _)| name == who);
            let (_, (name, value)) = session.unwrap_or_else(|| panic!("nobody signed {who} in"));
            text.extend([name, ": ", value, "\r\n"]);
        }
        for (name, value) in &variant.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if !matches!(variant.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "get") {
            text.push_str("Content-Length: 0\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    fn filled_in(&self, text: &str) -> String {
        let (name, port) = self.host.rsplit_once(':').unwrap_or((&self.host, "80"));
        let text = text.replace("{host}", &self.host).replace("{HOST}", &self.host.to_ascii_uppercase());
        text.replace("{name}", name).replace("{port}", port)
    }
}

impl Tally {
    fn add(&mut self, place: &Place, variant: &Variant, outcomes: &[Outcome], judge: &Judge) {
        for ((door, _), outcome) in place.doors.iter().zip(outcomes) {
            self.requests += 1;
            let what = || format!("[{} {door}] {}", place.mode, told(variant));
            match outcome {
                Outcome::Served(seen) => {
                    self.served += 1;
                    *self.served_to.entry(variant.who.unwrap_or("nobody").to_owned()).or_default() += 1;
                    self.doubtful += usize::from(!judge.doubtful(seen).is_empty());
                    for wrong in judge.wrong(variant.who, seen) {
                        self.wrong.push(format!("{} came as {}: {wrong}", what(), seen.target));
                    }
                }
                other => {
                    self.refused += 1;
                    let status = if let Outcome::Answered(status) = other { *status } else { 0 };
                    *self.statuses.entry(status).or_default() += 1;
                    if variant.family == ORDINARY {
                        self.turned_away.push(format!("{}: {status}", what()));
                    }
                }
            }
        }
        let verdicts: Vec<_> = outcomes.iter().map(|outcome| Verdict::of(outcome, judge)).collect();
        if verdicts.windows(2).any(|two| two[0] != two[1]) {
            self.disagreements.push(format!("[{}] {}: {verdicts:?}", place.mode, told(variant)));
        }
    }
}

/// What two doors must agree on.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Served { method: String, target: String, host: String, shown: Vec<String>, audience: Option<Vec<String>> },
    Refused(u16),
}

impl Verdict {
    fn of(outcome: &Outcome, judge: &Judge) -> Self {
        match outcome {
            Outcome::Served(seen) => Self::Served {
                method: seen.method.clone(),
                target: seen.target.clone(),
                host: seen.host(),
                shown: judge.shown(seen).into_iter().map(str::to_owned).collect(),
                audience: Judge::audience(seen),
            },
            Outcome::Answered(status) => Self::Refused(*status),
            Outcome::HungUp => Self::Refused(0),
        }
    }
}

fn told(variant: &Variant) -> String {
    let Variant { family, who, method, target, host, headers } = variant;
    format!("{family}: {} {method} {target:?} at {host} {headers:?}", who.unwrap_or("nobody"))
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.served += other.served;
        self.refused += other.refused;
        self.doubtful += other.doubtful;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (who, count) in other.served_to {
            *self.served_to.entry(who).or_default() += count;
        }
        self.wrong.extend(other.wrong);
        self.disagreements.extend(other.disagreements);
        self.turned_away.extend(other.turned_away);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, served, refused, statuses, served_to, doubtful, wrong, disagreements, .. } = self;
        let (wrong, disagreements) = (wrong.len(), disagreements.len());
        write!(f, "{requests} requests, {served} served {served_to:?}, {refused} refused {statuses:?}, ")?;
        write!(f, "{wrong} wrong, {disagreements} disagreements, {doubtful} doubtful")
    }
}
