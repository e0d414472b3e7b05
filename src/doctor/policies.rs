//! AuthorizationPolicies: whether everything is asked about, and whether people can still sign in.

use serde_json::Value;

use super::Finding;
use super::filters;
use super::gateways::{self, Pods};
use super::manifests::{Manifests, Object, list, text, texts};
use super::mesh::Mesh;
use super::workload::{Ours, has_sidecar, pod_labels, selects};
use crate::config::{Access, PathMatch, Settings};

pub(super) fn look(settings: &Settings, manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    let meshes = Mesh::all(manifests);
    let gateways = gateways::asking(manifests, ours);
    let (mut asking, mut requiring) = (0, 0);
    for policy in manifests.of_kind("AuthorizationPolicy") {
        match text(&policy.value, "/spec/action") {
            "CUSTOM" => {
                asking += 1;
                of_custom(settings, policy, &meshes, ours, findings);
            }
            "DENY" => requiring += usize::from(of_deny(settings, policy, &gateways, findings)),
            "" | "ALLOW" => findings.extend(denies_us(settings, policy, manifests, ours)),
            _ => {}
        }
    }
    let somewhere = manifests.of_kind("RequestAuthentication").next();
    // A provider that leads to us is asked by a policy only.
    let known = meshes.iter().find(|mesh| mesh.providers().any(|provider| provider.is_ours(ours)));
    let place = somewhere.map(|object| object.place("")).or(known.map(|mesh| mesh.place("extensionProviders")));
    if let (Some(place), 0) = (place, asking)
        && filters::asking(manifests).is_empty()
    {
        findings.push(
            Finding::fault("policy-absent", place, "no AuthorizationPolicy has the action CUSTOM")
                .because("The gateway asks nobody: people are never sent to sign in, and forged headers pass.")
                .change("Add the policy that examples/istio/authorization-policy.yaml shows."),
        );
    }
    if let (Some(object), 1.., 0) = (somewhere, asking, requiring) {
        findings.push(
            Finding::warning(
                "token-not-required",
                object.place(""),
                "no policy denies requests without a verified token",
            )
            .because(
                "RequestAuthentication refuses bad tokens, not missing ones: a mistake in the CUSTOM policy opens \
                     everything.",
            )
            .change("action: DENY\nrules: [{from: [{source: {notRequestPrincipals: [\"*\"]}}]}]"),
        );
    }
}

fn of_custom(settings: &Settings, policy: &Object, meshes: &[Mesh<'_>], ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    let named = text(&policy.value, "/spec/provider/name");
    let mut providers = meshes.iter().flat_map(Mesh::providers).peekable();
    if providers.peek().is_none() && meshes.is_empty() {
        findings.push(
            Finding::warning("mesh-config-absent", policy.place("spec.provider.name"), "the mesh config was not looked at")
                .because("Whether it knows this provider decides whether anything passes at all.")
                .change("Give it too: `kubectl -n istio-system get configmap istio -o yaml | countersign doctor --manifests - …`"),
        );
    } else {
        let Some(provider) = providers.find(|provider| provider.name == named) else {
            let known: Vec<&str> = meshes.iter().flat_map(Mesh::providers).map(|provider| provider.name).collect();
            let what = format!("the mesh config knows no provider `{named}`, only {}", known.join(", "));
            let ours_there = meshes.iter().flat_map(Mesh::providers).find(|provider| provider.is_ours(ours));
            let is_meant = ours.is_host(named) || named.contains("countersign");
            let change = match ours_there {
                Some(provider) => format!("name: {}", provider.name),
                None if is_meant => format!(
                    "extensionProviders: […, {{name: {named}, …}}] in the mesh config: the entry that the chart's notes and \
                     examples/istio show, for {}",
                    ours.address()
                ),
                None => format!("name: {}", known.first().unwrap_or(&"countersign")),
            };
            findings.push(
                Finding::fault("provider-name", policy.place("spec.provider.name"), what)
                    .because("Istio denies every request that this policy covers.")
                    .change(change),
            );
            return;
        };
        if !provider.is_ours(ours) {
            return;
        }
    }
    for (index, rule) in policy.list("/spec/rules").iter().enumerate() {
        let place = |field: &str| policy.place(&format!("spec.rules[{index}].{field}"));
        let skips_bearer = list(&rule["when"]).iter().any(|condition| {
            text(condition, "/key").eq_ignore_ascii_case("request.headers[authorization]")
                && texts(&condition["notValues"]).contains(&"*")
        });
        if skips_bearer {
            findings.push(
                Finding::fault(
                    "policy-skips-bearer",
                    place("when"),
                    "requests with an Authorization header are not asked about",
                )
                .because(
                    "Whoever sends any such header gets past Countersign, and brings the identity headers of their \
                         own choice.",
                )
                .change("Remove the condition; Countersign judges tokens, too."),
            );
        }
        findings.extend(asks_about_less(rule, &place));
        let operations = list(&rule["to"]).iter().map(|to| &to["operation"]);
        let exempt: Vec<&str> = operations.flat_map(|operation| texts(&operation["notPaths"])).collect();
        let strange: Vec<&str> = exempt.into_iter().filter(|path| !is_own(settings, path)).collect();
        if !strange.is_empty() {
            let what = format!("{} is not asked about", strange.join(", "));
            findings.push(
                Finding::warning("policy-exempts-paths", place("to.operation.notPaths"), what)
                    .because("There nothing removes what a client forged of its identity, nor our cookies.")
                    .change("Take it off the list, and write a rule instead: `{path: …, access: public}`."),
            );
        }
    }
}

/// A rule that covers some requests to its hosts and not others: what it does not cover, nobody is asked about.
fn asks_about_less(rule: &Value, place: &dyn Fn(&str) -> String) -> Option<Finding> {
    const NARROWER: [&str; 4] = ["paths", "methods", "notMethods", "notHosts"];
    let is_there = |value: &Value| !list(value).is_empty();
    let in_operations = list(&rule["to"])
        .iter()
        .flat_map(|to| NARROWER.into_iter().filter(|name| is_there(&to["operation"][*name])))
        .next();
    let in_conditions = || {
        let keys = list(&rule["when"]).iter().map(|condition| text(condition, "/key"));
        keys.into_iter().find(|key| !key.eq_ignore_ascii_case("request.headers[authorization]")).map(|_| "when")
    };
    let field = in_operations.or_else(in_conditions).or_else(|| is_there(&rule["from"]).then_some("from"))?;
    Some(
        Finding::warning("policy-asks-partly", place(field), format!("only some requests are asked about, by `{field}`"))
            .because("The others pass as they come: with identity headers that their client forged, and with our cookies.")
            .change("Ask about all of a host's requests (`hosts` alone), and say in our rules what each is: `{path: …, access: public}`."),
    )
}

/// Whether the policy is the one that demands a token at a gateway that asks us.
fn of_deny(settings: &Settings, policy: &Object, gateways: &[Pods], findings: &mut Vec<Finding>) -> bool {
    let selector = policy.at("/spec/selector/matchLabels");
    if !gateways.is_empty() && !gateways.iter().any(|gateway| gateway.may_be(selector, &policy.namespace)) {
        return false;
    }
    let mut demands = false;
    for (index, rule) in policy.list("/spec/rules").iter().enumerate() {
        let mut sources = list(&rule["from"]).iter().map(|from| &from["source"]);
        if !sources.any(demands_token) {
            continue;
        }
        demands = true;
        let operations: Vec<&Value> = list(&rule["to"]).iter().map(|to| &to["operation"]).collect();
        let start = format!("{}/start", settings.path_prefix);
        let is_exempt = |operation: &&Value| texts(&operation["notPaths"]).iter().any(|path| covers(path, &start));
        // A rule that names paths covers those alone.
        let elsewhere = |operation: &&Value| {
            let paths = texts(&operation["paths"]);
            !paths.is_empty() && !paths.iter().any(|path| covers(path, &start))
        };
        findings.extend(denies_the_public(settings, &operations, &policy.place(&format!("spec.rules[{index}].to"))));
        if operations.is_empty() || !operations.iter().all(|it| is_exempt(it) || elsewhere(it)) {
            let what = format!("a token is demanded on {}/ too", settings.path_prefix);
            findings.push(
                Finding::fault("sign-in-needs-token", policy.place(&format!("spec.rules[{index}].to")), what)
                    .because("Nobody can sign in: whoever has no token yet is denied the way to one.")
                    .change(format!("operation: {{notPaths: [\"{}/*\"]}}", settings.path_prefix)),
            );
        }
    }
    demands
}

/// Paths that our rules open to everybody, and on which a token is demanded all the same.
fn denies_the_public(settings: &Settings, operations: &[&Value], place: &str) -> Option<Finding> {
    // A narrower demand may well mean others.
    let is_narrow = |operation: &&Value| ["hosts", "methods"].iter().any(|name| !list(&operation[*name]).is_empty());
    if operations.iter().any(is_narrow) {
        return None;
    }
    let is_demanded = |path: &str| {
        let meets = |operation: &&Value| {
            let paths = texts(&operation["paths"]);
            (paths.is_empty() || paths.iter().any(|it| covers(it, path)))
                && !texts(&operation["notPaths"]).iter().any(|it| covers(it, path))
        };
        operations.is_empty() || operations.iter().any(meets)
    };
    let open = settings.rules.iter().filter(|rule| matches!(rule.access, Access::Public | Access::Optional));
    let paths = open.filter_map(|rule| match &rule.path {
        PathMatch::Prefix(path) if path != "/" => Some(path.as_str()),
        _ => None,
    });
    // Who exempts only what is below has thought of it.
    let denied: Vec<&str> = paths
        .filter(|path| {
            let below = format!("{}/x", path.trim_end_matches('/'));
            is_demanded(path) && is_demanded(&below)
        })
        .collect();
    if denied.is_empty() {
        return None;
    }
    let written: Vec<String> = denied.iter().map(|path| format!("\"{path}*\"")).collect();
    Some(
        Finding::fault(
            "public-needs-token",
            place,
            format!("a token is demanded on {} too, which our rules open to everybody", denied.join(", ")),
        )
        .because("Where nobody is signed in there is no token: the gateway answers 403, whatever we say.")
        .change(format!("operation: {{notPaths: […, {}]}}", written.join(", "))),
    )
}

/// Whether a source of a DENY rule is everybody without a verified token.
pub(super) fn demands_token(source: &Value) -> bool {
    texts(&source["notRequestPrincipals"]).contains(&"*")
}

/// A policy that allows nothing, where nothing else lets anybody to our pods.
fn denies_us(settings: &Settings, policy: &Object, manifests: &Manifests, ours: &Ours<'_>) -> Option<Finding> {
    let allows_nothing = policy.list("/spec/rules").is_empty();
    let covers_us = |policy: &Object| {
        // Without a sidecar there is nothing that would obey a policy.
        ours.workloads.iter().filter(|workload| has_sidecar(workload, manifests)).any(|workload| {
            (policy.namespace == workload.namespace || policy.namespace == "istio-system")
                && selects(policy.at("/spec/selector/matchLabels"), pod_labels(workload))
        })
    };
    if !allows_nothing || !covers_us(policy) {
        return None;
    }
    let is_allowed = manifests.of_kind("AuthorizationPolicy").any(|other| {
        matches!(text(&other.value, "/spec/action"), "" | "ALLOW")
            && !other.list("/spec/rules").is_empty()
            && ours.is_namespace(&other.namespace)
            && covers_us(other)
    });
    (!is_allowed).then(|| {
        Finding::fault(
            "deny-all",
            policy.place("spec"),
            "everything is denied, and nothing lets anybody to Countersign",
        )
        .because("Its pods have a sidecar: checks are refused, and with them every request; keys are, too.")
        .change(format!(
            "Add an AuthorizationPolicy in Countersign's namespace, action: ALLOW, for its pods:\n\
             rules: [{{to: [{{operation: {{ports: [\"{}\"]}}}}]}}]",
            settings.listen.main.port()
        ))
    })
}

/// Whether a pattern covers nothing but our own pages and keys.
fn is_own(settings: &Settings, pattern: &str) -> bool {
    let own = format!("{}/", settings.path_prefix);
    pattern.starts_with(&own)
        || pattern.starts_with("/.well-known/jwks.json")
        || pattern.starts_with("/.well-known/openid-configuration")
}

/// Whether Istio's path pattern (exact, prefix, suffix, `{**}`) covers a path.
fn covers(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_end_matches("{**}").trim_end_matches("{*}");
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => path.starts_with(prefix),
        (None, Some(suffix)) => path.ends_with(suffix),
        (None, None) => pattern == path || (pattern.ends_with('/') && path.starts_with(pattern)),
    }
}
