//! Checks of those who are signed in and forged tokens, from one thread in a process of its own: whatever it costs to send the
//! flood is not taken from the gateway, and what it costs to wait for its turn is the same for all.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::clock::{Clock, SystemClock};
use countersign::entropy::{SystemEntropy, random};
use serde_json::json;

use crate::line::Line;
use crate::load::{self, COOKIE, Question, WARM_UP, quiet_p99};
use crate::{CHECKS, SIGNED_IN, visitor};

/// How many checks, and how many forged tokens, are on their way at a time.
const CHECK_LINES: usize = 16;
const FORGED_LINES: usize = 64;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Checks of the signed-in that were answered in a second, and the latency that one in a hundred exceeded: in a quiet tenth
    /// of a second (see `benches/check/load.rs`), and of all.
    pub(crate) checked: f64,
    pub(crate) p99: Duration,
    pub(crate) p99_of_all: Duration,
    p50: Duration,
    /// Forged tokens that were refused in a second.
    pub(crate) refused: f64,
}

impl Traffic {
    /// Puts it on a gateway: so many forged tokens a second.
    pub(crate) fn put(gateway: SocketAddr, cookies: &Path, issuer: &str, forged: f64, span: Duration) -> Self {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["generate", &gateway.to_string(), &cookies.display().to_string(), issuer])
            .args([forged.to_string(), span.as_secs_f64().to_string()])
            .output()
            .expect("the load process runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the load process failed: {}", String::from_utf8_lossy(&output.stderr));
        let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().expect("a figure")).collect();
        let [checked, p99, p99_of_all, p50, refused] = figures[..] else { panic!("five figures: {text}") };
        let [p99, p99_of_all, p50] = [p99, p99_of_all, p50].map(Duration::from_secs_f64);
        Self { checked, p99, p99_of_all, p50, refused }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, of_all] = [self.p50, self.p99, self.p99_of_all].map(|latency| latency.as_micros());
        write!(f, "{:.0} checks/s, p50 {p50} us, p99 {p99} us ({of_all} us of all)", self.checked)?;
        if self.refused > 0.0 { write!(f, "; {:.0} forged tokens/s refused", self.refused) } else { Ok(()) }
    }
}

/// The load process: prints what [`Traffic`] holds, times in seconds.
pub(crate) fn generate(arguments: &[String]) {
    let [gateway, cookies, issuer, forged, seconds] = arguments else { panic!("generate: five arguments") };
    let forged: f64 = forged.parse().expect("a rate");
    let span = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let checks = Question::Drawn(visitor::request("__Host-countersign", COOKIE), cookies.into(), SIGNED_IN);
    let mut streams = vec![Stream::of(CHECKS, (0..CHECK_LINES).map(|_| checks.line(gateway)))];
    if forged > 0.0 {
        let line = || Box::new(forged_tokens(gateway, issuer)) as Box<dyn load::Line>;
        streams.push(Stream::of(forged, (0..FORGED_LINES).map(|_| line())));
    }
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        if now >= begun + WARM_UP + span {
            break;
        }
        for stream in &mut streams {
            stream.turn(begun, now);
        }
    }
    let refused = streams.get(1).map_or(0.0, |stream| stream.rate_over(span));
    let checks = &streams[0];
    let mut latencies: Vec<Duration> = checks.answers.iter().map(|(_, latency)| *latency).collect();
    latencies.sort_unstable();
    let of_all = |hundredths: usize| latencies.get(latencies.len() * hundredths / 100).map_or(span, |it| *it);
    // Who answers nothing at all takes that long at least.
    let p99 = quiet_p99(&checks.answers).unwrap_or(span);
    let [p99, p99_of_all, p50] = [p99, of_all(99), of_all(50)].map(|latency| latency.as_secs_f64());
    println!("{} {p99} {p99_of_all} {p50} {refused}", checks.rate_over(span));
}

/// Requests of one kind, at times that were set before, whether or not the server keeps up.
struct Stream {
    rate: f64,
    lines: Vec<Box<dyn load::Line>>,
    /// Taken in turns: the server hangs up on those that say nothing for long.
    free: VecDeque<usize>,
    sent: u32,
    /// When each was to be sent, and how long it took from then.
    answers: Vec<(Duration, Duration)>,
}

impl Stream {
    fn of(rate: f64, lines: impl Iterator<Item = Box<dyn load::Line>>) -> Self {
        let lines: Vec<_> = lines.collect();
        Self { rate, free: (0..lines.len()).collect(), lines, sent: 0, answers: Vec::with_capacity(1 << 20) }
    }

    fn turn(&mut self, begun: Instant, now: Instant) {
        let counted_from = begun + WARM_UP;
        while let Some(line) = self.free.front() {
            let intended = begun + Duration::from_secs_f64(f64::from(self.sent) / self.rate);
            if intended > now {
                break;
            }
            self.lines[*line].ask(intended);
            self.sent += 1;
            self.free.pop_front();
        }
        for index in 0..self.lines.len() {
            if self.free.contains(&index) {
                continue;
            }
            let (answers, free) = (&mut self.answers, &mut self.free);
            self.lines[index].listen(&mut |intended| {
                if intended >= counted_from {
                    answers.push((intended - counted_from, intended.elapsed()));
                }
                free.push_back(index);
            });
        }
    }

    fn rate_over(&self, span: Duration) -> f64 {
        crate::shop::per(self.answers.len() as u64, span)
    }
}

/// Tokens that look as if the issuer had made them, but for a key of another name each time.
fn forged_tokens(gateway: &str, issuer: &str) -> Line<impl FnMut(&mut [u8]) + use<>> {
    let now = SystemClock.now().as_secs();
    let claims = json!({
        "iss": issuer, "aud": ["countersign"], "sub": "robot-1", "iat": now, "nbf": now, "exp": now + 600,
        "email": "robot@example.com", "email_verified": true, "groups": ["ml"],
    });
    // As long as a multiple of three before the name, so that the name's bytes have places of their own.
    let before = br#"{"alg":"ES256","typ":"JWT"  ,"kid":""#;
    assert_eq!(before.len() % 3, 0);
    let name = "abcdefghijklmnopqrstuvwxyz0123456789";
    let header = BASE64_URL_SAFE_NO_PAD.encode([before, name.as_bytes(), br#""}"#].concat());
    let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let signature = BASE64_URL_SAFE_NO_PAD.encode([7; 64]);
    let request = format!(
        "GET /check/pipeline/apis/v2beta1/runs HTTP/1.1\r\nhost: mesh.example.com\r\naccept: */*\r\n\
         authorization: Bearer {header}.{payload}.{signature}\r\n\r\n"
    );
    let place = request.find(&header).expect("the header's place") + before.len() / 3 * 4;
    let mut state = u64::from_ne_bytes(random::<8>(&SystemEntropy)) | 1;
    Line::open(gateway, request, "HTTP/1.1 401 ", move |request| {
        let mut bytes = [0; 36];
        for byte in &mut bytes {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = b'a' + u8::try_from(state % 26).expect("small");
        }
        BASE64_URL_SAFE_NO_PAD.encode_slice(bytes, &mut request[place..place + 48]).expect("it fits");
    })
}
