//! So many sign-ins and no more: whoever is over a bound is told so and when to come back, and takes nothing from others.

use countersign::config::{LimitSettings, Rate, Settings};
use http::Method;
use serde_json::json;

use std::time::Duration;

use crate::browser::{Answer, Browser, PAGE, SESSION, target_of};
use crate::house::House;
use crate::journal;
use crate::lying_idp::TOKEN;

const JSON: (&str, &str) = ("accept", "application/json");

/// A house behind a proxy that is trusted, in which nobody has signed in for an hour.
async fn house(all: u32, each: u32) -> House {
    house_with(all, each, |settings| settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")]).await
}

async fn house_with(all: u32, each: u32, change: impl FnOnce(&mut Settings)) -> House {
    let a_minute = |count| Rate { count, per: Duration::from_mins(1) };
    let house = House::open_with(|settings| {
        settings.limits = LimitSettings { sign_ins: a_minute(all), sign_ins_per_address: a_minute(each) };
        change(settings);
    })
    .await;
    house.clock.advance(Duration::from_hours(1));
    house
}

/// A start as it comes through the proxy.
async fn start_from(browser: &Browser, forwarded_for: &str, more: &[(&str, &str)]) -> Answer {
    let headers = [&[("x-forwarded-for", forwarded_for)], more].concat();
    browser.ask(Method::GET, "/oauth2/start?rd=/x", &headers).await
}

/// Stands before the callback.
async fn visit_from(house: &House, forwarded_for: &str) -> (Browser, String) {
    let browser = house.browser();
    let started = start_from(&browser, forwarded_for, &[PAGE]).await;
    assert_eq!(started.status, 302, "{}", started.body);
    let target = target_of(&house.idp.visit(started.location()));
    (browser, target)
}

async fn call_back_from(browser: &Browser, forwarded_for: &str, target: &str) -> Answer {
    browser.ask(Method::GET, target, &[PAGE, ("x-forwarded-for", forwarded_for)]).await
}

#[tokio::test]
async fn too_many_starts_from_one_address_are_told_to_wait() {
    let house = house(1_000, 30).await;
    let signed_in = house.signed_in().await;
    let browser = house.browser();
    for _ in 0..30 {
        assert_eq!(start_from(&house.browser(), "203.0.113.9", &[PAGE]).await.status, 302);
    }
    let refused = start_from(&browser, "203.0.113.9", &[PAGE, ("x-request-id", "too-many-starts")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "2"));
    let page = refused.page();
    for part in [
        "Too many people are signing in",
        "Too many sign-ins from 203.0.113.9: limits.sign_ins_per_address allows 30/1m.",
        "Wait a little, then sign in again.",
        "href=\"/oauth2/start?rd=/x\"",
        "too-many-starts",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(refused.cookies().is_empty());
    let audited = journal::events("refusal", "too-many-starts");
    assert_eq!(audited.len(), 1);
    assert_eq!(
        (&audited[0]["provider"], &audited[0]["reason"]),
        (&json!("corp"), &json!("too many sign-ins from 203.0.113.9: limits.sign_ins_per_address allows 30/1m"))
    );
    let counted = house.admin("/metrics").await.body;
    assert!(counted.contains("countersign_logins_total{provider=\"corp\",outcome=\"too_many\"} 1\n"), "{counted}");

    // A program is told the same in its own words.
    let told = start_from(&browser, "203.0.113.9", &[JSON]).await;
    assert_eq!((told.status, told.header("retry-after")), (429, "2"));
    assert_eq!((&told.json()["error"], &told.json()["retry_after"]), (&json!("too_many_sign_ins"), &json!(2)));

    // Nobody else notices, whoever has a session least of all.
    assert_eq!(start_from(&browser, "203.0.113.10", &[PAGE]).await.status, 302);
    assert_eq!(signed_in.check("/").await.status, 200);
    house.clock.advance(Duration::from_secs(2));
    assert_eq!(start_from(&browser, "203.0.113.9", &[PAGE]).await.status, 302, "when it said");
}

#[tokio::test]
async fn an_address_that_the_browser_writes_itself_does_not_count() {
    let house = house(1_000, 5).await;
    for number in 0..5 {
        let forged = format!("192.0.2.{number}, 203.0.113.9");
        assert_eq!(start_from(&house.browser(), &forged, &[PAGE]).await.status, 302);
    }
    assert_eq!(start_from(&house.browser(), "192.0.2.77, 203.0.113.9", &[PAGE]).await.status, 429);
    assert_eq!(start_from(&house.browser(), "203.0.113.9, 192.0.2.77", &[PAGE]).await.status, 302);
}

#[tokio::test]
async fn a_gateway_that_is_not_trusted_is_not_taken_for_one_person() {
    let house = house_with(1_000, 5, |_| ()).await;
    for number in 0..50 {
        // Nobody knows whether that is true.
        let claimed = format!("192.0.2.{number}");
        assert_eq!(start_from(&house.browser(), &claimed, &[PAGE]).await.status, 302, "{number}");
    }
    // Who comes without a word of others is where the connection is from.
    for _ in 0..5 {
        assert_eq!(house.browser().get("/oauth2/start").await.status, 302);
    }
    let refused = house.browser().get("/oauth2/start").await;
    assert_eq!(refused.status, 429);
    assert!(refused.page().contains("from 127.0.0.1: "), "{}", refused.body);
}

#[tokio::test]
async fn whoever_is_not_known_leaves_the_others_a_quarter() {
    let house = house_with(4, 4, |_| ()).await;
    let mut begun = 0;
    for number in 0..40 {
        begun += usize::from(start_from(&house.browser(), &format!("192.0.2.{number}"), &[PAGE]).await.status == 302);
    }
    assert_eq!(begun, 30);
    assert_eq!(house.browser().get("/oauth2/start").await.status, 302, "whose address is known");
}

#[tokio::test]
async fn too_many_starts_altogether_are_told_to_wait() {
    let house = house(3, 20).await;
    let mut begun = 0;
    for number in 0..40 {
        let forwarded_for = format!("203.0.113.{}", number % 4);
        begun += usize::from(start_from(&house.browser(), &forwarded_for, &[PAGE]).await.status == 302);
    }
    assert_eq!(begun, 30);
    let refused = start_from(&house.browser(), "203.0.113.200", &[PAGE]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "2"));
    assert!(refused.page().contains("from everywhere: limits.sign_ins allows 10 times 3/1m."), "{}", refused.body);
}

#[tokio::test]
async fn one_address_cannot_use_up_what_all_have() {
    let house = house(3, 20).await;
    for attempt in 0..60 {
        let answer = start_from(&house.browser(), "203.0.113.9", &[PAGE]).await;
        assert_eq!(answer.status, if attempt < 20 { 302 } else { 429 }, "{attempt}");
    }
    assert_eq!(start_from(&house.browser(), "203.0.113.10", &[PAGE]).await.status, 302);
}

#[tokio::test]
async fn strangers_without_a_flow_take_nothing_from_those_who_come_back() {
    let house = house(20, 5).await;
    let (browser, target) = visit_from(&house, "203.0.113.9").await;
    let stranger = house.browser();
    for number in 0..50 {
        let forwarded_for = if number % 2 == 0 { "203.0.113.9".to_owned() } else { format!("192.0.2.{number}") };
        // Without the cookie, without a state, without anything.
        for target in [&*target, "/oauth2/callback?code=x", "/oauth2/callback"] {
            assert_eq!(call_back_from(&stranger, &forwarded_for, target).await.status, 400);
        }
    }
    assert_eq!(call_back_from(&browser, "203.0.113.9", &target).await.status, 303);
}

#[tokio::test]
async fn a_flow_that_is_shown_again_and_again_takes_from_its_own_address_alone() {
    let house = house(20, 5).await;
    let (thief, spent) = visit_from(&house, "198.51.100.1").await;
    let flow = thief.flows().remove(0);
    assert_eq!(call_back_from(&thief, "198.51.100.1", &spent).await.status, 303);
    for number in 0..50 {
        let again = house.browser();
        again.plant(&flow.name, &flow.value);
        assert_eq!(call_back_from(&again, &format!("192.0.2.{number}"), &spent).await.status, 400, "it is burnt");
    }
    let (browser, target) = visit_from(&house, "203.0.113.9").await;
    assert_eq!(call_back_from(&browser, "203.0.113.9", &target).await.status, 303);
}

/// Where no address is known, there is nobody else's bound to take it from.
#[tokio::test]
async fn a_flow_that_is_shown_again_and_again_takes_nothing_where_no_address_is_known() {
    let house = house_with(20, 5, |_| ()).await;
    let (thief, spent) = visit_from(&house, "198.51.100.1").await;
    let flow = thief.flows().remove(0);
    assert_eq!(call_back_from(&thief, "198.51.100.1", &spent).await.status, 303);
    for _ in 0..50 {
        let again = house.browser();
        again.plant(&flow.name, &flow.value);
        assert_eq!(call_back_from(&again, "198.51.100.1", &spent).await.status, 400, "it is burnt");
    }
    let (browser, target) = visit_from(&house, "203.0.113.9").await;
    assert_eq!(call_back_from(&browser, "203.0.113.9", &target).await.status, 303);
}

#[tokio::test]
async fn too_many_callbacks_from_one_address_are_told_to_wait_and_lose_nothing() {
    let house = house(1_000, 5).await;
    let mut waiting = Vec::new();
    for number in 0..6 {
        waiting.push(visit_from(&house, &format!("192.0.2.{number}")).await);
    }
    let (last, target) = waiting.pop().expect("six");
    for (browser, target) in &waiting {
        assert_eq!(call_back_from(browser, "203.0.113.9", target).await.status, 303);
    }
    let exchanged = house.idp.hits(TOKEN);
    let refused = call_back_from(&last, "203.0.113.9", &target).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "12"));
    assert!(refused.page().contains("from 203.0.113.9: limits.sign_ins_per_address allows 5/1m."));
    assert_eq!((house.idp.hits(TOKEN), last.cookie(SESSION)), (exchanged, None));
    // Nothing was burnt: the same callback finishes when it said.
    house.clock.advance(Duration::from_secs(12));
    assert_eq!(call_back_from(&last, "203.0.113.9", &target).await.status, 303);
}

#[tokio::test]
async fn too_many_callbacks_altogether_cost_the_provider_nothing() {
    let house = house(20, 20).await;
    let mut waiting = Vec::new();
    for number in 0..40 {
        waiting.push(visit_from(&house, &format!("192.0.2.{number}")).await);
        // As many as may begin, and all of them come back at once.
        house.clock.advance(Duration::from_secs(3));
    }
    let mut arrived = 0;
    for (number, (browser, target)) in waiting.iter().enumerate() {
        let answer = call_back_from(browser, &format!("192.0.2.{number}"), target).await;
        assert!(matches!(answer.status, 303 | 429), "{}", answer.body);
        arrived += usize::from(answer.status == 303);
    }
    assert_eq!((arrived, house.idp.hits(TOKEN)), (20, 20));
}

#[tokio::test]
async fn what_another_sites_page_asks_for_in_passing_takes_from_nobody() {
    let house = house(1_000, 5).await;
    let from = |site: &'static str, dest: &'static str| {
        let told = [PAGE, ("sec-fetch-site", site), ("sec-fetch-dest", dest)];
        let browser = house.browser();
        async move { start_from(&browser, "203.0.113.9", &told).await }
    };
    for dest in ["empty", "image", "iframe", "script", "frame", "object"] {
        for _ in 0..5 {
            let refused = from("cross-site", dest).await;
            assert_eq!((refused.status, refused.cookies().is_empty()), (403, true), "{dest}");
        }
    }
    let ahead = [PAGE, ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch")];
    assert_eq!(start_from(&house.browser(), "203.0.113.9", &ahead).await.status, 403);
    assert!(from("cross-site", "image").await.page().contains("open this site in a window of its own"));
    // Links from elsewhere are how most people come, and a frame of our own may be where a session has ended.
    for (site, dest) in
        [("cross-site", "document"), ("same-origin", "iframe"), ("same-site", "iframe"), ("none", "document")]
    {
        assert_eq!(from(site, dest).await.status, 302, "{site} {dest}");
    }
}

#[tokio::test]
async fn to_choose_a_provider_is_no_sign_in_yet() {
    let house = house_with(1_000, 5, |settings| {
        let another = crate::house::provider("another", "http://127.0.0.1:1");
        settings.providers.push(another);
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    })
    .await;
    for _ in 0..20 {
        let page = start_from(&house.browser(), "203.0.113.9", &[PAGE]).await;
        assert_eq!(page.status, 200, "{}", page.body);
    }
}
