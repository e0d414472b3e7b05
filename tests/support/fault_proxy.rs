//! A TCP proxy on loopback that does to its connections what networks do: late, hanging, reset, half-open, dropped, and
//! well again; switched while it runs, for all connections or for those on which something was said. Other tests
//! include this file by `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running proxy; its connections end with the value.
pub(crate) struct FaultProxy {
    /// Where it listens on loopback.
    pub(crate) port: u16,
    target: Arc<AtomicU16>,
    fault: watch::Sender<(Fault, Scope)>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// What is said comes that much later, in each direction.
    Latency(Duration),
    /// Nothing comes through, in either direction, until the fault is over; then all of it does.
    Hang,
    /// Open connections and new ones are reset.
    Reset,
    /// What the client says comes through; what the server says is lost, and so is the connection, though nobody is told.
    HalfOpen,
    /// Open connections and new ones are closed in good order.
    Drop,
}

#[derive(Clone, Copy, Debug)]
enum Scope {
    All,
    /// Connections whose client has said this.
    Said(&'static [u8]),
}

impl FaultProxy {
    /// A proxy to this port of loopback, with nothing wrong.
    pub(crate) async fn to(port: u16) -> Self {
        let proxy = Self::to_nowhere().await;
        proxy.lead_to(port);
        proxy
    }

    /// The same, for a server that has to know the proxy first.
    #[expect(clippy::disallowed_methods, reason = "the fixture runs beside the test")]
    pub(crate) async fn to_nowhere() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let (fault, faults) = watch::channel((Fault::None, Scope::All));
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        let target = Arc::new(AtomicU16::new(0));
        let port = Arc::clone(&target);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, port.load(Ordering::SeqCst), faults.clone()));
            }
        });
        Self { port: own, target, fault, accepted, task }
    }

    /// New connections lead to this port of loopback.
    pub(crate) fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// From now on this is wrong with every connection.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace((fault, Scope::All));
    }

    /// From now on this is wrong with each connection on which the client says, or has said, `text`.
    pub(crate) fn set_where_said(&self, text: &'static [u8], fault: Fault) {
        self.fault.send_replace((fault, Scope::Said(text)));
    }

    /// How many connections there were.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        // Whoever carries a connection sees this, too.
        self.fault.send_replace((Fault::Drop, Scope::All));
    }
}

async fn carry(client: TcpStream, port: u16, faults: watch::Receiver<(Fault, Scope)>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a socket");
    }
    let line = Line { faults, said: Mutex::default(), is_lost: AtomicBool::new(false) };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut there = Pipe { from: from_client, to: to_server, is_answer: false };
    let mut back = Pipe { from: from_server, to: to_client, is_answer: true };
    let fault = tokio::select! {
        () = there.carry(&line) => None,
        () = back.carry(&line) => None,
        fault = line.ends() => Some(fault),
    };
    if fault == Some(Fault::Reset) {
        let _ = back.to.as_ref().set_zero_linger();
    }
}

/// What both directions know of a connection.
struct Line {
    faults: watch::Receiver<(Fault, Scope)>,
    /// What the client has said, as far as it is looked at.
    said: Mutex<Vec<u8>>,
    is_lost: AtomicBool,
}

struct Pipe {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    is_answer: bool,
}

impl Line {
    fn fault(&self) -> Fault {
        match *self.faults.borrow() {
            (fault, Scope::All) => fault,
            (fault, Scope::Said(text)) if contains(&self.said.lock().expect("whole"), text) => fault,
            _ => Fault::None,
        }
    }

    /// Until a fault ends the connection; which one.
    async fn ends(&self) -> Fault {
        let mut faults = self.faults.clone();
        loop {
            let fault = self.fault();
            if matches!(fault, Fault::Reset | Fault::Drop) {
                return fault;
            }
            if faults.changed().await.is_err() {
                return Fault::Drop;
            }
        }
    }

    /// Until it does not hang.
    async fn goes_on(&self) {
        let mut faults = self.faults.clone();
        while self.fault() == Fault::Hang && faults.changed().await.is_ok() {}
    }

    fn hear(&self, text: &[u8]) {
        // What is looked for is said at the beginning.
        const ENOUGH: usize = 4096;
        let mut said = self.said.lock().expect("whole");
        if said.len() < ENOUGH {
            said.extend_from_slice(text);
        }
    }
}

impl Pipe {
    async fn carry(&mut self, line: &Line) {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(length) = self.from.read(&mut piece).await {
            if length == 0 {
                break;
            }
            if !self.is_answer {
                line.hear(&piece[..length]);
            }
            match line.fault() {
                Fault::Latency(span) => tokio::time::sleep(span).await,
                Fault::Hang => line.goes_on().await,
                Fault::HalfOpen if self.is_answer => line.is_lost.store(true, Ordering::SeqCst),
                _ => {}
            }
            let is_lost = self.is_answer && line.is_lost.load(Ordering::SeqCst);
            if !is_lost && self.to.write_all(&piece[..length]).await.is_err() {
                break;
            }
        }
    }
}

fn contains(said: &[u8], text: &[u8]) -> bool {
    said.windows(text.len()).any(|window| window == text)
}
