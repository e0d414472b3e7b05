//! The session cookie: what was made here opens, nothing else does, and the `Cookie` header that a workload gets has none
//! of ours in it.

use countersign::config::CookieSettings;
use countersign::cookie::{CookieNames, SecretCookies, TwoOfOneName, Upstream};
use countersign::entropy::Entropy;
use countersign::seal::CookieSecret;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::house;

const NAME: &str = "__Host-countersign";

/// The secret of the cookie, which bit to change, and `Cookie` headers, a line each: in them `@` is a good cookie of ours,
/// and `#` a forged one. The rest is also tried as a value.
pub(super) fn body(data: &[u8]) {
    let Some((secret, rest)) = data.split_first_chunk::<32>() else { return };
    let Some((bit, rest)) = rest.split_first_chunk::<2>() else { return };
    let keys = house::session_keys(&[2, 1]);
    let made = |by: &[u8], secret: [u8; 32]| {
        let secret = CookieSecret::generate(&These(secret));
        (house::session_keys(by).cookie_value(&secret), secret.store_key())
    };
    let (good, place) = made(&[2], *secret);
    for value in [&good, &made(&[1], *secret).0] {
        assert_eq!(keys.open_cookie(value).map(|secret| secret.store_key()), Ok(place), "{value}");
    }
    assert!(keys.open_cookie(&made(&[3], *secret).0).is_err(), "a key of somebody else's");
    let other = made(&[2], secret.map(|byte| !byte)).0;
    let swapped = format!("{}{}", &good[..good.len() - 22], &other[other.len() - 22..]);
    assert!(keys.open_cookie(&swapped).is_err(), "the MAC of another secret");
    let forged = changed(&good, *bit);
    assert!(keys.open_cookie(&forged).is_err(), "{good} became {forged}");
    if let Ok(value) = std::str::from_utf8(rest) {
        assert!(value == good || keys.open_cookie(value).is_err(), "{value}");
        assert!(keys.open_cookie(&format!("{good}{value}")).is_err() || value.is_empty(), "{value}");
    }
    in_a_header(rest, &good, &forged);
}

/// One bit of it is another; it stays ASCII.
fn changed(value: &str, bit: [u8; 2]) -> String {
    let mut bytes = value.as_bytes().to_vec();
    let bit = usize::from(u16::from_be_bytes(bit)) % (bytes.len() * 7);
    bytes[bit / 7] ^= 1 << (bit % 7);
    String::from_utf8(bytes).expect("ASCII")
}

fn in_a_header(text: &[u8], good: &str, forged: &str) {
    let settings = CookieSettings { name: "countersign".into(), domain: None, secure: true, hide: Vec::new() };
    let names = CookieNames::new(&settings);
    let secret = SecretCookies::new(names.clone(), ["CF_Authorization".to_owned()]);
    let mut headers = HeaderMap::new();
    let mut goods = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let mut written = Vec::new();
        for byte in line {
            match byte {
                b'@' => written.extend(format!("{NAME}={good}").bytes()),
                b'#' => written.extend(format!("{NAME}={forged}").bytes()),
                other => written.push(*other),
            }
        }
        let Ok(value) = HeaderValue::from_bytes(&written) else { continue };
        goods += line.iter().filter(|byte| matches!(byte, b'@' | b'#')).count();
        headers.append(COOKIE, value);
    }
    if let Ok(Some(value)) = names.find_session(&headers) {
        assert!(!value.contains([';', ',']), "{value:?}");
        // Not behind some wider white space, and not in another case: the browser lets other hosts set those.
        assert!(alone(&headers, value), "{headers:?} has no {NAME} of its own");
    }
    if goods == 1 && text == b"@" {
        assert_eq!(names.find_session(&headers), Ok(Some(good)));
    }
    let is_one = forged.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if text == b"@; @" || (text == b"@\n#" && is_one) {
        assert_eq!(names.find_session(&headers), Err(TwoOfOneName));
    }
    let left = match secret.upstream(&headers) {
        Upstream::AsSent => headers,
        Upstream::Removed => HeaderMap::new(),
        Upstream::Rest(rest) => {
            let value = HeaderValue::from_str(&rest);
            [(COOKIE, value.unwrap_or_else(|_| HeaderValue::from_bytes(rest.as_bytes()).expect("a header")))]
                .into_iter()
                .collect()
        }
    };
    assert_eq!(names.find_session(&left), Ok(None), "{left:?}");
    assert_eq!(names.flows(&left), [], "{left:?}");
    assert_eq!(secret.upstream(&left), Upstream::AsSent, "{left:?}");
    for value in &left.get_all(COOKIE) {
        for name in names_in(value.as_bytes()) {
            let ours = name == b"countersign" || name.starts_with(b"countersign-flow-");
            assert!(!ours && !name.starts_with(b"cf_authorization"), "{value:?}");
        }
    }
}

/// Whether a piece of a header is just `name=value`, but for spaces and tabs, or has a comma behind the value.
fn alone(headers: &HeaderMap, value: &str) -> bool {
    let wanted = format!("{NAME}={value}");
    headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';')).any(|piece| {
        let start = piece.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or_default();
        let rest = piece[start..].strip_prefix(wanted.as_bytes());
        rest.is_some_and(|rest| rest.iter().all(|byte| matches!(byte, b' ' | b'\t')) || rest.starts_with(b","))
    })
}

/// In lower case, without prefix: wherever some server may see one begin.
fn names_in(header: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    header.split(|byte| matches!(byte, b';' | b',')).map(|piece| {
        let name = piece.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let bare = name.strip_prefix(b"__host-").or_else(|| name.strip_prefix(b"__secure-"));
        bare.map(<[u8]>::to_vec).unwrap_or(name)
    })
}

struct These([u8; 32]);

impl Entropy for These {
    fn fill(&self, target: &mut [u8]) {
        target.copy_from_slice(&self.0[..target.len()]);
    }
}
