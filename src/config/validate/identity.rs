//! How claims become an identity, and whom to admit.

use regex::Regex;
use url::Url;

use super::super::problem::Report;
use super::super::raw;
use super::super::replacement::{self, Replacement, ReplacementError};
use super::super::tree::Spot;
use super::super::{Access, Admit, IdentitySettings, Overage, ProviderSettings, RuleSettings};
use super::{address, missing};

const GRAPH: &str = "https://graph.microsoft.com";

pub(super) fn settings(raw: &raw::Identity, at: &Spot<'_>, report: &mut Report) -> IdentitySettings {
    let (at_user, at_groups) = (at.field("user"), at.field("groups"));
    for (at, claim) in [(at_user.field("claim"), &raw.user.claim), (at_groups.field("claim"), &raw.groups.claim)] {
        if claim.split('.').any(|part| part.trim().is_empty()) {
            report.refuse(at.problem(format!("`{claim}` is no claim"), "Write its name, such as `email`."));
        }
    }
    prefixes(raw, &at_user, &at_groups, report);
    IdentitySettings {
        user_claim: raw.user.claim.clone(),
        user_transform: replacements(&raw.user.transform, &at_user.field("transform"), report),
        user_lower_case: raw.user.lower_case,
        user_prefix: raw.user.prefix.clone(),
        groups_claim: raw.groups.claim.clone(),
        groups_only: only(&raw.groups.only, &at_groups.field("only"), report),
        groups_rename: replacements(&raw.groups.rename, &at_groups.field("rename"), report),
        groups_prefix: raw.groups.prefix.clone(),
        groups_overage: overage(&raw.groups, &at_groups, report),
        allow_unverified_email: raw.allow_unverified_email,
        admit: admit(raw, &at.field("admit"), report),
    }
}

/// Refuses to ignore groups that are too many where groups decide who passes: nobody could tell why somebody may not.
pub(super) fn ignored_groups(
    providers: &[ProviderSettings],
    rules: &[RuleSettings],
    at: &Spot<'_>,
    report: &mut Report,
) {
    let by_rules = rules.iter().any(|rule| matches!(&rule.access, Access::Only { groups, .. } if !groups.is_empty()));
    for (index, provider) in providers.iter().enumerate() {
        let settings = &provider.identity;
        let by_admit = !settings.admit.groups.iter().any(|group| group == "*");
        if matches!(settings.groups_overage, Overage::Ignore) && (by_rules || by_admit) {
            let at = at.index(index).field("identity").field("groups").field("overage");
            let who = if by_admit { "`admit.groups` decides" } else { "rules decide" };
            let what = format!("whoever is in too many groups would be in none, though {who} by groups");
            report.refuse(at.problem(what, "Write `refuse`, or `graph` to ask Microsoft Graph for them."));
        }
    }
}

/// Warns where Microsoft Graph is to be asked with tokens that nobody asked to be good for it.
pub(super) fn graph_scopes(providers: &[ProviderSettings], at: &Spot<'_>, report: &mut Report) {
    let opens = |scope: &String| {
        let scope = scope.to_ascii_lowercase();
        ["user.read", "directory.read", ".default"].iter().any(|word| scope.contains(word))
    };
    for (index, provider) in providers.iter().enumerate() {
        if matches!(provider.identity.groups_overage, Overage::Graph(_)) && !provider.scopes.iter().any(opens) {
            let what = "Microsoft Graph tells groups only to a token with `User.Read`, which is not asked for";
            report.warn(at.index(index).field("scopes").problem(what, "Add `User.Read`."));
        }
    }
}

fn prefixes(raw: &raw::Identity, at_user: &Spot<'_>, at_groups: &Spot<'_>, report: &mut Report) {
    let breaks = |prefix: &str| prefix.chars().any(char::is_control) || prefix.trim_start() != prefix;
    if breaks(&raw.user.prefix) {
        let what = "it begins with white space or holds a control character, which no header can carry";
        report.refuse(at_user.field("prefix").problem(what, "Write printable characters: `corp:`."));
    }
    if breaks(&raw.groups.prefix) || raw.groups.prefix.contains(',') {
        let what =
            "it begins with white space or holds a comma or a control character: no header could list such groups";
        report.refuse(at_groups.field("prefix").problem(what, "Write printable characters: `corp:`."));
    }
}

fn replacements(raw: &[raw::Replacement], at: &Spot<'_>, report: &mut Report) -> Vec<Replacement> {
    raw.iter()
        .enumerate()
        .filter_map(|(index, raw)| {
            let at = at.index(index);
            let (Some(regex), Some(replace)) = (&raw.regex, &raw.replace) else {
                if raw.regex.is_none() {
                    missing(&at.field("regex"), "Write one for the whole name: `(.*)@example\\.com`.", report);
                }
                if raw.replace.is_none() {
                    missing(&at.field("replace"), "Write what stands in its place: `$1`, or `''`.", report);
                }
                return None;
            };
            match Replacement::new(regex, replace) {
                Ok(replacement) => Some(replacement),
                Err(ReplacementError::NotARegex(reason)) => {
                    let what = format!("`{regex}` is no regular expression: {reason}");
                    let instead = "Write one for the whole name: `(.*)@example\\.com`.";
                    report.refuse(at.field("regex").problem(what, instead));
                    None
                }
                Err(ReplacementError::NoSuchGroup(name)) => {
                    let what = format!("`{name}` is no group of the regular expression");
                    let instead =
                        "Write `$1`, or `${1}` where a letter, a digit or `_` follows; `$$` is a dollar sign.";
                    report.refuse(at.field("replace").problem(what, instead));
                    None
                }
            }
        })
        .collect()
}

fn only(raw: &[String], at: &Spot<'_>, report: &mut Report) -> Vec<Regex> {
    for (index, _) in raw.iter().enumerate().filter(|(_, pattern)| pattern.trim().is_empty()) {
        report.refuse(at.index(index).problem("it is empty", "Write a group, or a pattern such as `kubeflow-*`."));
    }
    let compiled: Vec<Regex> = raw.iter().filter_map(|text| replacement::pattern(text)).collect();
    if compiled.len() < raw.len() {
        // An empty list would mean every group.
        report.refuse(at.problem("a pattern is too long", "Write shorter ones."));
    }
    compiled
}

fn overage(raw: &raw::GroupsSource, at: &Spot<'_>, report: &mut Report) -> Overage {
    let at = at.field("graph_url");
    let url = raw.graph_url.as_deref().unwrap_or(GRAPH);
    let url = Url::parse(url).ok().filter(|url| {
        let origin_alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && origin_alone && nobody
    });
    match (&url, &raw.graph_url) {
        (None, _) => {
            let what = "it is no place of Microsoft Graph: that is https:// and a host alone";
            report.refuse(at.problem(what, format!("Write `{GRAPH}`, or leave the key out.")));
        }
        (Some(_), Some(_)) if raw.overage != raw::Overage::Graph => {
            report.refuse(at.problem("nobody asks there", "Write `overage: graph`, or take it out."));
        }
        (Some(url), _) => address::refuse_plain_http(url, "users' access tokens would travel there", &at, report),
    }
    match (raw.overage, url) {
        (raw::Overage::Graph, Some(url)) => Overage::Graph(url),
        (raw::Overage::Ignore, _) => Overage::Ignore,
        _ => Overage::Refuse,
    }
}

fn admit(raw: &raw::Identity, at: &Spot<'_>, report: &mut Report) -> Admit {
    let at_groups = at.field("groups");
    if raw.admit.groups.is_empty() {
        report.refuse(at_groups.problem("nobody would be admitted", "Write groups, or `[\"*\"]` for everybody."));
    }
    let prefix = &raw.groups.prefix;
    for (index, group) in raw.admit.groups.iter().enumerate() {
        let at = at_groups.index(index);
        if group.trim().is_empty() {
            report.refuse(at.problem("it is empty", "Write the name of a group."));
        } else if group != "*" && !group.starts_with(prefix.as_str()) {
            let what = format!("nobody is in `{group}`: every group begins with groups.prefix, `{prefix}`");
            report.refuse(at.problem(what, format!("Write `{prefix}{group}`.")));
        }
    }
    let at_domains = at.field("email_domains");
    if raw.admit.email_domains.is_empty() {
        report.refuse(at_domains.problem("nobody would be admitted", "Write domains, or `[\"*\"]` for everybody."));
    }
    let domains: Vec<String> = raw.admit.email_domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
    for (index, domain) in domains.iter().enumerate().filter(|(_, domain)| *domain != "*") {
        if !address::is_domain(domain) {
            let what = format!("`{domain}` is no domain");
            report.refuse(at_domains.index(index).problem(what, "Write what stands behind the `@`: `example.com`."));
        }
    }
    Admit { groups: raw.admit.groups.clone(), email_domains: domains }
}
