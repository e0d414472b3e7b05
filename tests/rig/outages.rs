//! What still works when a part is away, and what is said of it.

use crate::browser::Browser;
use crate::house::House;

#[tokio::test]
async fn a_session_outlives_kill_9() {
    let mut house = House::build().await;
    let ann = house.signed_in("ann").await;
    house.countersign.kill_and_restart().await;
    ann.go(&house.at("/after?restart=1")).await;
    ann.arrives(&house.at("/after?restart=1")).await;
    // The token is signed anew, and Envoy, which has not restarted, still knows the key.
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com");
}

#[tokio::test]
async fn without_dex_sessions_go_on_and_signing_in_says_why_not() {
    let mut house = House::build().await;
    let ann = house.signed_in("ann").await;
    house.dex.stop();

    ann.go(&house.at("/without-dex")).await;
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com");
    // Nobody is sent to a provider that is away, though it was there before.
    crate::part::eventually("signing in says that Dex is away", || async {
        let answer = house.get("/oauth2/start?rd=/wanted", &[("Accept", "text/html")]).await;
        if answer.status == 503 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;

    // Even when Countersign has never met Dex.
    house.countersign.kill_and_restart().await;
    ann.go(&house.at("/still-without-dex")).await;
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(house.countersign.readiness().await.status, 200);

    let bob = Browser::open().await;
    bob.go(&house.at("/wanted?by=bob")).await;
    bob.reads("identity provider").await;
    bob.picture("provider-away").await;
    let answer = house.get("/oauth2/start?rd=/wanted", &[("Accept", "text/html")]).await;
    assert_eq!(answer.status, 503, "{answer:?}");

    house.dex.start_again().await;
    crate::part::eventually("signing in with Dex back", || async {
        bob.go(&house.at("/wanted?by=bob")).await;
        let address = bob.address().await;
        if address.as_str().starts_with(&house.dex.issuer()) { Ok(()) } else { Err(bob.text().await) }
    })
    .await;
    bob.sign_in_at_dex("bob").await;
    bob.arrives(&house.at("/wanted?by=bob")).await;
    assert_eq!(bob.received().await.one("kubeflow-userid"), "bob@example.com");
}

#[tokio::test]
async fn without_countersign_nothing_passes() {
    let mut house = House::build().await;
    let ann = house.signed_in("ann").await;
    let cookie = ann.cookie_header().await;
    house.countersign.stop();
    for target in ["/app", "/public/page"] {
        let answer = house.get(target, &[("Cookie", &cookie)]).await;
        assert_eq!(answer.status, 503, "{target}: {answer:?}");
    }
}
