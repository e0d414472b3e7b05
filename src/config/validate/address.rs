//! Where we are found: the public URL, further hosts, the cookies they share, the paths that are ours.

use std::net::IpAddr;

use url::{Host, Url};

use super::super::CookieSettings;
use super::super::problem::Report;
use super::super::raw::{self, Raw};
use super::super::tree::Spot;
use super::missing;

pub(super) fn public_url(raw: &Raw, at: &Spot<'_>, report: &mut Report) -> Option<Url> {
    let at_url = at.field("public_url");
    let Some(text) = &raw.public_url else {
        missing(&at_url, "Write the address that people type: `public_url: https://kubeflow.example.com`.", report);
        return None;
    };
    let url = origin(text, &at_url, report)?;
    let insecure = at.field("cookie").field("insecure");
    if url.scheme() == "http" && !is_loopback(&url) {
        if raw.cookie.insecure {
            let what = "sign-ins travel over plain http: everybody on the way can take the cookie and be that user";
            report.warn(insecure.problem(what, "Write an https `public_url` as soon as there is a certificate."));
        } else if !insecure.is_written() || insecure.node().is_some_and(|node| !node.pruned) {
            let what = "plain http, and not on loopback: everybody on the way could take the cookie and be that user";
            let instead = "Write https://. To live with the danger, write `cookie: {insecure: true}`.";
            report.refuse(at_url.problem(what, instead));
        }
    } else if raw.cookie.insecure {
        let what = "cookies lose `Secure` and `__Host-`, though nothing here needs that";
        report.warn(insecure.problem(what, "Leave the key out."));
    }
    Some(url)
}

pub(super) fn hosts(raw: &Raw, public_url: Option<&Url>, at: &Spot<'_>, report: &mut Report) -> Vec<Url> {
    let at_hosts = at.field("hosts");
    let scheme = public_url.map_or("https", Url::scheme);
    let mut hosts = Vec::new();
    for (index, text) in raw.hosts.iter().enumerate() {
        let at = at_hosts.index(index);
        let text = if text.contains("://") { text.clone() } else { format!("{scheme}://{text}") };
        let Some(url) = origin(&text, &at, report) else { continue };
        if public_url.is_some_and(|public| public.scheme() != url.scheme()) {
            let what = format!("its scheme is {}, that of public_url is {scheme}", url.scheme());
            report.refuse(at.problem(what, "Serve all hosts over https, and write so."));
        }
        hosts.push(url);
    }
    if !hosts.is_empty() && raw.cookie.domain.is_none() && !at.field("cookie").field("domain").is_written() {
        let what = "several hosts can share a sign-in only by a cookie domain";
        let instead = "Write the domain that they and public_url share: `cookie: {domain: example.com}`.";
        report.refuse(at_hosts.problem(what, instead));
    }
    hosts
}

pub(super) fn cookie(
    raw: &Raw,
    public_url: Option<&Url>,
    hosts: &[Url],
    at: &Spot<'_>,
    report: &mut Report,
) -> CookieSettings {
    let at_cookie = at.field("cookie");
    let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if raw.cookie.name.is_empty() || !raw.cookie.name.chars().all(token) || raw.cookie.name.starts_with("__") {
        let what = format!("`{}` is no name for our cookies", raw.cookie.name);
        let instead = "Write letters, digits, `-`, `_` and `.`, without the prefixes `__Host-` and `__Secure-`.";
        report.refuse(at_cookie.field("name").problem(what, instead));
    }
    for (index, name) in raw.cookie.hide.iter().enumerate() {
        if name.is_empty() || !name.chars().all(token) || name.starts_with("__") {
            let what = format!("`{name}` is not what the name of a cookie begins with");
            let instead = "Write letters, digits, `-`, `_` and `.`, without the prefixes `__Host-` and `__Secure-`.";
            report.refuse(at_cookie.field("hide").index(index).problem(what, instead));
        }
    }
    let domain = raw.cookie.domain.as_ref().map(|domain| domain.to_ascii_lowercase());
    if let Some(domain) = &domain {
        let at_domain = at_cookie.field("domain");
        if !is_domain(domain) || !domain.contains('.') {
            let what = format!("`{domain}` is no domain that hosts can share");
            report.refuse(at_domain.problem(what, "Write it without a dot in front, scheme or port: `example.com`."));
        } else {
            let hosts = hosts.iter().enumerate().map(|(index, url)| (at.field("hosts").index(index), url));
            for (at, url) in public_url.map(|url| (at.field("public_url"), url)).into_iter().chain(hosts) {
                let host = url.host_str().unwrap_or_default();
                let below =
                    host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                if !below {
                    let what =
                        format!("{host} is not in cookie.domain, {domain}: its browsers would refuse our cookie");
                    report.refuse(at.problem(what, "Write a host below the domain, or a domain above the host."));
                }
            }
        }
    }
    let secure = public_url.is_none_or(|url| url.scheme() == "https") && !raw.cookie.insecure;
    CookieSettings { name: raw.cookie.name.clone(), domain, secure, hide: raw.cookie.hide.clone() }
}

/// The prefixes of the browser doors and of the check.
pub(super) fn paths(raw: &raw::Paths, at: &Spot<'_>, report: &mut Report) -> (String, String) {
    for (name, path) in [("prefix", &raw.prefix), ("check", &raw.check)] {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let segments = path.strip_prefix('/').unwrap_or_default();
        let good = segments.split('/').all(|part| !matches!(part, "" | "." | "..") && part.chars().all(plain));
        if !good {
            let what = format!("`{path}` is no path prefix");
            report.refuse(at.field(name).problem(what, "Write it with a slash in front and none behind: `/oauth2`."));
        }
        for taken in ["/.well-known", "/forward-auth"] {
            if below(path, taken) || below(taken, path) {
                let what = format!("{taken} is ours already");
                report.refuse(at.field(name).problem(what, "Write another path."));
            }
        }
    }
    if below(&raw.prefix, &raw.check) || below(&raw.check, &raw.prefix) {
        let what = format!("paths.prefix, {}, and paths.check, {}, lie in each other", raw.prefix, raw.check);
        report.refuse(at.problem(what, "Write paths apart: `/oauth2` and `/check`."));
    }
    (raw.prefix.clone(), raw.check.clone())
}

pub(super) fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A URL that is nothing but scheme, host and port.
fn origin(text: &str, at: &Spot<'_>, report: &mut Report) -> Option<Url> {
    let instead = "Write scheme, host and port only: `https://kubeflow.example.com`.";
    let Some(url) = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        report.refuse(at.problem("it is no https:// or http:// URL", instead));
        return None;
    };
    let excess = [
        (!url.username().is_empty() || url.password().is_some(), "a user or a password"),
        (url.path() != "/", "a path"),
        (url.query().is_some(), "a query"),
        (url.fragment().is_some(), "a fragment"),
    ];
    let excess: Vec<&str> = excess.into_iter().filter_map(|(there, what)| there.then_some(what)).collect();
    if !excess.is_empty() {
        report.refuse(at.problem(format!("it has {}", excess.join(" and ")), instead));
        return None;
    }
    Some(url)
}

/// Whether only this machine can be meant.
pub(in crate::config) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a host is this machine, a private address, or a name that only a cluster or a house network knows.
pub(super) fn is_nearby(url: &Url) -> bool {
    match url.host().map(|host| host.to_owned()) {
        Some(Host::Domain(name)) => {
            let ends = [".svc", ".cluster.local", ".local", ".internal", ".localhost", ".test"];
            !name.contains('.') || ends.iter().any(|end| name.ends_with(end)) || name.contains(".svc.")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        None => false,
    }
}

/// What keys that come over plain http are in.
pub(super) const KEYS_IN_DANGER: &str = "whoever sits on the way decides whose tokens are good";

/// Refuses a far place that would be called over plain http.
pub(super) fn refuse_plain_http(url: &Url, danger: &str, at: &Spot<'_>, report: &mut Report) {
    if url.scheme() == "http" && !is_nearby(url) {
        report.refuse(at.problem(format!("it is plain http: {danger}"), "Write https://."));
    }
}

/// Whether a text is a domain name in lower case: no scheme, no port, no address, no dot at an end.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}

/// The URL with its password, if it has one, made unreadable.
pub(in crate::config) fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return "[redacted]".to_owned() };
    if url.password().is_some() && url.set_password(Some("[redacted]")).is_err() {
        return "[redacted]".to_owned();
    }
    url.to_string()
}
