//! A keep-alive connection of HTTP/1.1: one request at a time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use countersign::entropy::{SystemEntropy, random};

use super::{COOKIE, Wire};

pub(super) struct Line {
    wire: Wire,
    request: Vec<u8>,
    draw: Option<Draw>,
    intended: Instant,
}

/// Puts another cookie's value into a request each time.
pub(super) struct Draw {
    cookies: File,
    among: u64,
    /// The first value.
    first: String,
    /// Where in the request it stands.
    place: usize,
    state: u64,
}

impl Line {
    pub(super) fn to(address: &str, request: String, draw: Option<Draw>) -> Self {
        let wire = Wire::to(address, 32 * 1024);
        Self { wire, request: request.into_bytes(), draw, intended: Instant::now() }
    }
}

impl Draw {
    pub(super) fn from(cookies: &Path, among: u64, request: &str) -> Self {
        let cookies = File::open(cookies).expect("the cookies");
        let mut first = String::new();
        BufReader::new(&cookies).read_line(&mut first).expect("a cookie");
        first.truncate(first.trim_end().len());
        let place = request.find(COOKIE).expect("a place for the cookie");
        let state = u64::from_ne_bytes(random::<8>(&SystemEntropy)) | 1;
        Self { cookies, among, first, place, state }
    }

    pub(super) fn first(&self) -> &str {
        &self.first
    }

    fn put_into(&mut self, request: &mut [u8]) {
        // Marsaglia's xorshift64: fair enough, and next to nothing.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let length = self.first.len();
        let place = (self.state % self.among) * (length as u64 + 1);
        self.cookies.read_exact_at(&mut request[self.place..self.place + length], place).expect("a cookie");
    }
}

impl super::Line for Line {
    fn room(&self) -> usize {
        1
    }

    fn ask(&mut self, intended: Instant) {
        if let Some(draw) = &mut self.draw {
            draw.put_into(&mut self.request);
        }
        self.wire.say(&self.request);
        self.intended = intended;
    }

    fn listen(&mut self, answered: &mut dyn FnMut(Instant)) {
        if !self.wire.listen() {
            return;
        }
        let heard = self.wire.heard();
        if heard.ends_with(b"\r\n\r\n") {
            assert!(heard.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(heard));
            self.wire.forget(heard.len());
            answered(self.intended);
        }
    }
}
