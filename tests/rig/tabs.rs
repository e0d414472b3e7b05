//! One person, several tabs: logins that overlap, and what the arrow to the left shows after a sign-out.

use serde_json::json;

use crate::browser::Browser;
use crate::house::House;

#[tokio::test]
async fn the_sixth_tab_drops_the_first_which_says_what_to_do_and_the_others_end_in_reverse() {
    let house = House::build().await;
    let browser = Browser::open().await;
    let mut tabs = Vec::new();
    for number in 0..6 {
        let (tab, wanted) = (browser.new_tab().await, house.at(&format!("/tab/{number}")));
        browser.go(&wanted).await;
        browser.sees("#login").await;
        tabs.push((tab, wanted));
    }
    let (first, _) = tabs.remove(0);
    browser.turn_to(&first).await;
    browser.sign_in_at_dex("ann").await;
    browser.reads("This sign-in is over").await;
    browser.reads("Sign in again.").await;

    for (tab, wanted) in tabs.iter().rev() {
        browser.turn_to(tab).await;
        browser.sign_in_at_dex("ann").await;
        browser.arrives(wanted).await;
        assert_eq!(browser.received().await.one("kubeflow-userid"), "ann@example.com");
    }
    // Back in the first: its page leads on, and so would loading it again.
    browser.turn_to(&first).await;
    let stale = browser.address().await;
    browser.go(stale.as_str()).await;
    browser.arrives(&house.at("/")).await;
    let left = browser.cookie_names().await;
    assert_eq!(left, ["countersign"], "one session, and no login is left");
}

#[tokio::test]
async fn after_a_sign_out_the_way_back_shows_no_page_of_ours_and_opens_nothing() {
    let house = House::build().await;
    let ann = house.signed_in("ann").await;
    ann.go(&house.at("/oauth2/sessions")).await;
    ann.reads("ann@example.com").await;
    ann.go(&house.at("/oauth2/sign_out")).await;
    ann.reads("ann@example.com").await;
    ann.click("form button[type=submit]").await;
    ann.reads("You are signed out").await;

    // Ours are loaded anew, and know nobody.
    ann.back().await;
    ann.reads("Sign out?").await;
    assert!(!ann.text().await.contains("ann@example.com"), "{}", ann.text().await);
    ann.back().await;
    ann.sees("#login").await;
    // The application's may come from what the browser has kept. What it asks for then it does not get.
    ann.back().await;
    ann.arrives(&house.at("/home")).await;
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com", "what was kept");
    let asked = ann.fetch("/api/me", json!({"accept": "application/json"})).await;
    assert_eq!(asked["status"], 401, "{asked}");
    let page = ann.address().await;
    ann.go(page.as_str()).await;
    ann.sees("#login").await;
}
