//! What our pods need of their surroundings: a Service that leads to them, the files that the configuration names, and
//! leave to ask the API server.

use serde_json::Value;

use super::Finding;
use super::manifests::{Manifests, Object, list, text, texts};
use super::routes;
use super::workload::{Ours, POD, containers, pod_labels, runs_countersign, selects};
use crate::config::{BearerSource, KubernetesSettings, KubernetesVerify, NamedFile, Settings};

pub(super) fn look(
    settings: &Settings,
    files: &[NamedFile],
    manifests: &Manifests,
    ours: &Ours<'_>,
    findings: &mut Vec<Finding>,
) {
    findings.extend(no_service(manifests, ours));
    for service in &ours.services {
        for workload in ours.workloads.iter().filter(|it| selects(service.at("/spec/selector"), pod_labels(it))) {
            findings.extend(wrong_targets(settings, service, workload));
        }
    }
    for workload in &ours.workloads {
        findings.extend(files.iter().filter_map(|file| not_mounted(file, workload, manifests)));
        for source in &settings.bearer.sources {
            if let BearerSource::Kubernetes(source) = source {
                findings.extend(cannot_ask(source, workload, manifests));
            }
        }
    }
}

fn no_service(manifests: &Manifests, ours: &Ours<'_>) -> Option<Finding> {
    let workload = ours.workloads.first().filter(|_| ours.services.is_empty())?;
    let is_there = |service: &&Object| service.namespace == workload.namespace && service.name.contains("countersign");
    let empty = manifests.of_kind("Service").find(is_there);
    // Whoever gives the pods alone, has the rest elsewhere.
    if empty.is_none() && routes::to_us(manifests, ours).is_empty() && manifests.of_kind("EnvoyFilter").next().is_none()
    {
        return None;
    }
    let labels = pod_labels(workload);
    let finding = match empty {
        Some(service) => {
            Finding::fault("service-absent", service.place("spec.selector"), "the Service selects none of our pods")
        }
        None => Finding::fault("service-absent", workload.place(""), "no Service leads to our pods"),
    };
    Some(
        finding
            .because("Checks, pages and keys are asked for in vain: every request fails.")
            .change(format!("kind: Service, in the namespace of the pods: spec: {{selector: {labels}, …}}")),
    )
}

/// Ports of a Service that lead to none of ours.
fn wrong_targets(settings: &Settings, service: &Object, workload: &Object) -> Vec<Finding> {
    let (main, admin) = (u64::from(settings.listen.main.port()), u64::from(settings.listen.admin.port()));
    let ports: Vec<(&Value, bool)> = containers(workload)
        .flat_map(|container| list(&container["ports"]).iter().map(move |port| (port, runs_countersign(container))))
        .collect();
    let mut findings = Vec::new();
    for (index, port) in service.list("/spec/ports").iter().enumerate() {
        let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
        let is_it = |it: &&(&Value, bool)| it.0["name"] == *target || it.0["containerPort"] == *target;
        let found = ports.iter().find(is_it);
        // Another container of the pod has ports of its own.
        if found.is_some_and(|(_, is_ours)| !is_ours) {
            continue;
        }
        let number = target.as_u64().or(found.and_then(|(port, _)| port["containerPort"].as_u64()));
        if number.is_some_and(|number| number == main || number == admin) {
            continue;
        }
        let what = match number {
            Some(number) => format!("it leads to port {number}, and we listen at {main} (and {admin} for health)"),
            None => format!("no container has a port called {target}"),
        };
        let place = match found {
            Some(_) if target.is_string() => workload.place(&format!("containers.ports, {target}")),
            _ => service.place(&format!("spec.ports[{index}].targetPort")),
        };
        findings.push(
            Finding::fault("service-target-port", place, what)
                .because("Nobody answers there: what comes by this port fails.")
                .change(match number {
                    Some(_) if target.is_string() => format!("containerPort: {main}"),
                    _ => format!("targetPort: {main}"),
                }),
        );
    }
    findings
}

/// A file that the configuration names and that is surely not in the pod.
fn not_mounted(file: &NamedFile, workload: &Object, manifests: &Manifests) -> Option<Finding> {
    let container = containers(workload).find(|container| runs_countersign(container))?;
    // What is in the image is not known; these places are of whoever runs it.
    if !["/etc/countersign", "/var/run/secrets", "/run/secrets"].iter().any(|place| file.path.starts_with(place)) {
        return None;
    }
    // Kubernetes mounts that one by itself; whether it does is looked at with the account.
    if file.path.starts_with("/var/run/secrets/kubernetes.io/serviceaccount") {
        return None;
    }
    let mounts = list(&container["volumeMounts"]).iter();
    let holding = mounts.filter(|mount| file.path.starts_with(text(mount, "/mountPath")));
    let mount = holding.max_by_key(|mount| text(mount, "/mountPath").len());
    let below = mount.map(|mount| {
        let rest =
            file.path.strip_prefix(text(mount, "/mountPath")).unwrap_or(&file.path).to_string_lossy().into_owned();
        match text(mount, "/subPath") {
            "" => rest,
            path if rest.is_empty() => path.to_owned(),
            path => format!("{path}/{rest}"),
        }
    });
    if let (Some(mount), Some(below)) = (mount, below)
        && may_hold(workload, text(mount, "/name"), &below, manifests)
    {
        return None;
    }
    let what = format!("{}, named by {}, is on no volume of the pod", file.path.display(), file.key);
    Some(
        Finding::fault("file-not-mounted", workload.place("volumes"), what)
            .because("Countersign reads it when it starts, and does not start without it.")
            .change("volumes: […, the Secret that has it], and a volumeMount where it is expected"),
    )
}

/// Whether a volume may hold a file: what is not among the manifests, may.
fn may_hold(workload: &Object, volume: &str, file: &str, manifests: &Manifests) -> bool {
    let volumes = workload.list(&format!("{POD}/spec/volumes"));
    let Some(volume) = volumes.iter().find(|it| text(it, "/name") == volume) else {
        let templates = workload.list("/spec/volumeClaimTemplates").iter();
        return templates.into_iter().any(|it| text(it, "/metadata/name") == volume);
    };
    let holds = |source: &Value| {
        let (config_map, secret) = (&source["configMap"], &source["secret"]);
        let (kind, source, name) = if config_map.is_object() {
            ("ConfigMap", config_map, text(config_map, "/name"))
        } else if secret.is_object() {
            let name = text(secret, "/secretName");
            ("Secret", secret, if name.is_empty() { text(secret, "/name") } else { name })
        } else if source["serviceAccountToken"].is_object() {
            return text(source, "/serviceAccountToken/path") == file;
        } else {
            return !source["downwardAPI"].is_object();
        };
        let items = list(&source["items"]);
        let item = items.iter().find(|item| text(item, "/path") == file);
        if !items.is_empty() && item.is_none() {
            return false;
        }
        let key = item.map_or(file, |item| text(item, "/key"));
        let object = manifests.of_kind(kind).find(|it| it.name == name && it.namespace == workload.namespace);
        object.is_none_or(|object| {
            ["data", "stringData", "binaryData"].iter().any(|field| object.value[*field].get(key).is_some())
        })
    };
    if volume["projected"].is_object() {
        return list(&volume["projected"]["sources"]).iter().any(holds);
    }
    holds(volume)
}

/// Why our pods may not ask the API server whose a token is.
fn cannot_ask(source: &KubernetesSettings, workload: &Object, manifests: &Manifests) -> Vec<Finding> {
    const WHY: &str = "Every token of a ServiceAccount is refused: nobody can be asked whose it is.";
    if source.verify != KubernetesVerify::TokenReview {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let pod = workload.at(&format!("{POD}/spec"));
    let name = pod["serviceAccountName"].as_str().unwrap_or("default");
    let account = manifests.of_kind("ServiceAccount").find(|it| it.name == name && it.namespace == workload.namespace);
    let of_account = account.and_then(|account| account.at("/automountServiceAccountToken").as_bool());
    let is_mounted = pod["automountServiceAccountToken"].as_bool().or(of_account).unwrap_or(true);
    let is_usual = source.api.token_file.starts_with("/var/run/secrets/kubernetes.io/serviceaccount");
    let by_hand = list(&pod["volumes"]).iter().any(|volume| volume.to_string().contains("serviceAccountToken"));
    if !is_mounted && is_usual && !by_hand {
        findings.push(
            Finding::fault(
                "token-review-no-token",
                workload.place("automountServiceAccountToken"),
                "our pods have no token for the API server",
            )
            .because(WHY)
            .change("automountServiceAccountToken: true"),
        );
    }
    let is_subject = |binding: &&Object| {
        binding.list("/subjects").iter().any(|subject| {
            subject["kind"] == "ServiceAccount"
                && text(subject, "/name") == name
                && (workload.namespace.is_empty() || text(subject, "/namespace") == workload.namespace)
        })
    };
    let lets_ask = |binding: &Object| {
        let role = text(&binding.value, "/roleRef/name");
        match manifests.of_kind("ClusterRole").find(|it| it.name == role) {
            Some(role) => role.list("/rules").iter().any(|rule| {
                let has = |field: &str, word: &str| texts(&rule[field]).iter().any(|it| *it == word || *it == "*");
                has("resources", "tokenreviews") && has("verbs", "create") && has("apiGroups", "authentication.k8s.io")
            }),
            // One that every cluster has, or that somebody else made.
            None => true,
        }
    };
    // Whoever gives no account may well have given no roles.
    let mut bindings = manifests.of_kind("ClusterRoleBinding").filter(is_subject);
    if account.is_some() && !bindings.any(lets_ask) {
        let what = format!("nothing lets ServiceAccount {}/{name} create TokenReviews", workload.namespace);
        findings.push(Finding::fault("token-review-forbidden", workload.place("serviceAccountName"), what).because(WHY).change(
            format!(
                "kind: ClusterRoleBinding\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: \
                 system:auth-delegator}}\nsubjects: [{{kind: ServiceAccount, name: {name}, namespace: {}}}]\n(or the smaller \
                 ClusterRole of examples/kubeflow/countersign/token-review.yaml)",
                workload.namespace
            ),
        ));
    }
    findings
}
