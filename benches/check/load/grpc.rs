//! A connection of HTTP/2 on which gRPC checks are asked, several at a time, as Envoy does. Frames by hand (RFC 9113): a
//! client library would cost more than the servers. It tells apart what it must, and hangs up on anything unusual.

use std::collections::VecDeque;
use std::time::Instant;

use super::Wire;

/// How many checks are asked at a time on a connection. With the headers of 64 KiB that a server takes in before anything
/// is acknowledged, that is far below any window of flow control.
const STREAMS: usize = 8;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(super) struct Line {
    wire: Wire,
    /// The message in its frame.
    message: Vec<u8>,
    /// The length of an answer's message in its frame.
    answer: usize,
    next_stream: u32,
    asked: VecDeque<Asked>,
    /// What is written at once.
    said: Vec<u8>,
}

struct Asked {
    stream: u32,
    intended: Instant,
    answered: bool,
}

impl Line {
    pub(super) fn to(address: &str, message: &[u8], answer: usize) -> Self {
        let mut begin = PREFACE.to_vec();
        // Windows as wide as they can be, so that nothing has to be acknowledged in a run of some seconds.
        let widest = (1_u32 << 31) - 1;
        frame(&mut begin, SETTINGS, 0, 0, &[&[0, 4][..], &widest.to_be_bytes()].concat());
        frame(&mut begin, WINDOW_UPDATE, 0, 0, &(widest - 65_535).to_be_bytes());
        let mut wire = Wire::to(address, 256 * 1024);
        wire.say(&begin);
        Self {
            wire,
            message: [&[0][..], &length(message).to_be_bytes(), message].concat(),
            answer: answer + 5,
            next_stream: 1,
            asked: VecDeque::with_capacity(STREAMS),
            said: Vec::with_capacity(16 * 1024),
        }
    }

    fn say(&mut self) {
        self.wire.say(&self.said);
        self.said.clear();
    }

    fn acknowledge(&mut self, kind: u8, payload: std::ops::Range<usize>) {
        frame(&mut self.said, kind, ACK, 0, &self.wire.heard()[payload]);
        self.say();
    }

    fn hear(&mut self, kind: u8, flags: u8, stream: u32, payload: std::ops::Range<usize>) -> Option<Instant> {
        match kind {
            SETTINGS if flags & ACK == 0 => self.acknowledge(SETTINGS, 0..0),
            PING if flags & ACK == 0 => self.acknowledge(PING, payload),
            SETTINGS | PING | WINDOW_UPDATE => {}
            DATA | HEADERS => {
                let place = self.asked.iter().position(|asked| asked.stream == stream).expect("one that was asked");
                if kind == DATA && !payload.is_empty() {
                    assert_eq!(payload.len(), self.answer, "another answer");
                    self.asked[place].answered = true;
                }
                if flags & END_STREAM != 0 {
                    let asked = self.asked.remove(place).expect("it is there");
                    assert!(asked.answered, "no answer, but a status");
                    return Some(asked.intended);
                }
            }
            _ => panic!("a frame of kind {kind}: the server has had enough"),
        }
        None
    }
}

impl super::Line for Line {
    fn room(&self) -> usize {
        STREAMS
    }

    fn ask(&mut self, intended: Instant) {
        let stream = self.next_stream;
        self.next_stream += 2;
        let first = stream == 1;
        frame(&mut self.said, HEADERS, END_HEADERS, stream, if first { &FIRST } else { &LATER });
        frame(&mut self.said, DATA, END_STREAM, stream, &self.message);
        self.say();
        self.asked.push_back(Asked { stream, intended, answered: false });
    }

    fn listen(&mut self, answered: &mut dyn FnMut(Instant)) {
        if !self.wire.listen() {
            return;
        }
        let mut begin = 0;
        while let Some([a, b, c, kind, flags, stream @ ..]) = self.wire.heard()[begin..].first_chunk::<9>() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let payload = begin + 9..begin + 9 + length;
            if payload.end > self.wire.heard().len() {
                break;
            }
            begin = payload.end;
            let (kind, flags, stream) = (*kind, *flags, u32::from_be_bytes(*stream));
            if let Some(intended) = self.hear(kind, flags, stream, payload) {
                answered(intended);
            }
        }
        self.wire.forget(begin);
    }
}

/// The headers of a connection's first request, which the server's table keeps (RFC 7541 section 6.2.1).
static FIRST: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    // `:method: POST` and `:scheme: http` are in everybody's table.
    let mut block = vec![0x83, 0x86];
    let mut keep = |name: &[u8], value: &str| {
        block.extend(name);
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend(value.as_bytes());
    };
    keep(&[0x44], PATH);
    keep(&[0x41], "countersign_check");
    keep(b"\x40\x02te", "trailers");
    keep(&[0x5f], "application/grpc");
    block
});

/// Those of the others: the same by their numbers there.
const LATER: [u8; 6] = [0x83, 0x86, 0x80 + 65, 0x80 + 64, 0x80 + 63, 0x80 + 62];

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend(&length(payload).to_be_bytes()[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a short message")
}
