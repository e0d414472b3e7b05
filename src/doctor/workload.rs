//! Countersign's own pods and Services among the manifests, and whether what they keep is kept.

use serde_json::Value;

use super::Finding;
use super::manifests::{Manifests, Object, list, text, texts};
use crate::config::Settings;

/// The configuration of our pods, as their ConfigMap has it.
#[derive(Clone, Debug)]
pub struct PodsConfiguration {
    /// The file.
    pub text: String,
    /// Where it stands.
    pub place: String,
    /// The variables that the pods get.
    pub environment: Vec<(String, String)>,
}

/// The key of the ConfigMap.
const FILE: &str = "countersign.yaml";

/// What is ours among the manifests: pods that run an image called `countersign`, and the Services that select them.
pub(super) struct Ours<'m> {
    pub(super) workloads: Vec<&'m Object>,
    pub(super) services: Vec<&'m Object>,
}

/// Where a workload describes its pods.
pub(super) const POD: &str = "/spec/template";

impl<'m> Ours<'m> {
    pub(super) fn find(manifests: &'m Manifests) -> Self {
        let kinds = ["StatefulSet", "Deployment", "DaemonSet"];
        let workloads: Vec<&Object> = kinds
            .into_iter()
            .flat_map(|kind| manifests.of_kind(kind))
            .filter(|workload| containers(workload).any(runs_countersign))
            .collect();
        let services = manifests.of_kind("Service");
        let services = services
            .filter(|service| {
                let selected = service.at("/spec/selector");
                // A Service without a selector selects nothing.
                let selects_some = selected.as_object().is_some_and(|labels| !labels.is_empty());
                selects_some
                    && workloads.iter().any(|it| it.namespace == service.namespace && selects(selected, pod_labels(it)))
            })
            .collect();
        Self { workloads, services }
    }

    /// Whether a host name of the cluster is that of a Service of ours. Where no Service is among the manifests, its
    /// name decides.
    pub(super) fn is_host(&self, host: &str) -> bool {
        let mut parts = host.split('.');
        let (name, namespace) = (parts.next().unwrap_or_default(), parts.next());
        if self.services.is_empty() {
            return name.contains("countersign");
        }
        self.services.iter().any(|service| service.name == name && namespace.is_none_or(|it| it == service.namespace))
    }

    /// The ports of the Service of that host; none if it is not among the manifests.
    pub(super) fn ports_of(&self, host: &str) -> Option<Vec<u64>> {
        let name = host.split('.').next().unwrap_or_default();
        let service = self.services.iter().find(|service| service.name == name)?;
        Some(service.list("/spec/ports").iter().filter_map(|port| port["port"].as_u64()).collect())
    }

    /// Host and port at which we are inside the cluster.
    pub(super) fn address(&self) -> String {
        let of_browsers = |port: &&Value| text(port, "/name").starts_with("http");
        let port = |service: &Object| {
            let ports = service.list("/spec/ports");
            ports.iter().find(of_browsers).or(ports.first()).and_then(|port| port["port"].as_u64())
        };
        let is_for_checks = |service: &&&Object| {
            service.list("/spec/ports").iter().any(|port| port["port"] == 9000) || service.name == "countersign"
        };
        let service = self.services.iter().find(is_for_checks).or(self.services.first());
        let found = service.and_then(|service| Some((service, port(service)?)));
        found.map_or("countersign.countersign.svc.cluster.local:9000".to_owned(), |(service, port)| {
            let namespace = if service.namespace.is_empty() { "countersign" } else { &service.namespace };
            format!("{}.{namespace}.svc.cluster.local:{port}", service.name)
        })
    }

    /// The configuration that our pods mount.
    pub(super) fn configuration(&self, manifests: &Manifests) -> Option<PodsConfiguration> {
        let mut found = self.workloads.iter().filter_map(|workload| {
            let volumes = workload.list(&format!("{POD}/spec/volumes"));
            let projected = volumes.iter().flat_map(|volume| list(&volume["projected"]["sources"]));
            let names: Vec<&str> = volumes.iter().chain(projected).map(|it| text(it, "/configMap/name")).collect();
            let map = manifests.of_kind("ConfigMap").find(|map| {
                map.namespace == workload.namespace
                    && names.contains(&&*map.name)
                    && map.value["data"][FILE].is_string()
            });
            map.map(|map| (*workload, map))
        });
        let (workload, map) = found.next()?;
        let variables = containers(workload).filter(|it| runs_countersign(it)).flat_map(|it| list(&it["env"]));
        // What a Secret or a field of the pod says is not known here.
        let value = |variable: &Value| variable["value"].as_str().unwrap_or("elsewhere").to_owned();
        Some(PodsConfiguration {
            text: map.value["data"][FILE].as_str()?.to_owned(),
            place: map.place(FILE),
            environment: variables.map(|it| (text(it, "/name").to_owned(), value(it))).collect(),
        })
    }

    /// The namespaces in which our pods are.
    pub(super) fn is_namespace(&self, namespace: &str) -> bool {
        self.workloads.iter().any(|workload| workload.namespace == namespace)
    }
}

/// The labels of a workload's pods.
pub(super) fn pod_labels(workload: &Object) -> &Value {
    workload.at(&format!("{POD}/metadata/labels")[..])
}

/// Whether a map of labels selects those labels; an empty one selects everything.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return true };
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Whether a label selector (`matchLabels`, `matchExpressions`) covers labels.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    let expressions = list(&selector["matchExpressions"]).iter().all(|expression| {
        let value = labels[text(expression, "/key")].as_str();
        let values = texts(&expression["values"]);
        match text(expression, "/operator") {
            "In" => value.is_some_and(|value| values.contains(&value)),
            "NotIn" => value.is_none_or(|value| !values.contains(&value)),
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    });
    expressions && selects(&selector["matchLabels"], labels)
}

/// Whether Istio puts a proxy into a workload's pods.
pub(super) fn has_sidecar(workload: &Object, manifests: &Manifests) -> bool {
    const SWITCH: &str = "sidecar.istio.io/inject";
    for kind in ["labels", "annotations"] {
        match workload.at(&format!("{POD}/metadata/{kind}"))[SWITCH].as_str() {
            Some("true") => return true,
            Some("false") => return false,
            _ => {}
        }
    }
    let namespace = manifests.of_kind("Namespace").find(|namespace| namespace.name == workload.namespace);
    namespace.is_some_and(|namespace| {
        let labels = namespace.at("/metadata/labels");
        labels["istio-injection"] == "enabled" || labels.get("istio.io/rev").is_some()
    })
}

pub(super) fn look(settings: &Settings, _: &Manifests, ours: &Ours<'_>, findings: &mut Vec<Finding>) {
    // With a shared store and shared keys, which the configuration demands then, no pod keeps anything of its own.
    if settings.session.redis.is_some() {
        return;
    }
    for workload in &ours.workloads {
        let replicas = workload.at("/spec/replicas").as_u64().unwrap_or(1);
        if replicas > 1 {
            let what = format!("{replicas} replicas, though the session store is embedded in each of them");
            findings.push(
                Finding::fault("replicas-embedded-store", workload.place("spec.replicas"), what)
                    .because("Each replica knows its own sessions only: people are signed out at every other request.")
                    .change("replicas: 1, or session.store: redis, which they can share"),
            );
        }
        findings.extend(data_not_kept(settings, workload));
    }
}

fn data_not_kept(settings: &Settings, workload: &Object) -> Option<Finding> {
    let data_dir = &settings.data_dir;
    let container = containers(workload).find(|container| runs_countersign(container))?;
    let mounts = list(&container["volumeMounts"]).iter();
    let holding = mounts.filter(|mount| data_dir.starts_with(text(mount, "/mountPath")));
    let volume = holding.max_by_key(|mount| text(mount, "/mountPath").len()).map(|mount| text(mount, "/name"));
    let is_claimed = volume.is_some_and(|name| {
        let templates = workload.list("/spec/volumeClaimTemplates").iter();
        let mut templates = templates.map(|template| text(template, "/metadata/name"));
        let mut volumes = workload.list(&format!("{POD}/spec/volumes")).iter();
        templates.any(|template| template == name)
            || volumes.any(|it| text(it, "/name") == name && it.get("persistentVolumeClaim").is_some())
    });
    if is_claimed {
        return None;
    }
    let what = format!("data_dir {} is on no volume that outlives the pod", data_dir.display());
    Some(
        Finding::fault("data-not-kept", workload.place("volumeMounts"), what)
            .because(
                "With the pod go all sessions, and the keys that sign tokens: until istiod has fetched the new ones, \
                 every request is refused.",
            )
            .change(format!(
                "volumeMounts: [{{name: data, mountPath: {}}}], with a volumeClaimTemplate `data`",
                data_dir.display()
            )),
    )
}

pub(super) fn containers(workload: &Object) -> impl Iterator<Item = &Value> {
    workload.list("/spec/template/spec/containers").iter()
}

pub(super) fn runs_countersign(container: &Value) -> bool {
    let image = text(container, "/image");
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split([':', '@']).next().is_some_and(|name| name.contains("countersign"))
}
