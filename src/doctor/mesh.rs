//! The mesh config: whether it sends checks to us, and loses nothing of them.

use serde_json::Value;

use super::Finding;
use super::manifests::{Manifests, Object, list, text, texts};
use super::workload::Ours;
use crate::config::Settings;

/// What a check is judged by, and why it is missed.
const ASKED: [(&str, &str); 11] = [
    ("cookie", "no session is seen: everybody is sent to sign in, for ever"),
    ("authorization", "a token that a client sends is not seen"),
    ("accept", "pages and scripts cannot be told apart: polling pages are redirected to the login"),
    ("sec-fetch-mode", "pages and scripts cannot be told apart where browsers say what they are"),
    ("sec-fetch-dest", "a page in a frame is redirected to a login that no frame may show"),
    ("x-requested-with", "old scripts are redirected to the login instead of being told 401"),
    ("sec-websocket-version", "WebSocket handshakes are taken for pages"),
    ("origin", "CORS preflights are not known as such"),
    ("access-control-request-method", "CORS preflights are not known as such"),
    ("x-request-id", "a refusal cannot be found in the logs by its request id"),
    ("x-forwarded-proto", "how the request came to the gateway is not known"),
];

/// What of a denial must reach the browser.
const TOLD: [(&str, &str); 4] = [
    ("content-type", "pages are shown as text"),
    ("set-cookie", "a cookie that is to go stays"),
    ("content-security-policy", "our pages lose their protection"),
    ("www-authenticate", "programs are not told what would help"),
];

/// A mesh config, and where in its object it stands.
pub(super) struct Mesh<'m> {
    object: &'m Object,
    config: Value,
}

/// An entry of `extensionProviders`.
pub(super) struct Provider<'p> {
    pub(super) name: &'p str,
    service: &'p str,
    http: bool,
    entry: &'p Value,
}

impl<'m> Mesh<'m> {
    /// The mesh configs among the manifests: ConfigMaps called `istio`, IstioOperators, and bare ones.
    pub(super) fn all(manifests: &'m Manifests) -> Vec<Self> {
        let mut found = Vec::new();
        for object in &manifests.objects {
            let config = match object.kind.as_str() {
                "ConfigMap" => serde_saphyr::from_str(text(&object.value, "/data/mesh")).ok(),
                "IstioOperator" => object.value.pointer("/spec/meshConfig").cloned(),
                "" => object.value.get("meshConfig").or(Some(&object.value)).cloned(),
                _ => None,
            };
            let config = config.filter(|config: &Value| config.get("extensionProviders").is_some());
            found.extend(config.map(|config| Self { object, config }));
        }
        found
    }

    pub(super) fn providers(&self) -> impl Iterator<Item = Provider<'_>> {
        list(&self.config["extensionProviders"]).iter().filter_map(|provider| {
            let (http, entry) = match (provider.get("envoyExtAuthzHttp"), provider.get("envoyExtAuthzGrpc")) {
                (Some(entry), _) => (true, entry),
                (None, Some(entry)) => (false, entry),
                (None, None) => return None,
            };
            Some(Provider { name: text(provider, "/name"), service: text(entry, "/service"), http, entry })
        })
    }
}

impl Provider<'_> {
    /// Whether checks go to us.
    pub(super) fn is_ours(&self, ours: &Ours<'_>) -> bool {
        // `namespace/host` is how Istio tells Services of one name apart.
        let host = self.service.rsplit('/').next().unwrap_or_default();
        ours.is_host(host)
    }
}

pub(super) fn look(settings: &Settings, manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    let meshes = Mesh::all(manifests);
    let mut is_asked = false;
    for mesh in &meshes {
        for provider in mesh.providers().filter(|provider| provider.is_ours(ours)) {
            is_asked = true;
            let place = |field: &str| mesh.object.place(&format!("extensionProviders `{}` {field}", provider.name));
            of_any(&provider, ours, &place, findings);
            if provider.http {
                of_http(settings, &provider, &place, findings);
            }
        }
    }
    let has_filter = manifests.of_kind("EnvoyFilter").any(|filter| filter.value.to_string().contains("ext_authz"));
    if let (Some(mesh), false, false) = (meshes.first(), is_asked, has_filter) {
        findings.push(
            Finding::fault(
                "provider-absent",
                mesh.object.place("extensionProviders"),
                "no provider leads to Countersign",
            )
            .because("No gateway asks us anything.")
            .change("Add the entry that the chart's notes and examples/istio show."),
        );
    }
}

fn of_any(provider: &Provider<'_>, ours: &Ours<'_>, place: &dyn Fn(&str) -> String, findings: &mut Vec<Finding>) {
    let entry = provider.entry;
    if entry.get("timeout").is_none() {
        findings.push(
            Finding::fault("provider-timeout", place("timeout"), "checks have no timeout of their own")
                .because("Istio's default is 600 s: if Countersign hangs, every request hangs with it for ten minutes.")
                .change("timeout: 2s"),
        );
    }
    if entry["failOpen"] == true {
        findings.push(
            Finding::fault("provider-fail-open", place("failOpen"), "requests pass when Countersign cannot be asked")
                .because("Whoever makes us slow is let in, and what a client forged of its identity is not removed.")
                .change("failOpen: false"),
        );
    }
    let Some(port) = entry["port"].as_u64() else { return };
    let ports = ours.ports_of(provider.service.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
    if !ports.is_empty() && !ports.contains(&port) {
        let what = format!("port {port} is none of the Service's ({ports:?})");
        findings.push(
            Finding::fault("provider-port", place("port"), what)
                .because("Every check fails, and so does every request.")
                .change(format!("port: {}", ports[0])),
        );
    }
}

fn of_http(settings: &Settings, provider: &Provider<'_>, place: &dyn Fn(&str) -> String, findings: &mut Vec<Finding>) {
    let entry = provider.entry;
    let prefix = text(entry, "/pathPrefix").trim_end_matches('/');
    if prefix != settings.check_prefix {
        let what = format!("checks come to `{prefix}/…`, and are expected at `{}/…`", settings.check_prefix);
        findings.push(
            Finding::fault("provider-path-prefix", place("pathPrefix"), what)
                .because("What comes elsewhere is no check: it is answered 404, which denies everything.")
                .change(format!("pathPrefix: {}", settings.check_prefix)),
        );
    }
    if entry.get("statusOnError").is_none_or(|status| status != "503") {
        findings.push(
            Finding::warning("provider-status-on-error", place("statusOnError"), "a check that fails is told as 403")
                .because("People are told that they may not enter when the truth is that nobody could be asked.")
                .change("statusOnError: \"503\""),
        );
    }
    let asked = names(&entry["includeRequestHeadersInCheck"]);
    let source = settings.token.header.as_str();
    let credentials = settings.bearer.credential_headers();
    let mut judged_by = ASKED.to_vec();
    judged_by.extend(credentials.iter().map(|name| (name.as_str(), "who comes by it is not known")));
    missing("includeRequestHeadersInCheck", "provider-header-in-check", &judged_by, &asked, place, findings);
    if is_listed("upgrade", &asked) {
        findings.push(
            Finding::fault(
                "provider-upgrade-in-check",
                place("includeRequestHeadersInCheck"),
                "`upgrade` is sent along with checks",
            )
            .because("Over HTTP/2 such a check is reset, and every WebSocket of somebody signed in is refused.")
            .change("Take `upgrade` off the list; `sec-websocket-version` tells us enough."),
        );
    }
    let taken = names(&entry["headersToUpstreamOnAllow"]);
    let mut needed = vec![source, "cookie"];
    needed.extend(settings.headers.iter().map(|(name, _)| name.as_str()));
    let why = "what we set there does not reach the workload; what the client sent, may";
    let needed: Vec<(&str, &str)> = needed.into_iter().map(|name| (name, why)).collect();
    missing("headersToUpstreamOnAllow", "provider-header-upstream", &needed, &taken, place, findings);
    let told = names(&entry["headersToDownstreamOnDeny"]);
    missing("headersToDownstreamOnDeny", "provider-header-on-deny", &TOLD, &told, place, findings);
}

fn missing(
    list: &str,
    code: &'static str,
    needed: &[(&str, &str)],
    listed: &[String],
    place: &dyn Fn(&str) -> String,
    findings: &mut Vec<Finding>,
) {
    let absent: Vec<_> = needed.iter().filter(|(name, _)| !is_listed(name, listed)).collect();
    let Some((_, first)) = absent.first() else { return };
    let names: Vec<&str> = absent.iter().map(|(name, _)| *name).collect();
    let more = if absent.len() > 1 { "; and so on for each of them" } else { "" };
    findings.push(
        Finding::fault(code, place(list), format!("{list} lacks {}", names.join(", ")))
            .because(format!("Without `{}`: {first}{more}.", names[0]))
            .change(format!("{list}: […, {}]", names.join(", "))),
    );
}

fn names(list: &Value) -> Vec<String> {
    texts(list).into_iter().map(str::to_ascii_lowercase).collect()
}

/// `accept`, `sec-*` and `*-id` are how Istio writes header names (exact, prefix, suffix).
fn is_listed(name: &str, listed: &[String]) -> bool {
    listed.iter().any(|pattern| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => name.starts_with(prefix),
        (None, Some(suffix)) => name.ends_with(suffix),
        (None, None) => pattern == name,
    })
}
