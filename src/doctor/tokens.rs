//! RequestAuthentications: whether Istio takes the tokens that we make, from where we put them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use super::manifests::{Manifests, Object, list, text, texts};
use super::policies::demands_token;
use super::workload::Ours;
use crate::config::Settings;

/// The rules for tokens of ours, wherever they are.
pub(super) fn our_rules<'m>(
    settings: &'m Settings,
    manifests: &'m Manifests,
) -> impl Iterator<Item = (&'m Object, usize, &'m Value)> {
    manifests
        .of_kind("RequestAuthentication")
        .flat_map(|object| {
            object.list("/spec/jwtRules").iter().enumerate().map(move |(index, rule)| (object, index, rule))
        })
        .filter(|(_, _, rule)| text(rule, "/issuer") == settings.token.issuer)
}

pub(super) fn look(settings: &Settings, manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    let jwks_uri = jwks_uri(ours);
    findings.extend(no_rule_of_ours(settings, manifests, &jwks_uri));
    for (object, index, rule) in our_rules(settings, manifests) {
        let place = |field: &str| object.place(&format!("spec.jwtRules[{index}].{field}"));
        findings.extend(audiences(settings, rule, &place));
        if rule.get("jwksUri").is_none() && rule.get("jwks").is_none() {
            findings.push(
                Finding::fault("token-jwks-uri", place("jwksUri"), "Istio is not told where our keys are")
                    .because(
                        "istiod then asks the issuer's address for them, from inside the cluster, through the front door: \
                         where that fails, every token is refused.",
                    )
                    .change(&jwks_uri),
            );
        }
        if rule.get("jwks").is_some() {
            findings.push(
                Finding::warning("token-keys-inline", place("jwks"), "our keys are written into the manifest")
                    .because("With the next key change every token is refused.")
                    .change(&jwks_uri),
            );
        }
        if rule["forwardOriginalToken"] != true {
            findings.push(
                Finding::fault("token-not-forwarded", place("forwardOriginalToken"), "the token ends at the gateway")
                    .because("Sidecars and workloads get none: `requestPrincipals` matches nobody there.")
                    .change("forwardOriginalToken: true"),
            );
        }
        findings.extend(sources(settings, rule, &place));
    }
}

/// The line by which Istio finds our keys.
pub(super) fn jwks_uri(ours: &Ours<'_>) -> String {
    format!("jwksUri: http://{}/.well-known/jwks.json", ours.address())
}

fn no_rule_of_ours(settings: &Settings, manifests: &Manifests, jwks_uri: &str) -> Option<Finding> {
    if our_rules(settings, manifests).next().is_some() {
        return None;
    }
    // A mesh that verifies no tokens and demands none believes the headers that we set, as Kubeflow before 1.9 did.
    let demands = manifests.of_kind("AuthorizationPolicy").find(|policy| {
        let rules = policy.list("/spec/rules").iter();
        let mut sources = rules.flat_map(|rule| list(&rule["from"])).map(|from| &from["source"]);
        sources.any(|source| demands_token(source) || source.get("requestPrincipals").is_some())
    });
    if demands.is_none() && manifests.of_kind("RequestAuthentication").next().is_none() {
        return None;
    }
    let ours = &settings.token.issuer;
    let same = |issuer: &str| {
        let bare =
            |text: &str| text.rsplit("://").next().unwrap_or_default().trim_end_matches('/').to_ascii_lowercase();
        bare(issuer) == bare(ours)
    };
    let objects: Vec<&Object> = manifests.of_kind("RequestAuthentication").collect();
    let nearest = objects.iter().find_map(|object| {
        let mut rules = object.list("/spec/jwtRules").iter().enumerate();
        rules.find(|(_, rule)| same(text(rule, "/issuer"))).map(|(index, rule)| (object, index, text(rule, "/issuer")))
    });
    Some(match (nearest, objects.first()) {
        (Some((object, index, issuer)), _) => {
            let place = object.place(&format!("spec.jwtRules[{index}].issuer"));
            Finding::fault("token-issuer", place, format!("the issuer is `{issuer}`, our tokens say `{ours}`"))
                .because("They are compared as texts: http is not https, and a slash at the end counts. Every token is refused.")
                .change(format!("issuer: {ours}"))
        }
        (None, object) => {
            let place = match object {
                Some(object) => object.place("spec.jwtRules"),
                None => demands.map_or_else(String::new, |policy| policy.place("spec.rules")),
            };
            Finding::fault("token-issuer-absent", place, format!("no rule has our issuer, `{ours}`"))
                .because("Istio verifies none of our tokens: policies that demand one deny everybody.")
                .change(format!(
                    "jwtRules: [{{issuer: {ours}, {jwks_uri}, …}}], as examples/istio/request-authentication.yaml has it"
                ))
        }
    })
}

fn audiences(settings: &Settings, rule: &Value, place: &dyn Fn(&str) -> String) -> Option<Finding> {
    let taken = texts(&rule["audiences"]);
    let mut made: BTreeSet<&Vec<String>> = settings.rules.iter().filter_map(|rule| rule.audience.as_ref()).collect();
    made.insert(&settings.token.audience);
    let refused: Vec<&str> = made
        .into_iter()
        .filter(|audiences| !taken.is_empty() && !audiences.iter().any(|audience| taken.contains(&audience.as_str())))
        .flatten()
        .map(String::as_str)
        .collect();
    // A sidecar that takes one audience of ours and no other does so on purpose.
    let takes_one = taken.iter().any(|audience| settings.token.audience.iter().any(|ours| ours == audience));
    if refused.is_empty() || (takes_one && !is_at_gateway(place)) {
        return None;
    }
    let what = format!("tokens for {} are refused: taken are {}", refused.join(", "), taken.join(", "));
    Some(
        Finding::fault("token-audience", place("audiences"), what)
            .because("Every request under a rule with that audience is answered 401.")
            .change(format!("audiences: [{}]", taken.iter().chain(&refused).copied().collect::<Vec<_>>().join(", "))),
    )
}

/// The gateway sees every token; what lies behind it need not take them all.
fn is_at_gateway(place: &dyn Fn(&str) -> String) -> bool {
    place("").contains("istio-system/")
}

fn sources(settings: &Settings, rule: &Value, place: &dyn Fn(&str) -> String) -> Option<Finding> {
    let header = settings.token.header.as_str();
    let from = list(&rule["fromHeaders"]);
    if from.is_empty() && header == "authorization" {
        return Some(
            Finding::warning("token-from-query", place("fromHeaders"), "Istio looks for tokens in the query, too")
                .because("`?access_token=…` ends up in access logs and in Referer headers.")
                .change("fromHeaders: [{name: Authorization, prefix: \"Bearer \"}]"),
        );
    }
    let is_read = from.iter().any(|from| text(from, "/name").eq_ignore_ascii_case(header));
    (!is_read).then(|| {
        Finding::fault(
            "token-header",
            place("fromHeaders"),
            format!("our tokens are in `{header}`, which is not looked into"),
        )
        .because("Istio finds no token, and no request has a principal.")
        .change(format!("fromHeaders: [{{name: {header}}}]"))
    })
}
