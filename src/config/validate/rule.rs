//! The rules, and whether each of them can ever match.

use http::{HeaderName, Method};

use super::super::problem::Report;
use super::super::raw::{self, Raw};
use super::super::replacement;
use super::super::tree::Spot;
use super::super::{Access, PathMatch, RuleSettings};
use super::{address, unauthenticated};

pub(super) fn all(raw: &Raw, token_header: &HeaderName, at: &Spot<'_>, report: &mut Report) -> Vec<RuleSettings> {
    let mut rules: Vec<(usize, RuleSettings)> = Vec::new();
    for (index, raw) in raw.rules.iter().enumerate() {
        let at = at.index(index);
        // A stand-in would cover, or be covered by, what it should not.
        let Some(rule) = one(raw, token_header, &at, report) else { continue };
        if let Some((position, _)) = rules.iter().find(|(_, earlier)| covers(earlier, &rule)) {
            let what = format!("it can never match: rules[{position}] covers all its hosts, paths and methods");
            report.refuse(at.problem(what, "Put it before that one, or take it out."));
        }
        rules.push((index, rule));
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn one(raw: &raw::Rule, token_header: &HeaderName, at: &Spot<'_>, report: &mut Report) -> Option<RuleSettings> {
    let hosts = hosts(&raw.hosts, &at.field("hosts"), report);
    let path = path(raw, at, report);
    let methods = methods(&raw.methods, &at.field("methods"), report);
    let access = access(&raw.access, &at.field("access"), report);
    let keep = raw.authorization == raw::Authorization::Keep;
    let takes_its_place = keep && token_header == http::header::AUTHORIZATION;
    if takes_its_place && raw.token == Some(raw::RuleToken::Mint) {
        let what = "the RC token would take the place of the `Authorization` that is to be kept";
        report.refuse(at.field("token").problem(what, "Write `token: none`, or set `token.header` to another header."));
    }
    let mint_token = raw.token.map_or(!takes_its_place, |token| token == raw::RuleToken::Mint);
    if let Some(audience) = &raw.audience {
        let at = at.field("audience");
        if audience.is_empty() || audience.iter().any(|name| name.trim().is_empty()) {
            let what = "a token without an audience would be good everywhere";
            report.refuse(at.problem(what, "Write at least one name: `[pipelines]`."));
        }
        if !mint_token || access == Some(Access::Public) {
            report.warn(at.problem("the rule gives no token, so that its audience means nothing", "Leave it out."));
        }
    }
    // What was refused in form is missing here, and what is left might cover too much.
    if at.node().is_some_and(|node| node.entries().iter().any(|entry| entry.node.pruned)) {
        return None;
    }
    Some(RuleSettings {
        hosts: hosts?,
        path: path?,
        methods: methods?,
        access: access?,
        audience: raw.audience.clone(),
        mint_token,
        keep_authorization: keep,
        unauthenticated: raw.unauthenticated.as_ref().map(unauthenticated),
        preflight_pass: raw.preflight == raw::Preflight::Pass,
    })
}

fn hosts(raw: &[String], at: &Spot<'_>, report: &mut Report) -> Option<Vec<String>> {
    let hosts: Vec<String> = raw.iter().map(|host| host.to_ascii_lowercase()).collect();
    let mut good = true;
    for (index, host) in hosts.iter().enumerate() {
        let bare = host.strip_prefix("*.").unwrap_or(host);
        if !(address::is_domain(bare) || bare == host && bare.parse::<std::net::IpAddr>().is_ok()) {
            let what = format!("`{host}` is no host");
            report.refuse(at.index(index).problem(what, "Write `lab.example.com` or `*.example.com`, without a port."));
            good = false;
        }
    }
    good.then_some(hosts)
}

fn methods(raw: &[String], at: &Spot<'_>, report: &mut Report) -> Option<Vec<String>> {
    let methods: Vec<String> = raw.iter().map(|method| method.to_ascii_uppercase()).collect();
    let mut good = true;
    for (index, method) in methods.iter().enumerate() {
        if Method::from_bytes(method.as_bytes()).is_err() {
            let what = format!("`{method}` is no method");
            report.refuse(at.index(index).problem(what, "Write methods as a list: `[GET, HEAD]`."));
            good = false;
        }
    }
    good.then_some(methods)
}

fn path(raw: &raw::Rule, at: &Spot<'_>, report: &mut Report) -> Option<PathMatch> {
    let (at_path, at_regex) = (at.field("path"), at.field("path_regex"));
    match (&raw.path, &raw.path_regex) {
        (Some(_), Some(_)) => {
            let what = "the rule has a `path` too";
            report.refuse(at_regex.problem(what, "Write one of the two; two rules can do both."));
            None
        }
        (Some(path), None) => prefix(path, &at_path, report),
        (None, Some(pattern)) => regex(pattern, &at_regex, report),
        // A path that was refused is no rule for every path.
        (None, None) if at_path.is_written() || at_regex.is_written() => None,
        (None, None) => Some(PathMatch::Any),
    }
}

/// A path in the one form in which all three readings of a request's path agree; no request could match another.
fn prefix(path: &str, at: &Spot<'_>, report: &mut Report) -> Option<PathMatch> {
    let what = if !path.starts_with('/') {
        format!("`{path}` does not begin with a slash")
    } else if let Some(c) = path.chars().find(|c| "%?#;\\*".contains(*c) || c.is_whitespace() || c.is_control()) {
        format!("`{}` cannot stand in a path prefix", c.escape_default())
    } else if path.contains("//") || path.split('/').any(|part| matches!(part, "." | "..")) {
        format!("`{path}` is not in its shortest form")
    } else {
        return Some(PathMatch::Prefix(path.to_owned()));
    };
    report.refuse(at.problem(what, "Write a plain prefix such as `/pipeline/`, or a `path_regex`."));
    None
}

fn regex(pattern: &str, at: &Spot<'_>, report: &mut Report) -> Option<PathMatch> {
    match replacement::whole(pattern) {
        Ok(regex) => Some(PathMatch::Regex(regex)),
        Err(reason) => {
            let what = format!("`{pattern}` is no regular expression: {reason}");
            report.refuse(at.problem(what, "Write one for the whole path: `/api/v[12]/.*`."));
            None
        }
    }
}

fn access(raw: &raw::Access, at: &Spot<'_>, report: &mut Report) -> Option<Access> {
    let only = match raw {
        raw::Access::Named(raw::NamedAccess::Public) => return Some(Access::Public),
        raw::Access::Named(raw::NamedAccess::SignedIn) => return Some(Access::SignedIn),
        raw::Access::Named(raw::NamedAccess::Optional) => return Some(Access::Optional),
        raw::Access::Only(only) => only,
    };
    let lists = [("groups", &only.groups), ("users", &only.users), ("domains", &only.domains)];
    let refused_already = at.node().is_some_and(|node| node.entries().iter().any(|entry| entry.node.pruned));
    if lists.iter().all(|(_, list)| list.is_empty()) && !refused_already {
        report.refuse(at.problem("nobody could pass", "Write groups, users or domains, or `signed-in` for everybody."));
        return None;
    }
    for (name, list) in lists {
        for (index, text) in list.iter().enumerate() {
            let at = at.field(name).index(index);
            if text.trim().is_empty() {
                report.refuse(at.problem("it is empty", "Write a name."));
            } else if text == "*" {
                report.refuse(at.problem("`*` is nobody's name", "Write `access: signed-in` for everybody."));
            } else if name == "domains" && !address::is_domain(&text.to_ascii_lowercase()) {
                let what = format!("`{text}` is no domain");
                report.refuse(at.problem(what, "Write what stands behind the `@`: `example.com`."));
            }
        }
    }
    let domains = only.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
    Some(Access::Only { groups: only.groups.clone(), users: only.users.clone(), domains })
}

/// Whether every request that `later` matches is matched by `earlier`.
fn covers(earlier: &RuleSettings, later: &RuleSettings) -> bool {
    let hosts = earlier.hosts.is_empty()
        || (!later.hosts.is_empty()
            && later.hosts.iter().all(|host| earlier.hosts.iter().any(|other| host_covers(other, host))));
    let methods = earlier.methods.is_empty()
        || (!later.methods.is_empty() && later.methods.iter().all(|method| earlier.methods.contains(method)));
    hosts && methods && path_covers(&earlier.path, &later.path)
}

fn host_covers(earlier: &str, later: &str) -> bool {
    match earlier.strip_prefix('*') {
        Some(end) => later.ends_with(end),
        None => earlier == later,
    }
}

fn path_covers(earlier: &PathMatch, later: &PathMatch) -> bool {
    match (earlier, later) {
        (PathMatch::Any, _) => true,
        (PathMatch::Prefix(prefix), _) if prefix == "/" => true,
        (PathMatch::Prefix(prefix), PathMatch::Prefix(path)) => match path.strip_prefix(prefix.as_str()) {
            Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        },
        (PathMatch::Regex(one), PathMatch::Regex(other)) => one.as_str() == other.as_str(),
        (PathMatch::Prefix(_) | PathMatch::Regex(_), _) => false,
    }
}
