//! Tells public addresses from those inside a network, when a connection is dialled: a name is checked by what it
//! resolves to, so that a provider cannot rename its way in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use tokio::net::lookup_host;

/// Resolves names to their public addresses only. What is judged here is what is dialled: nobody asks again in between.
pub(super) struct PublicResolver {
    /// The egress proxy, which the operator named and which may well be inside.
    pub(super) proxy_host: Option<String>,
    pub(super) lookup: Lookup,
}

/// Where a name leads, without a port.
pub(super) type Lookup = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// As the system has it.
pub(super) fn by_the_system(host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    async move { Ok(lookup_host((host.as_str(), 0)).await?.collect()) }.boxed()
}

/// A name that leads inside.
#[derive(Debug, Error)]
#[error("{0} leads to a private address")]
pub(super) struct PrivateAddress(pub(super) String);

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let (exempt, looked_up) = (self.proxy_host.as_ref() == Some(&host), (self.lookup)(host.clone()));
        Box::pin(async move {
            let mut found = looked_up.await?;
            // Where a name has both, only its public ones are dialled.
            found.retain(|address| exempt || is_public(address.ip()));
            if found.is_empty() {
                return Err(PrivateAddress(host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether `host`, as it stands in a URI, may be public: `false` only for the private addresses themselves.
pub(super) fn is_public_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().map_or(true, is_public)
}

/// Whether it is an address of the internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = a == 192 && b == 0 && c == 0;
    let benchmarking = a == 198 && (18..20).contains(&b);
    let special = a == 0 || a >= 224 || shared || protocol_assignments || benchmarking;
    !(special || address.is_private() || address.is_loopback() || address.is_link_local())
}

/// Addresses that carry an IPv4 address inside are as public as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            embedded(high, low)
        }
        // Global unicast is 2000::/3; the rest is local, multicast or unassigned.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_told_from_public_ones() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public_host(inside), "{inside} counts as public");
        }
        for public in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "idp.example.com"] {
            assert!(is_public_host(public), "{public} counts as private");
        }
    }
}
