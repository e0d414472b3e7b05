//! Checks over gRPC, as `examples/envoy/envoy-grpc.yaml` has them. Forged headers and web sockets are beside those over
//! HTTP.

use crate::browser::Browser;
use crate::envoy::Variant;
use crate::house::House;

#[tokio::test]
async fn a_stranger_signs_in_and_the_gateway_notes_down_whom_it_let_pass() {
    let house = House::build_with(over_grpc()).await;
    let browser = Browser::open().await;
    let wanted = "/authors/q3?year=2026&tag=a%2Fb&tag=c";
    browser.go(&house.at(wanted)).await;
    browser.sign_in_at_dex("ann").await;
    browser.arrives(&house.at(wanted)).await;

    let received = browser.received().await;
    assert_eq!(received.path, wanted);
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    assert_eq!(received.all("cookie"), Vec::<&str>::new(), "the session cookie is not for workloads");
    let noted =
        "GET /authors/q3 200 via_upstream verified=ann@example.com passed=ann@example.com by=rule 2 (/authors/)";
    house.envoy.logs(noted).await;
}

#[tokio::test]
async fn who_may_not_gets_the_page_that_says_so() {
    let house = House::build_with(over_grpc()).await;
    let bob = house.signed_in("bob").await;
    bob.go(&house.at("/authors/")).await;
    bob.reads("bob@example.com").await;
    let page = house.get("/authors/", &[("Accept", "text/html"), ("Cookie", &bob.cookie_header().await)]).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("nonce-")), "{page:?}");

    let script = house.get("/api/runs", &[("Accept", "application/json")]).await;
    assert_eq!((script.status, script.header("www-authenticate")), (401, Some("Bearer")), "{script:?}");
    assert!(script.body.contains("/oauth2/start"), "{script:?}");
    let malformed = house.get("/public/..%2fauthors/", &[("Accept", "text/html")]).await;
    assert_eq!(malformed.status, 400, "{malformed:?}");
}

#[tokio::test]
async fn cookies_travel_to_the_check_one_by_one_and_as_they_are() {
    let house = House::build_with(over_grpc()).await;
    let ours = house.signed_in("ann").await.cookie_header().await;
    let apart = house.get("/app", &[("Cookie", "theme=dark"), ("Cookie", &ours)]).await;
    assert_eq!(apart.status, 200, "{apart:?}");
    assert_eq!(apart.received().one("cookie"), "theme=dark");
    let twice = house.get("/app", &[("Accept", "text/html"), ("Cookie", &ours), ("Cookie", &ours)]).await;
    assert_eq!(twice.status, 400, "{twice:?}");
}

#[tokio::test]
async fn without_countersign_nothing_passes() {
    let mut house = House::build_with(over_grpc()).await;
    let cookie = house.signed_in("ann").await.cookie_header().await;
    house.countersign.stop();
    for target in ["/app", "/public/page"] {
        let answer = house.get(target, &[("Cookie", &cookie)]).await;
        assert_eq!(answer.status, 503, "{target}: {answer:?}");
    }
}

/// Istio's providers cannot be told to `encode_raw_headers`.
#[tokio::test]
async fn two_cookie_headers_that_envoy_joins_make_nobody_else_of_anybody() {
    let house = House::build_with(Variant { headers_joined: true, ..over_grpc() }).await;
    let ours = house.signed_in("ann").await.cookie_header().await;
    let ask = async |cookies: [&str; 2]| {
        let [first, second] = cookies.map(|cookie| ("Cookie", cookie));
        house.get("/app", &[("Accept", "application/json"), first, second]).await
    };
    let first = ask([&ours, "theme=dark"]).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert!(!first.received().all("cookie").concat().contains(&ours), "{first:?}");
    assert_eq!(ask(["theme=dark", &ours]).await.status, 401, "it might be a part of the first");
    assert_eq!(ask([&ours, &ours]).await.status, 400);
}

fn over_grpc() -> Variant {
    Variant { grpc: true, ..Variant::default() }
}
