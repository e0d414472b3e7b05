//! The load: one spinning thread in a process of its own. It asks as little of the machine as it can, and the same for
//! every server: a write and a read a request, no parsing beyond the status and the end of the headers.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);

/// A p99 is taken of each slice of the time, and a quarter of those lie below the figure. A virtual machine loses its
/// core for some milliseconds many times a second, and the p99 of the whole would tell of that alone, whichever server it
/// falls on; a server's own stalls are in every slice, or are rarer than a p99 can tell.
const SLICE: Duration = Duration::from_millis(100);

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
    /// How long it took, warm-up and all.
    pub(crate) took: Duration,
}

/// Puts load on a server, from another process.
pub(crate) fn put(address: SocketAddr, request: &str, pace: Pace, connections: usize, span: Duration) -> Load {
    let rate = if let Pace::Open(rate) = pace { rate } else { 0.0 };
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["generate", &address.to_string(), &rate.to_string(), &connections.to_string()])
        .args([&span.as_secs_f64().to_string(), request])
        .output()
        .expect("the load process runs");
    let took = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the load process failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().expect("a figure"));
    let mut figure = || figures.next().expect("two figures");
    Load { rate: figure(), p99: Duration::from_secs_f64(figure()), took }
}

/// The load process: prints the rate, and the p99 in seconds.
pub(crate) fn generate(arguments: &[String]) {
    let [address, rate, connections, seconds, request] = arguments else { panic!("generate: five arguments") };
    let rate: f64 = rate.parse().expect("a rate");
    let span = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let pace = if rate > 0.0 { Pace::Open(rate) } else { Pace::Closed };
    let mut lines: Vec<Line> = (0..connections.parse().expect("a number")).map(|_| Line::connect(address)).collect();
    let answers = drive(&mut lines, request.as_bytes(), pace, span);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let per_second = answers.len() as f64 / span.as_secs_f64();
    let p99 = quiet_p99(&answers);
    println!("{per_second} {}", p99.as_secs_f64());
}

/// Of `(when it was to be sent, latency)`, in the order of the answers.
fn quiet_p99(answers: &[(Duration, Duration)]) -> Duration {
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
    p99s.get(p99s.len() / 4).copied().unwrap_or(Duration::MAX)
}

fn drive(lines: &mut [Line], request: &[u8], pace: Pace, span: Duration) -> Vec<(Duration, Duration)> {
    let begun = Instant::now();
    let (counted_from, end) = (begun + WARM_UP, begun + WARM_UP + span);
    let mut answers = Vec::with_capacity(1 << 20);
    let mut free: Vec<usize> = (0..lines.len()).collect();
    let mut busy: VecDeque<usize> = VecDeque::with_capacity(lines.len());
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
            lines[*line].ask(request, intended);
            sent += 1;
            busy.push_back(*line);
            free.pop();
        }
        for _ in 0..busy.len() {
            let Some(line) = busy.pop_front() else { break };
            match lines[line].answered() {
                None => busy.push_back(line),
                Some(intended) => {
                    if intended >= counted_from {
                        answers.push((intended - counted_from, intended.elapsed()));
                    }
                    free.push(line);
                }
            }
        }
    }
}

/// One keep-alive connection, as in a gateway's pool.
struct Line {
    socket: TcpStream,
    intended: Instant,
    heard: Vec<u8>,
    filled: usize,
}

impl Line {
    fn connect(address: &str) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        socket.set_nonblocking(true).expect("no waiting");
        Self { socket, intended: Instant::now(), heard: vec![0; 32 * 1024], filled: 0 }
    }

    fn ask(&mut self, request: &[u8], intended: Instant) {
        let written = self.socket.write(request).expect("the request is sent");
        assert_eq!(written, request.len(), "the socket's buffer is full");
        (self.intended, self.filled) = (intended, 0);
    }

    /// When the request should have been sent, once its answer is there.
    fn answered(&mut self) -> Option<Instant> {
        match self.socket.read(&mut self.heard[self.filled..]) {
            Ok(0) => panic!("the server hung up"),
            Ok(length) => self.filled += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("the answer cannot be read: {error}"),
        }
        let heard = &self.heard[..self.filled];
        if !heard.ends_with(b"\r\n\r\n") {
            return None;
        }
        assert!(heard.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(heard));
        Some(self.intended)
    }
}
