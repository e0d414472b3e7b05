//! A connection that nobody waits on: whole requests go out at once, and what has come of an answer is read as it comes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

pub(crate) struct Wire {
    socket: TcpStream,
    heard: Vec<u8>,
    filled: usize,
}

impl Wire {
    /// Opened, with room for so many bytes of what is heard.
    pub(crate) fn to(address: &str, room: usize) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        socket.set_nonblocking(true).expect("no waiting");
        Self { socket, heard: vec![0; room], filled: 0 }
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let written = self.socket.write(bytes).expect("it is sent");
        assert_eq!(written, bytes.len(), "the socket's buffer is full");
    }

    /// Whether more has come.
    pub(crate) fn listen(&mut self) -> bool {
        match self.socket.read(&mut self.heard[self.filled..]) {
            Ok(0) => panic!("the server hung up"),
            Ok(length) => self.filled += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("the answer cannot be read: {error}"),
        }
        true
    }

    /// What has come and is not forgotten.
    pub(crate) fn heard(&self) -> &[u8] {
        &self.heard[..self.filled]
    }

    /// Forgets that much of what was heard first.
    pub(crate) fn forget(&mut self, length: usize) {
        self.heard.copy_within(length..self.filled, 0);
        self.filled -= length;
    }
}
