//! A keep-alive connection of HTTP/1.1 on which each request differs from the last in a few bytes, whatever it is answered with.

use std::time::Instant;

use crate::load::{self, Wire};

pub(crate) struct Line<F> {
    wire: Wire,
    request: Vec<u8>,
    /// Makes it the next one.
    change: F,
    /// What an answer begins with.
    status: &'static str,
    intended: Instant,
}

impl<F: FnMut(&mut [u8])> Line<F> {
    pub(crate) fn open(address: &str, request: String, status: &'static str, change: F) -> Self {
        let wire = Wire::to(address, 32 * 1024);
        Self { wire, request: request.into_bytes(), change, status, intended: Instant::now() }
    }

    fn is_whole(&self) -> bool {
        let heard = self.wire.heard();
        let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
        let fields = String::from_utf8_lossy(&heard[..end]);
        assert!(fields.starts_with(self.status), "{}", String::from_utf8_lossy(heard));
        let length = fields.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        heard.len() >= end + 4 + length
    }
}

impl<F: FnMut(&mut [u8])> load::Line for Line<F> {
    fn room(&self) -> usize {
        1
    }

    fn ask(&mut self, intended: Instant) {
        (self.change)(&mut self.request);
        self.wire.say(&self.request);
        self.intended = intended;
    }

    fn listen(&mut self, answered: &mut dyn FnMut(Instant)) {
        if self.wire.listen() && self.is_whole() {
            self.wire.forget(self.wire.heard().len());
            answered(self.intended);
        }
    }
}
