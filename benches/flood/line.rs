//! A keep-alive connection of HTTP/1.1 on which each request differs from the last in a few bytes, whatever it is answered with.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::load;

pub(crate) struct Line<F> {
    socket: TcpStream,
    request: Vec<u8>,
    /// Makes it the next one.
    change: F,
    /// What an answer begins with.
    status: &'static str,
    intended: Instant,
    heard: Vec<u8>,
    filled: usize,
}

impl<F: FnMut(&mut [u8])> Line<F> {
    pub(crate) fn open(address: &str, request: String, status: &'static str, change: F) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        socket.set_nonblocking(true).expect("no waiting");
        let (request, heard) = (request.into_bytes(), vec![0; 32 * 1024]);
        Self { socket, request, change, status, intended: Instant::now(), heard, filled: 0 }
    }

    fn is_whole(&self) -> bool {
        let heard = &self.heard[..self.filled];
        let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
        let fields = String::from_utf8_lossy(&heard[..end]);
        assert!(fields.starts_with(self.status), "{}", String::from_utf8_lossy(heard));
        let length = fields.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        self.filled >= end + 4 + length
    }
}

impl<F: FnMut(&mut [u8])> load::Line for Line<F> {
    fn room(&self) -> usize {
        1
    }

    fn ask(&mut self, intended: Instant) {
        (self.change)(&mut self.request);
        let written = self.socket.write(&self.request).expect("the request is sent");
        assert_eq!(written, self.request.len(), "the socket's buffer is full");
        (self.intended, self.filled) = (intended, 0);
    }

    fn listen(&mut self, answered: &mut dyn FnMut(Instant)) {
        match self.socket.read(&mut self.heard[self.filled..]) {
            Ok(0) => panic!("the server hung up"),
            Ok(length) => self.filled += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("the answer cannot be read: {error}"),
        }
        if self.is_whole() {
            answered(self.intended);
        }
    }
}
