//! Many who do little: connections that stay open, and logins that nobody finishes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::line::Line;
use crate::load::Line as _;

/// How many logins are begun at a time.
const AT_A_TIME: usize = 16;
/// The longest that all of them may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Connections on which something was asked once, and nothing more.
pub(crate) struct Idle(Vec<TcpStream>);

impl Idle {
    pub(crate) fn open(address: SocketAddr, count: usize) -> Self {
        let mut answer = [0; 16 * 1024];
        let sockets = (0..count).map(|number| {
            let mut socket = TcpStream::connect(address).unwrap_or_else(|error| {
                panic!("connection {number}: {error}; may a process have 20,000 open files (ulimit -n)?")
            });
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            write!(socket, "GET /.well-known/jwks.json HTTP/1.1\r\nhost: mesh.example.com\r\n\r\n").expect("asked");
            assert!(socket.read(&mut answer).expect("an answer") > 0, "connection {number} was closed");
            socket
        });
        Self(sockets.collect())
    }

    /// How many have not been closed.
    pub(crate) fn still_open(&self) -> usize {
        let is_open = |socket: &&TcpStream| {
            socket.set_nonblocking(true).expect("no waiting");
            let mut byte = [0];
            matches!(socket.peek(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock)
        };
        self.0.iter().filter(is_open).count()
    }
}

/// Begins logins and leaves them, each from the address of its number, as a proxy says.
pub(crate) fn start_logins(address: SocketAddr, numbers: Range<usize>) {
    let begun = Instant::now();
    let written = "000.000.000.000";
    let request = format!(
        "GET /oauth2/start?rd=%2Fpipeline%2F HTTP/1.1\r\nhost: mesh.example.com\r\naccept: text/html\r\n\
         x-forwarded-for: {written}\r\n\r\n"
    );
    let place = request.find(written).expect("a place for the address");
    let numbers = std::cell::RefCell::new(numbers.clone());
    let mut lines: Vec<_> = (0..AT_A_TIME)
        .map(|_| {
            let change = |request: &mut [u8]| {
                let number = numbers.borrow_mut().next().expect("there are enough");
                // 10.0.0.0 and on, with spaces behind.
                let host = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).expect("few"));
                let text = format!("{:<width$}", host.to_string(), width = written.len());
                request[place..place + written.len()].copy_from_slice(text.as_bytes());
            };
            Line::open(&address.to_string(), request.clone(), "HTTP/1.1 302 ", change)
        })
        .collect();
    let mut is_asked = [false; AT_A_TIME];
    loop {
        assert!(begun.elapsed() < PATIENCE, "logins take too long");
        for (line, is_asked) in lines.iter_mut().zip(&mut is_asked) {
            if *is_asked {
                line.listen(&mut |_| *is_asked = false);
            } else if !numbers.borrow().is_empty() {
                line.ask(Instant::now());
                *is_asked = true;
            }
        }
        if numbers.borrow().is_empty() && is_asked.iter().all(|is_asked| !is_asked) {
            return;
        }
    }
}
