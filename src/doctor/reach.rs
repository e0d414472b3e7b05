//! What stands between the parts: sidecars, mTLS, network policies, idle connections, sockets that stay open.

use serde_json::{Value, json};

use super::Finding;
use super::gateways::{self, Pods, ROOT};
use super::manifests::{Manifests, Object, list, text, texts};
use super::workload::{Ours, has_sidecar, matches, pod_labels, selects};
use crate::config::Settings;

/// How long an idle connection is kept here; a gateway must let go of it before.
const OUR_IDLE_SECONDS: f64 = 60.0;

const EACH_CHECK: &str = "Every check fails, and with it every request.";
const NO_KEYS: &str = "It cannot fetch our keys: every token is refused, and with the tokens every request.";

pub(super) fn look(settings: &Settings, manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    for workload in ours.workloads.iter().filter(|workload| has_sidecar(workload, manifests)) {
        findings.extend(sidecar_in_the_way(settings, workload));
        findings.extend(keys_behind_mtls(settings, workload, manifests));
    }
    findings.extend(ways_around_the_gateway(manifests));
    findings.extend(kept_out(manifests, ours));
    findings.extend(idle_connections(manifests, ours));
    findings.extend(endless_sockets(manifests));
}

fn sidecar_in_the_way(settings: &Settings, workload: &Object) -> Option<Finding> {
    let https = settings.providers.iter().find(|provider| provider.issuer.starts_with("https://"))?;
    let excluded =
        text(workload.at("/spec/template/metadata/annotations"), "/traffic.sidecar.istio.io~1excludeOutboundPorts");
    if excluded.split(',').any(|port| port.trim() == "443") {
        return None;
    }
    let place = workload.place("spec.template.metadata.annotations");
    Some(
        Finding::fault("sidecar-blocks-443", place, format!("the sidecar stands between us and {}", https.issuer))
            .because("Where the mesh lets out registered hosts only, or the proxy starts later than we do, nobody can sign in.")
            .change("traffic.sidecar.istio.io/excludeOutboundPorts: \"443\"\n(or no sidecar at all: label sidecar.istio.io/inject: \"false\")"),
    )
}

fn keys_behind_mtls(settings: &Settings, workload: &Object, manifests: &Manifests) -> Option<Finding> {
    let port = settings.listen.main.port();
    let strict = manifests.of_kind("PeerAuthentication").find(|policy| {
        (policy.namespace == workload.namespace || policy.namespace == ROOT)
            && selects(policy.at("/spec/selector/matchLabels"), pod_labels(workload))
            && text(&policy.value, "/spec/mtls/mode") == "STRICT"
    })?;
    let is_open = manifests.of_kind("PeerAuthentication").any(|policy| {
        let ports = policy.at("/spec/portLevelMtls").as_object();
        policy.namespace == workload.namespace
            && ports.is_some_and(|ports| ports.values().any(|port| text(port, "/mode") != "STRICT"))
    });
    (!is_open).then(|| {
        Finding::fault(
            "strict-mtls-keys",
            strict.place("spec.mtls.mode"),
            "istiod cannot fetch our keys: it speaks no mTLS",
        )
        .because("Without them every token is refused, and with the tokens every request.")
        .change(format!("portLevelMtls: {{{port}: {{mode: PERMISSIVE}}}}, for our pods; or no sidecar there"))
    })
}

fn ways_around_the_gateway(manifests: &Manifests) -> Vec<Finding> {
    const WHY: &str = "A pod may call another one directly, past the gateway, with identity headers of its own choice.";
    const CHANGE: &str = "kind: PeerAuthentication, in the root namespace: spec: {mtls: {mode: STRICT}}\n(and policies that let the gateway in, alone)";
    let open = manifests.of_kind("PeerAuthentication").filter(|policy| {
        policy.at("/spec/selector").is_null()
            && matches!(text(&policy.value, "/spec/mtls/mode"), "PERMISSIVE" | "DISABLE")
    });
    let mut findings: Vec<Finding> = open
        .map(|policy| {
            let mode = text(&policy.value, "/spec/mtls/mode");
            Finding::fault("mtls-not-strict", policy.place("spec.mtls.mode"), format!("mTLS is {mode}"))
                .because(WHY)
                .change(CHANGE)
        })
        .collect();
    let is_strict = manifests
        .of_kind("PeerAuthentication")
        .any(|policy| policy.at("/spec/selector").is_null() && text(&policy.value, "/spec/mtls/mode") == "STRICT");
    if let (Some(object), true, false) =
        (manifests.of_kind("AuthorizationPolicy").next(), findings.is_empty(), is_strict)
    {
        findings.push(
            Finding::warning(
                "mtls-not-said",
                object.place(""),
                "no PeerAuthentication demands mTLS: Istio's default is PERMISSIVE",
            )
            .because(WHY)
            .change(CHANGE),
        );
    }
    findings
}

fn kept_out(manifests: &Manifests, ours: &Ours<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for workload in &ours.workloads {
        let policies: Vec<&Object> = manifests
            .of_kind("NetworkPolicy")
            .filter(|policy| {
                policy.namespace == workload.namespace
                    && matches(policy.at("/spec/podSelector"), pod_labels(workload))
                    && (policy.at("/spec/policyTypes").is_null()
                        || texts(policy.at("/spec/policyTypes")).contains(&"Ingress"))
            })
            .collect();
        let Some(first) = policies.first() else { continue };
        let gateways =
            gateways::asking(manifests, ours).into_iter().map(|gateway| ("the ingress gateway", gateway, EACH_CHECK));
        let istiod = Pods { labels: json!({"app": "istiod", "istio": "pilot"}), namespace: Some(ROOT.to_owned()) };
        for (who, pods, why) in gateways.chain([("istiod", istiod, NO_KEYS)]) {
            let admitted =
                policies.iter().flat_map(|policy| policy.list("/spec/ingress")).any(|rule| admits(rule, &pods));
            if !admitted {
                let namespace = pods.namespace.as_deref().unwrap_or("<its namespace>");
                let finding =
                    Finding::fault("network-policy", first.place("spec.ingress"), format!("{who} is kept out"));
                findings.push(finding.because(why).change(format!(
                    "- from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}, \
                     podSelector: {{matchLabels: {}}}}}]",
                    pods.labels
                )));
            }
        }
    }
    findings.dedup();
    findings
}

/// Whether a rule of a NetworkPolicy lets those pods in.
fn admits(rule: &Value, pods: &Pods) -> bool {
    let from = list(&rule["from"]);
    let ports = list(&rule["ports"]);
    // A rule for the admin port alone lets nobody to the main one.
    let is_main = ports.is_empty() || ports.iter().any(|port| port["port"] != "admin" && port["port"] != 9001);
    let is_there = |selector: &Value| match &pods.namespace {
        Some(namespace) => matches(selector, &json!({"kubernetes.io/metadata.name": namespace})),
        None => true,
    };
    is_main
        && (from.is_empty()
            || from.iter().any(|peer| {
                peer.get("ipBlock").is_some()
                    || (peer.get("namespaceSelector").is_some_and(is_there)
                        && peer.get("podSelector").is_none_or(|it| pods.may_match(it)))
            }))
}

fn idle_connections(manifests: &Manifests, ours: &Ours<'_>) -> Option<Finding> {
    let workload = ours.workloads.first()?;
    let lets_go = manifests.of_kind("DestinationRule").any(|rule| {
        let idle = text(&rule.value, "/spec/trafficPolicy/connectionPool/http/idleTimeout");
        let seconds = humantime::parse_duration(idle).map_or(f64::INFINITY, |idle| idle.as_secs_f64());
        ours.is_host(text(&rule.value, "/spec/host")) && seconds < OUR_IDLE_SECONDS
    });
    (!lets_go).then(|| {
        Finding::warning("idle-timeout", workload.place(""), "the gateway keeps idle connections to us for an hour")
            .because("We close them after 60 s: now and then a check meets one that is just being closed, and a request fails.")
            .change("kind: DestinationRule, for our host: trafficPolicy: {connectionPool: {http: {idleTimeout: 30s}}}")
    })
}

fn endless_sockets(manifests: &Manifests) -> Option<Finding> {
    let policy =
        manifests.of_kind("AuthorizationPolicy").find(|policy| text(&policy.value, "/spec/action") == "CUSTOM")?;
    let is_bounded = manifests.of_kind("EnvoyFilter").any(|filter| {
        let text = filter.value.to_string();
        text.contains("max_stream_duration") || text.contains("maxStreamDuration")
    });
    (!is_bounded).then(|| {
        Finding::warning("sockets-unbounded", policy.place(""), "nothing bounds how long a WebSocket stays open")
            .because(
                "A gateway asks once, at the handshake: a sign-out, a lost group or the end of the session do not close it. \
                 It ends when one of its two ends wants it to.",
            )
            .change(
                "An EnvoyFilter at the gateway, NETWORK_FILTER, MERGE:\ncommon_http_protocol_options: {max_stream_duration: 3600s}",
            )
    })
}
