//! Renewal behind the check's back: the identity is read anew, once at a time, whoever asked has gone or not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::browser::{Answer as Got, Browser, PAGE, SESSION};
use crate::house::{House, at, eventually};
use crate::lying_idp::{Answer, TOKEN};
use crate::{journal, rc_token};

/// The fixture's access tokens live for five minutes: sooner than `renew_every`.
const DUE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_group_that_was_taken_away_is_gone_after_the_renewal() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    house.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    house.clock.advance(Duration::from_secs(299));
    assert_eq!(browser.check("/ml/x").await.status, 200);
    assert_eq!(house.idp.hits(TOKEN), 1, "not due yet");
    house.clock.advance(Duration::from_secs(1));
    let noticed = browser.check("/").await;
    assert_eq!((noticed.status, noticed.header("kubeflow-groups")), (200, "ml,ops"), "it does not wait for it");
    let renewed = groups_become(&browser, "ops").await;
    assert_eq!(rc_token::claims(renewed.token())["groups"], json!(["ops"]), "the token at hand was not used again");
    assert_eq!(browser.check("/ml/x").await.status, 403);
    assert!(renewed.cookies().is_empty(), "it keeps its cookie");
    assert_eq!(house.idp.hits(TOKEN), 2);
    let sid = &rc_token::claims(noticed.token())["sid"];
    assert_eq!(&rc_token::claims(renewed.token())["sid"], sid);
}

#[tokio::test]
async fn renew_every_counts_where_tokens_live_longer() {
    let house = House::open().await;
    house.idp.lie(|idp| idp.token_answer = Box::new(|answer| answer["expires_in"] = json!(100_000)));
    let browser = house.signed_in().await;
    house.clock.advance(Duration::from_mins(15) - Duration::from_secs(1));
    browser.check("/").await;
    assert_eq!(house.idp.hits(TOKEN), 1);
    house.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    house.clock.advance(Duration::from_secs(1));
    groups_become(&browser, "ops").await;
}

#[tokio::test]
async fn each_renewal_brings_the_refresh_token_for_the_next() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    for round in 0..4 {
        let group = format!("round-{round}");
        house.idp.lie(|idp| idp.user["groups"] = json!([group]));
        house.clock.advance(DUE);
        groups_become(&browser, &group).await;
    }
    let shown: Vec<String> =
        house.idp.seen(TOKEN).into_iter().skip(1).map(|seen| seen.form["refresh_token"].clone()).collect();
    let mut different = shown.clone();
    different.dedup();
    assert_eq!((shown.len(), different.len()), (4, 4), "rotated, and none shown twice");
}

#[tokio::test]
async fn what_forbids_the_session_ends_it() {
    for (lie, reason) in [
        ("removed", "needs one of the groups: ml"),
        ("refused", "invalid_grant"),
        ("changed", "its `sub` is another than at sign-in"),
        ("unnamed", "email"),
        ("renamed", "gives its user another name"),
    ] {
        let house = House::open_with(|settings| {
            settings.providers[0].identity.admit.groups = vec!["ml".into()];
        })
        .await;
        let browser = house.signed_in().await;
        let sid = rc_token::claims(browser.check("/").await.token())["sid"].as_str().expect("a sid").to_owned();
        house.idp.lie(|idp| match lie {
            "removed" => idp.user["groups"] = json!(["ops"]),
            "refused" => {
                let refusal = Answer::Plain(400, "application/json", "{\"error\": \"invalid_grant\"}".into());
                drop(idp.answers.insert(TOKEN, refusal));
            }
            "renamed" => idp.user["email"] = json!("ann.married@example.com"),
            "changed" => idp.refreshed_claims = Box::new(|claims| claims["sub"] = json!("eve")),
            _ => idp.user["email_verified"] = json!(false),
        });
        house.clock.advance(DUE);
        eventually(lie, async || (browser.check("/").await.status == 302).then_some(())).await;
        let revoked = eventually("it is audited", async || {
            let log = journal::all();
            log.lines().find(|line| line.contains(&sid) && line.contains("\"revocation\"")).map(str::to_owned)
        })
        .await;
        assert!(revoked.contains(reason), "{revoked}");
    }
}

#[tokio::test]
async fn userinfo_about_somebody_else_ends_the_session() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    house.idp.lie(|idp| {
        idp.token_answer = Box::new(|answer| drop(answer.as_object_mut().expect("an object").remove("id_token")));
        idp.userinfo = Box::new(|claims| claims["sub"] = json!("eve"));
    });
    house.clock.advance(DUE);
    eventually("the session ends", async || (browser.check("/").await.status == 302).then_some(())).await;
}

#[tokio::test]
async fn a_provider_that_is_away_or_raves_ends_nothing_and_is_asked_again_after_a_pause() {
    for (user, answer) in [
        ("away@example.com", Answer::Plain(503, "text/plain", String::new())),
        ("raving@example.com", Answer::Plain(200, "application/json", "[]".into())),
        ("stranger@example.com", Answer::Plain(401, "application/json", "{\"error\": \"invalid_client\"}".into())),
    ] {
        let house = House::open().await;
        house.idp.lie(|idp| idp.user["email"] = json!(user));
        let browser = house.signed_in().await;
        house.idp.lie(|idp| {
            idp.user["groups"] = json!(["ops"]);
            idp.answers.insert(TOKEN, answer);
        });
        house.clock.advance(DUE);
        assert_eq!(browser.check("/").await.header("kubeflow-groups"), "ml,ops");
        let failed = async || {
            let log = journal::all();
            log.lines().any(|line| line.contains("renewal failed") && line.contains(user)).then_some(())
        };
        eventually("a try has failed", failed).await;
        // Within the pause nobody asks again, however many come.
        let tried = house.idp.hits(TOKEN);
        for _ in 0..20 {
            assert_eq!(browser.check("/").await.status, 200);
        }
        assert_eq!(house.idp.hits(TOKEN), tried);
        house.idp.lie(|idp| idp.answers.clear());
        house.clock.advance(PAUSE);
        groups_become(&browser, "ops").await;
    }
}

#[tokio::test]
async fn one_renewal_at_a_time_though_fifty_notice() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| {
        idp.user["groups"] = json!(["ops"]);
        idp.held.insert(TOKEN, gate.clone());
    });
    house.clock.advance(DUE);
    let answers = join_all((0..50).map(|_| browser.check("/"))).await;
    assert!(answers.iter().all(|answer| answer.header("kubeflow-groups") == "ml,ops"), "others go on");
    eventually("it is asked", async || (house.idp.hits(TOKEN) == 2).then_some(())).await;
    join_all((0..50).map(|_| browser.check("/"))).await;
    gate.add_permits(100);
    groups_become(&browser, "ops").await;
    join_all((0..50).map(|_| browser.check("/"))).await;
    assert_eq!(house.idp.hits(TOKEN), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_costs_no_refresh_token() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| {
        idp.user["groups"] = json!(["first"]);
        idp.held.insert(TOKEN, gate.clone());
    });
    house.clock.advance(DUE);
    // The provider has spent the old refresh token, and its answer hangs; the gateway's patience ends.
    let caller = browser.send(&Method::GET, "/check/", &[PAGE], "").await;
    eventually("it is asked", async || (house.idp.hits(TOKEN) == 2).then_some(())).await;
    drop(caller);
    gate.add_permits(100);
    groups_become(&browser, "first").await;

    house.idp.lie(|idp| idp.user["groups"] = json!(["second"]));
    house.clock.advance(DUE);
    groups_become(&browser, "second").await;
    assert_eq!(house.idp.hits(TOKEN), 3);
}

#[tokio::test]
async fn a_gateway_that_stops_in_the_middle_finishes_it_first() {
    let mut house = House::open_with(|settings| settings.rules.push(at("/x/"))).await;
    let browser = house.signed_in().await;
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| drop(idp.held.insert(TOKEN, gate.clone())));
    house.clock.advance(DUE);
    browser.check("/").await;
    eventually("it is asked", async || (house.idp.hits(TOKEN) == 2).then_some(())).await;
    gate.add_permits(100);
    house.reopen(|_| ()).await;
    let browser = browser.moved_to(house.gateway.address);
    house.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    house.clock.advance(DUE);
    groups_become(&browser, "ops").await;
}

#[tokio::test]
async fn a_sign_out_during_a_renewal_holds() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let cookie = browser.cookie(SESSION).expect("a session");
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| drop(idp.held.insert(TOKEN, gate.clone())));
    house.clock.advance(DUE);
    browser.check("/").await;
    eventually("it is asked", async || (house.idp.hits(TOKEN) == 2).then_some(())).await;
    browser.post("/oauth2/sign_out", "", &[("sec-fetch-site", "same-origin")]).await;
    gate.add_permits(100);
    // Another session's renewal comes after this one: by its end this one has ended.
    let other = house.signed_in().await;
    house.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    house.clock.advance(DUE);
    groups_become(&other, "ops").await;
    let copy = house.browser();
    copy.plant(SESSION, &cookie);
    assert_eq!(copy.check("/").await.status, 302);
}

/// Asks until the groups are these.
async fn groups_become(browser: &Browser, groups: &str) -> Got {
    eventually(&format!("the groups become {groups}"), async || {
        let answer = browser.check("/").await;
        assert_eq!(answer.status, 200, "{}", answer.location());
        (answer.header("kubeflow-groups") == groups).then_some(answer)
    })
    .await
}
