//! The load: one spinning thread in a process of its own. It asks as little of the machine as it can, and the same for
//! every server: a write and a read a request, no parsing beyond where an answer ends and that it is a good one.

#[path = "load/grpc.rs"]
mod grpc;
#[path = "load/http.rs"]
mod http;
#[path = "load/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

pub(crate) use wire::Wire;

/// Not counted: connections open, caches fill.
pub(crate) const WARM_UP: Duration = Duration::from_millis(300);

/// A p99 is taken of each slice of the time, and a quarter of those lie below the figure. A virtual machine loses its
/// core for some milliseconds many times a second, and the p99 of the whole would tell of that alone, whichever server it
/// falls on; a server's own stalls are in every slice, or are rarer than a p99 can tell.
const SLICE: Duration = Duration::from_millis(100);

/// What is asked, again and again.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// A request over HTTP/1.1, as it goes over the wire.
    Http(String),
    /// The same with another session each time: [`COOKIE`] stands for the value of its cookie, which is drawn from the
    /// first lines of a file, all of one length.
    Drawn(String, PathBuf, u64),
    /// A message of a gRPC check, and the length of the answer's.
    Grpc(Vec<u8>, usize),
}

/// Stands for what is drawn.
pub(crate) const COOKIE: &str = "{cookie}";

/// One connection, as in a gateway's pool.
pub(crate) trait Line {
    /// How many may be asked on it at a time.
    fn room(&self) -> usize;

    /// Asks once more.
    fn ask(&mut self, intended: Instant);

    /// Tells of each answer that has come since when it should have been asked for.
    fn listen(&mut self, answered: &mut dyn FnMut(Instant));
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as a connection is free: as many as the server can answer.
    Closed,
    /// So many a second, whether or not the server keeps up.
    Open(f64),
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Answers a second.
    pub(crate) rate: f64,
    /// The latency that one in a hundred exceeded, in a quiet slice of the time.
    pub(crate) p99: Duration,
    /// The latency that one in two exceeded.
    pub(crate) p50: Duration,
    /// How long it took, warm-up and all.
    pub(crate) took: Duration,
}

/// Puts load on servers, from another process: each gets as many connections.
pub(crate) fn put(
    addresses: &[SocketAddr],
    question: &Question,
    pace: Pace,
    connections: usize,
    span: Duration,
) -> Load {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let rate = if let Pace::Open(rate) = pace { rate } else { 0.0 };
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["generate", &addresses.join(","), &rate.to_string(), &connections.to_string()])
        .arg(span.as_secs_f64().to_string())
        .args(question.to_words())
        .output()
        .expect("the load process runs");
    let took = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the load process failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().expect("a figure"));
    let mut figure = || figures.next().expect("three figures");
    let (rate, [p99, p50]) = (figure(), [figure(), figure()].map(Duration::from_secs_f64));
    Load { rate, p99, p50, took }
}

/// The load process: prints the rate, and p99 and p50 in seconds.
pub(crate) fn generate(arguments: &[String]) {
    let [addresses, rate, requests, seconds, question @ ..] = arguments else { panic!("generate: five arguments") };
    let rate: f64 = rate.parse().expect("a rate");
    let span = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let pace = if rate > 0.0 { Pace::Open(rate) } else { Pace::Closed };
    let question = Question::from_words(question);
    let mut lines: Vec<Box<dyn Line>> = Vec::new();
    let requests: usize = requests.parse().expect("a number");
    let mut addresses = addresses.split(',').cycle();
    while lines.iter().map(|line| line.room()).sum::<usize>() < requests {
        lines.push(question.line(addresses.next().expect("an address")));
    }
    let answers = drive(&mut lines, pace, span);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let per_second = answers.len() as f64 / span.as_secs_f64();
    // Who answers nothing at all takes that long at least.
    let p99 = quiet_p99(&answers).unwrap_or(span);
    let mut latencies: Vec<Duration> = answers.iter().map(|(_, latency)| *latency).collect();
    latencies.sort_unstable();
    let p50 = latencies.get(latencies.len() / 2).copied().unwrap_or(span);
    println!("{per_second} {} {}", p99.as_secs_f64(), p50.as_secs_f64());
}

impl Question {
    /// A connection to ask it on.
    pub(crate) fn line(&self, address: &str) -> Box<dyn Line> {
        match self {
            Self::Http(request) => Box::new(http::Line::to(address, request.clone(), None)),
            Self::Drawn(request, cookies, among) => {
                let draw = http::Draw::from(cookies, *among, request);
                Box::new(http::Line::to(address, request.replacen(COOKIE, draw.first(), 1), Some(draw)))
            }
            Self::Grpc(message, answer) => Box::new(grpc::Line::to(address, message, *answer)),
        }
    }

    fn to_words(&self) -> Vec<String> {
        match self {
            Self::Http(request) => vec!["http".into(), request.clone()],
            Self::Drawn(request, cookies, among) => {
                vec!["drawn".into(), request.clone(), cookies.display().to_string(), among.to_string()]
            }
            Self::Grpc(message, answer) => vec!["grpc".into(), BASE64_STANDARD.encode(message), answer.to_string()],
        }
    }

    fn from_words(words: &[String]) -> Self {
        match words {
            [word, request] if word == "http" => Self::Http(request.clone()),
            [word, request, cookies, among] if word == "drawn" => {
                Self::Drawn(request.clone(), cookies.into(), among.parse().expect("a number"))
            }
            [word, message, answer] if word == "grpc" => {
                Self::Grpc(BASE64_STANDARD.decode(message).expect("a message"), answer.parse().expect("a length"))
            }
            _ => panic!("generate: what is to be asked?"),
        }
    }
}

/// Of `(when it was to be sent, latency)`, in the order of the answers.
pub(crate) fn quiet_p99(answers: &[(Duration, Duration)]) -> Option<Duration> {
    let mut slices: BTreeMap<u128, Vec<Duration>> = BTreeMap::new();
    for (when, latency) in answers {
        slices.entry(when.as_millis() / SLICE.as_millis()).or_default().push(*latency);
    }
    let p99s = slices.into_values().map(|mut latencies| {
        latencies.sort_unstable();
        latencies[latencies.len() * 99 / 100]
    });
    let mut p99s: Vec<Duration> = p99s.collect();
    p99s.sort_unstable();
    p99s.get(p99s.len() / 4).copied()
}

fn drive(lines: &mut [Box<dyn Line>], pace: Pace, span: Duration) -> Vec<(Duration, Duration)> {
    let begun = Instant::now();
    let (counted_from, end) = (begun + WARM_UP, begun + WARM_UP + span);
    let mut answers = Vec::with_capacity(1 << 20);
    // A line stands here once for each request that it has room for.
    let mut free: Vec<usize> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        free.extend(std::iter::repeat_n(index, line.room()));
    }
    let mut asked = vec![0_usize; lines.len()];
    let mut sent = 0_u32;
    loop {
        let now = Instant::now();
        if now >= end {
            return answers;
        }
        while let Some(line) = free.last() {
            let intended = match pace {
                Pace::Closed => now,
                Pace::Open(rate) => begun + Duration::from_secs_f64(f64::from(sent) / rate),
            };
            if intended > now {
                break;
            }
            lines[*line].ask(intended);
            sent += 1;
            asked[*line] += 1;
            free.pop();
        }
        for (index, line) in lines.iter_mut().enumerate() {
            if asked[index] == 0 {
                continue;
            }
            let mut answered = 0;
            line.listen(&mut |intended| {
                if intended >= counted_from {
                    answers.push((intended - counted_from, intended.elapsed()));
                }
                answered += 1;
            });
            asked[index] -= answered;
            free.extend(std::iter::repeat_n(index, answered));
        }
    }
}
