//! Sign-outs in which the provider takes part, honestly or not.

use crate::behaviours::Lie;
use crate::browser::{Browser, SESSION};
use crate::homes::Home;
use crate::house::ORIGIN;
use crate::journal;
use crate::sign_in::fresh_id;
use crate::table::{Accepted, Refused};

const BACK: &str = "/oauth2/backchannel_logout";

/// A logout token that is none: exactly 400, and whoever is signed in stays so.
pub(crate) async fn refused(home: &Home, lie: &Lie, row: &Refused) {
    let browser = home.house.signed_in().await;
    let before = home.ledger().await;
    (lie.tell)(&home.house.idp);
    let id = fresh_id(row.name);
    let answer = home.house.browser().post(BACK, &home.house.idp.logout_form(), &[("x-request-id", &id)]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (400, "no-store"), "{}: {}", row.name, answer.body);
    let said = answer.json();
    assert_eq!(said["error"], "invalid_request", "{}", row.name);
    assert!(said["error_description"].as_str().is_some_and(|text| text.contains(row.says)), "{}: {said}", row.name);
    assert_eq!(browser.check("/").await.status, 200, "{}", row.name);
    assert_eq!(home.ledger().await, before.after_logout("refused", before.sessions()), "{}", row.name);
    let audited = journal::events("logout_refusal", &id);
    assert_eq!(audited.len(), 1, "{}", row.name);
    assert!(audited[0]["reason"].as_str().is_some_and(|text| text.contains(row.says)), "{}: {audited:?}", row.name);
}

/// A good logout token: exactly 200.
pub(crate) async fn by_token(home: &Home, lie: &Lie, row: &Accepted) {
    let (browser, cookie) = signed_in(home).await;
    let before = home.ledger().await;
    (lie.tell)(&home.house.idp);
    let answer = home.house.browser().post(BACK, &home.house.idp.logout_form(), &[]).await;
    let seen = (answer.status, answer.header("cache-control"), &*answer.body);
    assert_eq!(seen, (200, "no-store", ""), "{}", row.name);
    assert_eq!(home.ledger().await, before.after_logout("done", before.sessions() - 1), "{}", row.name);
    assert_over(home, &browser, &cookie, row).await;
}

/// The provider's frame in the browser, with `iss` and `sid`.
pub(crate) async fn by_frame(home: &Home, lie: &Lie, row: &Accepted) {
    let (browser, cookie) = signed_in(home).await;
    let before = home.ledger().await;
    (lie.tell)(&home.house.idp);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("iss", &*home.house.idp.issuer), ("sid", "idp-session-1")])
        .finish();
    let answer = home.house.browser().get(&format!("/oauth2/frontchannel_logout?{query}")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", row.name);
    assert_eq!(home.ledger().await.sessions(), before.sessions() - 1, "{}", row.name);
    assert_over(home, &browser, &cookie, row).await;
}

/// From our page to the provider's and back, whatever it says there of the state.
pub(crate) async fn by_browser(home: &Home, lie: &Lie, row: &Accepted) {
    let (browser, cookie) = signed_in(home).await;
    (lie.tell)(&home.house.idp);
    let gone = browser.post("/oauth2/sign_out", "", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(gone.status, 303, "{}: {}", row.name, gone.body);
    let back = home.house.idp.leave(gone.location());
    let page = browser.get(back.strip_prefix(ORIGIN).expect("back to us")).await;
    assert_eq!(page.status, 200, "{}", row.name);
    assert!(page.page().contains("You are signed out"), "{}: {}", row.name, page.body);
    assert_eq!(home.ledger().await.sessions(), 0, "{}", row.name);
    assert_over(home, &browser, &cookie, row).await;
}

async fn signed_in(home: &Home) -> (Browser, String) {
    let browser = home.house.signed_in().await;
    let cookie = browser.cookie(SESSION).expect("a session");
    assert_eq!(browser.check("/").await.status, 200);
    (browser, cookie)
}

async fn assert_over(home: &Home, browser: &Browser, cookie: &str, row: &Accepted) {
    let copy = home.house.browser();
    copy.plant(SESSION, cookie);
    for browser in [browser, &copy] {
        assert_eq!(browser.check("/").await.status, 302, "{}", row.name);
    }
}
