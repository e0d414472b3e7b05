//! Signing out: asked for, done, and over for the very next check.

use std::collections::HashMap;

use http::Method;
use serde_json::json;

use crate::browser::{Browser, PAGE, SESSION};
use crate::house::{House, ORIGIN};
use crate::journal;
use crate::lying_idp::{Answer, REVOKE, TOKEN};

const SAME_ORIGIN: [(&str, &str); 1] = [("sec-fetch-site", "same-origin")];
const QUESTION: &str = "/oauth2/sign_out";

#[tokio::test]
async fn a_get_only_asks() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let page = browser.get(QUESTION).await;
    let text = page.page();
    assert_eq!(page.status, 200);
    assert!(text.contains("ann@example.com"), "{text}");
    assert!(text.contains("<form method=\"post\" action=\"/oauth2/sign_out\">"), "{text}");
    let policy = page.header("content-security-policy");
    assert!(policy.contains(&format!("form-action 'self' {};", house.idp.issuer)), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(browser.check("/").await.status, 200);
    assert!(!house.browser().get(QUESTION).await.page().contains("ann@"));
}

#[tokio::test]
async fn another_site_cannot_sign_anybody_out() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://mesh.example.com")],
        &[("origin", "https://mesh.example.com.evil.example")],
        &[("origin", "https://mesh.example.com:444")],
        &[("referer", "https://mesh.example.com/oauth2/sign_out")],
    ] {
        let page = browser.post(QUESTION, "", headers).await;
        assert_eq!(page.status, 403, "{headers:?}");
        assert!(page.page().contains("Not from this site"));
        assert!(page.cookies().is_empty());
        assert_eq!(browser.check("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_post_ends_the_session_for_the_very_next_check() {
    let house = House::open().await;
    for proof in [SAME_ORIGIN[0], ("origin", ORIGIN)] {
        let browser = house.signed_in().await;
        let cookie = browser.cookie(SESSION).expect("a session");
        // Passes are at hand for several rules.
        for path in ["/", "/ml/x", "/notebook/x"] {
            assert_eq!(browser.check(path).await.status, 200);
        }
        let id = format!("signs-out-by-{}", proof.0);
        let gone = browser.post(QUESTION, "", &[proof, ("x-request-id", &id)]).await;
        assert_eq!(gone.status, 303, "{}", gone.body);
        assert_eq!(browser.cookie(SESSION), None);
        let copy = house.browser();
        copy.plant(SESSION, &cookie);
        for path in ["/", "/ml/x", "/notebook/x"] {
            assert_eq!(copy.check(path).await.status, 302, "{path}");
        }
        assert_eq!(copy.get("/oauth2/userinfo").await.status, 401);
        let audited = journal::events("sign_out", &id);
        assert_eq!((audited.len(), &audited[0]["user"]), (1, &json!("ann@example.com")));
    }
}

#[tokio::test]
async fn the_provider_is_told_and_asks_again_next_time() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let gone = browser.post(QUESTION, "", &SAME_ORIGIN).await;
    let url = url::Url::parse(gone.location()).expect("a URL");
    let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
    assert!(gone.location().starts_with(&format!("{}/end_session?", house.idp.issuer)));
    assert_eq!(asked["post_logout_redirect_uri"], "https://mesh.example.com/oauth2/signed_out");
    assert_eq!(crate::rc_token::claims(&asked["id_token_hint"])["sub"], json!("ann-1"));
    assert!(asked["state"].len() >= 20);
    let revoked: Vec<String> =
        house.idp.seen(REVOKE).into_iter().map(|seen| seen.form["token_type_hint"].clone()).collect();
    assert_eq!(revoked, ["refresh_token", "access_token"]);

    let page = browser.get("/oauth2/signed_out?state=x").await;
    assert!(page.page().contains("You are signed out") && page.page().contains("href=\"https://mesh.example.com/\""));
    let prompts = |started: &crate::browser::Answer| started.location().contains("prompt=login");
    assert!(prompts(&browser.get("/oauth2/start").await));
    assert!(!prompts(&house.browser().get("/oauth2/start").await), "another browser");
    browser.forget("__Host-countersign-flow-out");
    assert!(!prompts(&browser.get("/oauth2/start").await), "that is how it remembers");
    browser.plant("__Host-countersign-flow-out", "1");
    browser.sign_in(&house.idp).await;
    assert!(!prompts(&browser.get("/oauth2/start").await), "once");
    assert_eq!(house.idp.hits(TOKEN), 2);
}

/// As the logout button of Kubeflow's dashboard asks, which goes where the answer says.
#[tokio::test]
async fn a_script_is_told_where_to_go() {
    const JSON: (&str, &str) = ("accept", "application/json");
    let house = House::open().await;
    let browser = house.signed_in().await;
    let cookie = browser.cookie(SESSION).expect("a session");
    // What says nothing of where it comes from ends nothing, whatever it wants to read.
    assert_eq!(browser.post(QUESTION, "", &[JSON]).await.status, 403);
    assert_eq!(browser.check("/").await.status, 200);

    let gone = browser.post(QUESTION, "", &[JSON, SAME_ORIGIN[0]]).await;
    assert_eq!((gone.status, gone.header("cache-control")), (201, "no-store"), "{}", gone.body);
    let told: serde_json::Value = serde_json::from_str(&gone.body).expect("JSON");
    let onward = told["afterLogoutURL"].as_str().expect("an address");
    assert!(onward.starts_with(&format!("{}/end_session?client_id=", house.idp.issuer)), "{onward}");
    assert!(!onward.contains("id_token_hint"), "any script of any workload here could read it: {onward}");
    assert_eq!(browser.cookie(SESSION), None);
    assert_over(&house, &cookie).await;

    let form = ("accept", "text/html,application/json;q=0.9,*/*;q=0.8");
    assert_eq!(house.signed_in().await.post(QUESTION, "", &[form, SAME_ORIGIN[0]]).await.status, 303);
}

#[tokio::test]
async fn a_provider_that_cannot_be_told_keeps_nobody_signed_in() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let cookie = browser.cookie(SESSION).expect("a session");
    house.idp.lie(|idp| drop(idp.answers.insert(REVOKE, Answer::Plain(503, "text/plain", String::new()))));
    assert_eq!(browser.post(QUESTION, "", &SAME_ORIGIN).await.status, 303);
    assert_over(&house, &cookie).await;

    // One that takes no part in it at all.
    let plain = House::open_at_once(
        |idp| {
            idp.lie(|idp| {
                idp.metadata = Box::new(|metadata| {
                    let metadata = metadata.as_object_mut().expect("an object");
                    metadata.retain(|name, _| !name.starts_with("revocation") && !name.starts_with("end_session"));
                });
            });
        },
        |_| (),
    )
    .await;
    plain.provider_is_found().await;
    let browser = plain.signed_in().await;
    let cookie = browser.cookie(SESSION).expect("a session");
    let gone = browser.post(QUESTION, "", &SAME_ORIGIN).await;
    assert_eq!((gone.status, gone.location()), (303, "/oauth2/signed_out"));
    assert_over(&plain, &cookie).await;
}

#[tokio::test]
async fn nobody_signs_out_without_harm_and_two_cookies_without_a_lie() {
    let house = House::open().await;
    let nobody = house.browser();
    let gone = nobody.post(QUESTION, "", &SAME_ORIGIN).await;
    assert_eq!((gone.status, gone.location()), (303, "/oauth2/signed_out"));

    let browser = house.signed_in().await;
    browser.plant(SESSION, "tossed");
    let page = browser.post(QUESTION, "", &SAME_ORIGIN).await;
    assert_eq!(page.status, 400);
    assert!(page.page().contains("Two session cookies"), "{}", page.body);
    assert!(page.cookies().is_empty());
}

async fn assert_over(house: &House, cookie: &str) {
    let copy: Browser = house.browser();
    copy.plant(SESSION, cookie);
    assert_eq!(copy.check_with(Method::GET, "/", &[PAGE]).await.status, 302);
}
