//! `examples/kubeflow-legacy`: the `EnvoyFilter` that takes the place of authservice's, over stand-ins with Kubeflow's names.

use std::sync::Arc;

use countersign::clock::SystemClock;
use countersign::config::KubernetesApi;
use serde_json::json;

use crate::backend::Backend;
use crate::browser::Browser;
use crate::dex::Dex;
use crate::istio::nothing_forged_passes;
use crate::manifests::Manifests;
use crate::mesh::{Mesh, Plan};
use crate::part::free_port;
use crate::token_review::Cluster;

#[tokio::test]
async fn kubeflow_of_old_signs_in_by_countersign_where_authservice_was() {
    let kubeflow = Manifests::of("tests/rig/kubeflow-legacy");
    let dex = kubeflow.object("ConfigMap", "dex")["data"]["config.yaml"].as_str().expect("a config file");
    let cluster = Cluster::start(Arc::new(SystemClock)).await;
    let KubernetesApi { address, ca, token_file } = cluster.api();
    let mesh = Mesh::build(Plan {
        front: free_port(),
        gateway: "istio-ingressgateway",
        manifests: vec![kubeflow.text()],
        providers: json!([]),
        config: kubeflow.countersign(),
        // What the kubelet would have said, and mounted.
        variables: vec![
            ("COUNTERSIGN_BEARER__0__API_URL", address.to_string()),
            ("COUNTERSIGN_BEARER__0__CA_FILE", ca.display().to_string()),
            ("COUNTERSIGN_BEARER__0__TOKEN_FILE", token_file.display().to_string()),
        ],
        countersign: ("countersign.istio-system", 9000),
        dex: Dex::of_kubeflow(&serde_saphyr::from_str(dex).expect("YAML")).await,
        backend: Backend::start().await,
    })
    .await;

    let script = mesh.get("/pipeline/apis", &[("Accept", "application/json")]).await;
    assert_eq!(script.status, 401, "{script:?}");
    assert!(script.header("www-authenticate").is_some(), "{script:?}");
    let ann = Browser::open().await;
    let wanted = "/pipeline/?ns=ann&tag=a%2Fb";
    ann.go(&mesh.at(wanted)).await;
    assert!(ann.address().await.as_str().starts_with(&mesh.at("/dex/")), "at {}", ann.address().await);
    ann.sign_in_at_dex("ann").await;
    ann.arrives(&mesh.at(wanted)).await;
    let received = ann.received().await;
    assert_eq!(received.path, wanted);
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.all("authorization"), Vec::<&str>::new());
    let cookie = ann.cookie_header().await;
    let link = mesh.get("/logout", &[("Cookie", &cookie)]).await;
    assert_eq!((link.status, link.header("location")), (302, Some(&*mesh.at("/oauth2/sign_out"))), "{link:?}");
    nothing_forged_passes(&mesh, &ann.cookie_header().await, &["/", "/notebook/ann/lab/"], &[]).await;
    let socket = format!("ws://localhost:{}/notebook/ann/lab/channels", mesh.front);
    assert_eq!(ann.websocket(&socket).await, json!({"echo": "hello"}));
}
