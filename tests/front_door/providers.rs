//! Several providers: one is chosen, and none can answer for another.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::browser::{PAGE, SESSION, target_of};
use crate::house::{House, eventually, provider};
use crate::lying_idp::{LyingIdp, TOKEN};

async fn two_providers() -> (House, LyingIdp) {
    let clock = std::sync::Arc::new(countersign::clock::TestClock::at(crate::house::BEGINNING));
    let other = LyingIdp::start(clock).await;
    let second = provider("guests", &other.issuer);
    let house = House::open_with(|settings| settings.providers.push(second)).await;
    let found = async || (house.browser().get("/oauth2/start?provider=guests").await.status == 302).then_some(());
    eventually("the other provider is found", found).await;
    other
        .lie(|idp| idp.user = json!({"sub": "g", "email": "gil@guests.example", "email_verified": true, "groups": []}));
    (house, other)
}

#[tokio::test]
async fn one_is_chosen_on_a_page_that_begins_nothing() {
    let (house, other) = two_providers().await;
    let browser = house.browser();
    let page = browser.get("/oauth2/start?rd=/x?y=1").await;
    let text = page.page();
    assert_eq!(page.status, 200);
    for id in ["corp", "guests"] {
        let href = format!("/oauth2/start?provider={id}&amp;rd=https%3A%2F%2Fmesh%2Eexample%2Ecom%2Fx%3Fy%3D1");
        assert!(text.contains(&href), "{text}");
    }
    assert!(text.contains("CORP") && text.contains("GUESTS"), "{text}");
    assert!(page.cookies().is_empty());

    let callback = browser.visit(&other, "/oauth2/start?provider=guests&rd=/x").await;
    assert_eq!(callback.place, "https://mesh.example.com/oauth2/callback/guests");
    assert_eq!(browser.get(&target_of(&callback)).await.location(), "https://mesh.example.com/x");
    assert_eq!(browser.check("/").await.header("kubeflow-userid"), "gil@guests.example");

    for unknown in ["nobody", "Corp", "..", ""] {
        let page = browser.get(&format!("/oauth2/start?provider={unknown}")).await;
        assert_eq!(page.status, 404, "{unknown:?}");
        assert!(page.page().contains("No such identity provider"));
    }
}

#[tokio::test]
async fn an_answer_at_anothers_address_is_refused() {
    let (house, other) = two_providers().await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start?provider=corp").await;
    assert_eq!(callback.place, "https://mesh.example.com/oauth2/callback/corp");
    for path in ["/oauth2/callback/guests", "/oauth2/callback", "/oauth2/callback/nobody"] {
        let target = target_of(&callback).replace("/oauth2/callback/corp", path);
        let page = browser.get(&target).await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.page().contains("another provider's address"), "{path}");
        assert_eq!(browser.cookie(SESSION), None);
    }
    let wrong_issuer = format!("{}&iss={}", target_of(&callback), other.issuer);
    let page = browser.get(&wrong_issuer).await;
    assert_eq!(page.status, 502);
    assert!(page.page().contains("the callback names the issuer"));
    assert_eq!((house.idp.hits(TOKEN), other.hits(TOKEN)), (0, 0), "no code went anywhere");
}

#[tokio::test]
async fn one_that_hangs_does_not_hold_up_those_of_the_other() {
    let (house, other) = two_providers().await;
    let mut waiting = Vec::new();
    for _ in 0..129 {
        let browser = house.browser();
        let callback = target_of(&browser.visit(&house.idp, "/oauth2/start?provider=corp").await);
        waiting.push((browser, callback));
    }
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| drop(idp.held.insert(TOKEN, gate.clone())));
    let (last, callback) = waiting.pop().expect("129");
    let mut sockets = Vec::new();
    for (browser, callback) in &waiting {
        sockets.push(browser.send(&Method::GET, callback, &[PAGE], "").await);
    }
    eventually("all of them wait", async || (house.idp.hits(TOKEN) == 128).then_some(())).await;
    assert_eq!(last.get(&callback).await.status, 503, "no more than these wait for it");
    let guest = house.browser();
    let callback = guest.visit(&other, "/oauth2/start?provider=guests").await;
    assert_eq!(guest.get(&target_of(&callback)).await.status, 303);
    gate.add_permits(1000);
}

#[tokio::test]
async fn a_posted_answer_comes_back_as_a_get() {
    let house = House::open_with(|settings| settings.providers[0].form_post = true).await;
    let browser = house.browser();
    let started = browser.get("/oauth2/start?rd=/x").await;
    assert!(started.location().contains("response_mode=form_post"));
    let callback = house.idp.visit(started.location());
    let target = target_of(&callback);
    let (path, form) = target.split_once('?').expect("a query");
    // The cookies do not travel with another site's form.
    let posted = house.browser().post(path, form, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((posted.status, posted.location()), (303, &*target));
    assert!(posted.cookies().is_empty());
    assert_eq!(browser.get(posted.location()).await.location(), "https://mesh.example.com/x");

    let broken = house.browser().post(path, "state=a\r\nset-cookie: b=c", &[]).await;
    assert_eq!((broken.status, broken.cookies().len()), (400, 0));
    let unasked = House::open().await;
    assert_eq!(unasked.browser().post("/oauth2/callback", form, &[]).await.status, 405);
}

/// As whoever moves here from another gateway has it registered already.
#[tokio::test]
async fn a_redirect_uri_of_another_shape_is_answered_where_it_is() {
    let at = "https://mesh.example.com/login/oidc";
    let house = House::open_with(|settings| settings.providers[0].redirect_uri = Some(at.into())).await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start?rd=/x").await;
    assert_eq!(callback.place, at);
    // A gateway that asks about it as well must let it pass, with our cookies.
    let asked = browser.check("/login/oidc?state=x").await;
    assert_eq!((asked.status, asked.header("cookie")), (200, ""));
    assert!(!asked.removed().contains(&"cookie"));
    assert_eq!(browser.check("/login/oidc/x").await.status, 302);
    assert_eq!(browser.get(&target_of(&callback)).await.location(), "https://mesh.example.com/x");
    assert_eq!(browser.check("/").await.header("kubeflow-userid"), "ann@example.com");
    // A login that ended there would have no end.
    let callback = browser.visit(&house.idp, "/oauth2/start?rd=/login/oidc").await;
    assert_eq!(browser.get(&target_of(&callback)).await.location(), "https://mesh.example.com/");
}
