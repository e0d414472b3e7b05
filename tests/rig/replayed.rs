//! A notebook runs other people's code, and is handed a token that speaks for whoever visits it. What it can do with that
//! token elsewhere, with the files that ship: nothing.

#![expect(clippy::print_stdout, reason = "its three answers are what it is run for")]

use serde_json::json;

use crate::kubeflow::{Site, claims};
use crate::manifests::{Manifests, file};
use crate::sidecar::Workload;
use crate::wire::{self, Answer};

/// A workload whose sidecar asks for a token itself.
const BY_TOKEN: &str = "examples/istio/workloads/by-token-at-the-sidecar.yaml";

#[tokio::test]
async fn a_notebook_that_replays_its_visitors_token_is_refused_at_the_front_door_at_pipelines_and_at_another_sidecar() {
    let [lab, reports, other] = [("lab", "ann"), ("reports", "team-a"), ("other", "team-b")]
        .map(|(app, namespace)| Workload::new(app, namespace, address_of(app)));
    let for_the_mesh = file(BY_TOKEN);
    // The same, for what notebooks receive: by this it is seen that the token is good.
    let for_notebooks = for_the_mesh
        .replace("name: reports", "name: other")
        .replace("app: reports", "app: other")
        .replace("namespace: team-a", "namespace: team-b")
        .replace("audiences: [mesh]", "audiences: [notebooks]");
    let workloads = [lab, reports, other];
    let Site { mesh, sidecars, .. } =
        Site::build(&Manifests::of("tests/rig/kubeflow"), &workloads, &[for_the_mesh, for_notebooks]).await;
    let [_, reports, other] = workloads;

    // A visitor, and what the notebook receives of her.
    let ann = mesh.signed_in("ann", "/notebook/ann/lab/tree").await;
    let received = ann.received().await;
    let taken = received.one("authorization");
    assert_eq!(claims(taken)["sub"], "ann@example.com");
    assert_eq!(claims(taken)["aud"], json!(["notebooks"]));
    assert_eq!(received.all("cookie"), Vec::<&str>::new(), "nothing else of hers is there to be replayed");
    // As the code that runs there would send it, with her name as the notebook read it.
    let name = received.one("kubeflow-userid");
    let replayed = [("Authorization", taken), ("Accept", "*/*"), ("Kubeflow-Userid", name)];

    let front_door = mesh.get("/", &replayed).await;
    let pipelines = mesh.get("/pipeline/apis/v2beta1/runs?namespace=ann", &replayed).await;
    let another_sidecar = wire::get(reports.port, "/reports/q3", &replayed).await;
    for (place, answer) in
        [("the front door", &front_door), ("/pipeline/", &pipelines), ("another sidecar", &another_sidecar)]
    {
        println!("replayed at {place}: {}", said(answer));
        assert_eq!(answer.status, 403, "{place}: {answer:?}\n{}\n{}", mesh.gateway.log(), sidecars[1].log());
    }
    // However it is sent, and wherever a client's own token would be left alone (`/dex/`).
    let (bare, query) = (&taken["Bearer ".len()..], format!("/?access_token={}", &taken["Bearer ".len()..]));
    for (target, headers, status) in [
        ("/", vec![("Txn-Token", bare)], 403),
        ("/", vec![("Cookie", &*format!("countersign={bare}"))], 403),
        ("/", vec![("Cookie", &*format!("__Host-countersign={bare}"))], 403),
        (&*query, vec![], 403),
        ("/oauth2/userinfo", vec![("Authorization", taken)], 401),
        ("/dex/userinfo", vec![("Authorization", taken)], 400),
        (&*query.replace("/?", "/dex/userinfo?"), vec![], 400),
    ] {
        let answer = mesh.get(target, &[headers.clone(), vec![("Accept", "*/*")]].concat()).await;
        assert_eq!(answer.status, status, "{target} {headers:?}: {answer:?}");
    }

    // It was refused for what it is, not because it is broken, or had run out.
    let where_it_is_meant = wire::get(other.port, "/", &replayed).await;
    assert_eq!(where_it_is_meant.status, 200, "{where_it_is_meant:?}\n{}", sidecars[2].log());
    // And these doors open for whom they are meant.
    let cookie = ann.cookie_header().await;
    let hers = mesh.get("/pipeline/apis/v2beta1/runs?namespace=ann", &[("Cookie", &cookie)]).await;
    assert_eq!(hers.status, 200, "{hers:?}");
    let hers = hers.received();
    let for_the_mesh = hers.one("authorization");
    assert_eq!(claims(for_the_mesh)["aud"], json!(["mesh"]));
    let answer = wire::get(reports.port, "/reports/q3", &[("Authorization", for_the_mesh)]).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", sidecars[1].log());
}

/// The status and the beginning of what it says.
fn said(answer: &Answer) -> String {
    let words: String = answer.body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(100).collect();
    format!("{} {words}", answer.status)
}

/// Where its pod is.
fn address_of(app: &str) -> &'static str {
    match app {
        "lab" => "127.0.0.5",
        "reports" => "127.0.0.6",
        _ => "127.0.0.7",
    }
}
