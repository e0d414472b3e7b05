//! The manifests that ship, as their users render them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::part::{empty_folder, tool};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/countersign");

/// What `kustomize build` makes of a folder of this project, or Helm of its chart.
pub(crate) struct Manifests {
    text: String,
    objects: Vec<Value>,
}

impl Manifests {
    /// Renders a folder.
    pub(crate) fn of(folder: &str) -> Self {
        Self::built(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
    }

    /// Renders a folder, wherever it is.
    pub(crate) fn built(folder: &Path) -> Self {
        let output = Command::new(tool("KUSTOMIZE", "kustomize", "kustomize"))
            .arg("build")
            .arg(folder)
            .output()
            .expect("kustomize runs");
        let place = folder.display().to_string();
        assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
        Self::read(&place, String::from_utf8(output.stdout).expect("text"))
    }

    /// Renders the chart as it is installed: release and namespace `countersign`, by a file of values, and others on top.
    pub(crate) fn of_chart(values: &str, set: &[&str]) -> Self {
        Self::read(values, helm_template(Path::new(CHART), values, set))
    }

    fn read(place: &str, text: String) -> Self {
        let parse = |object: &str| serde_saphyr::from_str(object).unwrap_or_else(|error| panic!("{place}: {error}"));
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

/// The extension providers that the chart's notes say. Helm prints notes only beside a cluster: here they are an object.
pub(crate) fn extension_providers_of_chart(values: &str, set: &[&str]) -> Value {
    let folder = empty_folder();
    let copy = folder.path().join("countersign");
    let status = Command::new("cp").arg("-r").arg(CHART).arg(&copy).status().expect("cp runs");
    assert!(status.success(), "the chart is not copied");
    let entry = "extensionProviders:\n{{ include \"countersign.meshProvider\" . }}\n";
    let notes = std::fs::read_to_string(copy.join("templates/NOTES.txt")).expect("notes");
    assert!(notes.contains(entry), "the notes say something else");
    std::fs::write(copy.join("templates/zz.yaml"), format!("apiVersion: v1\nkind: List\n{entry}")).expect("a template");
    let text = helm_template(&copy, values, set);
    let said = text.split("\n---\n").find(|object| object.contains("templates/zz.yaml")).expect("the entry");
    serde_saphyr::from_str::<Value>(said).expect("YAML")["extensionProviders"].clone()
}

fn helm_template(chart: &Path, values: &str, set: &[&str]) -> String {
    let mut command = Command::new(tool("HELM", "helm", "helm"));
    command.args(["template", "countersign"]).arg(chart).args([
        "--namespace",
        "countersign",
        "--kube-version",
        "1.30.0",
    ]);
    command.arg("--values").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(values));
    for value in set {
        command.args(["--set", value]);
    }
    let home = empty_folder();
    for place in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(place, home.path());
    }
    let output = command.output().expect("helm runs");
    assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.strip_prefix("---\n").unwrap_or(&text).to_owned()
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
