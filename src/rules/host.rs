//! Hosts: the one in a request without its port, and the ones that a rule covers.

use std::net::Ipv6Addr;

use super::Ambiguous;

/// A host as a rule names it.
#[derive(Debug)]
pub(super) enum HostMatch {
    /// This name.
    Exact(String),
    /// Every name that ends so, with something before it; the dot is part of it.
    Below(String),
    /// This address, however it is written.
    Address(Ipv6Addr),
}

impl HostMatch {
    pub(super) fn compile(host: &str) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if let Ok(address) = unbracketed(&host).parse() {
            return Self::Address(address);
        }
        match host.strip_prefix('*') {
            Some(suffix) if suffix.is_empty() || suffix.starts_with('.') => Self::Below(suffix.to_owned()),
            _ => Self::Exact(host),
        }
    }

    /// Whether the rule's host is `name`, which [`parse`] gave.
    pub(super) fn covers(&self, name: &str) -> bool {
        match self {
            Self::Exact(host) => host.eq_ignore_ascii_case(name),
            Self::Below(suffix) => name
                .len()
                .checked_sub(suffix.len())
                .filter(|start| *start > 0)
                .and_then(|start| name.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
            Self::Address(address) => name.starts_with('[') && unbracketed(name).parse() == Ok(*address),
        }
    }
}

/// A `Host` header or an `:authority`, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<'a> {
    /// The host without port and without the dot at its end.
    pub(super) name: &'a str,
    port: Option<&'a str>,
    dot: bool,
}

impl Authority<'_> {
    /// Whether a gateway that compares the literal text, as Envoy does, takes it for the same host as its name. It does
    /// not for `docs.example.com:1` or `docs.example.com.`: those may be routed to another workload.
    pub(super) fn is_told_like_a_gateway_would(&self, ports: &[String]) -> bool {
        let usual = |port: &str| ports.iter().any(|known| known == port);
        !self.name.is_empty() && !self.dot && self.port.is_none_or(usual)
    }
}

/// Takes a host apart, which may be empty where a request has none.
pub(super) fn parse(authority: &str) -> Result<Authority<'_>, Ambiguous> {
    let (name, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or(Ambiguous::BadHost)? + 1;
        authority.split_at(end)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port_is_one = port.is_empty() || port.strip_prefix(':').is_some_and(|rest| rest.bytes().all(is_digit));
    let name_is_one = if name.starts_with('[') {
        unbracketed(name).parse::<Ipv6Addr>().is_ok()
    } else {
        name.bytes().all(is_name_byte)
    };
    if !port_is_one || !name_is_one {
        return Err(Ambiguous::BadHost);
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    let hollow = bare.is_empty() && !authority.is_empty() || bare.starts_with('.') || bare.contains("..");
    if hollow || bare.ends_with('.') {
        return Err(Ambiguous::BadHost);
    }
    Ok(Authority { name: bare, port: port.strip_prefix(':'), dot: bare.len() != name.len() })
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}
