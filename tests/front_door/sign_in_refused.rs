//! Logins that must not succeed: each ends on a page that says who can mend it, without a cookie, and is audited.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::browser::{Browser, FLOW, PAGE, SESSION, target_of};
use crate::house::{House, eventually};
use crate::journal;
use crate::lying_idp::{Callback, Signing, TOKEN};

#[tokio::test]
async fn a_callback_that_is_none_is_refused() {
    let house = House::open().await;
    let browser = house.browser();
    let good = browser.visit(&house.idp, "/oauth2/start").await;
    let target = target_of(&good);
    let (state, code) = (&good.parameters["state"], &good.parameters["code"]);
    for (target, says) in [
        ("/oauth2/callback".to_owned(), "it has no state"),
        (format!("/oauth2/callback?code={code}"), "it has no state"),
        ("/oauth2/callback?error=access_denied".to_owned(), "it has no state"),
        (format!("{target}&state={state}"), "it has a parameter twice"),
        (format!("{target}&code=x"), "it has a parameter twice"),
        (format!("{target}&error=a&error=b"), "it has a parameter twice"),
        ("/oauth2/callback?code=x&state=".to_owned(), "not under way in this browser"),
        ("/oauth2/callback?code=x&state=%F0%9F%A6%80%F0%9F%A6%80%F0%9F%A6%80".to_owned(), "not under way"),
        (format!("/oauth2/callback?code={code}&state={}", &state[..12]), "not under way in this browser"),
        (format!("/oauth2/callback?code={code}&state={}x", &state[..42]), "not under way in this browser"),
    ] {
        refused(&browser, &target, 400, says).await;
    }
    assert_eq!(house.idp.hits(TOKEN), 0, "no code was ever shown");
    assert_eq!(browser.get(&target).await.status, 303, "and the login is still under way");
}

#[tokio::test]
async fn a_state_works_once() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start?rd=/x").await;
    let flow = browser.flows().remove(0);
    assert_eq!(browser.get(&target_of(&callback)).await.status, 303);

    // Signed in: home, whatever is left of the flow, and nothing changes.
    let session = browser.cookie(SESSION);
    browser.plant(&flow.name, &flow.value);
    let again = browser.get(&target_of(&callback)).await;
    assert_eq!((again.status, again.location()), (303, "https://mesh.example.com/"));
    assert!(again.cookies().is_empty());
    assert_eq!(browser.cookie(SESSION), session);

    // Not signed in: the cookie was copied in time, but the flow is burnt.
    let copy = house.browser();
    copy.plant(&flow.name, &flow.value);
    refused(&copy, &target_of(&callback), 400, "it was finished before").await;
    assert_eq!(house.idp.hits(TOKEN), 1);
}

#[tokio::test]
async fn with_two_session_cookies_no_session_begins() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    browser.plant(SESSION, "tossed");
    browser.plant(SESSION, "tossed too");
    let page = browser.get(&target_of(&callback)).await;
    assert_eq!(page.status, 400);
    assert!(page.page().contains("Two session cookies") && page.cookies().is_empty(), "{}", page.body);
}

#[tokio::test]
async fn a_provider_that_hangs_does_not_use_up_the_gateways_connections() {
    let house = House::open().await;
    let gate = Arc::new(Semaphore::new(0));
    let (mut browsers, mut callbacks) = (Vec::new(), Vec::new());
    for _ in 0..129 {
        let browser = house.browser();
        callbacks.push(target_of(&browser.visit(&house.idp, "/oauth2/start").await));
        browsers.push(browser);
    }
    let (spent, again) = (house.browser(), house.browser());
    let callback = target_of(&spent.visit(&house.idp, "/oauth2/start").await);
    let flow = spent.flows().remove(0);
    again.plant(&flow.name, &flow.value);
    assert_eq!(spent.get(&callback).await.status, 303);
    let exchanged = house.idp.hits(TOKEN);
    house.idp.lie(|idp| drop(idp.held.insert(TOKEN, gate.clone())));
    let (last, others) = browsers.split_last().expect("browsers");
    let mut waiting = Vec::new();
    for (browser, callback) in others.iter().zip(&callbacks) {
        waiting.push(browser.send(&Method::GET, callback, &[PAGE], "").await);
    }
    eventually("all of them wait", async || (house.idp.hits(TOKEN) == exchanged + 128).then_some(())).await;
    refused(last, &callbacks[128], 503, "Too many people").await;
    // One that is over takes nobody's place.
    refused(&again, &callback, 400, "it was finished before").await;
    gate.add_permits(1000);
    // Nothing was burnt: the same callback finishes once there is room.
    eventually("there is room", async || (last.get(&callbacks[128]).await.status == 303).then_some(())).await;
    drop(waiting);
}

#[tokio::test]
async fn a_state_is_burnt_though_the_exchange_failed() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    house.idp.lie(|idp| idp.signing = Signing::Tampered);
    refused(&browser, &target_of(&callback), 502, "signature").await;
    house.idp.repent();
    refused(&browser, &target_of(&callback), 400, "it was finished before").await;
    assert_eq!(house.idp.hits(TOKEN), 1);
}

#[tokio::test]
async fn another_browser_cannot_finish_it() {
    let house = House::open().await;
    let (attacker, victim) = (house.browser(), house.browser());
    let callback = attacker.visit(&house.idp, "/oauth2/start").await;
    refused(&victim, &target_of(&callback), 400, "its cookie is not here").await;
    // Not even with a flow of its own under way, or with the attacker's cookie under another's name.
    victim.visit(&house.idp, "/oauth2/start").await;
    let own = victim.flows().remove(0).name;
    victim.forget(FLOW);
    victim.plant(&own, &attacker.flows()[0].value);
    refused(&victim, &target_of(&callback), 400, "its cookie is not here").await;
    let renamed = format!("{FLOW}{}", &callback.parameters["state"][..12]);
    victim.plant(&renamed, "garbage");
    refused(&victim, &target_of(&callback), 400, "its cookie is not here").await;
    assert_eq!(house.idp.hits(TOKEN), 0);
}

#[tokio::test]
async fn ten_minutes_are_all_there_is() {
    let house = House::open().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let flow = browser.flows().remove(0);
    house.clock.advance(Duration::from_secs(599));
    let in_time = house.browser();
    in_time.plant(&flow.name, &flow.value);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.flows(), [], "the browser forgets it");
    // A browser that keeps it longer does not win time.
    refused(&in_time, &target_of(&callback), 400, "its time is over").await;
    assert_eq!(house.idp.hits(TOKEN), 0);
}

#[tokio::test]
async fn what_the_provider_says_no_to_is_quoted_and_harmless() {
    let house = House::open().await;
    let browser = house.browser();
    let Callback { parameters, .. } = browser.visit(&house.idp, "/oauth2/start").await;
    let state = &parameters["state"];
    let words = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%0d%0ano";
    let target = format!("/oauth2/callback?state={state}&error=access_denied&error_description={words}");
    let page = refused(&browser, &target, 403, "access_denied").await;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;no"), "{page}");
    // That was its answer: the state is spent.
    refused(&browser, &format!("/oauth2/callback?state={state}&code=x"), 400, "it was finished before").await;
}

#[tokio::test]
async fn an_id_token_that_is_not_this_logins_is_not_believed() {
    for (lie, says) in [
        (json!({"nonce": "another"}), "`nonce`"),
        (json!({"nonce": null}), "`nonce`"),
        (json!({"iss": "https://evil.example"}), "`iss`"),
        (json!({"aud": "another"}), "`aud`"),
        (json!({"exp": 1}), "`exp`"),
    ] {
        let house = House::open().await;
        let browser = house.browser();
        let callback = browser.visit(&house.idp, "/oauth2/start").await;
        house.idp.lie(|idp| {
            idp.claims = Box::new(move |claims| {
                for (name, value) in lie.as_object().expect("an object") {
                    claims[name] = value.clone();
                }
            });
        });
        refused(&browser, &target_of(&callback), 502, says).await;
    }
}

#[tokio::test]
async fn who_is_not_admitted_leaves_nothing_behind() {
    let house = House::open_with(|settings| {
        settings.providers[0].identity.admit.groups = vec!["staff".into()];
    })
    .await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let page = refused(&browser, &target_of(&callback), 403, "needs one of the groups: staff").await;
    assert!(page.contains("ann@example.com"), "{page}");
    assert_eq!(browser.get("/oauth2/userinfo").await.status, 401);

    house.idp.lie(|idp| idp.user["groups"] = json!(["staff"]));
    browser.sign_in(&house.idp).await;
}

/// A callback that ends on a page with this status, which says this; no session, and an audit event.
pub(crate) async fn refused(browser: &Browser, target: &str, status: u16, says: &str) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let id = format!("refused-{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    let page = browser.ask(Method::GET, target, &[PAGE, ("x-request-id", &id)]).await;
    let text = page.page();
    assert_eq!(page.status, status, "{target}: {text}");
    assert!(text.contains(says), "{target}: {text}");
    assert!(text.contains(&id) && text.contains("Who can mend it"), "{text}");
    assert!(page.cookies().is_empty(), "{:?}", page.cookies());
    assert_eq!(browser.cookie(SESSION), None);
    assert_eq!(page.header("cache-control"), "no-store");
    let audited: Vec<Value> = journal::events("refusal", &id);
    assert_eq!(audited.len(), 1, "{target}");
    text
}
