//! What a check answers to those whom nobody signed in, and that it keeps nothing of them.

use http::Method;
use serde_json::json;

use crate::browser::PAGE;
use crate::house::House;

#[tokio::test]
async fn a_navigation_goes_to_the_login_and_finds_its_way_back() {
    let house = House::open().await;
    let browser = house.browser();
    for (target, rd) in [
        ("/", "/"),
        ("/_/pipeline/?ns=a&x=1%2F2", "/_/pipeline/%3Fns%3Da%26x%3D1%252F2"),
        ("/a%20b?q=%22%3Cs%3E", "/a%2520b%3Fq%3D%2522%253Cs%253E"),
        ("/?rd=https://evil.example/", "/%3Frd%3Dhttps%3A//evil.example/"),
    ] {
        let answer = browser.check(target).await;
        assert_eq!((answer.status, answer.location()), (302, &*format!("/oauth2/start?rd={rd}")), "{target}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.cookies().is_empty());
    }
    let head = browser.check_with(Method::HEAD, "/x", &[PAGE, ("sec-fetch-mode", "navigate")]).await;
    assert_eq!((head.status, head.location()), (302, "/oauth2/start?rd=/x"));
}

#[tokio::test]
async fn what_no_person_sees_gets_401_and_the_way_to_the_login() {
    let house = House::open().await;
    let browser = house.browser();
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    for (method, headers) in [
        (Method::GET, &[("accept", "application/json")][..]),
        (Method::GET, &[PAGE, ("x-requested-with", "XMLHttpRequest")]),
        (Method::GET, &[PAGE, ("sec-fetch-mode", "cors")]),
        (Method::POST, &[PAGE]),
        (Method::GET, &[PAGE, ("upgrade", "websocket"), ("sec-websocket-version", "13")]),
        (Method::OPTIONS, &preflight),
    ] {
        let answer = browser.check_with(method, "/api/x?y=1", headers).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{headers:?}");
        let body = answer.json();
        assert_eq!(body["error"], json!("sign_in_required"));
        assert_eq!(body["login_url"], json!("/oauth2/start?rd=/api/x%3Fy%3D1"));
        assert!(body["request_id"].is_string());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.cookies().is_empty(), "polling pages pile up no cookies");
        assert_eq!(answer.location(), "");
    }
    let preflighted = browser.check_with(Method::OPTIONS, "/cors/x", &preflight).await;
    assert_eq!(preflighted.status, 200);
    assert!(preflighted.removed().contains(&"kubeflow-userid"));
    let no_preflight = browser.check_with(Method::GET, "/cors/x", &preflight).await;
    assert_eq!(no_preflight.status, 302, "the rule lets preflights pass, and nothing else");
}

#[tokio::test]
async fn inside_a_frame_a_page_leads_out_of_it() {
    let house = House::open().await;
    let framed = [PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let answer = house.browser().check_with(Method::GET, "/jupyter/?ns=a", &framed).await;
    assert_eq!(answer.status, 401);
    let page = answer.page();
    assert!(page.contains("href=\"/oauth2/start?rd=/jupyter/%3Fns%3Da\" target=\"_blank\""), "{page}");
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'self'"));
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn what_the_gateway_does_not_tell_apart_is_redirected() {
    let house = House::open().await;
    let answer = house.browser().check_with(Method::GET, "/x", &[]).await;
    assert_eq!((answer.status, answer.location()), (302, "/oauth2/start?rd=/x"));
}
