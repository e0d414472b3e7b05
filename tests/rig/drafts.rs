//! What `countersign migrate` drafts, put into the examples that docs/migrating.md sends it to: they fit as they stand.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::manifests::Manifests;
use crate::part::empty_folder;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Stands in for the file that the pod mounts.
const SECRET: (&str, &str) = ("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", "canary");

#[test]
fn a_draft_of_authservice_fits_kubeflow_of_old() {
    for version in ["1.3", "1.6", "1.8"] {
        let settings = format!("{ROOT}/tests/migrate/kubeflow-{version}.env");
        let draft =
            drafted(&["authservice", "--env-file", &settings, "--public-url", "https://kubeflow.example.com"], &[]);
        let manifests = with_draft("kubeflow-legacy", &draft);
        fits(&draft, &manifests, ("countersign-token-review", "istio-system"));
        // Where the provider sends browsers back to leads to us.
        let config: Value = serde_saphyr::from_str(&draft).expect("YAML");
        let back = &config["providers"][0]["redirect_uri"];
        let routes = manifests.object("VirtualService", "countersign")["spec"]["http"].as_array().expect("routes");
        let ours = routes.iter().filter(|route| route.get("route").is_some());
        let mut ours = ours.flat_map(|route| route["match"].as_array().expect("matches"));
        assert!(ours.any(|it| it["uri"]["exact"] == *back), "{version}: {back} is not routed");
    }
}

#[test]
fn a_draft_of_oauth2_proxy_fits_kubeflow() {
    let cfg = format!("{ROOT}/tests/migrate/kubeflow-26.03.cfg");
    let arguments = [
        "oauth2-proxy",
        "--cfg",
        &cfg,
        "--public-url",
        "https://kubeflow.example.com",
        "--",
        "--http-address=0.0.0.0:4180",
    ];
    let draft = drafted(
        &arguments,
        &[
            ("OAUTH2_PROXY_CLIENT_ID", "kubeflow-oidc-authservice"),
            ("OAUTH2_PROXY_CLIENT_SECRET", "canary"),
            ("OAUTH2_PROXY_SKIP_JWT_BEARER_TOKENS", "true"),
            (
                "OAUTH2_PROXY_EXTRA_JWT_ISSUERS",
                "https://kubernetes.default.svc.cluster.local=istio-ingressgateway.istio-system.svc.cluster.local",
            ),
        ],
    );
    fits(&draft, &with_draft("kubeflow", &draft), ("countersign-token-review", "countersign"));
}

/// As docs/migrating.md makes values of a draft.
#[test]
fn drafts_fit_the_chart() {
    let settings = format!("{ROOT}/tests/migrate/kubeflow-1.8.env");
    let draft = drafted(&["authservice", "--env-file", &settings, "--public-url", "https://kubeflow.example.com"], &[]);
    let folder = empty_folder();
    std::fs::write(folder.path().join("countersign.yaml"), &draft).expect("a file");
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/migrating.md")).expect("a file of ours");
    let command = page.lines().map(str::trim).find(|line| line.ends_with("> values.yaml")).expect("a command");
    let status = Command::new("/bin/sh").args(["-c", command]).current_dir(folder.path()).status().expect("it runs");
    assert!(status.success(), "{command}");
    let set = [
        "secrets.existing[0].name=countersign",
        "istio.virtualService.enabled=true",
        "istio.virtualService.gateways[0]=kubeflow/kubeflow-gateway",
        "istio.destinationRule.enabled=true",
        "istio.envoyFilter.enabled=true",
        "istio.streamDuration.enabled=true",
    ];
    let values = folder.path().join("values.yaml");
    let manifests = Manifests::of_chart(&values.to_string_lossy(), &set);
    fits(&draft, &manifests, ("countersign-countersign-token-review", "countersign"));
}

fn drafted(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .arg("migrate")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The rig's stand-ins for Kubeflow, over a copy of the example with the draft in it.
fn with_draft(example: &str, draft: &str) -> Manifests {
    let copy = empty_folder();
    for part in ["examples", "tests/rig"] {
        let to = copy.path().join(part);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let status = Command::new("cp").arg("-r").arg(Path::new(ROOT).join(part)).arg(to).status().expect("cp runs");
        assert!(status.success(), "{part} is not copied");
    }
    std::fs::write(copy.path().join("examples").join(example).join("countersign/countersign.yaml"), draft)
        .expect("a file");
    Manifests::built(&copy.path().join("tests/rig").join(example))
}

/// The doctor finds no fault, and what it does not look at is there: ports, the mounted secret, leave to ask the cluster.
fn fits(draft: &str, manifests: &Manifests, (binding, namespace): (&str, &str)) {
    let folder = empty_folder();
    let (config, rendered) = (folder.path().join("countersign.yaml"), folder.path().join("manifests.yaml"));
    std::fs::write(&config, draft).expect("a file");
    std::fs::write(&rendered, manifests.text()).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["doctor", "--offline", "--manifests"])
        .arg(&rendered)
        .arg("--config")
        .arg(&config)
        .env_clear()
        .env(SECRET.0, SECRET.1)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !found.contains("FAULT"), "{found}{}", String::from_utf8_lossy(&output.stderr));

    let pod = &manifests.object("StatefulSet", "countersign")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let settings: Value = serde_saphyr::from_str(draft).expect("YAML");
    assert_eq!(settings["listen"], Value::Null, "other ports than the pod's");
    assert_eq!(
        (&container["ports"][0]["containerPort"], &container["ports"][1]["containerPort"]),
        (&9000.into(), &9001.into())
    );
    assert!(container.get("env").is_none() && !draft.contains("{env:"), "the pod has no variables");
    assert_eq!(settings["providers"][0]["client_secret"]["file"], "/etc/countersign/client-secret");
    assert!(
        container["volumeMounts"]
            .as_array()
            .expect("mounts")
            .iter()
            .any(|mount| mount["mountPath"] == "/etc/countersign")
    );
    let sources = settings["bearer"].as_array().expect("sources");
    assert!(sources.iter().any(|source| source["kind"] == "kubernetes"), "{draft}");
    assert_eq!(pod["automountServiceAccountToken"], true);
    let binding = manifests.object("ClusterRoleBinding", binding);
    assert_eq!(binding["subjects"][0]["namespace"], namespace);
}
