//! What nobody signed in gets: nothing that could pile up, and an answer that fits who asked.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::house::House;

#[tokio::test]
async fn a_script_gets_json_and_no_cookie() {
    let house = House::build().await;
    let browser = Browser::open().await;
    browser.go(&house.at("/public/")).await;

    let answer = browser.fetch("/api/runs?page=2", json!({})).await;
    assert_eq!(answer["status"], 401, "{answer}");
    assert_eq!(answer["type"], "application/json");
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    assert!(body.to_string().contains("/oauth2/start"), "it names the way in: {body}");
    assert_eq!(browser.cookie_names().await, Vec::<String>::new());

    let answer = house.get("/api/runs", &[("Accept", "application/json")]).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn a_person_is_sent_to_our_own_address_whatever_the_headers_claim() {
    let house = House::build().await;
    let forged = [
        ("Accept", "text/html"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Uri", "/evil"),
        ("X-Original-URL", "/public/evil"),
        ("x-envoy-original-path", "/public/evil"),
    ];
    let answer = house.get("/private/page?x=1", &forged).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    let location = answer.header("location").expect("a location");
    assert!(location.contains("/oauth2/start?rd=") && location.contains("private"), "{location}");
    assert!(!location.contains("evil") && !location.contains("gopher"), "{location}");
    assert_eq!(answer.header("set-cookie"), None, "a check keeps no state");
}

#[tokio::test]
async fn a_public_page_is_open_and_nameless() {
    let house = House::build().await;
    let answer = house.get("/public/logo.svg", &[]).await;
    assert_eq!(answer.status, 200);
    let received = answer.received();
    for owned in ["authorization", "kubeflow-userid", "kubeflow-groups", "txn-token"] {
        assert_eq!(received.all(owned), Vec::<&str>::new(), "{owned}");
    }

    // Nor does it learn the name of whoever is signed in.
    let ann = house.signed_in("ann").await;
    ann.go(&house.at("/public/page")).await;
    let received = ann.received().await;
    assert!(!format!("{received:?}").contains("ann@"), "{received:?}");
    assert_eq!(received.all("cookie"), Vec::<&str>::new());
}
