//! The routes by which browsers come to our pages: whether each page is led to, through a gateway and a port that exist.

use regex::Regex;
use serde_json::Value;

use super::Finding;
use super::manifests::{Manifests, Object, list, text, texts};
use super::workload::Ours;
use crate::config::Settings;

const NOT_FOUND: &str = "Whoever comes there meets a 404.";

/// A route that leads to us.
pub(super) struct Route<'m> {
    pub(super) object: &'m Object,
    index: usize,
    value: &'m Value,
    paths: Vec<Path<'m>>,
}

/// Which paths a route covers.
enum Path<'m> {
    Any,
    Exact(&'m str),
    Prefix(&'m str),
    /// As `HTTPRoute` has it: whole segments.
    Below(&'m str),
    Regex(&'m str),
}

impl Path<'_> {
    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(it) => *it == path,
            Self::Prefix(it) => path.starts_with(it),
            Self::Below(it) => {
                let rest = path.strip_prefix(it.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Regex(it) => Regex::new(&format!("^(?:{it})$")).is_ok_and(|it| it.is_match(path)),
        }
    }
}

pub(super) fn look(settings: &Settings, manifests: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    let routes = to_us(manifests, ours);
    pages_not_routed(settings, manifests, ours, &routes, findings);
    findings.extend(routes.iter().flat_map(|route| wrong_ports(route, ours)));
    findings.extend(wrong_gateways(manifests, &routes));
    findings.extend(unknown_hosts(settings, &routes));
}

/// The routes that lead to us, of `VirtualService`s and `HTTPRoute`s.
pub(super) fn to_us<'m>(manifests: &'m Manifests, ours: &Ours<'_>) -> Vec<Route<'m>> {
    let of = |kind: &str, field: &'static str| {
        manifests
            .of_kind(kind)
            .flat_map(move |object| {
                object.list(field).iter().enumerate().map(move |(index, route)| (object, index, route))
            })
            .collect::<Vec<_>>()
    };
    let mut routes = Vec::new();
    for (object, index, route) in of("VirtualService", "/spec/http") {
        if list(&route["route"]).iter().any(|to| ours.is_host(text(to, "/destination/host"))) {
            routes.push(Route { object, index, value: route, paths: covered(&route["match"], of_virtual_service) });
        }
    }
    for (object, index, route) in of("HTTPRoute", "/spec/rules") {
        let is_ours = |to: &Value| {
            let namespace = to["namespace"].as_str().unwrap_or(&object.namespace);
            let host = if namespace.is_empty() {
                text(to, "/name").to_owned()
            } else {
                format!("{}.{namespace}", text(to, "/name"))
            };
            ours.is_host(&host)
        };
        if list(&route["backendRefs"]).iter().any(is_ours) {
            routes.push(Route { object, index, value: route, paths: covered(&route["matches"], of_http_route) });
        }
    }
    routes
}

fn covered<'m>(matches: &'m Value, path: fn(&'m Value) -> Path<'m>) -> Vec<Path<'m>> {
    let matches = list(matches);
    if matches.is_empty() { vec![Path::Any] } else { matches.iter().map(path).collect() }
}

fn of_virtual_service(it: &Value) -> Path<'_> {
    let uri = |kind: &str| it["uri"][kind].as_str();
    (uri("exact").map(Path::Exact))
        .or_else(|| uri("prefix").map(Path::Prefix))
        .or_else(|| uri("regex").map(Path::Regex))
        .unwrap_or(Path::Any)
}

fn of_http_route(it: &Value) -> Path<'_> {
    let value = it["path"]["value"].as_str().unwrap_or("/");
    match text(it, "/path/type") {
        "Exact" => Path::Exact(value),
        "RegularExpression" => Path::Regex(value),
        _ => Path::Below(value),
    }
}

fn pages_not_routed(
    settings: &Settings,
    manifests: &Manifests,
    ours: &Ours<'_>,
    routes: &[Route<'_>],
    findings: &mut Vec<Finding>,
) {
    let mut gateways = manifests.of_kind("VirtualService").chain(manifests.of_kind("HTTPRoute"));
    let Some(first) = routes.first().map(|route| route.object).or_else(|| gateways.next()) else { return };
    let leads = |path: &str| routes.iter().any(|route| route.paths.iter().any(|it| it.covers(path)));
    let field = if first.kind == "HTTPRoute" { "spec.rules" } else { "spec.http" };
    let prefix = &settings.path_prefix;
    let change = |covered: &str| {
        let address = ours.address();
        let (host, port) = address.split_once(':').unwrap_or((&address, "9000"));
        format!("- match: [{{uri: {covered}}}]\n  route: [{{destination: {{host: {host}, port: {{number: {port}}}}}}}]")
    };
    let whole = change(&format!("{{prefix: {prefix}/}}"));
    let start = format!("{prefix}/start");
    if !leads(&start) {
        let what = format!("{start} does not lead to Countersign");
        findings.push(
            Finding::fault("sign-in-not-routed", first.place(field), what)
                .because("Whoever is to sign in meets a 404.")
                .change(&whole),
        );
        // Nothing leads to any other page, either, and that is one mistake.
        if routes.is_empty() {
            return;
        }
    }
    let several = settings.providers.len() > 1;
    for provider in &settings.providers {
        let ours = if several { format!("{prefix}/callback/{}", provider.id) } else { format!("{prefix}/callback") };
        let callback = provider.redirect_path().unwrap_or(ours);
        if !leads(&callback) {
            let what =
                format!("{callback}, to which people come back from `{}`, does not lead to Countersign", provider.id);
            let is_below = callback.starts_with(&format!("{prefix}/"));
            findings.push(
                Finding::fault("callback-not-routed", first.place(field), what)
                    .because("They sign in there, and meet a 404 here: nobody gets in.")
                    .change(if is_below { whole.clone() } else { change(&format!("{{exact: {callback}}}")) }),
            );
        }
    }
    let others = ["sign_out", "signed_out", "userinfo", "unavailable"].map(|name| format!("{prefix}/{name}"));
    let absent: Vec<&str> = others.iter().filter(|page| !leads(page)).map(String::as_str).collect();
    if !absent.is_empty() && leads(&start) {
        let does = if absent.len() == 1 { "does" } else { "do" };
        let what = format!("{} {does} not lead to Countersign", absent.join(", "));
        findings.push(Finding::fault("pages-not-routed", first.place(field), what).because(NOT_FOUND).change(whole));
    }
}

fn wrong_ports(route: &Route<'_>, ours: &Ours<'_>) -> Vec<Finding> {
    if route.object.kind != "VirtualService" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for to in list(&route.value["route"]) {
        let ports = ours.ports_of(text(to, "/destination/host")).unwrap_or_default();
        let port = to["destination"]["port"]["number"].as_u64();
        let is_good = match port {
            Some(port) => ports.contains(&port),
            None => ports.len() == 1,
        };
        if ports.is_empty() || is_good {
            continue;
        }
        let what = match port {
            Some(port) => format!("port {port} is none of the Service's ({ports:?})"),
            None => format!("no port is named, and the Service has several ({ports:?})"),
        };
        let place = route.object.place(&format!("spec.http[{}].route.destination.port", route.index));
        findings.push(
            Finding::fault("route-port", place, what)
                .because("Our pages are answered 503: nobody can sign in.")
                .change(format!("port: {{number: {}}}", ports[0])),
        );
    }
    findings
}

fn wrong_gateways(manifests: &Manifests, routes: &[Route<'_>]) -> Vec<Finding> {
    let known: Vec<(&str, &str)> = manifests
        .of_kind("Gateway")
        .filter(|gateway| text(&gateway.value, "/apiVersion").starts_with("networking.istio.io/"))
        .map(|gateway| (gateway.namespace.as_str(), gateway.name.as_str()))
        .collect();
    let mut findings = Vec::new();
    for Route { object, .. } in routes.iter().filter(|route| route.object.kind == "VirtualService") {
        let named: Vec<&str> = texts(object.at("/spec/gateways")).into_iter().filter(|name| *name != "mesh").collect();
        let is_root = !object.list("/spec/hosts").is_empty();
        if named.is_empty() && is_root {
            findings.push(
                Finding::fault("route-gateway", object.place("spec.gateways"), "no gateway is named")
                    .because("The routes count in sidecars alone: at the gateway our pages are answered 404.")
                    .change("gateways: [the Gateway of your workloads' VirtualServices]"),
            );
        }
        let exists = |name: &str| {
            // The old spelling, as a host of the cluster, is not taken apart.
            let (namespace, name) = name.split_once('/').unwrap_or((&object.namespace, name));
            name.contains('.') || known.contains(&(namespace, name))
        };
        let unknown: Vec<&str> = named.iter().copied().filter(|name| !exists(name)).collect();
        if known.is_empty() || unknown.is_empty() {
            continue;
        }
        let what = format!("there is no Gateway {}", unknown.join(", "));
        let all: Vec<String> = known.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        let place = object.place("spec.gateways");
        let finding = if unknown.len() == named.len() {
            Finding::fault("route-gateway", place, what)
        } else {
            Finding::warning("route-gateway", place, what)
        };
        let why = "There the routes count nowhere: our pages are answered 404.";
        findings.push(finding.because(why).change(format!("gateways: [{}]", all.join(", "))));
    }
    findings.dedup();
    findings
}

/// Hosts at which people begin to sign in and to which they cannot return.
fn unknown_hosts(settings: &Settings, routes: &[Route<'_>]) -> Vec<Finding> {
    let known: Vec<&str> =
        std::iter::once(&settings.public_url).chain(&settings.hosts).filter_map(url::Url::host_str).collect();
    let mut findings = Vec::new();
    for Route { object: service, .. } in routes.iter().filter(|route| route.object.kind == "VirtualService") {
        for host in texts(service.at("/spec/hosts")) {
            let is_inside = host == "*" || host.starts_with("*.") || host.contains(".svc");
            if !is_inside && !known.contains(&host) {
                let what = format!("people come to {host}, which is neither public_url nor among hosts");
                let shared = settings.cookie.domain.is_some();
                let change = if shared {
                    format!("hosts: [https://{host}]")
                } else {
                    format!("hosts: [https://{host}]\ncookie: {{domain: …}}: the domain that both have in common")
                };
                findings.push(
                    Finding::fault("host-unknown", service.place("spec.hosts"), what)
                        .because("The session's cookie is for another host: they sign in, come back, and are asked to sign in.")
                        .change(change),
                );
            }
        }
    }
    findings.dedup();
    findings
}
