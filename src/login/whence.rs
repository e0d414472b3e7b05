//! Where a browser is, as far as its request tells: for people to know their own sessions by, and for no address to take what
//! is everybody's. Nobody is let in by it.

use std::net::{IpAddr, SocketAddr};

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::session::Whence;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The first that is found, so that those who call themselves by others' names too come before them.
const BROWSERS: [(&str, &str); 13] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
    ("Go-http-client/", "Go"),
];
const DEVICES: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
    ("BSD", "BSD"),
];

/// What the request tells. `peer` is at the other end of the connection; what a `trusted` proxy there says of the browser's
/// address is believed.
#[must_use]
pub fn whence(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet]) -> Whence {
    Whence { device: device(headers), address: address(headers, peer, trusted) }
}

/// In words of ours alone.
fn device(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    let find =
        |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    match (find(&BROWSERS), find(&DEVICES)) {
        (Some(browser), Some(device)) => Some(format!("{browser} on {device}")),
        (known, other) => known.or(other).map(str::to_owned),
    }
}

/// The last address in `X-Forwarded-For` that is no trusted proxy's. Without the header the peer is the browser; where
/// somebody else sends it, nothing is known.
pub(super) fn address(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !headers.contains_key(&FORWARDED_FOR) {
        return Some(peer).filter(|peer| !is_trusted(peer));
    }
    if !is_trusted(&peer) {
        return None;
    }
    let values = headers.get_all(&FORWARDED_FOR).iter();
    let hops: Vec<&[u8]> = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
    // What stands before something that is no address was written by nobody who is trusted.
    hops.into_iter().rev().map_while(hop).find(|address| !is_trusted(address))
}

/// An address, to which some proxies add a port.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    Some(address.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_device_is_told_in_words_of_ours() {
        for (agent, told) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", Some("Firefox on Linux")),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 \
                 Safari/537.36 Edg/150.0.0.0",
                Some("Edge on Windows"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                Some("Safari on iPhone"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 \
                 Mobile Safari/537.36",
                Some("Chrome on Android"),
            ),
            ("curl/8.9.1", Some("curl")),
            ("<script>alert(1)</script>", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(USER_AGENT, agent.parse().unwrap())]);
            assert_eq!(device(&headers).as_deref(), told, "{agent}");
        }
        assert_eq!(device(&HeaderMap::new()), None);
    }

    #[test]
    fn an_address_is_believed_of_trusted_proxies_alone() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, forwarded, told) in [
            ("10.0.0.7", &["203.0.113.9"][..], Some("203.0.113.9")),
            ("::ffff:10.0.0.7", &["203.0.113.9"], Some("203.0.113.9")),
            // What the browser wrote itself stands before what the proxy saw.
            ("10.0.0.7", &["192.0.2.1, 203.0.113.9, 10.0.0.8"], Some("203.0.113.9")),
            ("10.0.0.7", &["192.0.2.1", "2001:db8::9", "fd00::1"], Some("2001:db8::9")),
            ("10.0.0.7", &["192.0.2.1, nonsense, 10.0.0.8"], None),
            ("10.0.0.7", &["192.0.2.1, \u{e9}, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.7", &["\u{e9}", "203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.7", &["192.0.2.1, 203.0.113.9:4711"], Some("203.0.113.9")),
            ("10.0.0.7", &["[2001:db8::9]:4711, 10.0.0.8:80"], Some("2001:db8::9")),
            ("10.0.0.7", &["192.0.2.1, [2001:db8::9]"], Some("2001:db8::9")),
            ("10.0.0.7", &["203.0.113.9:70000"], None),
            ("10.0.0.7", &["10.0.0.9"], None),
            ("10.0.0.7", &[], None),
            ("203.0.113.7", &["192.0.2.1"], None),
            ("203.0.113.7", &[], Some("203.0.113.7")),
        ] {
            let headers = forwarded
                .iter()
                .map(|value| (FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap()))
                .collect();
            let told = told.map(|told| told.parse::<IpAddr>().unwrap());
            assert_eq!(address(&headers, peer.parse().ok(), &trusted), told, "{peer} {forwarded:?}");
        }
    }
}
