//! The raw configuration is judged and becomes settings. Every problem is reported; where one is, a stand-in takes
//! its place so that the rest can be judged too.

mod address;
mod admin;
mod bearer;
mod doors;
mod header;
mod identity;
mod lifetime;
mod limits;
mod provider;
mod redis;
mod rule;
mod secret;
mod session_keys;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::problem::Report;
use super::raw::{self, Raw};
use super::tree::{Node, Spot};
use super::variables::{self, Environment};
use super::{
    Challenge, EgressSettings, Listen, LogSettings, PageSettings, Place, Problem, Settings, TlsFiles, Unauthenticated,
};

pub(super) use address::{is_loopback, without_password};
pub(super) use header::is_taken;

/// The settings, as far as they can be made out. They count only if nothing was refused.
pub(super) fn settings(raw: &Raw, at: &Spot<'_>, environment: &Environment, report: &mut Report) -> Option<Settings> {
    let public_url = address::public_url(raw, at, report);
    let hosts = address::hosts(raw, public_url.as_ref(), at, report);
    let cookie = address::cookie(raw, public_url.as_ref(), &hosts, at, report);
    let (path_prefix, check_prefix) = address::paths(&raw.paths, &at.field("paths"), report);
    let listen = listen(&raw.listen, &at.field("listen"), report);
    let admin = admin::settings(&raw.admin, &at.field("admin"), environment, report);
    let doors = doors::open(&raw.doors, raw.trusted_proxies.is_empty(), &at.field("doors"), report);
    let providers = provider::all(raw, &path_prefix, at, environment, report);
    let redis = self::redis::settings(raw, at, environment, report);
    let session = lifetime::session(&raw.session, redis, &at.field("session"), environment, report);
    let session_keys_dir = session_keys::directory(&raw.session.keys, &at.field("session").field("keys"), report);
    let token = lifetime::token(raw, public_url.as_ref(), session.max_age, at, report);
    let headers = header::identity(&raw.headers, &token.header, &at.field("headers"), report);
    let rules = rule::all(raw, &token.header, &at.field("rules"), report);
    provider::spoken_for(&providers, &headers, &rules, &at.field("providers"), report);
    let bearer = bearer::all(raw, &providers, &token, &headers, at, environment, report);
    bearer::spoken_for(&bearer, &providers, &headers, &rules, at, report);
    identity::ignored_groups(&providers, &rules, &at.field("providers"), report);
    identity::graph_scopes(&providers, &at.field("providers"), report);
    let shutdown = lifetime::shutdown(&raw.shutdown, &at.field("shutdown"), report);
    let trusted_proxies = trusted_proxies(raw, &at.field("trusted_proxies"), report);
    let limits = limits::settings(&raw.limits, &at.field("limits"), report);
    let egress = egress(&raw.egress, &at.field("egress"), environment, report);
    let pages = pages(&raw.pages, &at.field("pages"), report);
    let log = log(&raw.log, &at.field("log"), report);
    if raw.data_dir.0.as_os_str().is_empty() {
        report.refuse(at.field("data_dir").problem("it is empty", "Write a directory."));
    }
    Some(Settings {
        public_url: public_url?,
        hosts,
        listen,
        admin,
        doors,
        data_dir: raw.data_dir.0.clone(),
        providers,
        bearer,
        session,
        session_keys_dir,
        token,
        headers,
        withheld: Vec::new(),
        rules,
        unauthenticated: unauthenticated(&raw.unauthenticated),
        cookie,
        path_prefix,
        check_prefix,
        trusted_proxies,
        limits,
        egress,
        pages,
        log,
        shutdown,
    })
}

fn listen(raw: &raw::Listen, at: &Spot<'_>, report: &mut Report) -> Listen {
    let mut address = |text: &str, name: &str| {
        text.parse().unwrap_or_else(|_| {
            let what = format!("`{text}` is no address with a port");
            report.refuse(at.field(name).problem(what, "Write an IP address and a port: `0.0.0.0:9000`, `[::]:9000`."));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    };
    let (main, admin) = (address(&raw.main, "main"), address(&raw.admin, "admin"));
    if main == admin && main.port() != 0 {
        let what = format!("it is the same as listen.main, {main}");
        report.refuse(at.field("admin").problem(what, "Give health and metrics a port of their own."));
    }
    let tls = raw.tls.as_ref().map(|tls| {
        let at = at.field("tls");
        let mut file = |file: &Option<PathBuf>, name: &str, what: &str| {
            let at = at.field(name);
            match file {
                Some(path) => readable(path, &at, report),
                None => missing(&at, format!("Write the file of the {what} (PEM)."), report),
            }
            file.clone().unwrap_or_default()
        };
        TlsFiles {
            certificate: file(&tls.certificate, "certificate", "certificate chain"),
            key: file(&tls.key, "key", "private key"),
        }
    });
    Listen { main, admin, tls }
}

fn trusted_proxies(raw: &Raw, at: &Spot<'_>, report: &mut Report) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in raw.trusted_proxies.iter().enumerate() {
        let at = at.index(index);
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match network {
            None => {
                let what = format!("`{text}` is neither an address nor a network");
                report.refuse(at.problem(what, "Write `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`."));
            }
            Some(network) if network.prefix_len() == 0 => {
                let what = format!("`{text}` is everybody, so that anybody's X-Forwarded headers would be believed");
                report.refuse(at.problem(what, "Write the network of the proxies."));
            }
            Some(network) => networks.push(network.trunc()),
        }
    }
    networks
}

fn egress(raw: &raw::Egress, at: &Spot<'_>, environment: &Environment, report: &mut Report) -> EgressSettings {
    if let Some(path) = &raw.ca_bundle {
        readable(path, &at.field("ca_bundle"), report);
    }
    let variable = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, environment.get(name).filter(|value| !value.is_empty())?)))
    };
    let proxy_variable = variable(["HTTPS_PROXY", "https_proxy"]);
    let outside = proxy_variable.map(|(name, _)| Node { key: name.into(), ..Node::empty(variables::place(name)) });
    let (text, at_proxy) = match (&raw.proxy, proxy_variable, &outside) {
        (None, Some((_, text)), Some(node)) => (Some(text), Spot::root(node)),
        (text, ..) => (text.as_ref(), at.field("proxy")),
    };
    let proxy = text.and_then(|text| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            // The text may hold a password.
            let instead = "Write `http://proxy.example.com:3128`.";
            report.refuse(at_proxy.problem("it is no http:// or https:// URL of a proxy", instead));
        }
        url
    });
    let no_proxy = raw.no_proxy.clone().or_else(|| variable(["NO_PROXY", "no_proxy"]).map(|(_, text)| text.clone()));
    EgressSettings { ca_bundle: raw.ca_bundle.clone(), proxy, no_proxy }
}

fn pages(raw: &raw::Pages, at: &Spot<'_>, report: &mut Report) -> PageSettings {
    if let Some(path) = &raw.templates
        && !path.is_dir()
    {
        let what = format!("{} is no directory that can be read", path.display());
        report.refuse(at.field("templates").problem(what, "Name a directory of templates, or leave the key out."));
    }
    PageSettings { templates: raw.templates.clone(), title: raw.title.clone() }
}

fn log(raw: &raw::Log, at: &Spot<'_>, report: &mut Report) -> LogSettings {
    if let Err(error) = EnvFilter::try_new(&raw.level) {
        let what = format!("`{}` is no level: {error}", raw.level);
        let instead = "Write `info`, `debug` or, by part, `info,countersign::check=debug`.";
        report.refuse(at.field("level").problem(what, instead));
    }
    LogSettings { json: raw.format == raw::LogFormat::Json, filter: raw.level.clone() }
}

fn unauthenticated(raw: &raw::Unauthenticated) -> Unauthenticated {
    let challenge = |raw| match raw {
        raw::Challenge::Redirect => Challenge::Redirect,
        raw::Challenge::Page => Challenge::Page,
        raw::Challenge::Unauthorized => Challenge::Unauthorized,
        raw::Challenge::Forbidden => Challenge::Forbidden,
    };
    Unauthenticated {
        navigation: challenge(raw.navigation),
        other: challenge(raw.other),
        unknown: challenge(raw.unknown),
    }
}

/// Reports that a required key is missing, unless something was there and is reported already.
fn missing(at: &Spot<'_>, instead: impl Into<String>, report: &mut Report) {
    if !at.is_written() {
        report.refuse(at.problem("it is missing", instead));
    }
}

fn readable(path: &Path, at: &Spot<'_>, report: &mut Report) {
    report.name_file(at, path);
    if let Err(problem) = try_reading(path, at) {
        report.miss(problem);
    }
}

fn try_reading(path: &Path, at: &Spot<'_>) -> Result<(), Problem> {
    let instead = "Name a file that this process may read.";
    let unreadable = |error| at.problem(format!("{} cannot be read: {error}", path.display()), instead);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(at.problem(format!("{} is a directory", path.display()), instead));
    }
    Ok(())
}

/// Whether a literal secret stands in a file, where everybody who may read the file reads it.
fn is_in_file(place: &Place) -> bool {
    !matches!(place, Place::Variable(_))
}
