//! Sign-outs that begin at the provider: its token (OIDC Back-Channel Logout), and its frame (Front-Channel Logout).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::house::{House, eventually, provider};
use crate::journal;
use crate::lying_idp::{Answer as Lie, Change, JWKS, LyingIdp, Signing};

const BACK: &str = "/oauth2/backchannel_logout";
const FRONT: &str = "/oauth2/frontchannel_logout";

#[tokio::test]
async fn a_logout_token_ends_all_sessions_of_its_subject() {
    let house = House::open().await;
    let (one, two) = (house.signed_in().await, house.signed_in().await);
    become_bob(&house.idp);
    let bob = house.signed_in().await;
    for browser in [&one, &two, &bob] {
        assert_eq!(browser.check("/").await.status, 200);
    }
    let answer = told_as(&house, &house.idp.logout_token(|_| ()), "ends-by-sub").await;
    assert_eq!((answer.status, answer.header("cache-control"), &*answer.body), (200, "no-store", ""));
    assert_eq!((one.check("/").await.status, two.check("/").await.status), (302, 302));
    assert_eq!(bob.check("/").await.status, 200, "somebody else");
    let audited = journal::events("revocation", "ends-by-sub");
    assert_eq!(audited.len(), 2);
    assert!(audited.iter().all(|event| event["user"] == "ann@example.com" && event["reason"] == REASON), "{audited:?}");
    let counted = house.admin("/metrics").await.body;
    assert!(counted.contains("countersign_sessions_revoked_total{cause=\"back_channel\"} 2\n"), "{counted}");
    assert!(
        counted.contains("countersign_provider_logouts_total{provider=\"corp\",outcome=\"done\"} 1\n"),
        "{counted}"
    );
    // Nobody is left; that is no mistake of the provider's.
    assert_eq!(told(&house, &house.idp.logout_token(|_| ())).await.status, 200);
}

const REASON: &str = "the provider ended it (back channel)";

#[tokio::test]
async fn a_flood_of_tokens_with_unknown_keys_is_no_flood_at_the_provider() {
    let house = House::open().await;
    let fetched = house.idp.hits(JWKS);
    for number in 0..100 {
        house.idp.lie(|idp| idp.header = Box::new(move |header| header["kid"] = json!(format!("unknown-{number}"))));
        assert_refused(&house, &house.idp.logout_token(|_| ()), &format!("no RS256 key `unknown-{number}`")).await;
    }
    // Whoever wanted to sign in before the provider was found makes the gateway look a second time, by itself.
    let fetched = house.idp.hits(JWKS) - fetched;
    assert!(fetched <= 2, "{fetched} fetches for 100 tokens");
}

#[tokio::test]
async fn a_logout_token_with_a_sid_ends_that_session_alone() {
    let house = House::open().await;
    let one = signed_in_as(&house, "s-1").await;
    let two = signed_in_as(&house, "s-2").await;
    let token = house.idp.logout_token(|claims| claims["sid"] = json!("s-1"));
    assert_eq!(told(&house, &token).await.status, 200);
    assert_eq!((one.check("/").await.status, two.check("/").await.status), (302, 200));
    // The `sid` of one person's session and the name of another.
    let token = house.idp.logout_token(|claims| {
        claims["sid"] = json!("s-2");
        claims["sub"] = json!("bob-1");
    });
    assert_eq!(told(&house, &token).await.status, 200);
    assert_eq!(two.check("/").await.status, 200);
    let token = house.idp.logout_token(|claims| {
        claims["sid"] = json!("s-2");
        claims.as_object_mut().expect("claims").remove("sub");
    });
    assert_eq!(told(&house, &token).await.status, 200);
    assert_eq!(two.check("/").await.status, 302);
}

#[tokio::test]
async fn a_session_whose_sid_was_never_said_ends_with_its_subject() {
    let house = House::open().await;
    house.idp.lie(|idp| idp.claims = without("sid"));
    let browser = house.signed_in().await;
    let token = house.idp.logout_token(|claims| claims["sid"] = json!("s-1"));
    assert_eq!(told(&house, &token).await.status, 200);
    assert_eq!(browser.check("/").await.status, 302);
}

#[tokio::test]
async fn a_session_that_got_another_sid_by_a_renewal_ends_with_that() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    house.idp.lie(|idp| {
        idp.refreshed_claims = Box::new(|claims| claims["sid"] = json!("s-new"));
        idp.user["groups"] = json!(["renewed"]);
    });
    house.clock.advance(Duration::from_mins(5));
    eventually("it is renewed", async || {
        (browser.check("/").await.header("kubeflow-groups") == "renewed").then_some(())
    })
    .await;
    house.idp.repent();
    let other = house.idp.logout_token(|claims| claims["sid"] = json!("s-other"));
    assert_eq!(told(&house, &other).await.status, 200);
    assert_eq!(browser.check("/").await.status, 200);
    let token = house.idp.logout_token(|claims| claims["sid"] = json!("s-new"));
    assert_eq!(told(&house, &token).await.status, 200);
    assert_eq!(browser.check("/").await.status, 302);
}

#[tokio::test]
async fn a_token_works_once_on_whichever_side_of_a_restart() {
    let mut house = House::open().await;
    let token = house.idp.logout_token(|_| ());
    assert_eq!(told(&house, &token).await.status, 200);
    let browser = house.signed_in().await;
    let refused = told_as(&house, &token, "comes-again").await;
    assert_eq!((refused.status, refused.header("cache-control")), (400, "no-store"));
    assert_eq!(refused.json()["error"], "invalid_request");
    assert!(refused.body.contains("used before"), "{}", refused.body);
    assert_eq!(browser.check("/").await.status, 200, "it began after the token was used");
    assert_eq!(journal::events("logout_refusal", "comes-again").len(), 1);
    house.reopen(|_| ()).await;
    assert!(told(&house, &token).await.body.contains("used before"));
    // Until it is too old to be believed.
    for minutes in [1, 1, 2, 10] {
        house.clock.advance(Duration::from_mins(minutes));
        assert_eq!(told(&house, &token).await.status, 400, "{minutes}");
    }
}

#[tokio::test]
async fn what_is_no_logout_token_for_us_ends_nothing() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let good = |claims: &mut Value| claims["sub"] = json!("ann-1");
    let now = 1_800_000_000_u64;
    let cases: [(&str, Change); 22] = [
        ("its `iss` is", Box::new(|claims| claims["iss"] = json!("https://other.example"))),
        ("it has no `iss`", without("iss")),
        ("its `aud` does not hold", Box::new(|claims| claims["aud"] = json!("another"))),
        ("its `aud` holds `another`", Box::new(|claims| claims["aud"] = json!(["counter sign", "another"]))),
        ("it has no `aud`", without("aud")),
        ("it has no `iat`", without("iat")),
        ("in the future", Box::new(move |claims| claims["iat"] = json!(now + 61))),
        ("is stale", Box::new(move |claims| claims["iat"] = json!(now - 661))),
        ("its `iat` is no time", Box::new(|claims| claims["iat"] = json!("now"))),
        ("it has no `exp`", without("exp")),
        ("it ended", Box::new(move |claims| claims["exp"] = json!(now - 60))),
        ("it has no `jti`", without("jti")),
        ("its `jti` is no name", Box::new(|claims| claims["jti"] = json!(""))),
        ("its `events` does not", without("events")),
        ("its `events` does not", Box::new(|claims| claims["events"] = json!({"http://example.com/other": {}}))),
        (
            "its `events` does not",
            Box::new(|claims| claims["events"]["http://schemas.openid.net/event/backchannel-logout"] = json!("yes")),
        ),
        ("its `events` does not", Box::new(|claims| claims["events"] = json!(["backchannel-logout"]))),
        ("it has a `nonce`", Box::new(|claims| claims["nonce"] = json!("n"))),
        ("neither a `sid` nor a `sub`", without("sub")),
        ("its `sub` is no string", Box::new(|claims| claims["sub"] = json!(7))),
        ("its `sid` is no name", Box::new(|claims| claims["sid"] = json!(""))),
        ("it is not valid yet", Box::new(move |claims| claims["nbf"] = json!(now + 61))),
    ];
    for (why, change) in &cases {
        let token = house.idp.logout_token(|claims| {
            good(claims);
            change(claims);
        });
        assert_refused(&house, &token, why).await;
    }
    // Not an ID token of the very same provider, either.
    let id_token = house.idp.logout_token(|claims| {
        let claims = claims.as_object_mut().expect("claims");
        claims.remove("events");
        claims.remove("jti");
    });
    assert_refused(&house, &id_token, "its `events` does not").await;
    assert_refused(&house, "not.a.token", "the logout token is refused").await;
    assert_refused(&house, "", "it has not one `logout_token`").await;
    for (signing, why) in [
        (Signing::None, "none"),
        (Signing::Hs256, "HS256"),
        (Signing::Strangers, "signature"),
        (Signing::Tampered, "signature"),
    ] {
        house.idp.lie(|idp| idp.signing = signing);
        let token = house.idp.logout_token(|_| ());
        house.idp.repent();
        assert_refused(&house, &token, why).await;
    }
    for (typ, is_good) in [("at+jwt", false), ("rc+jwt", false), ("application/logout+jwt", true), ("JWT", true)] {
        assert_eq!(browser.check("/").await.status, 200);
        house.idp.lie(|idp| idp.header = Box::new(move |header| header["typ"] = json!(typ)));
        let token = house.idp.logout_token(|claims| {
            // A session that nobody has.
            claims["sub"] = json!("eve-1");
        });
        house.idp.repent();
        let answer = told(&house, &token).await;
        assert_eq!(answer.status, if is_good { 200 } else { 400 }, "{typ}: {}", answer.body);
    }
    let counted = house.admin("/metrics").await.body;
    assert!(counted.contains("countersign_provider_logouts_total{provider=\"corp\",outcome=\"refused\"}"), "{counted}");
}

#[tokio::test]
async fn the_message_is_a_small_form_with_one_token() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let anyone = house.browser();
    let token = house.idp.logout_token(|_| ());
    let twice = format!("logout_token={token}&logout_token={token}");
    let large = format!("logout_token={token}&filler={}", "x".repeat(40_000));
    for form in [&*twice, &large, "token=x", ""] {
        let answer = anyone.post(BACK, form, &[]).await;
        assert_eq!((answer.status, answer.header("cache-control")), (400, "no-store"), "{}", answer.body);
    }
    let asked = anyone.ask(Method::GET, &format!("{BACK}?logout_token={token}"), &[]).await;
    assert_eq!(asked.status, 405);
    let answer = anyone.post(&format!("{BACK}/nobody"), &format!("logout_token={token}"), &[]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(browser.check("/").await.status, 200);
    // The same token, where it belongs; the gateway's check lets it through to there.
    assert_eq!(anyone.ask(Method::POST, &format!("/check{BACK}"), &[]).await.status, 200);
    assert_eq!(anyone.ask(Method::POST, &format!("/check{BACK}/corp"), &[]).await.status, 200);
    assert_eq!(anyone.post(&format!("{BACK}/corp"), &format!("logout_token={token}"), &[]).await.status, 200);
    assert_eq!(browser.check("/").await.status, 302);
}

#[tokio::test]
async fn a_token_that_cannot_be_judged_may_come_again() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    house.idp.rotate("ec-2");
    house.idp.lie(|idp| drop(idp.answers.insert(JWKS, Lie::Plain(503, "text/plain", String::new()))));
    let token = house.idp.logout_token(|_| ());
    house.clock.advance(Duration::from_secs(31));
    let answer = told(&house, &token).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "temporarily_unavailable", "{}", answer.body);
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
    assert_eq!(browser.check("/").await.status, 200);
    house.idp.lie(|idp| idp.answers.clear());
    house.clock.advance(Duration::from_secs(31));
    let answer = told(&house, &token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(browser.check("/").await.status, 302);
}

#[tokio::test]
async fn with_several_providers_each_speaks_for_its_own() {
    let other = LyingIdp::start(std::sync::Arc::new(countersign::clock::TestClock::at(crate::house::BEGINNING))).await;
    let issuer = other.issuer.clone();
    let house = House::open_with(move |settings| settings.providers.push(provider("work", &issuer))).await;
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start?provider=corp").await;
    assert_eq!(browser.get(&crate::browser::target_of(&callback)).await.status, 303);
    assert_eq!(browser.check("/").await.status, 200);
    let anyone = house.browser();
    let form = |idp: &LyingIdp| format!("logout_token={}", idp.logout_token(|_| ()));
    for (path, form) in [
        // It does not say which one.
        (BACK.to_owned(), form(&house.idp)),
        // Another's token, by its own issuer and by the name of ours.
        (format!("{BACK}/corp"), form(&other)),
        (format!("{BACK}/work"), form(&house.idp)),
    ] {
        assert_eq!(anyone.post(&path, &form, &[]).await.status, 400, "{path}");
    }
    // Its own people of the same name are others.
    crate::house::eventually("the other is found", async || {
        (anyone.post(&format!("{BACK}/work"), &form(&other), &[]).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(browser.check("/").await.status, 200);
    assert_eq!(anyone.post(&format!("{BACK}/corp"), &form(&house.idp), &[]).await.status, 200);
    assert_eq!(browser.check("/").await.status, 302);
}

#[tokio::test]
async fn a_frame_ends_the_session_that_it_names() {
    let house = House::open().await;
    let one = signed_in_as(&house, "s-1").await;
    let two = signed_in_as(&house, "s-2").await;
    let frame = house.browser();
    let query = |iss: &str, sid: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new());
        format!("{FRONT}?{}", { query }.extend_pairs([("iss", iss), ("sid", sid)]).finish())
    };
    for target in [
        FRONT.to_owned(),
        format!("{FRONT}?sid=s-1"),
        format!("{FRONT}?iss={}", house.idp.issuer),
        query("https://other.example", "s-1"),
        query(&house.idp.issuer, ""),
        format!("{}&sid=s-1", query(&house.idp.issuer, "s-2")),
        query(&house.idp.issuer, "s-1").replace(FRONT, &format!("{FRONT}/nobody")),
    ] {
        // Not even in the browser itself: without a name it could be any page that opens the frame.
        let answer = one.get(&target).await;
        assert_eq!((answer.status, answer.header("cache-control")), (400, "no-store"), "{target}");
    }
    // A name that nobody has is answered like one that somebody has.
    let nobody = frame.get(&query(&house.idp.issuer, "s-3")).await;
    assert_eq!((one.check("/").await.status, two.check("/").await.status), (200, 200));
    let answer = frame.get(&query(&house.idp.issuer, "s-1")).await;
    assert_eq!((answer.status, &*answer.body), (200, ""));
    assert_eq!((nobody.status, &nobody.body), (answer.status, &answer.body));
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, format!("default-src 'none'; frame-ancestors {}", house.idp.issuer));
    assert_eq!((answer.header("x-frame-options"), answer.header("cache-control")), ("", "no-store"));
    assert_eq!((one.check("/").await.status, two.check("/").await.status), (302, 200));
    assert_eq!(frame.check(&query(&house.idp.issuer, "s-2")).await.status, 200, "the check lets it through");
    assert_eq!(two.check("/").await.status, 200, "and only the door acts");
}

async fn told(house: &House, token: &str) -> Answer {
    house.browser().post(BACK, &format!("logout_token={token}"), &[]).await
}

async fn told_as(house: &House, token: &str, request_id: &str) -> Answer {
    house.browser().post(BACK, &format!("logout_token={token}"), &[("x-request-id", request_id)]).await
}

async fn assert_refused(house: &House, token: &str, why: &str) {
    let answer = told(house, token).await;
    assert_eq!((answer.status, answer.header("cache-control")), (400, "no-store"), "{why}");
    let said = answer.json();
    assert_eq!(said["error"], "invalid_request", "{why}");
    let description = said["error_description"].as_str().expect("a description");
    assert!(description.contains(why), "{description} lacks {why}");
}

/// A browser whose session the provider calls `sid`.
async fn signed_in_as(house: &House, sid: &'static str) -> Browser {
    house.idp.lie(|idp| idp.claims = Box::new(move |claims| claims["sid"] = json!(sid)));
    let browser = house.signed_in().await;
    house.idp.lie(|idp| idp.claims = Box::new(|_| ()));
    browser
}

fn become_bob(idp: &LyingIdp) {
    idp.lie(|idp| {
        idp.user = json!({"sub": "bob-1", "email": "bob@example.com", "email_verified": true, "groups": ["ml"]});
    });
}

fn without(name: &'static str) -> Change {
    Box::new(move |claims| drop(claims.as_object_mut().expect("claims").remove(name)))
}
