//! `examples/kubeflow`: the component over stand-ins with Kubeflow's names, by Istio itself, with Dex as Kubeflow has it.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::clock::SystemClock;
use countersign::config::KubernetesApi;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::dex::Dex;
use crate::istio::nothing_forged_passes;
use crate::manifests::{Manifests, extension_providers};
use crate::mesh::{Mesh, Plan, objects};
use crate::part::free_port;
use crate::proxy::Proxy;
use crate::sidecar::Workload;
use crate::token_review::Cluster;

/// What `kubectl create token` names without `--audience`.
const OF_THE_CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
/// What notebooks have mounted for the SDK of Pipelines.
const PIPELINES: &str = "pipelines.kubeflow.org";

#[tokio::test]
async fn kubeflow_signs_in_by_countersign_where_oauth2_proxy_was() {
    let kubeflow = Manifests::of("tests/rig/kubeflow");
    assert!(!kubeflow.has("VirtualService", "oauth2-proxy"), "two routes for /oauth2/: which one wins is chance");
    let Site { mesh, sidecars, cluster } =
        Site::build(&kubeflow, &[Workload::new("lab", "ann", "127.0.0.5")], &[]).await;

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

    service_accounts_come_by_their_tokens(&mesh, &cluster).await;

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
        assert_eq!(answer.status, status, "{answer:?}\n{}", sidecars[0].log());
    }
    // Where the dashboard's menu leads.
    bob.go(&mesh.at(logout_url(&kubeflow))).await;
    bob.click("form button").await;
    bob.reads("signed out").await;
    assert_eq!(mesh.get("/", &[("Cookie", &theirs), ("Accept", "*/*")]).await.status, 403);
}

/// Kubeflow's mesh with everything that the component brings, and these workloads behind sidecars of their own.
pub(crate) struct Site {
    pub(crate) mesh: Mesh,
    pub(crate) sidecars: Vec<Proxy>,
    cluster: Cluster,
}

impl Site {
    /// Builds it of these manifests, with more beside them.
    pub(crate) async fn build(kubeflow: &Manifests, workloads: &[Workload], more: &[String]) -> Self {
        let backend = Backend::start().await;
        let dex: Value = yaml(text(&kubeflow.object("ConfigMap", "dex")["data"]["config.yaml"]));
        let cluster = Cluster::start(Arc::new(SystemClock)).await;
        let KubernetesApi { address, ca, token_file } = cluster.api();
        let own: Vec<Value> = workloads.iter().flat_map(|workload| workload.objects(backend.port())).collect();
        let mesh = Mesh::build(Plan {
            front: free_port(),
            gateway: "istio-ingressgateway",
            manifests: [&[kubeflow.text(), objects(&own)], more].concat(),
            providers: mesh_string(kubeflow)["extensionProviders"].clone(),
            config: kubeflow.countersign(),
            // What the kubelet would have said, and mounted.
            variables: vec![
                ("COUNTERSIGN_BEARER__0__API_URL", address.to_string()),
                ("COUNTERSIGN_BEARER__0__CA_FILE", ca.display().to_string()),
                ("COUNTERSIGN_BEARER__0__TOKEN_FILE", token_file.display().to_string()),
            ],
            countersign: ("countersign.countersign", 9000),
            dex: Dex::of_kubeflow(&dex).await,
            backend,
        })
        .await;
        let mut sidecars = Vec::new();
        for workload in workloads {
            sidecars.push(workload.start(&mesh.istiod).await);
        }
        Self { mesh, sidecars, cluster }
    }
}

async fn service_accounts_come_by_their_tokens(mesh: &Mesh, cluster: &Cluster) {
    let token_for = |audience: &str| {
        cluster.token_with(|claims| {
            claims["sub"] = json!("system:serviceaccount:ann:default-editor");
            claims["kubernetes.io"]["namespace"] = json!("ann");
            claims["kubernetes.io"]["serviceaccount"]["name"] = json!("default-editor");
            claims["aud"] = json!([audience]);
        })
    };
    for audience in [OF_THE_CLUSTER, PIPELINES] {
        let token = token_for(audience);
        let bearer = format!("Bearer {token}");
        let asked = cluster.reviews();
        for target in ["/pipeline/apis/v2beta1/runs?namespace=ann", "/jupyter/api/namespaces/ann/notebooks"] {
            let forged = ("Kubeflow-Userid", "ann@example.com");
            let answer = mesh.get(target, &[("Authorization", &bearer), ("Accept", "*/*"), forged]).await;
            assert_eq!(answer.status, 200, "{target}: {answer:?}\n{}", mesh.gateway.log());
            let received = answer.received();
            assert_eq!(received.path, target);
            assert_eq!(received.one("kubeflow-userid"), "system:serviceaccount:ann:default-editor");
            // Istio has verified it, or the request would not be here.
            let claims = claims(received.one("authorization"));
            assert_eq!(claims["iss"], "http://countersign.countersign.svc.cluster.local:9000");
            assert_eq!(claims["sub"], "system:serviceaccount:ann:default-editor");
            assert_eq!(claims["aud"], json!(["mesh"]));
            let signature = token.rsplit('.').next().expect("a signature");
            assert!(!answer.body.contains(signature), "the workload could be whoever it is: {received:?}");
        }
        assert_eq!(cluster.reviews(), asked + 1, "once for both");
    }
    // A ServiceAccount is not the namespace's owner, whose name it cannot take.
    let bearer = format!("Bearer {}", token_for(PIPELINES));
    let notebook = mesh.get("/notebook/ann/lab/tree", &[("Authorization", &bearer), ("Accept", "*/*")]).await;
    assert_eq!(notebook.status, 403, "{notebook:?}");

    let revoked = token_for(PIPELINES);
    cluster.revoke(&revoked);
    let elsewhere = cluster.token_with(|claims| claims["iss"] = json!("https://elsewhere.example.com"));
    for (what, token, status) in [
        ("of another cluster", cluster.forged(), 401),
        ("of an issuer that nobody knows", elsewhere, 403),
        ("for somebody else", token_for("vault"), 401),
        ("of a pod that is gone", revoked, 401),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = mesh.get("/pipeline/apis", &[("Authorization", &bearer), ("Accept", "*/*")]).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
}

#[test]
fn the_pod_may_ask_whose_a_token_is_and_nothing_else() {
    let kubeflow = Manifests::of("tests/rig/kubeflow");
    let pods = kubeflow.object("StatefulSet", "countersign");
    assert_eq!(pods["spec"]["template"]["spec"]["automountServiceAccountToken"], true, "it has no token to ask with");
    let binding = kubeflow.object("ClusterRoleBinding", "countersign-token-review");
    let account = &pods["spec"]["template"]["spec"]["serviceAccountName"];
    let namespace = &pods["metadata"]["namespace"];
    let subject = json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}]);
    assert_eq!(binding["subjects"], subject);
    let role = kubeflow.object("ClusterRole", text(&binding["roleRef"]["name"]));
    let right = json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}]);
    assert_eq!(role["rules"], right);
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

/// What a token says, which Istio has verified.
pub(crate) fn claims(authorization: &str) -> Value {
    let payload = authorization.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    serde_json::from_slice(&payload.expect("a JWT")).expect("claims")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}
