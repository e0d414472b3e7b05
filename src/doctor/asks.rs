//! How a gateway is told to ask, by an entry of the mesh config or by the `ext_authz` filter of an `EnvoyFilter`: whether
//! it asks us, and loses nothing of a check or its answer.

use regex::Regex;
use serde_json::Value;

use super::Finding;
use super::manifests::Manifests;
use super::mesh::Mesh;
use super::routes;
use super::workload::Ours;
use super::{filters, manifests};
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

/// One way in which a gateway asks.
pub(super) struct Asks {
    /// Where it is written, up to the field's name.
    pub(super) place: String,
    pub(super) form: &'static Form,
    /// The host that is asked, and its port as far as it is said.
    pub(super) host: String,
    pub(super) port: Option<u64>,
    pub(super) has_timeout: bool,
    pub(super) fails_open: bool,
    /// What is said of plain HTTP; none for gRPC.
    pub(super) http: Option<OverHttp>,
}

/// What plain HTTP needs besides.
pub(super) struct OverHttp {
    pub(super) path_prefix: String,
    pub(super) tells_unavailable: bool,
    pub(super) asked: Vec<Name>,
    pub(super) taken: Vec<Name>,
    /// None where everything is told.
    pub(super) told: Option<Vec<Name>>,
}

/// How the fields are called, and what is to be written into them.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) timeout: (&'static str, &'static str),
    /// What an absent timeout does.
    pub(super) without_timeout: &'static str,
    pub(super) fails_open: (&'static str, &'static str),
    pub(super) port: &'static str,
    pub(super) path_prefix: (&'static str, &'static str),
    pub(super) status: (&'static str, &'static str),
    pub(super) asked: &'static str,
    pub(super) taken: &'static str,
    pub(super) told: &'static str,
    /// How a name is written in a list.
    pub(super) name: fn(&str) -> String,
}

/// A pattern for the names of headers.
pub(super) enum Name {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl Name {
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Exact(it) => it == name,
            Self::Prefix(it) => name.starts_with(it),
            Self::Suffix(it) => name.ends_with(it),
            Self::Contains(it) => name.contains(it),
            Self::Regex(it) => it.is_match(name),
        }
    }
}

pub(super) fn look(settings: &Settings, manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    let meshes = Mesh::all(manifests);
    let providers = meshes.iter().flat_map(Mesh::providers).map(|provider| provider.asks());
    let filters = filters::asking(manifests);
    let asking_us: Vec<Asks> =
        providers.chain(filters.iter().map(filters::Asking::asks)).filter(|asks| ours.is_host(&asks.host)).collect();
    for asks in &asking_us {
        let place = |field: &str| format!("{}{field}", asks.place);
        of_any(asks, ours, &place, findings);
        if let Some(http) = &asks.http {
            of_http(settings, asks.form, http, &place, findings);
        }
    }
    if asking_us.is_empty() {
        findings.extend(nobody_asks(settings, manifests, &meshes, &filters, ours));
    }
}

/// Why nobody asks us, as near to the mistake as can be told.
fn nobody_asks(
    settings: &Settings,
    manifests: &Manifests,
    meshes: &[Mesh<'_>],
    filters: &[filters::Asking<'_>],
    ours: &Ours<'_>,
) -> Option<Finding> {
    const WHY: &str = "No gateway asks us anything.";
    let address = ours.address();
    if let Some(other) = filters.first() {
        // A cluster of the mesh's owner's making may lead to us all the same.
        let (place, cluster) = (other.place(other.cluster_field()), other.cluster());
        return cluster.starts_with("outbound|").then(|| {
            let (host, port) = address.split_once(':').unwrap_or((&address, "9000"));
            Finding::fault(
                "provider-absent",
                place,
                format!("checks go to `{cluster}`, which does not lead to Countersign"),
            )
            .because(WHY)
            .change(format!("cluster: outbound|{port}||{host}"))
        });
    }
    if let Some(mesh) = meshes.first() {
        return Some(
            Finding::fault("provider-absent", mesh.place("extensionProviders"), "no provider leads to Countersign")
                .because(WHY)
                .change(format!("Add the entry that the chart's notes and examples/istio show, for {address}.")),
        );
    }
    let is_custom = |policy: &manifests::Object| policy.at("/spec/action") == "CUSTOM";
    let is_said_elsewhere = manifests.of_kind("AuthorizationPolicy").any(is_custom)
        // The policies say it, where tokens are looked at.
        || manifests.of_kind("RequestAuthentication").next().is_some();
    // Whoever gives the pods alone, or what concerns their sidecars, has the gateway's part elsewhere.
    let is_of_gateway = |object: &manifests::Object| {
        matches!(&*object.kind, "VirtualService" | "Gateway" | "EnvoyFilter")
            && object.at("/apiVersion").as_str().is_some_and(is_istios)
    };
    let has_mesh = manifests.objects.iter().any(is_of_gateway);
    if is_said_elsewhere || !has_mesh {
        return None;
    }
    let routed = routes::to_us(manifests, ours).into_iter().map(|route| route.object).next();
    let there = ours.workloads.first().copied().or(routed)?;
    Some(
        Finding::fault(
            "nobody-asks",
            there.place(""),
            "neither a CUSTOM AuthorizationPolicy nor an ext_authz filter is here",
        )
        .because("The gateway asks nobody: people are never sent to sign in, and forged headers pass.")
        .change(format!(
            "Add the AuthorizationPolicy that examples/istio shows, or the EnvoyFilter of examples/kubeflow-legacy \
                 (path_prefix: {}).",
            settings.check_prefix
        )),
    )
}

fn is_istios(api_version: &str) -> bool {
    api_version.split('/').next().is_some_and(|group| group.ends_with("istio.io"))
}

fn of_any(asks: &Asks, ours: &Ours<'_>, place: &dyn Fn(&str) -> String, findings: &mut Vec<Finding>) {
    let form = asks.form;
    if !asks.has_timeout {
        findings.push(
            Finding::fault("provider-timeout", place(form.timeout.0), "checks have no timeout of their own")
                .because(form.without_timeout)
                .change(form.timeout.1),
        );
    }
    if asks.fails_open {
        findings.push(
            Finding::fault(
                "provider-fail-open",
                place(form.fails_open.0),
                "requests pass when Countersign cannot be asked",
            )
            .because("Whoever makes us slow is let in, and what a client forged of its identity is not removed.")
            .change(form.fails_open.1),
        );
    }
    let Some(port) = asks.port else { return };
    let ports = ours.ports_of(&asks.host).unwrap_or_default();
    if !ports.is_empty() && !ports.contains(&port) {
        let what = format!("port {port} is none of the Service's ({ports:?})");
        findings.push(
            Finding::fault("provider-port", place(form.port), what)
                .because("Every check fails, and so does every request.")
                .change(format!("port: {}", ports[0])),
        );
    }
}

fn of_http(
    settings: &Settings,
    form: &Form,
    http: &OverHttp,
    place: &dyn Fn(&str) -> String,
    findings: &mut Vec<Finding>,
) {
    let prefix = http.path_prefix.trim_end_matches('/');
    if prefix != settings.check_prefix {
        let what = format!("checks come to `{prefix}/…`, and are expected at `{}/…`", settings.check_prefix);
        findings.push(
            Finding::fault("provider-path-prefix", place(form.path_prefix.0), what)
                .because("What comes elsewhere is no check: it is answered 404, which denies everything.")
                .change(format!("{}: {}", form.path_prefix.1, settings.check_prefix)),
        );
    }
    if !http.tells_unavailable {
        findings.push(
            Finding::warning("provider-status-on-error", place(form.status.0), "a check that fails is told as 403")
                .because("People are told that they may not enter when the truth is that nobody could be asked.")
                .change(form.status.1),
        );
    }
    let credentials = settings.bearer.credential_headers();
    let mut judged_by = ASKED.to_vec();
    judged_by.extend(credentials.iter().map(|name| (name.as_str(), "who comes by it is not known")));
    missing(form, form.asked, "provider-header-in-check", &judged_by, &http.asked, place, findings);
    if is_listed("upgrade", &http.asked) {
        findings.push(
            Finding::fault("provider-upgrade-in-check", place(form.asked), "`upgrade` is sent along with checks")
                .because("Over HTTP/2 such a check is reset, and every WebSocket of somebody signed in is refused.")
                .change("Take `upgrade` off the list; `sec-websocket-version` tells us enough."),
        );
    }
    let mut needed = vec![settings.token.header.as_str(), "cookie"];
    needed.extend(settings.headers.iter().map(|(name, _)| name.as_str()));
    let why = "what we set there does not reach the workload; what the client sent, may";
    let needed: Vec<(&str, &str)> = needed.into_iter().map(|name| (name, why)).collect();
    missing(form, form.taken, "provider-header-upstream", &needed, &http.taken, place, findings);
    if let Some(told) = &http.told {
        missing(form, form.told, "provider-header-on-deny", &TOLD, told, place, findings);
    }
}

fn missing(
    form: &Form,
    list: &str,
    code: &'static str,
    needed: &[(&str, &str)],
    listed: &[Name],
    place: &dyn Fn(&str) -> String,
    findings: &mut Vec<Finding>,
) {
    let absent: Vec<_> = needed.iter().filter(|(name, _)| !is_listed(name, listed)).collect();
    let Some((_, first)) = absent.first() else { return };
    let names: Vec<&str> = absent.iter().map(|(name, _)| *name).collect();
    let more = if absent.len() > 1 { "; and so on for each of them" } else { "" };
    let short = list.split('.').rfind(|part| *part != "patterns").unwrap_or(list);
    let written: Vec<String> = names.iter().map(|name| (form.name)(name)).collect();
    findings.push(
        Finding::fault(code, place(list), format!("{short} lacks {}", names.join(", ")))
            .because(format!("Without `{}`: {first}{more}.", names[0]))
            .change(format!("{}: […, {}]", list.rsplit('.').next().unwrap_or(list), written.join(", "))),
    );
}

fn is_listed(name: &str, listed: &[Name]) -> bool {
    listed.iter().any(|pattern| pattern.covers(name))
}

/// The names of a list as Istio writes them: `accept`, `sec-*` and `*-id` (exact, prefix, suffix).
pub(super) fn istio_names(list: &Value) -> Vec<Name> {
    let name = |text: &str| match (text.strip_suffix('*'), text.strip_prefix('*')) {
        (Some(prefix), _) => Name::Prefix(prefix.to_owned()),
        (None, Some(suffix)) => Name::Suffix(suffix.to_owned()),
        (None, None) => Name::Exact(text.to_owned()),
    };
    manifests::texts(list).into_iter().map(|text| name(&text.to_ascii_lowercase())).collect()
}
