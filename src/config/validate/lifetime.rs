//! Durations, and whether they agree with each other: sessions, tokens, the end of the process.

use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;
use url::Url;

use super::super::problem::Report;
use super::super::raw::{self, Raw};
use super::super::tree::Spot;
use super::super::variables::Environment;
use super::super::{RedisSettings, SessionSettings, ShutdownSettings, TokenSettings};
use super::{header, session_keys};

/// Cookies live no longer than that (RFC 6265bis section 5.5).
const LONGEST_SESSION: Duration = Duration::from_hours(400 * 24);
const SHORTEST_TOKEN: Duration = Duration::from_secs(30);
const LONGEST_TOKEN: Duration = Duration::from_hours(1);

pub(super) fn session(
    raw: &raw::Session,
    redis: Option<RedisSettings>,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> SessionSettings {
    let max_age = span(&raw.max_age, &at.field("max_age"), report);
    let idle = span(&raw.idle, &at.field("idle"), report);
    let renew_every = span(&raw.renew_every, &at.field("renew_every"), report);
    if let Some(max_age) = max_age {
        let most = humantime::format_duration(max_age);
        for (name, value) in [("idle", idle), ("renew_every", renew_every)] {
            // What is not written is a default: then it is `max_age` that contradicts it.
            if value.is_some_and(|value| value > max_age) {
                let (at, what, instead) = if at.field(name).is_written() {
                    (at.field(name), format!("it is longer than session.max_age, {most}"), format!("{most} or less"))
                } else {
                    let (default, shown) = (value.unwrap_or_default(), at.field(name).key().to_owned());
                    let what = format!("it is shorter than {shown}, {}", humantime::format_duration(default));
                    (at.field("max_age"), what, format!("more, or write `{name}: {most}` too"))
                };
                report.refuse(at.problem(what, format!("Write {instead}.")));
            }
        }
        if max_age > LONGEST_SESSION {
            let at = at.field("max_age");
            report.refuse(at.problem("it is longer than 400 days, which browsers cut", "Write 400days or less."));
        }
    }
    let keys = session_keys::listed(&raw.keys, &at.field("keys"), environment, report);
    let or_zero = Option::unwrap_or_default;
    SessionSettings { max_age: or_zero(max_age), idle: or_zero(idle), renew_every: or_zero(renew_every), keys, redis }
}

pub(super) fn token(
    raw: &Raw,
    public_url: Option<&Url>,
    max_age: Duration,
    root: &Spot<'_>,
    report: &mut Report,
) -> TokenSettings {
    let (raw, at) = (&raw.token, root.field("token"));
    let lifetime = span(&raw.lifetime, &at.field("lifetime"), report);
    let at_lifetime = at.field("lifetime");
    if let Some(lifetime) = lifetime {
        if lifetime < SHORTEST_TOKEN {
            report.refuse(at_lifetime.problem("it is shorter than 30s", "Write 30s to 1h; 5m is the default."));
        } else if lifetime > LONGEST_TOKEN {
            let what = "it is longer than 1h, and a token cannot be called back";
            report.refuse(at_lifetime.problem(what, "Write 30s to 1h; 5m is the default."));
        } else if !max_age.is_zero() && lifetime > max_age {
            let (most, own) = (humantime::format_duration(max_age), humantime::format_duration(lifetime));
            // What is not written is a default: then it is `max_age` that contradicts it.
            report.refuse(if at_lifetime.is_written() {
                let what = format!("it is longer than session.max_age, {most}");
                at_lifetime.problem(what, format!("Write {most} or less here, or more there."))
            } else {
                let what = format!("it is shorter than token.lifetime, {own}");
                let instead = format!("Write {own} or more here, or less there.");
                root.field("session").field("max_age").problem(what, instead)
            });
        }
    }
    if raw.audience.is_empty() || raw.audience.iter().any(|audience| audience.trim().is_empty()) {
        let what = "a token without an audience would be good everywhere";
        report.refuse(at.field("audience").problem(what, "Write at least one name: `[mesh]`."));
    }
    if raw.issuer.as_ref().is_some_and(|issuer| issuer.trim().is_empty()) {
        report.refuse(at.field("issuer").problem("it is empty", "Write a URL, or leave the key out."));
    }
    let of_public_url = || public_url.map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default();
    TokenSettings {
        issuer: raw.issuer.clone().unwrap_or_else(of_public_url),
        audience: raw.audience.clone(),
        lifetime: lifetime.unwrap_or_default(),
        header: header::of_token(&raw.header, &at.field("header"), report).unwrap_or(AUTHORIZATION as HeaderName),
        typ: match raw.typ {
            raw::TokenType::RequestContext => "rc+jwt".to_owned(),
            raw::TokenType::Jwt => "JWT".to_owned(),
        },
        keys_dir: raw.keys.dir.clone(),
    }
}

pub(super) fn shutdown(raw: &raw::Shutdown, at: &Spot<'_>, report: &mut Report) -> ShutdownSettings {
    let at_lame_duck = at.field("lame_duck");
    ShutdownSettings {
        lame_duck: duration(&raw.lame_duck, &at_lame_duck, report).unwrap_or_default(),
        deadline: duration(&raw.deadline, &at.field("deadline"), report).unwrap_or_default(),
    }
}

/// A duration of whole seconds, at least one.
pub(super) fn span(text: &str, at: &Spot<'_>, report: &mut Report) -> Option<Duration> {
    let duration = duration(text, at, report)?;
    if duration.is_zero() {
        report.refuse(at.problem("it is no time at all", "Write a duration: `24h`, `15m`, `1h30m`."));
        return None;
    }
    if duration.subsec_nanos() != 0 {
        report.refuse(at.problem("it is not a whole number of seconds", "Write whole seconds: `30s`."));
        return None;
    }
    Some(duration)
}

fn duration(text: &str, at: &Spot<'_>, report: &mut Report) -> Option<Duration> {
    let parsed = humantime::parse_duration(text).ok();
    if parsed.is_none() {
        let what = format!("`{text}` is no duration");
        report.refuse(at.problem(what, "Write a number and a unit: `24h`, `15m`, `30s`, `1h30m`."));
    }
    parsed
}
