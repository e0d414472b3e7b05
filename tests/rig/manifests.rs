//! The manifests that ship, as their users render them.

use std::process::Command;

use serde_json::Value;

use crate::part::tool;

/// What `kustomize build` makes of a folder of this project.
pub(crate) struct Manifests {
    text: String,
    objects: Vec<Value>,
}

impl Manifests {
    /// Renders a folder.
    pub(crate) fn of(folder: &str) -> Self {
        let path = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(tool("KUSTOMIZE", "kustomize", "kustomize"))
            .args(["build", &path])
            .output()
            .expect("kustomize runs");
        assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let parse = |object: &str| serde_saphyr::from_str(object).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let objects = text.split("\n---\n").map(parse).collect();
        Self { text, objects }
    }

    /// All of it, as it would be applied.
    pub(crate) fn text(&self) -> String {
        self.text.clone()
    }

    /// The only object of this kind whose name is this one, or begins so and goes on with a hash.
    pub(crate) fn object(&self, kind: &str, name: &str) -> &Value {
        let hashed = format!("{name}-");
        let is_it = |object: &&Value| {
            let found = object["metadata"]["name"].as_str().unwrap_or_default();
            object["kind"] == kind
                && (found == name || found.strip_prefix(&hashed).is_some_and(|rest| rest.len() == 10))
        };
        let found: Vec<&Value> = self.objects.iter().filter(is_it).collect();
        match found[..] {
            [object] => object,
            _ => panic!("one {kind} {name} expected, found {}", found.len()),
        }
    }

    /// Whether there is an object of this kind and name.
    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.objects.iter().any(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// Countersign's own config file.
    pub(crate) fn countersign(&self) -> &str {
        self.object("ConfigMap", "countersign")["data"]["countersign.yaml"].as_str().expect("a config file")
    }
}

/// A file of this project, as it stands.
pub(crate) fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The extension providers of a values file for Istio's chart.
pub(crate) fn extension_providers(path: &str) -> Value {
    let values: Value = serde_saphyr::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    values["meshConfig"]["extensionProviders"].clone()
}
