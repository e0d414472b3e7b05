//! Where oauth2-proxy was found: addresses, hosts, the cookies they share.

use ipnet::IpNet;
use url::Url;

use super::super::draft::{Block, Draft};
use super::sources::Given;

pub(super) fn addresses(given: &Given, draft: &mut Draft, home: Option<&str>) {
    if let Some(url) = home {
        draft.root.text("public_url", url).note("What people type.");
    } else {
        draft.leave_to_do("public_url", "oauth2-proxy was not told it; write the address that people type");
        draft.root.text("public_url", "https://kubeflow.example.com").note("TO DO: the address that people type.");
    }
    let url = home.and_then(|home| Url::parse(home).ok());
    shared_cookies(given, draft, url.as_ref());
    for flag in ["tls-cert-file", "tls-key-file"] {
        if given.is_set("tls-cert-file") != given.is_set("tls-key-file") && given.is_set(flag) {
            draft.leave(flag, "the other half of the pair was not there: no TLS");
        }
    }
    let tls = given.text("tls-cert-file").zip(given.text("tls-key-file"));
    let set: Vec<&str> =
        ["http-address", "https-address", "metrics-address"].into_iter().filter(|flag| given.is_set(flag)).collect();
    if !set.is_empty() {
        let why = "where oauth2-proxy listened. We listen on 9000 (checks, browsers, keys) and 9001 (health, metrics), as the \
                   examples and the chart have it; `listen` says otherwise";
        draft.leave(set.join(", "), why);
    }
    if let Some((certificate, key)) = tls {
        let mut files = Block::default();
        files.text("certificate", certificate).text("key", key);
        let mut listen = Block::default();
        listen.block("tls", files);
        draft.root.block("listen", listen).note("Have the pod mount both. Its checks come with TLS then, too.");
    }
    if let Some(prefix) = given.text("proxy-prefix").filter(|prefix| *prefix != "/oauth2") {
        let mut paths = Block::default();
        paths.text("prefix", prefix.trim_end_matches('/'));
        draft.root.block("paths", paths);
    }
    let trusted = given.list("trusted-proxy-ip");
    let is_network = |text: &&String| {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        network.is_some_and(|network| network.prefix_len() > 0)
    };
    let networks: Vec<String> = trusted.iter().filter(is_network).cloned().collect();
    if networks.len() < trusted.len() {
        draft.leave_to_do("trusted-proxy-ip", "what means everybody, or is no network, was left out: name the proxies");
    }
    if given.switch("reverse-proxy") == Some(true) && trusted.is_empty() {
        draft.leave(
            "reverse-proxy",
            "X-Forwarded-* headers were believed from everybody; list the proxies under `trusted_proxies`, where they are \
             needed at all (nginx, Traefik, Caddy)",
        );
    }
    if !networks.is_empty() {
        draft.root.list("trusted_proxies", networks);
    }
    for upstream in given.list("upstream").iter().filter(|upstream| !upstream.starts_with("static://")) {
        draft.leave_to_do(
            format!("upstream {}", crate::config::validate::without_password(upstream)),
            "requests are not proxied through us: put a gateway before it, which asks us",
        );
    }
}

/// `cookie.domain` and `hosts`, as far as they agree with the public URL.
fn shared_cookies(given: &Given, draft: &mut Draft, home: Option<&Url>) {
    let host = home.and_then(Url::host_str);
    let domains = given.list("cookie-domain").iter().map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
    let is_below =
        |host: &str, domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let (shared, others): (Vec<String>, Vec<String>) =
        domains.partition(|domain| domain.contains('.') && host.is_some_and(|host| is_below(host, domain)));
    let domain = shared.first();
    for other in others.iter().chain(shared.iter().skip(1)) {
        draft.leave_to_do(
            format!("cookie-domain {other}"),
            "cookies have one domain, which the public URL's host is below: `cookie: {domain: …}`",
        );
    }
    let mut hosts = Vec::new();
    for name in given.list("whitelist-domain") {
        let bare = name.split(':').next().unwrap_or_default();
        let is_host =
            bare.contains('.') && !bare.starts_with(['.', '*']) && Url::parse(&format!("http://{name}")).is_ok();
        if host == Some(bare) {
            continue;
        }
        if is_host && domain.is_some_and(|domain| is_below(bare, domain)) {
            hosts.push(name.clone());
        } else {
            draft.leave_to_do(
                format!("whitelist-domain {name}"),
                "sign-ins return to hosts that are named one by one under `hosts`, all below `cookie.domain`",
            );
        }
    }
    if !hosts.is_empty() {
        draft.root.list("hosts", hosts);
    }
    let mut cookie = Block::default();
    if let Some(domain) = domain {
        cookie.text("domain", domain.as_str());
    }
    let is_http = home.is_some_and(|url| url.scheme() == "http" && !crate::config::validate::is_loopback(url));
    if is_http {
        cookie.word("insecure", "true").note("Plain http: whoever is on the way can take a session.");
        draft.leave_to_do("cookie.insecure", "people sign in over plain http; serve https as soon as you can");
    } else if given.is_set("cookie-secure") {
        let was = if given.switch("cookie-secure") == Some(true) { "on" } else { "off" };
        let why = format!("it was {was}. Ours are Secure on https; on plain http, write `cookie: {{insecure: true}}`");
        draft.leave("cookie-secure", why);
    }
    if let Some(name) = given.text("cookie-name") {
        let note = format!("It was {name}. A name of our own leaves the old cookie alone, for the way back.");
        draft.leave("cookie-name", note);
    }
    draft.root.block("cookie", cookie);
}
