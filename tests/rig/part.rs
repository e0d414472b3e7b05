//! A real part as a child process: found among the tools, started, awaited, its log at hand, ended with the test.

use std::fs::{self, File};
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that anything in the rig may take. Generous: it is met only when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const VERSIONS: &str = include_str!("../tools/versions");

/// A running child process with a folder of its own.
pub(crate) struct Part {
    name: &'static str,
    child: Child,
    folder: TempDir,
}

impl Part {
    /// Starts `command`, its output going to a log in `folder`.
    pub(crate) fn start(name: &'static str, folder: TempDir, command: &mut Command) -> Self {
        let log = File::options().create(true).append(true).open(folder.path().join("log")).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}): run `make tools`"));
        Self { name, child, folder }
    }

    /// Waits until `ready`, and panics with the end of the log if the process ends or takes too long.
    pub(crate) async fn await_ready<F: Future<Output = bool>>(&mut self, ready: impl Fn() -> F) {
        let started = Instant::now();
        while !ready().await {
            if let Some(status) = self.ended() {
                panic!("{} ended with {status} before it was ready\n{}", self.name, self.log_tail());
            }
            assert!(started.elapsed() < PATIENCE, "{} is not ready\n{}", self.name, self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The last lines it printed.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- {}, process {}\n{}\n---", self.name, self.id(), lines[lines.len().saturating_sub(40)..].join("\n"))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does, and leaves its folder.
    pub(crate) fn kill(mut self) -> TempDir {
        self.end();
        std::mem::replace(&mut self.folder, empty_folder())
    }

    fn end(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// A new folder, gone with the test.
pub(crate) fn empty_folder() -> TempDir {
    tempfile::Builder::new().prefix("countersign-rig-").tempdir().expect("a folder")
}

/// A free loopback port. Below the range that outgoing connections are given, so that none takes it before its part does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another rig may run beside this one: begin elsewhere.
    let offset = u16::try_from(std::process::id() % 97).expect("small") * 100;
    (0..10_000)
        .map(|_| 15_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

/// Whether anybody accepts connections there.
pub(crate) async fn accepts(port: u16) -> bool {
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

/// Polls until there is an answer; says what was awaited and what was last seen if there is none in time.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, ask: impl Fn() -> F) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) => assert!(started.elapsed() < PATIENCE, "{what} did not happen; seen: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A tool that `tests/tools/install` has put into the cache: `tool("DEX", "dex", "dex")` is `<cache>/dex-2.45.1/dex`.
pub(crate) fn tool(key: &str, name: &str, path: &str) -> PathBuf {
    let version = VERSIONS
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("tests/tools/versions has no {key}"));
    let found = cache().join(format!("{name}-{version}")).join(path);
    assert!(found.exists(), "{} is not there: run `make tools`", found.display());
    found
}

/// As tests/tools/install has it.
fn cache() -> PathBuf {
    let path = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    path("TEST_TOOLS")
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("countersign")))
        .or_else(|| Some(path("HOME")?.join(".cache/countersign")))
        .expect("HOME is set")
}

/// The first of these commands that is on `PATH`.
pub(crate) fn on_path(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("none of {names:?} is on PATH: run `make tools`"))
}
