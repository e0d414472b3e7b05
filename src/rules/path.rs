//! Paths: the ways in which servers read one, and the paths that a rule covers. It chooses no rule.

use std::fmt;

use regex::Regex;

use super::{Ambiguous, is_options};
use crate::config::PathMatch;

/// The paths that a rule covers.
#[derive(Debug)]
pub(super) enum PathRule {
    /// Every path.
    Any,
    /// This path and all below it; it has no slash at its end.
    Tree(String),
    /// All below this path; it ends in a slash.
    Below(String),
    /// The whole path matches.
    Pattern { text: String, whole: Regex },
    /// Nobody can say which, so that it covers every path and admits nobody.
    Unusable,
}

/// Whether a rule covers a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Covers {
    Yes,
    /// It covers what is below the path: it is `/a/`, and the path is `/a`.
    ItsDirectory,
    No,
}

impl PathRule {
    pub(super) fn compile(path: &PathMatch) -> Self {
        match path {
            PathMatch::Any => Self::Any,
            PathMatch::Prefix(prefix) if prefix.ends_with('/') => Self::Below(prefix.clone()),
            PathMatch::Prefix(prefix) => Self::Tree(prefix.clone()),
            PathMatch::Regex(pattern) => whole(pattern.as_str())
                .map_or(Self::Unusable, |whole| Self::Pattern { text: pattern.as_str().to_owned(), whole }),
        }
    }

    pub(super) fn covers(&self, path: &str) -> Covers {
        let covered = match self {
            Self::Any | Self::Unusable => true,
            Self::Tree(prefix) => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Below(prefix) if path.starts_with(&**prefix) => true,
            Self::Below(prefix) if prefix.strip_suffix('/') == Some(path) => return Covers::ItsDirectory,
            Self::Below(_) => false,
            Self::Pattern { whole, .. } => whole.is_match(path),
        };
        if covered { Covers::Yes } else { Covers::No }
    }
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("every path"),
            Self::Unusable => f.write_str("unusable pattern"),
            Self::Tree(prefix) | Self::Below(prefix) => f.write_str(prefix),
            Self::Pattern { text, .. } => f.write_str(text),
        }
    }
}

/// The path of a request target, without the query.
pub(super) fn of_target<'t>(target: &'t str, method: &str) -> Result<&'t str, Ambiguous> {
    if target.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#') {
        return Err(Ambiguous::BadCharacter);
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if path.starts_with('/') || (target == "*" && is_options(method)) { Ok(path) } else { Err(Ambiguous::NotAPath) }
}

/// Whether every server reads the path as it is written.
pub(super) fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let plain = !matches!((before, byte), (_, b'%' | b'\\' | b';') | (b'/', b'/' | b'.'));
        before = byte;
        plain
    })
}

/// Calls `visit` with every text that some server may take the path for, until it says no. Servers differ in which of
/// [`STEPS`] they take, and in which order and how often; so these are all the texts that any order of them leads to.
/// Fewer readings do not suffice: where `/a/` is public, `/a/..%2fb/..;/a/` is below `/a/` as sent, after RFC 3986 and
/// after decoding with `;` cut off, but below `/b/` for a server that decodes and leaves `;` alone.
pub(super) fn for_each_reading(
    path: &str,
    mut visit: impl FnMut(&str) -> Result<(), Ambiguous>,
) -> Result<(), Ambiguous> {
    require_whole_escapes(path)?;
    let mut readings = vec![path.to_owned()];
    let mut bytes = 0;
    let mut next = 0;
    while let Some(reading) = readings.get(next).cloned() {
        next += 1;
        for step in STEPS {
            let Some(changed) = step(&reading)?.filter(|changed| !readings.contains(changed)) else { continue };
            visit(&changed)?;
            bytes += changed.len();
            if readings.len() >= MOST_READINGS || bytes > MOST_BYTES {
                return Err(Ambiguous::TooManyReadings);
            }
            readings.push(changed);
        }
    }
    Ok(())
}

/// Enough for every path that people and programs make; bounds the work that a stranger can ask for.
const MOST_READINGS: usize = 64;
const MOST_BYTES: usize = 128 * 1024;

type Step = fn(&str) -> Result<Option<String>, Ambiguous>;

/// What one server or another does to a path before it looks for the resource. None makes a path longer.
const STEPS: [Step; 11] = [
    |path| decode(path, is_unreserved),
    |path| decode(path, |_| true),
    |path| decode(path, |byte| matches!(byte, b'/' | b'\\')),
    |path| decode(path, |byte| !matches!(byte, b'/' | b'\\')),
    |path| Ok(path.contains('\\').then(|| path.replace('\\', "/"))),
    |path| Ok(path.strip_prefix("//").map(behind_authority)),
    |path| Ok(path.contains("//").then(|| merge_slashes(path))),
    |path| Ok(path.contains(';').then(|| cut_parameters(path))),
    |path| Ok(path.split_once(';').map(|(before, _)| before.to_owned())),
    |path| Ok(path.split_once(['?', '#']).map(|(before, _)| before.to_owned())),
    |path| Ok(path.contains("/.").then(|| remove_dot_segments(path))),
];

/// Decodes the chosen bytes and writes the other escapes in upper case (RFC 3986 section 6.2.2). Escapes that are none
/// stay: they came of decoding, and have been checked before it.
fn decode(path: &str, chosen: fn(u8) -> bool) -> Result<Option<String>, Ambiguous> {
    if !path.contains('%') {
        return Ok(None);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, escaped(behind)) {
            (b'%', Some(byte)) if chosen(byte) => {
                if byte.is_ascii_control() {
                    return Err(Ambiguous::BadCharacter);
                }
                decoded.push(byte);
                rest = &behind[2..];
            }
            (b'%', Some(_)) => {
                decoded.extend([b'%', behind[0].to_ascii_uppercase(), behind[1].to_ascii_uppercase()]);
                rest = &behind[2..];
            }
            _ => decoded.push(*first),
        }
    }
    String::from_utf8(decoded).map(Some).map_err(|_| Ambiguous::BadEncoding)
}

fn require_whole_escapes(path: &str) -> Result<(), Ambiguous> {
    let whole = path.split('%').skip(1).all(|behind| escaped(behind.as_bytes()).is_some());
    if whole { Ok(()) } else { Err(Ambiguous::BadEncoding) }
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The path of a network-path reference (RFC 3986 section 4.2): what a URL parser makes of `//host/path`.
fn behind_authority(reference: &str) -> String {
    reference.find('/').map_or("/", |start| &reference[start..]).to_owned()
}

fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged
}

fn cut_parameters(path: &str) -> String {
    let names: Vec<&str> =
        path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name)).collect();
    names.join("/")
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        if !dots {
            kept.push(segment);
        } else if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// The pattern, anchored at both ends. An open comment of a verbose pattern (`(?x)`) is ended by the line's end.
fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!(r"\A(?:{pattern})\z")).or_else(|_| Regex::new(&format!("\\A(?:{pattern}\n)\\z"))).ok()
}
