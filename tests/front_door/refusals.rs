//! What is no credential, and what is refused before anybody asks for one.

use http::Method;
use serde_json::json;

use crate::browser::{PAGE, SESSION};
use crate::house::House;

#[tokio::test]
async fn a_path_that_servers_read_differently_is_refused() {
    let house = House::open().await;
    for browser in [house.browser(), house.signed_in().await] {
        for path in [
            "/public/../admins/x",
            "/public/..%2fadmins/x",
            "/public/%2e%2e/admins/x",
            "/public/..;/admins/x",
            "/public/..\\admins/x",
            "/public/%5c../admins",
            "//public/../admins/",
            "/public/%",
            "/public/%00",
        ] {
            let page = browser.check(path).await;
            assert_eq!(page.status, 400, "{path}");
            let text = page.page();
            assert!(text.contains("read in more than one way") && text.contains("in this browser"), "{text}");
            let script = browser.check_with(Method::POST, path, &[]).await;
            assert_eq!((script.status, script.json()["error"].clone()), (400, json!("ambiguous_path")), "{path}");
        }
    }
    assert_eq!(house.browser().check("/public/a%2Fb//c").await.status, 200, "all readings are below it");
}

#[tokio::test]
async fn two_session_cookies_are_refused_and_nobody_is_let_pass_by_one() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    browser.plant(SESSION, "tossed");
    let page = browser.check("/").await;
    assert_eq!(page.status, 400);
    assert!(page.page().contains("Two session cookies"), "{}", page.body);
    let script = browser.check_with(Method::GET, "/", &[("accept", "*/*")]).await;
    assert_eq!((script.status, script.json()["error"].clone()), (400, json!("two_cookies")));

    let public = browser.check("/public/x").await;
    assert_eq!((public.status, public.removed().last()), (200, Some(&"cookie")), "no cookie is needed here");
}

#[tokio::test]
async fn a_token_that_a_workload_received_is_worth_nothing_where_the_clients_word_is_kept() {
    let house = House::open().await;
    let token = house.signed_in().await.check("/").await.token().to_owned();
    let bearer = format!("Bearer {token}");
    let (replayed, asked) = ([("accept", "*/*"), ("authorization", &*bearer)], format!("?access_token={token}"));
    for browser in [house.browser(), house.signed_in().await] {
        for path in ["/notebook/eve/nb/", "/dex/token"] {
            let answer = browser.check_with(Method::GET, path, &replayed).await;
            let somebody_must_be = path.starts_with("/notebook") && browser.cookie(SESSION).is_none();
            let expected = if somebody_must_be { (401, json!("sign_in_required")) } else { (400, json!("own_token")) };
            assert_eq!((answer.status, answer.json()["error"].clone()), expected, "{path}");
        }
        let answer = browser.check_with(Method::GET, &format!("/public/x{asked}"), &replayed[..1]).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("own_token")));
    }
    // Where a token of ours is set, it takes the place of whatever was sent.
    let answer = house.signed_in().await.check_with(Method::GET, "/", &replayed).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("authorization"), bearer);
}

#[tokio::test]
async fn a_cookie_that_was_not_made_here_is_nobody() {
    let house = House::open().await;
    let good = house.signed_in().await.cookie(SESSION).expect("a session");
    let foreign = House::open().await.signed_in().await.cookie(SESSION).expect("a session");
    let last = if good.ends_with('A') { 'B' } else { 'A' };
    let tampered = format!("{}{last}", &good[..good.len() - 1]);
    let longer = format!("{good}A");
    for value in ["", "x", "\"\"", "....", &good[..good.len() - 1], &good[..8], &tampered, &longer, &foreign] {
        let browser = house.browser();
        browser.plant(SESSION, value);
        let answer = browser.check("/x").await;
        assert_eq!((answer.status, answer.location()), (302, "/oauth2/start?rd=/x"), "{value:?}");
        assert!(answer.cookies().is_empty());
        let maybe = browser.check("/maybe/x").await;
        assert_eq!((maybe.status, maybe.headers.get("kubeflow-userid")), (200, None), "{value:?}");
        assert_eq!(browser.get("/oauth2/userinfo").await.status, 401, "{value:?}");
    }
    let browser = house.browser();
    browser.plant(SESSION, &good);
    assert_eq!(browser.check("/x").await.status, 200, "the good one is good");
}

#[tokio::test]
async fn a_token_of_ours_is_no_credential() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let token = browser.check("/").await.token().to_owned();
    let bearer = format!("Bearer {token}");
    for header in [("authorization", &*bearer), ("txn-token", &*token), ("txn-token", &*bearer), ("cookie", &*token)] {
        let answer = house.browser().check_with(Method::GET, "/", &[PAGE, header]).await;
        assert_eq!((answer.status, answer.location()), (302, "/oauth2/start?rd=/"), "{}", header.0);
        let script = house.browser().check_with(Method::GET, "/", &[header]).await;
        assert_ne!(script.status, 200, "{}", header.0);
    }
}

#[tokio::test]
async fn what_the_client_says_of_the_request_changes_nothing() {
    let house = House::open().await;
    let claims = [
        ("x-forwarded-host", "a.open.example.com"),
        ("x-forwarded-uri", "/public/x"),
        ("x-forwarded-path", "/public/x"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=a.open.example.com"),
        ("x-original-url", "/public/x"),
        ("x-rewrite-url", "/public/x"),
        ("x-envoy-original-path", "/public/x"),
        ("x-http-method-override", "OPTIONS"),
        ("x-forwarded-user", "ann@example.com"),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    let all: Vec<(&str, &str)> = [PAGE].into_iter().chain(claims).collect();
    let answer = house.browser().check_with(Method::GET, "/admins/x", &all).await;
    assert_eq!((answer.status, answer.location()), (302, "/oauth2/start?rd=/admins/x"));
    assert_eq!(house.signed_in().await.check_with(Method::GET, "/admins/x", &all).await.status, 403);
}

#[tokio::test]
async fn no_user_agent_passes_by_its_name() {
    let house = House::open().await;
    for agent in ["kube-probe/1.34", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Envoy/HC", "Prometheus/3.0", ""] {
        let answer = house.browser().check_with(Method::GET, "/healthz", &[PAGE, ("user-agent", agent)]).await;
        assert_eq!((answer.status, answer.location()), (302, "/oauth2/start?rd=/healthz"), "{agent:?}");
        let answer = house.browser().check_with(Method::GET, "/healthz", &[("user-agent", agent)]).await;
        assert_ne!(answer.status, 200, "{agent:?}");
    }
}
