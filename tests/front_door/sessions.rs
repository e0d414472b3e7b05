//! How long a session lives, and what it survives.

use std::time::Duration;

use serde_json::json;

use crate::browser::SESSION;
use crate::house::House;

#[tokio::test]
async fn a_session_ends_at_its_age_however_much_it_is_used() {
    // Nothing is renewed on the way: the clock would leap while the provider answers.
    let house = House::open_with(|settings| settings.session.renew_every = settings.session.max_age).await;
    house.idp.lie(|idp| idp.token_answer = Box::new(|answer| answer["expires_in"] = json!(100_000)));
    let browser = house.signed_in().await;
    let cookie = browser.cookie(SESSION).expect("a session");
    for _ in 0..23 {
        house.clock.advance(Duration::from_hours(1));
        assert_eq!(browser.check("/").await.status, 200);
    }
    house.clock.advance(Duration::from_secs(3599));
    assert_eq!(browser.check("/").await.status, 200);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.cookie(SESSION), None, "the browser forgets it");
    let copy = house.browser();
    copy.plant(SESSION, &cookie);
    assert_eq!(copy.check("/").await.location(), "/oauth2/start?rd=/");
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    house.clock.advance(Duration::from_secs(8 * 3600 - 1));
    assert_eq!(browser.check("/").await.status, 200, "in time, and wound up by it");
    house.clock.advance(Duration::from_secs(8 * 3600 - 1));
    assert_eq!(browser.check("/").await.status, 200);
    house.clock.advance(Duration::from_hours(8));
    assert!(browser.cookie(SESSION).is_some(), "the browser does not know");
    assert_eq!(browser.check("/").await.status, 302);
    assert_eq!(browser.check("/public/x").await.status, 200);
    assert_eq!(browser.get("/oauth2/userinfo").await.status, 401);
}

#[tokio::test]
async fn a_session_survives_its_gateway() {
    let mut house = House::open().await;
    let browser = house.signed_in().await;
    let before = browser.check("/").await;
    house.clock.advance(Duration::from_hours(7));
    assert_eq!(browser.check("/").await.status, 200);
    house.reopen(|_| ()).await;
    // Wound up seven hours ago, which the store was told at the end.
    house.clock.advance(Duration::from_hours(7));
    let browser = browser.moved_to(house.gateway.address);
    let after = browser.check("/").await;
    assert_eq!((after.status, after.header("kubeflow-userid")), (200, before.header("kubeflow-userid")));
    let (old, new) = (crate::rc_token::claims(before.token()), crate::rc_token::claims(after.token()));
    assert_eq!(new["sid"], old["sid"]);
    crate::rc_token::verify(&browser, before.token(), "mesh").await;
}

#[tokio::test]
async fn a_login_begun_before_a_restart_ends_after_it_and_a_sign_out_stays() {
    let mut house = House::open().await;
    let (arriving, gone) = (house.browser(), house.signed_in().await);
    let callback = arriving.visit(&house.idp, "/oauth2/start?rd=/x").await;
    let cookie = gone.cookie(SESSION).expect("a session");
    gone.post("/oauth2/sign_out", "", &[("sec-fetch-site", "same-origin")]).await;
    house.reopen(|_| ()).await;
    let arriving = arriving.moved_to(house.gateway.address);
    let arrived = arriving.get(&crate::browser::target_of(&callback)).await;
    assert_eq!(arrived.location(), "https://mesh.example.com/x");
    let thief = house.browser();
    thief.plant(SESSION, &cookie);
    assert_eq!(thief.check("/").await.status, 302);
}
