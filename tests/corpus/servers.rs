//! What servers make of a path before they look for the resource: well-known ones, each by its own order, and every order
//! in which the usual steps could be taken.

use std::collections::BTreeSet;

/// One thing that a server does to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Percent-decoding; what is no escape stays.
    Decode,
    /// The same, but an encoded slash stays one.
    DecodeAllButSlashes,
    /// Of what need not have been encoded (RFC 3986 section 6.2.2.2).
    DecodeUnreserved,
    /// Decoding as old ones did: `%u002e`, and UTF-8 that is longer than it has to be.
    DecodeLeniently,
    /// `\` becomes `/`.
    Backslashes,
    /// `//` becomes `/`.
    Merge,
    /// `;…` goes, up to the next slash.
    Parameters,
    /// `;…` goes, up to the end.
    Session,
    /// `.` and `..` are followed (RFC 3986 section 5.2.4).
    Dots,
    /// A path that begins with two slashes names a host first.
    Authority,
    /// The query is looked for again.
    Query,
    /// A NUL is the end, as in C.
    Nul,
}

use Step::{
    Authority, Backslashes, Decode, DecodeAllButSlashes, DecodeLeniently, DecodeUnreserved, Dots, Merge, Nul,
    Parameters, Query, Session,
};

/// Servers by name.
pub(crate) const SERVERS: [(&str, &[Step]); 34] = [
    ("one that takes it as it is", &[]),
    ("RFC 3986", &[DecodeUnreserved, Dots]),
    ("RFC 3986, escapes only", &[DecodeUnreserved]),
    ("dots only", &[Dots]),
    ("nginx", &[Decode, Merge, Dots]),
    ("nginx, merge_slashes off", &[Decode, Dots]),
    ("nginx before nginx", &[Decode, Merge, Dots, Decode, Merge, Dots]),
    ("nginx before Tomcat", &[Decode, Merge, Dots, Parameters, Decode, Backslashes, Merge, Dots]),
    ("Apache httpd", &[Decode, Dots, Merge]),
    ("Apache httpd, AllowEncodedSlashes NoDecode", &[DecodeAllButSlashes, Dots, Merge]),
    ("Go net/http", &[Decode, Merge, Dots]),
    ("Go net/http since 1.22", &[Merge, Dots, DecodeAllButSlashes]),
    ("Go, http.Dir on Windows", &[Decode, Backslashes, Merge, Dots]),
    ("Node, url.parse", &[Backslashes, Query, Decode, Merge, Dots]),
    ("Node, new URL", &[Backslashes, Authority, DecodeUnreserved, Dots, Decode]),
    ("Node, new URL, then path.normalize", &[Backslashes, Authority, DecodeUnreserved, Dots, Decode, Merge, Dots]),
    ("Express", &[DecodeAllButSlashes]),
    ("Tomcat", &[Parameters, Decode, Merge, Dots]),
    ("Tomcat, ALLOW_BACKSLASH", &[Parameters, Decode, Backslashes, Merge, Dots]),
    ("Tomcat, encoded solidus passed through", &[Parameters, DecodeAllButSlashes, Merge, Dots]),
    ("Jetty", &[Parameters, Decode, Dots, Merge]),
    ("Jetty, dots first", &[Dots, Parameters, Decode]),
    ("Spring, UrlPathHelper", &[Parameters, Decode, Merge]),
    ("Shiro", &[Decode, Parameters, Merge, Dots]),
    ("WebLogic", &[Decode, Session, Merge, Dots]),
    ("a servlet container that knows sessions only", &[Session, Decode, Merge, Dots]),
    ("IIS", &[Decode, Backslashes, Merge, Dots]),
    ("IIS 5", &[DecodeLeniently, Backslashes, Dots, DecodeLeniently, Backslashes, Merge, Dots]),
    ("Rack", &[Decode, Dots, Merge]),
    ("WSGI", &[Decode]),
    ("Werkzeug", &[Decode, Merge]),
    ("PHP behind FastCGI", &[Decode, Query, Nul, Merge, Dots]),
    ("one that decodes twice", &[Decode, Decode, Merge, Dots]),
    ("one that decodes thrice", &[Decode, Decode, Decode, Backslashes, Parameters, Merge, Dots]),
];

/// In any order, each left out or taken, decoding up to twice.
const USUAL: [Step; 8] = [Decode, Decode, Backslashes, Merge, Parameters, Dots, DecodeUnreserved, Query];

/// Every text that some server takes the path of this target for.
pub(crate) fn readings(target: &str) -> BTreeSet<Vec<u8>> {
    let path = target.split('?').next().unwrap_or_default().as_bytes();
    let mut found = BTreeSet::new();
    for (_, steps) in SERVERS {
        found.insert(steps.iter().fold(path.to_vec(), |path, step| step.taken(&path)));
    }
    in_any_order(path.to_vec(), [true; USUAL.len()], &mut BTreeSet::new(), &mut found);
    found
}

fn in_any_order(
    path: Vec<u8>,
    left: [bool; USUAL.len()],
    seen: &mut BTreeSet<(Vec<u8>, [bool; USUAL.len()])>,
    found: &mut BTreeSet<Vec<u8>>,
) {
    if !seen.insert((path.clone(), left)) {
        return;
    }
    for (at, step) in USUAL.iter().enumerate().filter(|(at, _)| left[*at]) {
        let next = step.taken(&path);
        if next != path {
            let mut left = left;
            left[at] = false;
            in_any_order(next, left, seen, found);
        }
    }
    found.insert(path);
}

impl Step {
    /// The path after it.
    pub(crate) fn taken(self, path: &[u8]) -> Vec<u8> {
        match self {
            Decode => decoded(path, |_| true),
            DecodeAllButSlashes => decoded(path, |byte| byte != b'/'),
            DecodeUnreserved => decoded(path, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
            DecodeLeniently => shortened(&decoded(&without_u(path), |_| true)),
            Backslashes => path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect(),
            Merge => {
                let mut merged = path.to_vec();
                merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
                merged
            }
            Parameters => {
                let names = path.split(|&byte| byte == b'/').map(|name| until(name, b";"));
                names.collect::<Vec<_>>().join(&b'/')
            }
            Session => until(path, b";").to_vec(),
            Dots => followed(path),
            Authority => match path.strip_prefix(b"//") {
                None => path.to_vec(),
                Some(rest) => {
                    rest.iter().position(|&byte| byte == b'/').map_or(b"/".to_vec(), |at| rest[at..].to_vec())
                }
            },
            Query => until(path, b"?#").to_vec(),
            Nul => until(path, b"\0").to_vec(),
        }
    }
}

fn until<'p>(path: &'p [u8], ends: &[u8]) -> &'p [u8] {
    path.split(|byte| ends.contains(byte)).next().unwrap_or_default()
}

fn decoded(path: &[u8], which: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| path[at] == b'%' && !digits.starts_with('+'));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|&byte| which(byte));
        out.push(byte.unwrap_or(path[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// `%u002e` as `%2e`.
fn without_u(path: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(path).replace("%u00", "%").replace("%U00", "%").into_bytes()
}

/// Two and three bytes for what ASCII has one for.
fn shortened(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    loop {
        rest = match rest {
            [first @ (0xc0 | 0xc1), second, rest @ ..] => {
                out.push((first & 1) << 6 | second & 0x3f);
                rest
            }
            [0xe0, second @ 0x80..=0x81, third, rest @ ..] => {
                out.push((second & 1) << 6 | third & 0x3f);
                rest
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
            [] => return out,
        };
    }
}

/// The algorithm of RFC 3986 section 5.2.4, rule by rule, as it stands there.
fn followed(path: &[u8]) -> Vec<u8> {
    let mut input = path.to_vec();
    let mut output: Vec<u8> = Vec::new();
    while !input.is_empty() {
        if input.starts_with(b"../") {
            input.drain(..3);
        } else if input.starts_with(b"./") || input.starts_with(b"/./") {
            input.drain(..2);
        } else if input == b"/." {
            input = b"/".to_vec();
        } else if input.starts_with(b"/../") || input == b"/.." {
            input = [b"/", input.get(4..).unwrap_or_default()].concat();
            let cut = output.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            output.truncate(cut);
        } else if input == b"." || input == b".." {
            input.clear();
        } else {
            let end = input.iter().skip(1).position(|&byte| byte == b'/').map_or(input.len(), |at| at + 1);
            output.extend(input.drain(..end));
        }
    }
    output
}
