//! Canaries: the secrets of a test, seeded where they are made, and a scanner that finds any of them in whatever was said,
//! whole or in part, however it is written. Other tests include this file by `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is shorter is found everywhere.
const SHORTEST: usize = 8;
/// Secrets are looked for in pieces of so many bytes: a leak of twice as many holds a whole piece. A multiple of three, so
/// that base64 begins anew with each.
const PIECE: usize = 12;

/// A secret, and what it is.
#[derive(Clone)]
struct Canary {
    what: &'static str,
    secret: Vec<u8>,
    /// Whether it is looked for as it is, and in no other spelling.
    is_plain: bool,
}

/// What somebody outside was told.
struct Heard {
    place: String,
    text: String,
}

/// A secret in a place where it must not be.
pub(crate) struct Found {
    what: &'static str,
    spelling: &'static str,
    place: String,
    around: String,
}

/// Finds secrets.
pub(crate) struct Scanner {
    /// By their first eight bytes.
    needles: HashMap<u64, Vec<Needle>>,
    /// Which eight bytes are no beginning of any, seen from afar.
    afar: Vec<u64>,
}

struct Needle {
    what: &'static str,
    spelling: &'static str,
    text: Vec<u8>,
}

/// All that was seeded and heard since it was made, by whichever test of this process.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    seeded: usize,
    heard: usize,
}

static SEEDED: Mutex<Vec<Canary>> = Mutex::new(Vec::new());
static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

/// From now on this is a secret. Of a JWT the signature is, and the claims as they are encoded; what is base64url is a secret
/// in bytes, too.
pub(crate) fn seed(what: &'static str, secret: &str) {
    lock(&SEEDED).extend(canaries(what, secret));
}

/// The same for bytes.
pub(crate) fn seed_bytes(what: &'static str, secret: &[u8]) {
    lock(&SEEDED).push(Canary { what, secret: secret.to_vec(), is_plain: false });
}

/// The keys that a gateway has made for itself in its `data_dir`.
pub(crate) fn seed_keys(data_dir: &Path) {
    let session_keys = std::fs::read_to_string(data_dir.join("session-keys")).unwrap_or_default();
    session_keys.lines().for_each(|key| seed("a session key", key));
    for file in std::fs::read_dir(data_dir.join("keys")).into_iter().flatten().flatten() {
        let file: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file.path()).expect("a key")).expect("JSON");
        let der = URL_SAFE_NO_PAD.decode(file["private_key"].as_str().expect("a key")).expect("base64url");
        // Behind it there is the public key, which anybody may know (RFC 5915 section 3).
        seed_bytes("a signing key", &der[36..68]);
    }
}

/// Somebody outside was told this. `text` lacks whatever is told there rightly.
pub(crate) fn hear(place: impl Into<String>, text: impl Into<String>) {
    lock(&HEARD).push(Heard { place: place.into(), text: text.into() });
}

impl Watch {
    /// From now on.
    pub(crate) fn begin() -> Self {
        Self { seeded: lock(&SEEDED).len(), heard: lock(&HEARD).len() }
    }

    /// From the beginning of the process.
    pub(crate) const fn of_all() -> Self {
        Self { seeded: 0, heard: 0 }
    }

    /// How many secrets there are.
    pub(crate) fn secrets(&self) -> usize {
        lock(&SEEDED).len() - self.seeded
    }

    /// Whatever was found in `places`, each a name and a text, and in what was heard.
    pub(crate) fn find(&self, places: &[(&str, &[u8])]) -> Vec<Found> {
        let scanner = Scanner::of(&lock(&SEEDED)[self.seeded..]);
        let heard = lock(&HEARD);
        let heard = heard[self.heard..].iter().map(|heard| (&*heard.place, heard.text.as_bytes()));
        heard.chain(places.iter().copied()).flat_map(|(place, text)| scanner.scan(place, text)).collect()
    }

    /// Panics if anything is found.
    pub(crate) fn judge(&self, places: &[(&str, &[u8])]) {
        let found = self.find(places);
        let kinds: BTreeSet<(&str, &str)> = found.iter().map(|it| (it.what, &*it.place)).collect();
        let shown: Vec<String> = found.iter().take(10).map(ToString::to_string).collect();
        assert!(found.is_empty(), "{} secrets were told {kinds:?}:\n{}", found.len(), shown.join("\n"));
    }
}

impl Scanner {
    fn of(canaries: &[Canary]) -> Self {
        let mut scanner = Self { needles: HashMap::new(), afar: vec![0; 1 << 16] };
        for canary in canaries {
            for piece in pieces(&canary.secret) {
                for (spelling, text) in spellings(piece, canary.is_plain) {
                    scanner.add(Needle { what: canary.what, spelling, text });
                }
            }
        }
        scanner
    }

    /// For one secret, and nobody else's.
    pub(crate) fn for_one(what: &'static str, secret: &str) -> Self {
        Self::of(&canaries(what, secret))
    }

    fn add(&mut self, needle: Needle) {
        let Some(beginning) = needle.text.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else { return };
        let bit = from_afar(beginning);
        self.afar[bit / 64] |= 1 << (bit % 64);
        let alike = self.needles.entry(beginning).or_default();
        if alike.iter().all(|other| other.text != needle.text) {
            alike.push(needle);
        }
    }

    /// Every place in `text` at which a piece of a secret begins.
    pub(crate) fn scan(&self, place: &str, text: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut window = 0_u64;
        for (at, byte) in text.iter().enumerate() {
            window = window >> 8 | u64::from(*byte) << 56;
            let bit = from_afar(window);
            if self.afar[bit / 64] >> (bit % 64) & 1 == 0 || at < 7 {
                continue;
            }
            let begins = at - 7;
            let needles = self.needles.get(&window).into_iter().flatten();
            for needle in needles.filter(|needle| text[begins..].starts_with(&needle.text)) {
                let around = line_around(text, begins, needle.text.len());
                let (what, spelling) = (needle.what, needle.spelling);
                found.push(Found { what, spelling, place: place.to_owned(), around });
            }
        }
        found
    }
}

fn canaries(what: &'static str, secret: &str) -> Vec<Canary> {
    let canary = |bytes: &[u8], is_plain| Canary { what, secret: bytes.to_vec(), is_plain };
    if let [header, claims, signature] = *secret.split('.').collect::<Vec<_>>()
        && header.starts_with("eyJ")
    {
        return vec![canary(claims.as_bytes(), true), canary(signature.as_bytes(), false)];
    }
    let parts = secret.trim_start_matches("csk1_").split('.').filter(|part| part.len() > 20);
    let bytes = parts.filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    std::iter::once(canary(secret.as_bytes(), false)).chain(bytes.map(|bytes| canary(&bytes, false))).collect()
}

/// A place in the first look: most windows stop there.
const fn from_afar(window: u64) -> usize {
    (window.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 42) as usize
}

fn pieces(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = secret.chunks_exact(PIECE);
    let rest = if secret.len() < PIECE { secret } else { &secret[secret.len() - PIECE..] };
    whole.chain([rest]).filter(|piece| piece.len() >= SHORTEST)
}

/// All ways to write it that a log, a page or a panic may choose.
fn spellings(piece: &[u8], is_plain: bool) -> Vec<(&'static str, Vec<u8>)> {
    const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let mut all: Vec<(&'static str, Vec<u8>)> = vec![("raw", piece.to_vec())];
    if is_plain {
        return all;
    }
    let mut add = |spelling, text: String| {
        if all.iter().all(|(_, other)| other != text.as_bytes()) {
            all.push((spelling, text.into_bytes()));
        }
    };
    if let Ok(text) = std::str::from_utf8(piece) {
        let percent = utf8_percent_encode(text, UNRESERVED).to_string();
        add("percent-encoded", percent.to_lowercase());
        add("percent-encoded", percent);
        add("as a form", url::form_urlencoded::byte_serialize(piece).collect());
        let json = serde_json::to_string(text).expect("a text");
        add("as JSON", json[1..json.len() - 1].to_owned());
        add("as Debug", text.escape_debug().to_string());
        add("as HTML", as_html(text));
    }
    add("as Debug of bytes", piece.escape_ascii().to_string());
    for before in 0..3 {
        for (spelling, engine) in [("base64", &base64_of(false)), ("base64url", &base64_of(true))] {
            let shifted = [&[0_u8, 0][..before], piece].concat();
            let text = engine.encode(&shifted);
            // What depends on the bytes around it is left out.
            add(spelling, text[(before * 8).div_ceil(6)..shifted.len() * 8 / 6].to_owned());
        }
    }
    let hex: String = piece.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    add("hex", hex.to_uppercase());
    add("hex", hex);
    let numbers: Vec<String> = piece.iter().map(u8::to_string).collect();
    add("a list of numbers", numbers.join(", "));
    add("a list of numbers", numbers.join(","));
    all
}

fn base64_of(is_for_urls: bool) -> GeneralPurpose {
    let alphabet = if is_for_urls { alphabet::URL_SAFE } else { alphabet::STANDARD };
    let config: GeneralPurposeConfig = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet, config)
}

fn as_html(text: &str) -> String {
    let mut html = String::new();
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#x27;"),
            '/' => html.push_str("&#x2f;"),
            c => html.push(c),
        }
    }
    html
}

/// Two secrets beside each other in HTTP's Basic.
pub(crate) fn basic(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

fn line_around(text: &[u8], at: usize, length: usize) -> String {
    let begin = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1).max(at.saturating_sub(300));
    let end =
        text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end).min(at + length + 200);
    let shown = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    format!(
        "{}»{}«{}",
        shown(&text[begin..at]),
        shown(&text[at..at + length]),
        shown(&text[at + length..end.max(at + length)])
    )
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) in {}: {}", self.what, self.spelling, self.place, self.around)
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
