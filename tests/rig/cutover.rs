//! `examples/cutover`: Kubeflow by two gateways, one asked about by Countersign, the other still by oauth2-proxy.

use serde_json::json;

use crate::backend::Backend;
use crate::browser::Browser;
use crate::dex::Dex;
use crate::istio::nothing_forged_passes;
use crate::istiod::ROOT;
use crate::manifests::{Manifests, extension_providers};
use crate::mesh::{Mesh, Plan, labelled, objects, service};
use crate::part::free_port;
use crate::proxy::Proxy;
use crate::wire;

#[tokio::test]
async fn one_gateway_is_countersigns_while_the_other_stays_as_it_was() {
    let kubeflow = Manifests::of("tests/rig/cutover");
    let dex = kubeflow.object("ConfigMap", "dex")["data"]["config.yaml"].as_str().expect("a config file");
    let old = free_port();
    let old_labels = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    let old_address = "127.0.0.6";
    // It says yes to everybody: whom Kubeflow's other policy refuses then has been asked about there.
    let oauth2_proxy = Backend::start().await;
    let mut providers = extension_providers("examples/kubeflow/mesh-config.yaml");
    let asked = json!({"service": "oauth2-proxy.oauth2-proxy.svc.cluster.local", "port": 80});
    providers.as_array_mut().expect("providers").push(json!({"name": "oauth2-proxy", "envoyExtAuthzHttp": asked}));
    let own = [
        labelled(service("istio-ingressgateway", ROOT, old_address, &[("http2", 80, old)]), &old_labels),
        service("oauth2-proxy", "oauth2-proxy", "127.0.0.1", &[("http", 80, oauth2_proxy.port())]),
    ];
    let mesh = Mesh::build(Plan {
        front: free_port(),
        gateway: "countersign-gateway",
        manifests: vec![kubeflow.text(), objects(&own)],
        providers,
        config: kubeflow.countersign(),
        variables: vec![],
        countersign: ("countersign.countersign", 9000),
        dex: Dex::of_kubeflow(&serde_saphyr::from_str(dex).expect("YAML")).await,
        backend: Backend::start().await,
    })
    .await;
    let old_gateway = Proxy::gateway(&mesh.istiod, old_address, &old_labels, old).await;

    let ann = Browser::open().await;
    ann.go(&mesh.at("/?ns=ann")).await;
    ann.sign_in_at_dex("ann").await;
    ann.arrives(&mesh.at("/?ns=ann")).await;
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com");
    let ours = ann.cookie_header().await;
    let both = format!("oauth2_proxy_kubeflow_0=a; oauth2_proxy_kubeflow=b; {ours}; __Host-countersign=c");
    nothing_forged_passes(&mesh, &both, &["/"], &[]).await;
    assert_eq!(mesh.get("/", &[("Accept", "*/*")]).await.status, 403);

    // At the old one oauth2-proxy's own pages are where they were, with their cookies, and Countersign is not asked.
    let page = wire::get(old, "/oauth2/userinfo", &[("Cookie", &both)]).await;
    assert_eq!(page.status, 200, "{page:?}\n{}", old_gateway.log());
    assert_eq!(page.received().one("cookie"), both);
    let refused = wire::get(old, "/", &[("Cookie", &ours)]).await;
    assert_eq!((refused.status, &*refused.body), (403, "RBAC: access denied"), "{}", old_gateway.log());
}
