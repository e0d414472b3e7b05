//! Logins that come to their end, and what a browser holds meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;

use crate::browser::{FLOW, PAGE, SESSION, target_of};
use crate::house::{House, ORIGIN};
use crate::lying_idp::{Answer, DISCOVERY, TOKEN};
use crate::{journal, rc_token};

#[tokio::test]
async fn a_deep_link_is_where_a_login_ends() {
    let house = House::open().await;
    let browser = house.browser();
    let sent = browser.check("/_/pipeline/?ns=a&x=1%2F2").await;
    let started = browser.get(sent.location()).await;
    assert_eq!((started.status, started.header("cache-control")), (302, "no-store"));
    let callback = house.idp.visit(started.location());
    let arrived = browser.get(&target_of(&callback)).await;
    assert_eq!((arrived.status, arrived.location()), (303, "https://mesh.example.com/_/pipeline/?ns=a&x=1%2F2"));
    assert_eq!(arrived.header("cache-control"), "no-store");
    let cookies: Vec<String> = browser.cookies().into_iter().map(|kept| kept.name).collect();
    assert_eq!(cookies, [SESSION], "the flow's cookie is gone");
    let life = arrived.cookies().iter().find(|cookie| cookie.name() == SESSION).and_then(cookie::Cookie::max_age);
    assert_eq!(life, Some(cookie::time::Duration::hours(24)));
    assert_eq!(browser.check("/").await.header("kubeflow-userid"), "ann@example.com");
    let me = browser.get("/oauth2/userinfo").await;
    assert_eq!((me.status, me.header("cache-control")), (200, "no-store"));
    assert_eq!((&me.json()["user"], &me.json()["groups"]), (&json!("ann@example.com"), &json!(["ml", "ops"])));
}

#[tokio::test]
async fn the_provider_is_asked_with_everything_that_binds_the_answer() {
    let house = House::open().await;
    let browser = house.browser();
    let mut seen = HashMap::new();
    for _ in 0..2 {
        let started = browser.get("/oauth2/start?rd=/x").await;
        let url = url::Url::parse(started.location()).expect("a URL");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(
            format!("{}{}", url.origin().ascii_serialization(), url.path()),
            format!("{}/auth", house.idp.issuer)
        );
        for (name, value) in [
            ("response_type", "code"),
            ("code_challenge_method", "S256"),
            ("redirect_uri", "https://mesh.example.com/oauth2/callback"),
            ("scope", "openid email groups offline_access"),
        ] {
            assert_eq!(asked[name], value);
        }
        assert_eq!(asked.get("prompt"), None);
        for name in ["state", "nonce", "code_challenge"] {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(&asked[name]).expect("base64url");
            assert_eq!(bytes.len(), 32, "{name}");
            assert_ne!(seen.insert(name, asked[name].clone()), Some(asked[name].clone()), "{name} is fresh");
        }
        let mut different = vec![&asked["state"], &asked["nonce"], &asked["code_challenge"]];
        different.dedup();
        assert_eq!(different.len(), 3);
    }
}

#[tokio::test]
async fn five_logins_at_once_all_arrive_in_any_order() {
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
        let house = House::open().await;
        let browser = house.browser();
        let mut callbacks = Vec::new();
        for tab in 0..5 {
            callbacks.push(browser.visit(&house.idp, &format!("/oauth2/start?rd=/tab-{tab}")).await);
        }
        assert_eq!(browser.flows().len(), 5);
        for tab in order {
            let arrived = browser.get(&target_of(&callbacks[tab])).await;
            assert_eq!((arrived.status, &arrived.location()[ORIGIN.len()..]), (303, &*format!("/tab-{tab}")));
        }
        assert_eq!(browser.flows(), []);
        assert_eq!(browser.check("/").await.status, 200);
    }
}

#[tokio::test]
async fn the_sixth_login_drops_the_oldest() {
    for apart in [Duration::from_secs(1), Duration::ZERO] {
        let house = House::open().await;
        let browser = house.browser();
        let mut callbacks = Vec::new();
        for tab in 0..6 {
            callbacks.push(browser.visit(&house.idp, &format!("/oauth2/start?rd=/tab-{tab}")).await);
            house.clock.advance(apart);
        }
        assert_eq!(browser.flows().len(), 5);
        let dropped = browser.get(&target_of(&callbacks[0])).await;
        assert_eq!(dropped.status, 400);
        assert!(dropped.page().contains("This sign-in is over"));
        for (tab, callback) in callbacks.iter().enumerate().skip(1) {
            assert_eq!(browser.get(&target_of(callback)).await.status, 303, "tab {tab}, {apart:?} apart");
        }
    }
}

#[tokio::test]
async fn a_thousand_flow_cookies_cost_no_more_than_some_do() {
    let house = House::open().await;
    let browser = house.browser();
    for number in 0..1_000 {
        browser.plant(&format!("{FLOW}{number:012}"), "x");
    }
    let started = browser.get("/oauth2/start").await;
    assert_eq!(started.status, 302);
    let taken_away = started.cookies().iter().filter(|cookie| cookie.value().is_empty()).count();
    assert_eq!((taken_away, started.cookies().len()), (32, 33), "the oldest, and one is set");
    // It is found among them, and the rest is taken away by and by.
    assert_eq!(browser.get(&target_of(&house.idp.visit(started.location()))).await.status, 303);
    for _ in 0..33 {
        browser.get("/oauth2/start").await;
    }
    assert!(browser.flows().len() <= 5, "{}", browser.flows().len());
}

#[tokio::test]
async fn flow_cookies_take_six_kibibytes_at_most() {
    let house = House::open().await;
    let browser = house.browser();
    let rd = format!("/{}", "a".repeat(1000));
    let mut last = None;
    for _ in 0..12 {
        last = Some(browser.visit(&house.idp, &format!("/oauth2/start?rd={rd}")).await);
        let bytes: usize = browser.flows().iter().map(|flow| flow.name.len() + flow.value.len()).sum();
        assert!(bytes <= 6 * 1024, "{bytes}");
        house.clock.advance(Duration::from_secs(1));
    }
    assert!(browser.flows().len() > 1);
    // What a stranger planted goes first.
    browser.plant(&format!("{FLOW}garbage"), "x");
    browser.get("/oauth2/start").await;
    assert_eq!(browser.cookie(&format!("{FLOW}garbage")), None);
    let arrived = browser.get(&target_of(&last.expect("a callback"))).await;
    assert_eq!((arrived.status, arrived.location()), (303, &*format!("{ORIGIN}{rd}")));
}

#[tokio::test]
async fn a_new_sign_in_makes_a_new_session_and_ends_the_old_one() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let (old_cookie, old_sid) = (browser.cookie(SESSION).expect("a session"), sid(&browser.check("/").await));
    // Even for the same person; and then for somebody else.
    for user in ["ann", "bob"] {
        let who = json!({"sub": user, "email": format!("{user}@example.com"), "email_verified": true, "groups": []});
        house.idp.lie(|idp| idp.user = who);
        browser.sign_in(&house.idp).await;
        let answer = browser.check("/").await;
        assert_eq!(answer.header("kubeflow-userid"), format!("{user}@example.com"));
        assert_ne!(browser.cookie(SESSION), Some(old_cookie.clone()));
        assert_ne!(sid(&answer), old_sid);
    }
    let thief = house.browser();
    thief.plant(SESSION, &old_cookie);
    assert_eq!(thief.check("/").await.status, 302, "whoever knows the old cookie is out");
}

#[tokio::test]
async fn a_cookie_that_was_there_before_the_login_is_never_the_sessions() {
    let house = House::open().await;
    let attacker = house.signed_in().await;
    let fixed = attacker.cookie(SESSION).expect("a session");
    let victim = house.browser();
    victim.plant(SESSION, &fixed);
    house.idp.lie(|idp| idp.user["email"] = json!("bob@example.com"));
    victim.sign_in(&house.idp).await;
    assert_ne!(victim.cookie(SESSION), Some(fixed));
    assert_eq!(attacker.check("/").await.status, 302);
}

#[tokio::test]
async fn with_the_provider_away_a_login_says_so_and_works_once_it_is_back() {
    let away = |idp: &crate::lying_idp::LyingIdp| {
        idp.lie(|idp| drop(idp.answers.insert(DISCOVERY, Answer::Plain(503, "text/plain", String::new()))));
    };
    let house = House::open_at_once(away, |_| ()).await;
    let browser = house.browser();
    crate::house::eventually("the provider was asked", async || (house.idp.hits(DISCOVERY) > 0).then_some(())).await;
    let page = browser.get("/oauth2/start?rd=/x").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    let text = page.page();
    assert!(text.contains("The identity provider is away") && text.contains("/oauth2/start?rd=/x"), "{text}");
    // Where it was called is for the log.
    assert!(!text.contains(&house.idp.issuer) && !text.contains("status 503"), "{text}");
    assert!(browser.cookies().is_empty());
    house.idp.repent();
    crate::house::eventually("logins work again", async || {
        (browser.get("/oauth2/start?rd=/x").await.status == 302).then_some(())
    })
    .await;
    browser.sign_in(&house.idp).await;

    // Away in the middle: between the start and the callback.
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    house.idp.lie(|idp| drop(idp.answers.insert(TOKEN, Answer::Plain(503, "text/plain", String::new()))));
    let page = browser.get(&target_of(&callback)).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert!(page.cookies().is_empty());
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let flow = browser.flows().remove(0).value;
    let headers = [PAGE, ("x-request-id", "secretive-login")];
    browser.ask(Method::GET, &target_of(&callback), &headers).await;
    let audited = journal::events("sign_in", "secretive-login");
    assert_eq!(
        (audited.len(), &audited[0]["user"], &audited[0]["provider"]),
        (1, &json!("ann@example.com"), &json!("corp"))
    );
    let token = browser.check("/").await.token().to_owned();
    assert_eq!(audited[0]["sid"], rc_token::claims(&token)["sid"]);
    let session = browser.cookie(SESSION).expect("a session");
    let seen = house.idp.seen(TOKEN).remove(0).form;
    let log = journal::all();
    for secret in [&session, &flow, &token, &seen["code_verifier"], &callback.parameters["state"]] {
        assert!(secret.len() > 20 && !log.contains(&**secret));
    }
}

fn sid(answer: &crate::browser::Answer) -> String {
    rc_token::claims(answer.token())["sid"].as_str().expect("a sid").to_owned()
}
