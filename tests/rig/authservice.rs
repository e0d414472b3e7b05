//! In authservice's place, behind a gateway that is set up for authservice and knows nothing of us.

use crate::backend::Backend;
use crate::browser::Browser;
use crate::countersign::Countersign;
use crate::dex::Dex;
use crate::envoy::{Envoy, Ports};
use crate::part::free_port;
use crate::wire;

#[tokio::test]
async fn an_old_gateway_signs_people_in_and_out_as_before() {
    let front = free_port();
    let at = |path: &str| format!("http://localhost:{front}{path}");
    let callback = at("/authservice/oidc/callback");
    let dex = Dex::start(&callback).await;
    let backend = Backend::start().await;
    let countersign = Countersign::start_in_authservices_place(&callback, &dex.issuer()).await;
    assert!(countersign.first_line().contains("countersign migrate authservice"), "{}", countersign.first_line());
    let ports = Ports { envoy: front, countersign: countersign.port(), backend: backend.port() };
    let _envoy = Envoy::start_for_authservice(&ports).await;

    let skipped = wire::get(front, "/dex/x", &[("kubeflow-userid", "evil"), ("kubeflow_userid", "evil")]).await;
    assert_eq!(skipped.status, 200, "{skipped:?}");
    assert!(!format!("{skipped:?}").contains("evil"), "{skipped:?}");

    let browser = Browser::open().await;
    browser.go(&at("/pipeline/?ns=a")).await;
    browser.sign_in_at_dex("ann").await;
    browser.arrives(&at("/pipeline/?ns=a")).await;
    let received = browser.received().await;
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.all("cookie"), Vec::<&str>::new(), "the session cookie is not for workloads");

    // As its dashboard asks, whose script cannot read our cookie.
    let cookie = browser.cookie_header().await;
    let forged = ["kubeflow-userid", "kubeflow_userid", "kubeflow-groups", "kubeflow_groups", "Auth-Method"];
    let forged: Vec<(&str, &str)> =
        forged.into_iter().map(|name| (name, "evil")).chain([("Cookie", &*cookie)]).collect();
    let page = wire::get(front, "/x", &forged).await;
    assert!(page.status == 200 && !format!("{page:?}").contains("evil"), "{page:?}");
    // A program that was given its value passes with it, and the workload does not see it.
    let (_, value) = cookie.split_once('=').expect("our cookie alone");
    let program = wire::get(front, "/x", &[("Authorization", &format!("Bearer {value}"))]).await;
    assert!(program.status == 200 && format!("{program:?}").contains("ann@example.com"), "{program:?}");
    assert!(!format!("{program:?}").contains(value), "{program:?}");
    browser.go(&at("/authservice/logout")).await;
    let over = wire::get(front, "/x", &[("Cookie", &cookie)]).await;
    assert_eq!(over.status, 302, "{over:?}");
}
