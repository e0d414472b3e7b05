//! From a stranger's click to the page they asked for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::browser::Browser;
use crate::house::House;

#[tokio::test]
async fn a_stranger_signs_in_at_dex_and_arrives_where_they_wanted_to_go() {
    let house = House::build().await;
    let browser = Browser::open().await;
    let wanted = "/reports/q3?year=2026&tag=a%2Fb&tag=c";

    browser.go(&house.at(wanted)).await;
    assert!(browser.address().await.as_str().starts_with(&house.dex.issuer()), "at {}", browser.address().await);
    browser.sign_in_at_dex("ann").await;
    browser.arrives(&house.at(wanted)).await;

    let received = browser.received().await;
    assert_eq!(received.path, wanted);
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    assert_eq!(received.all("cookie"), Vec::<&str>::new(), "the session cookie is not for workloads");

    let (header, claims) = decode(received.one("authorization"));
    assert_eq!(header["typ"], "rc+jwt");
    assert_eq!(header["alg"], "ES256");
    assert_eq!(claims["iss"], house.at("").as_str());
    assert_eq!(claims["sub"], "ann@example.com");
    assert_eq!(claims["groups"], serde_json::json!(["authors", "staff"]));
    assert_eq!(claims["groups_csv"], "authors,staff");
    // Not our reading of the token, but Envoy's, after it had verified the signature by the published keys.
    house.envoy.logs("GET /reports/q3 200 via_upstream verified=ann@example.com").await;
    // The process has logged all that there is to log.
    let (token, cookies) = (received.one("authorization"), browser.cookie_header().await);
    let (_, session) = cookies.split_once('=').expect("a cookie");
    house.countersign.keeps_to_itself(&[
        ("an RC token", token.strip_prefix("Bearer ").expect("a token")),
        ("a session's cookie", session),
    ]);
    assert!(house.countersign.log().contains("\"level\":\"DEBUG\""));
}

#[tokio::test]
async fn five_tabs_sign_in_at_once_and_all_arrive() {
    let house = House::build().await;
    let browser = Browser::open().await;
    let mut tabs = Vec::new();
    for number in 0..5 {
        let tab = browser.new_tab().await;
        let wanted = house.at(&format!("/tab/{number}?of=5"));
        browser.go(&wanted).await;
        browser.sees("#login").await;
        tabs.push((tab, wanted));
    }
    for number in [3, 0, 4, 1, 2] {
        let (tab, wanted) = &tabs[number];
        browser.turn_to(tab).await;
        browser.sign_in_at_dex("ann").await;
        browser.arrives(wanted).await;
        assert_eq!(browser.received().await.one("kubeflow-userid"), "ann@example.com");
    }
    let ours = browser.cookie_names().await;
    assert_eq!(ours.len(), 1, "one session and no flow is left: {ours:?}");
}

#[tokio::test]
async fn a_group_opens_a_door_and_its_absence_says_so() {
    let house = House::build().await;
    let (ann, bob) = (house.signed_in("ann").await, house.signed_in("bob").await);
    let authors = house.at("/authors/drafts");

    ann.go(&authors).await;
    assert_eq!(ann.received().await.one("kubeflow-groups"), "authors,staff");

    bob.go(&authors).await;
    bob.reads("may not enter").await;
    bob.reads("bob@example.com").await;
    bob.picture("forbidden").await;
    let cookie = bob.cookie_header().await;
    let answer = house.get("/authors/drafts", &[("Cookie", &cookie), ("Accept", "text/html")]).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

/// The header and the claims of `Bearer <JWT>`, unverified.
fn decode(authorization: &str) -> (Value, Value) {
    let mut parts = authorization.strip_prefix("Bearer ").expect("a bearer token").split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    });
    (parts.next().expect("a header"), parts.next().expect("claims"))
}
