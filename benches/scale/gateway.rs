//! A gateway as a process of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::part::{Part, empty_folder, free_port};
use crate::visitor::RULES;

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) main: SocketAddr,
    /// From the start of the process until the admin port said that it lives.
    pub(crate) alive_after: Duration,
    /// The same until it was ready.
    pub(crate) ready_after: Duration,
    admin: SocketAddr,
    part: Part,
}

/// What a process takes of the machine's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    pub(crate) most: u64,
}

/// The longest that a start may take; a file that was not closed is read several times.
const PATIENCE: Duration = Duration::from_mins(5);

impl Gateway {
    /// Starts it, its clock so much ahead, and waits until it is ready.
    pub(crate) fn start(mut settings: Value, ahead: Duration) -> Self {
        let [main, admin] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        settings["listen"] = json!({"main": main, "admin": admin});
        let folder = empty_folder();
        let config = folder.path().join("countersign.yaml");
        // JSON is YAML, key by key.
        let keys = settings.as_object().expect("an object").iter();
        let lines: Vec<String> = keys.map(|(key, value)| format!("{key}: {value}\n")).collect();
        std::fs::write(&config, lines.concat() + RULES).expect("a config");
        let mut command = if ahead.is_zero() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
            command.arg("serve").arg("--config").arg(config);
            command
        } else {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.arg("ahead").arg(ahead.as_secs().to_string()).arg(config);
            command
        };
        // As many threads as the empty handler has.
        command.env_clear().env("TOKIO_WORKER_THREADS", "1");
        let begun = Instant::now();
        let part = Part::start("countersign", folder, &mut command);
        let mut gateway = Self { main, admin, part, alive_after: Duration::ZERO, ready_after: Duration::ZERO };
        gateway.alive_after = gateway.await_answer("/livez", begun);
        gateway.ready_after = gateway.await_answer("/readyz", begun);
        gateway
    }

    /// Until it knows its provider, so that people can sign in.
    pub(crate) fn await_provider(&self) {
        self.await_that("the provider is found", || {
            get(self.admin, "/readyz").is_some_and(|answer| answer.contains("\"corp\": \"ready\""))
        });
    }

    /// What it has counted: the value of this series.
    pub(crate) fn counted(&self, series: &str) -> u64 {
        let text = get(self.admin, "/metrics").expect("an answer");
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0)
    }

    /// The memory that it takes.
    pub(crate) fn resident(&self) -> Resident {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.part.id())).expect("its status");
        let kibibytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        Resident { now: kibibytes("VmRSS:") * 1024, most: kibibytes("VmHWM:") * 1024 }
    }

    /// A field of the first line of its log that says this.
    pub(crate) fn logged(&self, message: &str, field: &str) -> Option<f64> {
        let log = self.part.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message)?[field].as_f64()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self) {
        let sent = Command::new("kill").args(["-TERM", &self.part.id().to_string()]).status().expect("sent");
        assert!(sent.success());
        let asked = Instant::now();
        while !self.has_ended() {
            assert!(asked.elapsed() < PATIENCE, "the gateway does not end\n{}", self.part.log_tail());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) {
        drop(self.part.kill());
    }

    /// Nobody has asked how it ended yet, so that what is left of it can be seen.
    fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.part.id())).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }

    fn await_answer(&self, path: &str, begun: Instant) -> Duration {
        self.await_that(path, || get(self.admin, path).is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")));
        begun.elapsed()
    }

    fn await_that(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            let goes_on = begun.elapsed() < PATIENCE && !self.has_ended();
            assert!(goes_on, "{what}: not so\n{}", self.part.log_tail());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The whole answer, if somebody answers.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    Some(text)
}
