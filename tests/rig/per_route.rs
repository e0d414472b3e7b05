//! `examples/per-route`: on a gateway that others share, only the named routes are asked about.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::dex::Dex;
use crate::istio::nothing_forged_passes;
use crate::manifests::{Manifests, file};
use crate::mesh::{Mesh, Plan, objects, origin, route};
use crate::part::free_port;

#[tokio::test]
async fn only_named_routes_need_somebody_signed_in() {
    let front = free_port();
    let example = Manifests::of("examples/per-route");
    let dex = Dex::start(&format!("{}/oauth2/callback", origin(front))).await;
    let named = |name: &str, prefix: &str| {
        let mut route = route(name, "ingress", prefix, "workload.workloads");
        route["spec"]["http"][0]["name"] = json!("signed-in");
        route
    };
    let own: [Value; 3] =
        [named("app", "/app/"), named("anything", "/anything"), route("others", "ingress", "/", "workload.workloads")];
    let mesh = Mesh::build(Plan {
        front,
        gateway: "istio-ingressgateway",
        // The gateway is there already.
        manifests: vec![example.text(), file("examples/istio/gateway.yaml"), objects(&own)],
        providers: json!([]),
        config: example.countersign(),
        variables: vec![("COUNTERSIGN_PROVIDERS__0__ISSUER", dex.issuer())],
        countersign: ("countersign.countersign", 9000),
        dex,
        backend: Backend::start().await,
    })
    .await;

    // Of others, nothing is touched.
    let theirs = [("Cookie", "theirs=1"), ("Authorization", "Bearer of-their-own"), ("Accept", "*/*")];
    let answer = mesh.get("/api/v1", &theirs).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for (name, value) in theirs {
        assert_eq!(answer.received().one(&name.to_ascii_lowercase()), value);
    }
    let answer = mesh.get("/app/", &theirs).await;
    assert_eq!(answer.status, 401, "{answer:?}");

    let ann = mesh.signed_in("ann", "/app/?q=a%2Fb").await;
    let received = ann.received().await;
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert!(received.one("authorization").starts_with("Bearer "), "{received:?}");
    nothing_forged_passes(&mesh, &ann.cookie_header().await, &["/app/"], &[]).await;
}
