//! The examples as a whole: Istio takes them for valid, and `countersign doctor` finds no fault in them.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::istiod::Istiod;
use crate::manifests::{Manifests, extension_providers};
use crate::part::{empty_folder, free_port};

#[tokio::test]
async fn istio_takes_for_valid_what_is_not_run() {
    for folder in ["gateway-tls", "gateway-tls/other-port", "gateway-tls/behind-load-balancer", "gateway-api"] {
        // It reads all of what it is given, or nothing, and is ready only when it has.
        Istiod::start(&[Manifests::of(&format!("examples/{folder}")).text()], &json!([]), free_port()).await;
    }
}

#[test]
fn the_doctor_finds_no_fault() {
    for (folder, mesh_config) in [
        ("examples/istio", Some("examples/istio/mesh-config.yaml")),
        ("examples/istio", Some("examples/istio/mesh-config-grpc.yaml")),
        ("examples/gateway-tls", Some("examples/istio/mesh-config.yaml")),
        ("examples/gateway-api", Some("examples/istio/mesh-config.yaml")),
        ("examples/replicas", Some("examples/istio/mesh-config.yaml")),
        ("tests/rig/kubeflow", None),
        ("tests/rig/kubeflow-legacy", None),
        ("examples/per-route", None),
        ("tests/rig/cutover", Some("examples/kubeflow/mesh-config.yaml")),
    ] {
        let manifests = Manifests::of(folder);
        let place = empty_folder();
        let at = |name: &str| place.path().join(name);
        fs::write(at("countersign.yaml"), manifests.countersign()).expect("a config");
        // Files are read as one: what the mesh config of the distribution lacks, the other one adds, as the READMEs have it.
        let mut objects = manifests.text();
        if let Some(mesh_config) = mesh_config {
            let mesh = json!({"extensionProviders": extension_providers(mesh_config)}).to_string();
            let metadata = json!({"name": "istio", "namespace": "istio-system"});
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": mesh}});
            objects = [objects, map.to_string()].join("\n---\n");
        }
        fs::write(at("manifests.yaml"), objects).expect("manifests");
        let redis = [("COUNTERSIGN_SESSION__REDIS__PASSWORD", "any")];
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["doctor", "--offline", "--config"])
            .arg(at("countersign.yaml"))
            .arg("--manifests")
            .arg(at("manifests.yaml"))
            .env_clear()
            .env("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", "any")
            .envs(redis.into_iter().filter(|_| manifests.countersign().contains("redis:")))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{folder} with {mesh_config:?}:\n{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
