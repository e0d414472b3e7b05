//! The chart: what it renders for Istio, made into Envoy's config by Istio itself, asks and verifies as it says.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::dex::Dex;
use crate::istio::{nobody_signed_in_gets_nowhere, nothing_forged_passes};
use crate::manifests::{Manifests, extension_providers_of_chart, file};
use crate::mesh::{Mesh, Plan, objects, origin, route};
use crate::part::free_port;

const VALUES: &str = "tests/manifests/chart-values/good/istio.yaml";

#[tokio::test]
async fn the_chart_lets_in_whom_countersign_names() {
    let mesh = installed(&[]).await;
    lets_in_whom_countersign_names(&mesh).await;
    what_is_not_asked_about_needs_a_token(&mesh).await;
}

#[tokio::test]
async fn the_chart_asks_over_grpc_as_well() {
    let mesh = installed(&["istio.provider.protocol=grpc"]).await;
    lets_in_whom_countersign_names(&mesh).await;
    what_is_not_asked_about_needs_a_token(&mesh).await;
}

#[tokio::test]
async fn the_chart_asks_by_an_envoy_filter_where_the_mesh_knows_no_providers() {
    let mesh = installed(&["istio.envoyFilter.enabled=true", "istio.authorizationPolicy.custom.enabled=false"]).await;
    lets_in_whom_countersign_names(&mesh).await;
}

async fn lets_in_whom_countersign_names(mesh: &Mesh) {
    nobody_signed_in_gets_nowhere(mesh).await;
    let ann = signed_in(mesh).await;
    let received = ann.received().await;
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    let cookie = ann.cookie_header().await;
    nothing_forged_passes(mesh, &cookie, &["/app", "/notebook/ann/lab"], &["/public/page"]).await;
    // Left for the workload, and Istio takes none but ours.
    let of_elsewhere = "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2Vsc2V3aGVyZSJ9.c2ln";
    for (authorization, status) in [(of_elsewhere, 401), ("Basic eDp5", 200)] {
        let answer = mesh.get("/kept/x", &[("Cookie", &cookie), ("Authorization", authorization)]).await;
        assert_eq!(answer.status, status, "{authorization}: {answer:?}");
    }
}

/// The DENY policy alone stands there, and the keys that istiod has fetched.
async fn what_is_not_asked_about_needs_a_token(mesh: &Mesh) {
    let ann = signed_in(mesh).await;
    let token = ann.received().await.one("authorization").to_owned();
    let (rest, signature) = token.rsplit_once('.').expect("a JWT");
    let altered = format!("{rest}.{}", signature.chars().rev().collect::<String>());
    for (what, authorization, status) in [("ours", &*token, 200), ("altered", &altered, 401), ("none", "", 403)] {
        let headers: Vec<_> =
            Some(("Authorization", authorization)).filter(|it| !it.1.is_empty()).into_iter().collect();
        let answer = mesh.get("/unasked", &headers).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
}

async fn signed_in(mesh: &Mesh) -> Browser {
    mesh.signed_in("ann", "/app?year=2026&tag=a%2Fb").await
}

/// The chart, installed with these values on top.
async fn installed(set: &[&str]) -> Mesh {
    let chart = Manifests::of_chart(VALUES, set);
    let asks_by_filter = set.iter().any(|value| value.starts_with("istio.envoyFilter"));
    let providers = if asks_by_filter { json!([]) } else { extension_providers_of_chart(VALUES, set) };
    let front = free_port();
    let dex = Dex::start(&format!("{}/oauth2/callback", origin(front))).await;
    let own = [
        serde_saphyr::from_str::<Value>(&file("examples/istio/gateway.yaml")).expect("YAML"),
        route("workload", "ingress", "/", "workload.workloads"),
    ];
    Mesh::build(Plan {
        front,
        gateway: "istio-ingressgateway",
        manifests: vec![chart.text(), objects(&own)],
        providers,
        config: chart.countersign(),
        variables: vec![("COUNTERSIGN_PROVIDERS__0__ISSUER", dex.issuer())],
        countersign: ("countersign.countersign", 9000),
        dex,
        backend: Backend::start().await,
    })
    .await
}
