//! A mesh: real istiod over the manifests that ship, Envoy as it configures them, Countersign, Dex and a workload. What a
//! cluster would add, and nothing more, is written here: which Services there are, and where the workload's own routes lead.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::countersign::Countersign;
use crate::dex::Dex;
use crate::istiod::{Istiod, ROOT};
use crate::names::Names;
use crate::part::{eventually, free_port};
use crate::proxy::Proxy;
use crate::wire::{self, Answer};

/// The mesh with its gateway.
pub(crate) struct Mesh {
    pub(crate) front: u16,
    pub(crate) istiod: Istiod,
    pub(crate) gateway: Proxy,
    // Held for as long as the mesh stands.
    _backend: Backend,
    _countersign: Countersign,
    _dex: Dex,
    _names: Names,
}

/// What makes a mesh.
pub(crate) struct Plan<'a> {
    /// The gateway's port 80, as browsers see it.
    pub(crate) front: u16,
    /// The label `app` of its pods, and the name of its Service.
    pub(crate) gateway: &'a str,
    /// The manifests under test, and what they lack to be tried.
    pub(crate) manifests: Vec<String>,
    /// The mesh config's extension providers.
    pub(crate) providers: Value,
    /// Countersign's config file.
    pub(crate) config: &'a str,
    /// What is different here.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Where the manifests have Countersign: `countersign.countersign`, Service and namespace, and its port for HTTP.
    pub(crate) countersign: (&'a str, u16),
    /// The provider.
    pub(crate) dex: Dex,
    /// The workload behind everything: `workload.workloads`.
    pub(crate) backend: Backend,
}

/// Where the gateway's pod is, so that istiod finds the Services that lead to it. It listens everywhere.
const GATEWAY_ADDRESS: &str = "127.0.0.2";

impl Mesh {
    /// Builds one, and waits until its gateway asks Countersign.
    pub(crate) async fn build(plan: Plan<'_>) -> Self {
        let Plan { front, mut manifests, mut variables, countersign: (service_name, port), .. } = plan;
        let main = free_port();
        let host = format!("{service_name}.svc.cluster.local:{port}");
        let names = Names::start(&[(&*host, main), ("dex.auth.svc.cluster.local:5556", plan.dex.port())]).await;
        variables.extend([
            ("COUNTERSIGN_PUBLIC_URL", origin(front)),
            ("COUNTERSIGN_EGRESS__PROXY", format!("http://127.0.0.1:{}", names.port())),
            ("COUNTERSIGN_EGRESS__NO_PROXY", "127.0.0.1".to_owned()),
        ]);
        let countersign = Countersign::with_config(plan.config, main, &variables).await;

        let labels = json!({"app": plan.gateway, "istio": "ingressgateway"});
        let (name, namespace) = service_name.split_once('.').expect("a Service and a namespace");
        manifests.push(objects(&[
            labelled(service(plan.gateway, ROOT, GATEWAY_ADDRESS, &[("http2", 80, front)]), &labels),
            service(name, namespace, "127.0.0.1", &[("http", port, main), ("grpc", 9002, main)]),
            service("workload", "workloads", "127.0.0.1", &[("http", 80, plan.backend.port())]),
            service("dex", "auth", "127.0.0.1", &[("http", 5556, plan.dex.port())]),
        ]));
        let istiod = Istiod::start(&manifests, &plan.providers, names.port()).await;
        let gateway = Proxy::gateway(&istiod, GATEWAY_ADDRESS, &labels, front).await;
        let mesh = Self {
            front,
            istiod,
            gateway,
            _backend: plan.backend,
            _countersign: countersign,
            _dex: plan.dex,
            _names: names,
        };
        mesh.await_checks().await;
        mesh
    }

    /// The address of a path, as browsers see it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", origin(self.front))
    }

    /// A request through the gateway with these header lines.
    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        wire::get(self.front, target, headers).await
    }

    /// A browser in which somebody has signed in, standing at `path`.
    pub(crate) async fn signed_in(&self, name: &str, path: &str) -> Browser {
        let browser = Browser::open().await;
        browser.go(&self.at(path)).await;
        browser.sign_in_at_dex(name).await;
        browser.arrives(&self.at(path)).await;
        browser
    }

    /// Until Countersign is asked.
    async fn await_checks(&self) {
        eventually("a check by the gateway", || async {
            let answer = self.get("/anything", &[("Accept", "application/json")]).await;
            if answer.body.contains("/start?rd=") { Ok(()) } else { Err(format!("{answer:?}\n{}", self.gateway.log())) }
        })
        .await;
    }
}

/// A Kubernetes Service, as far as a mesh without a cluster can know one: ports with their name, number and target.
pub(crate) fn service(name: &str, namespace: &str, address: &str, ports: &[(&str, u16, u16)]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(port, number, target)| {
            let protocol = match *port {
                "http2" => "HTTP2",
                "grpc" => "GRPC",
                "https" => "HTTPS",
                _ => "HTTP",
            };
            json!({"name": port, "number": number, "protocol": protocol, "targetPort": target})
        })
        .collect();
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hosts": [format!("{name}.{namespace}.svc.cluster.local")], "location": "MESH_INTERNAL",
            "resolution": "STATIC", "ports": ports, "endpoints": [{"address": address}],
        },
    })
}

/// The same, of pods with these labels: istiod believes what it reads of an address rather than what a proxy says there.
pub(crate) fn labelled(mut service: Value, labels: &Value) -> Value {
    service["spec"]["endpoints"][0]["labels"] = labels.clone();
    service
}

/// Objects as one text.
pub(crate) fn objects(objects: &[Value]) -> String {
    // JSON is YAML.
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// A `VirtualService` with one route for a prefix, as users write them for their workloads.
pub(crate) fn route(name: &str, gateway: &str, prefix: &str, host: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": ROOT},
        "spec": {"gateways": [gateway], "hosts": ["*"], "http": [{
            "match": [{"uri": {"prefix": prefix}}],
            "route": [{"destination": {"host": format!("{host}.svc.cluster.local"), "port": {"number": 80}}}],
        }]},
    })
}

/// What people type where the gateway listens at this port.
pub(crate) fn origin(front: u16) -> String {
    format!("http://localhost:{front}")
}
