//! The servers of a shared store, and what several replicas need besides.

use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use super::super::problem::Report;
use super::super::raw::{self, Raw};
use super::super::tree::Spot;
use super::super::variables::Environment;
use super::super::{RedisMode, RedisSettings};
use super::{lifetime, secret};

/// For so long at most somebody who is signed out elsewhere may go on.
const LONGEST_GRACE: Duration = Duration::from_mins(5);

/// The servers, if that is where sessions are kept.
pub(super) fn settings(
    raw: &Raw,
    root: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<RedisSettings> {
    let (session, at_session) = (&raw.session, root.field("session"));
    let at = at_session.field("redis");
    if session.store != raw::Store::Redis {
        if session.redis.is_some() {
            let what = "sessions are kept in `embedded`, so nobody asks it";
            report.refuse(at.problem(what, "Write `store: redis` beside it, or take it out."));
        }
        return None;
    }
    if session.keys.is_empty() {
        let what = "several replicas need the same keys: what one seals, the others open";
        let instead = "Make one by `countersign session-keys init`, keep it in a Secret, and write `keys: {dir: …}`.";
        report.refuse(at_session.field("keys").problem(what, instead));
    }
    if raw.token.keys.dir.is_none() {
        let what = "several replicas need the same signing keys: the mesh is told of one set";
        let instead =
            "Make them by `countersign keys init --dir DIR`, keep them in a Secret, and write `keys: {dir: …}`.";
        report.refuse(root.field("token").field("keys").field("dir").problem(what, instead));
    }
    let Some(redis) = &session.redis else {
        let what = "sessions are to be kept in Redis, and none is named";
        report.refuse(at.problem(what, "Write `redis: {urls: [redis://redis:6379]}`."));
        return None;
    };
    let urls = urls(&redis.urls, &at.field("urls"), report);
    let mut password = |raw: &Option<raw::Secret>, name: &str| {
        raw.as_ref().and_then(|raw| secret::text(raw, &at.field(name), environment, report))
    };
    let (own, sentinels) =
        (password(&redis.password, "password"), password(&redis.sentinel_password, "sentinel_password"));
    let mode = match redis.mode {
        raw::RedisMode::Standalone => RedisMode::Standalone,
        raw::RedisMode::Cluster => RedisMode::Cluster,
        raw::RedisMode::Sentinel => RedisMode::Sentinel {
            master: master(redis, &at, report)?,
            username: redis.sentinel_username.clone(),
            password: sentinels,
        },
    };
    out_of_place(redis, &at, report);
    in_the_clear(redis, &urls, &at, report);
    Some(RedisSettings {
        mode,
        urls,
        username: redis.username.clone(),
        password: own,
        ca: redis.ca.as_ref().and_then(|path| authorities(path, &at.field("ca"), report)),
        grace: grace(&redis.grace, &at.field("grace"), report),
    })
}

fn urls(raw: &[String], at: &Spot<'_>, report: &mut Report) -> Vec<Url> {
    if raw.is_empty() {
        report.refuse(at.problem("no server is named", "Write `urls: [redis://redis:6379]`."));
    }
    let mut urls: Vec<Url> = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let at = at.index(index);
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "redis" | "rediss") && url.has_host() && matches!(url.path(), "" | "/")
        });
        let Some(url) = url.filter(|url| url.query().is_none() && url.fragment().is_none()) else {
            // What is written may hold a password.
            let what = "it is no address of a Redis";
            report.refuse(at.problem(what, "Write `redis://host:port`, or `rediss://host:port` for TLS."));
            continue;
        };
        if !url.username().is_empty() || url.password().is_some() {
            let what = "it holds a user or a password, which addresses give away in logs";
            report.refuse(at.problem(what, "Write `username:` and `password: {file: …}` beside `urls:`."));
            continue;
        }
        if urls.first().is_some_and(|first| first.scheme() != url.scheme()) {
            report.refuse(
                at.problem("some servers are asked over TLS, others not", "Write all of them with one scheme."),
            );
        }
        urls.push(url);
    }
    urls
}

fn master(redis: &raw::Redis, at: &Spot<'_>, report: &mut Report) -> Option<String> {
    let named = redis.master.clone().filter(|name| !name.is_empty());
    if named.is_none() {
        let what = "sentinels watch over several primaries, and know each by a name";
        report.refuse(
            at.field("master").problem(what, "Write theirs, as `sentinel monitor NAME …` has it: `master: mymaster`."),
        );
    }
    named
}

/// None at all is allowed, and is the default.
fn grace(text: &str, at: &Spot<'_>, report: &mut Report) -> Duration {
    if humantime::parse_duration(text).is_ok_and(|span| span.is_zero()) {
        return Duration::ZERO;
    }
    let span = lifetime::span(text, at, report).unwrap_or_default();
    if span > LONGEST_GRACE {
        let what = "it is longer than 5m, and nobody notices meanwhile who is signed out elsewhere";
        report.refuse(at.problem(what, "Write 5m or less; `0s` is the default."));
    }
    span
}

/// Who listens on the way learns the password, and who is signed in when; rows are sealed in any case.
fn in_the_clear(redis: &raw::Redis, urls: &[Url], at: &Spot<'_>, report: &mut Report) {
    if urls.first().is_none_or(|url| url.scheme() == "rediss") {
        return;
    }
    if redis.ca.is_some() {
        let what = "the servers are asked without TLS, so that it vouches for nobody";
        report.refuse(at.field("ca").key_problem(what, "Write `rediss://` in `urls`, or take it out."));
    }
    let is_here = |host: &str| {
        let address = host.trim_matches(['[', ']']).parse();
        address.map_or(host == "localhost", |address: IpAddr| address.is_loopback())
    };
    let is_far = |url: &Url| !url.host_str().is_some_and(is_here);
    if redis.password.is_some() && urls.iter().any(is_far) {
        let what = "the password goes to other machines without TLS";
        report.warn(at.field("urls").problem(what, "Write `rediss://` where the network between is not yours alone."));
    }
}

/// What only sentinels are told.
fn out_of_place(redis: &raw::Redis, at: &Spot<'_>, report: &mut Report) {
    if redis.mode == raw::RedisMode::Sentinel {
        return;
    }
    let names = [
        ("master", redis.master.is_some()),
        ("sentinel_username", redis.sentinel_username.is_some()),
        ("sentinel_password", redis.sentinel_password.is_some()),
    ];
    for (name, _) in names.into_iter().filter(|(_, is_written)| *is_written) {
        report.refuse(at.field(name).key_problem("it is for sentinels", "Write `mode: sentinel`, or take it out."));
    }
    if redis.mode == raw::RedisMode::Standalone && redis.urls.len() > 1 {
        let what = "one server is meant, and several are named";
        report.refuse(at.field("urls").problem(what, "Write `mode: sentinel` or `mode: cluster`, or leave one."));
    }
}

fn authorities(path: &std::path::Path, at: &Spot<'_>, report: &mut Report) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(pem) if pem.windows(27).any(|text| text == b"-----BEGIN CERTIFICATE-----") => Some(pem),
        Ok(_) => {
            let what = format!("{} holds no certificate in PEM", path.display());
            report.refuse(at.problem(what, "Name the file of the authority that signed the servers' certificates."));
            None
        }
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            report.refuse(at.problem(what, "Name a file that this process may read."));
            None
        }
    }
}
