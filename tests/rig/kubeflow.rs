//! `examples/kubeflow`: the component over stand-ins with Kubeflow's names, by Istio itself, with Dex as Kubeflow has it.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::dex::Dex;
use crate::istio::nothing_forged_passes;
use crate::manifests::{Manifests, extension_providers};
use crate::mesh::{Mesh, Plan, objects};
use crate::part::free_port;
use crate::sidecar::Workload;

#[tokio::test]
async fn kubeflow_signs_in_by_countersign_where_oauth2_proxy_was() {
    let kubeflow = Manifests::of("tests/rig/kubeflow");
    assert!(!kubeflow.has("VirtualService", "oauth2-proxy"), "two routes for /oauth2/: which one wins is chance");
    let backend = Backend::start().await;
    let lab = Workload::new("lab", "ann", "127.0.0.5");
    let dex: Value = yaml(text(&kubeflow.object("ConfigMap", "dex")["data"]["config.yaml"]));
    let mesh = Mesh::build(Plan {
        front: free_port(),
        gateway: "istio-ingressgateway",
        manifests: vec![kubeflow.text(), objects(&lab.objects(backend.port()))],
        providers: mesh_string(&kubeflow)["extensionProviders"].clone(),
        config: kubeflow.countersign(),
        variables: vec![],
        countersign: ("countersign.countersign", 9000),
        dex: Dex::of_kubeflow(&dex).await,
        backend,
    })
    .await;
    let lab_sidecar = lab.start(&mesh.istiod).await;

    // As Kubeflow's own test scripts ask.
    let anonymous = mesh.get("/", &[("Accept", "*/*")]).await;
    assert_eq!(anonymous.status, 403, "{anonymous:?}");
    let start = mesh.get("/oauth2/start?rd=/pipeline/", &[("Accept", "*/*")]).await;
    assert_eq!(start.status, 302, "{start:?}");
    assert!(start.header("location").is_some_and(|to| to.starts_with("/dex/auth?")), "{start:?}");
    // No token of Dex's or of anybody's own making opens anything; Dex's own pages ask for none.
    let bearer = [("Accept", "*/*"), ("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")];
    assert_eq!(mesh.get("/", &bearer).await.status, 403);
    assert_eq!(mesh.get("/dex/.well-known/openid-configuration", &[]).await.status, 200);

    let ann = Browser::open().await;
    ann.go(&mesh.at("/?ns=ann")).await;
    // Dex stands behind the same gateway.
    assert!(ann.address().await.as_str().starts_with(&mesh.at("/dex/")), "at {}", ann.address().await);
    ann.sign_in_at_dex("ann").await;
    ann.arrives(&mesh.at("/?ns=ann")).await;
    let received = ann.received().await;
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    let cookie = ann.cookie_header().await;
    nothing_forged_passes(&mesh, &cookie, &["/", "/notebook/ann/lab/tree"], &[]).await;

    let bob = mesh.signed_in("bob", "/").await;
    let theirs = bob.cookie_header().await;
    for (cookie, status) in [(&cookie, 200), (&theirs, 403)] {
        let answer = mesh.get("/notebook/ann/lab/tree", &[("Cookie", cookie)]).await;
        assert_eq!(answer.status, status, "{answer:?}\n{}", lab_sidecar.log());
    }
    // Where the dashboard's menu leads.
    bob.go(&mesh.at(logout_url(&kubeflow))).await;
    bob.click("form button").await;
    bob.reads("signed out").await;
    assert_eq!(mesh.get("/", &[("Cookie", &theirs), ("Accept", "*/*")]).await.status, 403);
}

#[test]
fn the_whole_mesh_string_has_the_provider_that_the_readme_adds() {
    let kubeflow = Manifests::of("tests/rig/kubeflow");
    let mesh = mesh_string(&kubeflow);
    let providers = mesh["extensionProviders"].as_array().expect("providers");
    let added = extension_providers("examples/kubeflow/mesh-config.yaml");
    assert_eq!(added.as_array().map(Vec::len), Some(1));
    assert!(providers.contains(&added[0]), "{providers:?}");
    assert!(providers.iter().any(|provider| provider["name"] == "oauth2-proxy"), "the way back is kept");
}

fn mesh_string(kubeflow: &Manifests) -> Value {
    yaml(text(&kubeflow.object("ConfigMap", "istio")["data"]["mesh"]))
}

fn logout_url(kubeflow: &Manifests) -> &str {
    let dashboard = &kubeflow.object("Deployment", "centraldashboard")["spec"]["template"]["spec"]["containers"][0];
    let variables = dashboard["env"].as_array().expect("variables");
    assert!(variables.contains(&json!({"name": "USERID_HEADER", "value": "kubeflow-userid"})), "{variables:?}");
    text(&variables.iter().find(|variable| variable["name"] == "LOGOUT_URL").expect("LOGOUT_URL")["value"])
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}
