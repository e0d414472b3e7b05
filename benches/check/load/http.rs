//! A keep-alive connection of HTTP/1.1: one request at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

pub(super) struct Line {
    socket: TcpStream,
    request: String,
    intended: Instant,
    heard: Vec<u8>,
    filled: usize,
}

impl Line {
    pub(super) fn over(socket: TcpStream, request: String) -> Self {
        Self { socket, request, intended: Instant::now(), heard: vec![0; 32 * 1024], filled: 0 }
    }
}

impl super::Line for Line {
    fn room(&self) -> usize {
        1
    }

    fn ask(&mut self, intended: Instant) {
        let written = self.socket.write(self.request.as_bytes()).expect("the request is sent");
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
        let heard = &self.heard[..self.filled];
        if heard.ends_with(b"\r\n\r\n") {
            assert!(heard.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(heard));
            answered(self.intended);
        }
    }
}
