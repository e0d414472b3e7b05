//! `EnvoyFilter`s: what their `ext_authz` filters ask, and patches that are applied to nothing.

use regex::Regex;
use serde_json::Value;

use super::Finding;
use super::asks::{Asks, Form, Name, OverHttp};
use super::manifests::{Manifests, Object, list, text};
use super::workload::Ours;

static FORM: Form = Form {
    timeout: ("http_service.server_uri.timeout", "timeout: 2s"),
    without_timeout: "Envoy demands one, and takes no filter without: the gateway keeps what it had before, or has no listener.",
    fails_open: ("failure_mode_allow", "failure_mode_allow: false"),
    port: "http_service.server_uri.cluster",
    path_prefix: ("http_service.path_prefix", "path_prefix"),
    status: ("status_on_error", "status_on_error: {code: ServiceUnavailable}"),
    asked: "http_service.authorization_request.allowed_headers.patterns",
    taken: "http_service.authorization_response.allowed_upstream_headers.patterns",
    told: "http_service.authorization_response.allowed_client_headers.patterns",
    name: |name| format!("{{exact: {name}}}"),
};

static GRPC: Form =
    Form { timeout: ("grpc_service.timeout", "timeout: 2s"), port: "grpc_service.envoy_grpc.cluster_name", ..FORM };

/// The filter name that Envoy has given up.
const OLD: &str = "envoy.http_connection_manager";

/// A patch that puts an `ext_authz` filter into a gateway.
pub(super) struct Asking<'m> {
    pub(super) object: &'m Object,
    index: usize,
    config: &'m Value,
}

/// The `ext_authz` filters among the manifests, of HTTP only.
pub(super) fn asking(manifests: &Manifests) -> Vec<Asking<'_>> {
    let patches = manifests.of_kind("EnvoyFilter").flat_map(|object| {
        object.list("/spec/configPatches").iter().enumerate().map(move |(index, patch)| (object, index, patch))
    });
    patches.filter_map(|(object, index, patch)| Some(Asking { object, index, config: ext_authz(patch)? })).collect()
}

/// The `EnvoyFilter`s whose `ext_authz` filter asks us.
pub(super) fn asking_us<'m>(manifests: &'m Manifests, ours: &Ours<'_>) -> Vec<Asking<'m>> {
    asking(manifests).into_iter().filter(|asking| ours.is_host(&asking.asks().host)).collect()
}

impl Asking<'_> {
    /// A field of the filter, for people.
    pub(super) fn place(&self, field: &str) -> String {
        self.object.place(&format!("spec.configPatches[{}].patch.value.typed_config.{field}", self.index))
    }

    /// The cluster that is asked.
    pub(super) fn cluster(&self) -> &str {
        let grpc = field(field(field(self.config, "grpc_service"), "envoy_grpc"), "cluster_name");
        let http = field(self.server_uri(), "cluster");
        http.as_str().or(grpc.as_str()).unwrap_or_default()
    }

    /// Where it is written.
    pub(super) fn cluster_field(&self) -> &'static str {
        if self.is_http() { FORM.port } else { GRPC.port }
    }

    /// What is asked, and how.
    pub(super) fn asks(&self) -> Asks {
        let mut parts = self.cluster().split('|').skip(1);
        let port = parts.next().and_then(|port| port.parse().ok());
        let host = parts.nth(1).map_or_else(|| self.host_by_hand(), str::to_owned);
        let timeout = field(self.server_uri(), "timeout");
        Asks {
            place: self.place(""),
            form: if self.is_http() { &FORM } else { &GRPC },
            host,
            port,
            // Over gRPC it is 200 ms where none is given.
            has_timeout: !self.is_http() || !timeout.is_null(),
            fails_open: *field(self.config, "failure_mode_allow") == true,
            http: self.is_http().then(|| self.over_http()),
        }
    }

    fn is_http(&self) -> bool {
        !field(self.config, "http_service").is_null()
    }

    fn server_uri(&self) -> &Value {
        field(field(self.config, "http_service"), "server_uri")
    }

    /// A cluster that Istio did not make has any name: its own, or where its URI leads.
    fn host_by_hand(&self) -> String {
        let uri = field(self.server_uri(), "uri").as_str().and_then(|uri| url::Url::parse(uri).ok());
        uri.and_then(|uri| uri.host_str().map(str::to_owned)).unwrap_or_else(|| self.cluster().to_owned())
    }

    fn over_http(&self) -> OverHttp {
        let service = field(self.config, "http_service");
        let (request, answer) = (field(service, "authorization_request"), field(service, "authorization_response"));
        let status = field(field(self.config, "status_on_error"), "code");
        let mut asked = names(field(request, "allowed_headers"));
        asked.extend(names(field(self.config, "allowed_headers")));
        // Envoy sends that along and tells these in any case.
        asked.push(Name::Exact("authorization".to_owned()));
        let told = field(answer, "allowed_client_headers");
        let told = (!told.is_null()).then(|| {
            let always = ["www-authenticate", "location"].map(|name| Name::Exact(name.to_owned()));
            names(told).into_iter().chain(always).collect()
        });
        OverHttp {
            path_prefix: field(service, "path_prefix").as_str().unwrap_or_default().to_owned(),
            tells_unavailable: *status == "ServiceUnavailable" || *status == 503,
            asked,
            taken: names(field(answer, "allowed_upstream_headers")),
            told,
        }
    }
}

/// Patches that are applied to nothing.
pub(super) fn look(manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    const CHANGE: &str = "name: envoy.filters.network.http_connection_manager";
    let asking = asking_us(manifests, ours);
    for filter in manifests.of_kind("EnvoyFilter") {
        for (index, patch) in filter.list("/spec/configPatches").iter().enumerate() {
            if text(patch, "/match/listener/filterChain/filter/name") != OLD {
                continue;
            }
            let asks_us = asking.iter().any(|asking| std::ptr::eq(asking.object, filter) && asking.index == index);
            let place = filter.place(&format!("spec.configPatches[{index}].match"));
            let what = format!("the filter name {OLD} matches nothing since Istio 1.19");
            findings.push(if asks_us {
                Finding::fault("filter-matches-nothing", place, what)
                    .because("The patch is not applied and nobody says so: requests pass without being asked about.")
                    .change(CHANGE)
            } else {
                Finding::warning("filter-matches-nothing", place, what)
                    .because("The patch is not applied, and nobody says so.")
                    .change(CHANGE)
            });
        }
    }
}

/// The configuration of the `ext_authz` filter that a patch brings; none if it brings none.
fn ext_authz(patch: &Value) -> Option<&Value> {
    let value = &patch["patch"]["value"];
    let config =
        [&value["typed_config"], &value["typedConfig"], &value["config"]].into_iter().find(|it| !it.is_null())?;
    let kind = |name: &str| config[name].as_str().unwrap_or_default();
    let is_filter = |kind: &str| kind.contains("http.ext_authz") && kind.ends_with(".ExtAuthz");
    if is_filter(kind("type_url")) {
        return Some(&config["value"]);
    }
    let is_named =
        kind("@type").is_empty() && matches!(text(value, "/name"), "envoy.filters.http.ext_authz" | "envoy.ext_authz");
    (is_filter(kind("@type")) || is_named).then_some(config)
}

/// A field by its name in protobuf, or in JSON (`path_prefix`, `pathPrefix`).
fn field<'v>(value: &'v Value, name: &str) -> &'v Value {
    if !value[name].is_null() {
        return &value[name];
    }
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1);
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    &value[camel]
}

/// The patterns of a `ListStringMatcher`. Names are in small letters where they are compared: others match nothing.
fn names(list_of_patterns: &Value) -> Vec<Name> {
    list(field(list_of_patterns, "patterns")).iter().filter_map(name).collect()
}

fn name(pattern: &Value) -> Option<Name> {
    let ignores_case = *field(pattern, "ignore_case") == true;
    let told = |kind: &str| {
        let text = field(pattern, kind).as_str()?;
        Some(if ignores_case { text.to_ascii_lowercase() } else { text.to_owned() })
    };
    let regex = || {
        let text = field(field(pattern, "safe_regex"), "regex").as_str()?;
        Regex::new(&format!("^(?:{text})$")).ok().map(Name::Regex)
    };
    (told("exact").map(Name::Exact))
        .or_else(|| told("prefix").map(Name::Prefix))
        .or_else(|| told("suffix").map(Name::Suffix))
        .or_else(|| told("contains").map(Name::Contains))
        .or_else(regex)
}
