//! `examples/istio`: the files that users apply, made into Envoy's config by Istio itself.

use serde_json::json;

use crate::backend::Backend;
use crate::browser::Browser;
use crate::dex::Dex;
use crate::headers::FORGED;
use crate::manifests::{Manifests, extension_providers};
use crate::mesh::{Mesh, Plan, objects, origin, route};
use crate::part::free_port;
use crate::proxy::Proxy;
use crate::sidecar::Workload;
use crate::wire;

/// The mesh of the example, and two workloads whose own sidecars ask for more.
struct Example {
    mesh: Mesh,
    reports: Workload,
    notebook: Workload,
    sidecars: [Proxy; 2],
}

#[tokio::test]
async fn plain_istio_lets_in_whom_countersign_names() {
    lets_in_whom_countersign_names(&Example::build("examples/istio/mesh-config.yaml").await).await;
}

#[tokio::test]
async fn plain_istio_asks_over_grpc_as_well() {
    lets_in_whom_countersign_names(&Example::build("examples/istio/mesh-config-grpc.yaml").await).await;
}

async fn lets_in_whom_countersign_names(example: &Example) {
    let mesh = &example.mesh;
    nobody_signed_in_gets_nowhere(mesh).await;

    let ann = Browser::open().await;
    let wanted = "/app?year=2026&tag=a%2Fb";
    ann.go(&mesh.at(wanted)).await;
    ann.sign_in_at_dex("ann").await;
    ann.arrives(&mesh.at(wanted)).await;
    let received = ann.received().await;
    assert_eq!(received.path, wanted);
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    let for_the_mesh = received.one("authorization").to_owned();
    let cookie = ann.cookie_header().await;
    let bob = mesh.signed_in("bob", "/app").await.cookie_header().await;

    nothing_forged_passes(mesh, &cookie, &["/app"], &["/public/page"]).await;
    groups_and_names_decide(mesh, &cookie, &bob).await;
    a_sidecar_believes_only_its_own_tokens(example, &for_the_mesh, &cookie).await;

    let socket = format!("ws://localhost:{}/kernel/channels", mesh.front);
    assert_eq!(ann.websocket(&socket).await, json!({"echo": "hello"}));
}

/// Neither a page nor a script, a forged token or a socket.
pub(crate) async fn nobody_signed_in_gets_nowhere(mesh: &Mesh) {
    let page = mesh.get("/app", &[("Accept", "text/html")]).await;
    assert_eq!(page.status, 302, "{page:?}");
    assert_eq!(page.header("location"), Some("/oauth2/start?rd=/app"));
    let script = mesh.get("/app", &[("Accept", "application/json")]).await;
    assert_eq!(script.status, 401, "{script:?}");
    assert!(script.body.contains("/oauth2/start"), "{script:?}");
    assert!(script.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{script:?}");
    for token in ["Bearer x", "Bearer eyJhbGciOiJub25lIn0.e30."] {
        let wrong = mesh.get("/app", &[("Accept", "*/*"), ("Authorization", token)]).await;
        assert_eq!(wrong.status, 401, "{token}: {wrong:?}");
    }
    let handshake = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let socket = mesh.get("/kernel/channels", &handshake).await;
    assert_eq!(socket.status, 401, "{socket:?}");
}

/// Of what Ann's client forges beside her cookie, nothing reaches these paths, and on public ones her own name neither.
pub(crate) async fn nothing_forged_passes(mesh: &Mesh, cookie: &str, private: &[&str], public: &[&str]) {
    // Who somebody is, in every spelling. The rest of the list is Envoy's own business, not Istio's default.
    let is_ours =
        |name: &str| ["kubeflow", "txn", "authorization", "x-envoy-auth"].iter().any(|it| name.starts_with(it));
    let forged: Vec<_> = FORGED.into_iter().filter(|(name, _)| is_ours(&name.to_ascii_lowercase())).collect();
    assert!(forged.len() > 12, "{forged:?}");
    let cookie = format!("theme=dark; {cookie}");
    let cases = private.iter().map(|target| (target, true, vec!["ann@example.com"]));
    let public = public.iter().flat_map(|target| [(target, true, vec![]), (target, false, vec![])]);
    for (target, signed_in, names) in cases.chain(public) {
        let mut headers = forged.clone();
        if signed_in {
            headers.push(("Cookie", &cookie));
        }
        let answer = mesh.get(target, &headers).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let received = answer.received();
        assert!(!answer.body.contains("evil"), "{target}: {received:?}");
        assert_eq!(received.all("cookie"), if signed_in { vec!["theme=dark"] } else { vec![] }, "{target}");
        assert_eq!(received.all("kubeflow-userid"), names, "{target}");
    }
}

async fn groups_and_names_decide(mesh: &Mesh, ann: &str, bob: &str) {
    for (target, of_ann, of_bob) in [
        // examples/istio/workloads: a group at the gateway, a group at the sidecar, a name at the sidecar.
        ("/authors/drafts", 200, 403),
        ("/reports/q3", 200, 403),
        ("/profile/ann", 200, 403),
        ("/app", 200, 200),
    ] {
        for (cookie, status) in [(ann, of_ann), (bob, of_bob)] {
            let answer = mesh.get(target, &[("Cookie", cookie), ("Kubeflow-Userid", "ann@example.com")]).await;
            assert_eq!(answer.status, status, "{target}: {answer:?}");
        }
    }
}

async fn a_sidecar_believes_only_its_own_tokens(example: &Example, for_the_mesh: &str, cookie: &str) {
    let answer = example.mesh.get("/notebook/ann/lab", &[("Cookie", cookie)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = answer.received();
    let for_notebooks = received.one("authorization");
    assert_ne!(for_notebooks, for_the_mesh);
    let (rest, signature) = for_the_mesh.rsplit_once('.').expect("a JWT");
    let altered = format!("{rest}.{}", signature.chars().rev().collect::<String>());
    // From inside the mesh, by no gateway.
    for (what, authorization, status) in [
        ("for the mesh", Some(for_the_mesh), 200),
        ("for notebooks", Some(for_notebooks), 403),
        ("altered", Some(&*altered), 401),
        ("absent", None, 403),
    ] {
        let headers: Vec<_> = authorization.map(|it| ("Authorization", it)).into_iter().collect();
        let answer = wire::get(example.reports.port, "/reports/q3", &headers).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}\n{}", example.sidecars[0].log());
    }
    let answer = wire::get(example.notebook.port, "/profile/ann", &[]).await;
    assert_eq!(answer.status, 403, "{answer:?}\n{}", example.sidecars[1].log());
}

impl Example {
    async fn build(providers: &str) -> Self {
        let backend = Backend::start().await;
        let reports = Workload::new("reports", "team-a", "127.0.0.3");
        let notebook = Workload::new("notebook", "ann", "127.0.0.4");
        let mut own = vec![
            route("workload", "ingress", "/", "workload.workloads"),
            route("reports", "ingress", "/reports/", "reports.team-a"),
            route("notebook", "ingress", "/profile/ann", "notebook.ann"),
        ];
        own.extend(reports.objects(backend.port()));
        own.extend(notebook.objects(backend.port()));
        let (example, workloads) = (Manifests::of("examples/istio"), Manifests::of("examples/istio/workloads"));
        let front = free_port();
        let dex = Dex::start(&format!("{}/oauth2/callback", origin(front))).await;
        let mesh = Mesh::build(Plan {
            front,
            gateway: "istio-ingressgateway",
            manifests: vec![example.text(), workloads.text(), objects(&own)],
            providers: extension_providers(providers),
            config: example.countersign(),
            variables: vec![("COUNTERSIGN_PROVIDERS__0__ISSUER", dex.issuer())],
            countersign: ("countersign.countersign", 9000),
            dex,
            backend,
        })
        .await;
        let sidecars = [reports.start(&mesh.istiod).await, notebook.start(&mesh.istiod).await];
        Self { mesh, reports, notebook, sidecars }
    }
}
