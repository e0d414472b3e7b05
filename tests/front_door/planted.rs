//! Codes and cookies that are in the wrong place: stolen, planted, swapped, or gone.

use crate::browser::{FLOW, SESSION, target_of};
use crate::house::House;
use crate::lying_idp::TOKEN;
use crate::sign_in_refused::refused;

#[tokio::test]
async fn a_login_whose_cookie_is_gone_is_over() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let flow = browser.flows().remove(0);
    browser.forget(FLOW);
    refused(&browser, &target_of(&callback), 400, "its cookie is not here").await;
    assert_eq!(house.idp.hits(TOKEN), 0, "the code was not shown");
    browser.plant(&flow.name, &flow.value);
    assert_eq!(browser.get(&target_of(&callback)).await.status, 303, "and nothing was burnt");
}

#[tokio::test]
async fn a_code_is_worth_nothing_in_another_login() {
    let house = House::open().await;
    let (victim, thief) = (house.browser(), house.browser());
    let theirs = victim.visit(&house.idp, "/oauth2/start").await;
    let own = thief.visit(&house.idp, "/oauth2/start").await;
    let target = format!("/oauth2/callback?state={}&code={}", own.parameters["state"], theirs.parameters["code"]);
    // Nobody has shown it yet: it hangs on the verifier of the login that it was given to.
    refused(&thief, &target, 400, "`invalid_grant`").await;
    assert_eq!(house.idp.hits(TOKEN), 1, "it was tried");

    // Shown already: by another login of the very same browser, too.
    let used = victim.visit(&house.idp, "/oauth2/start").await;
    assert_eq!(victim.get(&target_of(&used)).await.status, 303);
    victim.forget(SESSION);
    for browser in [&victim, &thief] {
        let again = browser.visit(&house.idp, "/oauth2/start").await;
        let target = format!("/oauth2/callback?state={}&code={}", again.parameters["state"], used.parameters["code"]);
        refused(browser, &target, 400, "`invalid_grant`").await;
    }
}

#[tokio::test]
async fn two_flow_cookies_of_one_name_are_none() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let flow = browser.flows().remove(0);
    for tossed in ["tossed", &flow.value] {
        browser.plant(&flow.name, tossed);
        refused(&browser, &target_of(&callback), 400, "its cookie is not here").await;
        browser.forget(FLOW);
        browser.plant(&flow.name, &flow.value);
    }
    assert_eq!(house.idp.hits(TOKEN), 0);
    assert_eq!(browser.get(&target_of(&callback)).await.status, 303, "one is enough");
}

#[tokio::test]
async fn cookies_in_each_others_place_are_nobodys() {
    let house = House::open().await;
    let session = house.signed_in().await.cookie(SESSION).expect("a session");
    let browser = house.browser();
    let (one, two) =
        (browser.visit(&house.idp, "/oauth2/start").await, browser.visit(&house.idp, "/oauth2/start").await);
    let flows = browser.flows();
    browser.forget(FLOW);
    // Each flow under the other's name; a session under a flow's; a flow under the session's.
    browser.plant(&flows[0].name, &flows[1].value);
    browser.plant(&flows[1].name, &flows[0].value);
    for callback in [&one, &two] {
        refused(&browser, &target_of(callback), 400, "its cookie is not here").await;
    }
    browser.forget(FLOW);
    browser.plant(&flows[0].name, &session);
    refused(&browser, &target_of(&one), 400, "its cookie is not here").await;
    assert_eq!(house.idp.hits(TOKEN), 1, "by whoever signed in");
    browser.forget(FLOW);
    browser.plant(SESSION, &flows[0].value);
    let check = browser.check("/x").await;
    assert_eq!((check.status, check.location()), (302, "/oauth2/start?rd=/x"));
    assert_eq!(browser.get("/oauth2/userinfo").await.status, 401);
}

/// What a sibling host can set for the whole domain never has our prefix.
#[tokio::test]
async fn a_cookie_that_a_parent_domain_could_set_is_nobody() {
    let house = House::open().await;
    let good = house.signed_in().await.cookie(SESSION).expect("a session");
    for name in ["countersign", "__Secure-countersign", "__host-countersign", "__HOST-COUNTERSIGN", "Host-countersign"]
    {
        let stranger = house.browser();
        stranger.plant(name, &good);
        assert_eq!(stranger.check("/x").await.status, 302, "{name}");
        assert_eq!(stranger.get("/oauth2/userinfo").await.status, 401, "{name}");
        // Nor does it get into the way of whoever signs in, and it is taken from what the workload sees.
        house.idp.lie(|idp| idp.user["email"] = serde_json::json!("bob@example.com"));
        stranger.sign_in(&house.idp).await;
        let check = stranger.check("/x").await;
        assert_eq!((check.status, check.header("kubeflow-userid")), (200, "bob@example.com"), "{name}");
        house.idp.repent();
        let flow = name.replace("countersign", "countersign-flow-");
        let callback = stranger.visit(&house.idp, "/oauth2/start").await;
        let own = stranger.flows().remove(0);
        stranger.forget(FLOW);
        stranger.forget(SESSION);
        stranger.plant(&format!("{flow}{}", &own.name[FLOW.len()..]), &own.value);
        refused(&stranger, &target_of(&callback), 400, "its cookie is not here").await;
    }
}
