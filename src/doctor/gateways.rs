//! The gateways that ask Countersign: which pods they are, as the objects that make them ask name them.

use serde_json::{Value, json};

use super::filters;
use super::manifests::{Manifests, Object, text};
use super::mesh::Mesh;
use super::workload::{Ours, matches, pod_labels, selects};

/// Where Istio's own parts are, unless the mesh was moved.
pub(super) const ROOT: &str = "istio-system";

/// Pods of another workload, as far as the manifests tell.
pub(super) struct Pods {
    /// The labels by which they are selected, and those that always go with them.
    pub(super) labels: Value,
    /// Where they are; none where an object of the root namespace selects them, wherever they are.
    pub(super) namespace: Option<String>,
}

impl Pods {
    /// Whether an object with that selector, in that namespace, may mean them.
    pub(super) fn may_be(&self, selector: &Value, namespace: &str) -> bool {
        let is_there = namespace == ROOT || self.namespace.as_ref().is_none_or(|it| it == namespace);
        is_there && self.may_match(&json!({"matchLabels": selector}))
    }

    /// Whether a label selector may cover them: a label that is not known speaks for nothing and against nothing.
    pub(super) fn may_match(&self, selector: &Value) -> bool {
        let is_known = |name: &str| self.labels.get(name).is_some();
        let mut known = selector.clone();
        if let Some(labels) = known["matchLabels"].as_object_mut() {
            labels.retain(|name, _| is_known(name));
        }
        if let Some(expressions) = known["matchExpressions"].as_array_mut() {
            expressions.retain(|expression| is_known(text(expression, "/key")));
        }
        matches(&known, &self.labels)
    }
}

/// The gateways that ask us, by a CUSTOM policy or an `EnvoyFilter`.
pub(super) fn asking(manifests: &Manifests, ours: &Ours<'_>) -> Vec<Pods> {
    let meshes = Mesh::all(manifests);
    let names_us = |policy: &Object| {
        let named = text(&policy.value, "/spec/provider/name");
        meshes.is_empty() || meshes.iter().flat_map(Mesh::providers).any(|it| it.name == named && it.is_ours(ours))
    };
    let policies = manifests
        .of_kind("AuthorizationPolicy")
        .filter(|policy| text(&policy.value, "/spec/action") == "CUSTOM" && names_us(policy))
        .map(|policy| (policy, "/spec/selector/matchLabels"));
    let filters =
        filters::asking_us(manifests, ours).into_iter().map(|asking| (asking.object, "/spec/workloadSelector/labels"));
    policies.chain(filters).map(|(object, selector)| selected(object, object.at(selector), manifests)).collect()
}

fn selected(object: &Object, selector: &Value, manifests: &Manifests) -> Pods {
    let pods = manifests.of_kind("Deployment").find(|it| !selector.is_null() && selects(selector, pod_labels(it)));
    if let Some(pods) = pods {
        return Pods { labels: pod_labels(pods).clone(), namespace: Some(pods.namespace.clone()) };
    }
    // What Istio installs has both labels, and is selected by one of them.
    let default = json!({"istio": "ingressgateway", "app": "istio-ingressgateway"});
    let is_default = selects(selector, &default);
    Pods {
        labels: if is_default { default } else { selector.clone() },
        namespace: (is_default || object.namespace != ROOT).then(|| object.namespace.clone()),
    }
}
