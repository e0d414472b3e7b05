//! Tokens that are no good, and what becomes of the cookie beside them.

use std::sync::Arc;

use countersign::clock::TestClock;
use http::Method;
use serde_json::{Value, json};

use crate::bearer::{ask, house, house_with};
use crate::browser::{PAGE, SESSION};
use crate::house::{BEGINNING, House};
use crate::lying_idp::{DISCOVERY, JWKS, LyingIdp, Signing};

/// Every token that is for us and no good.
fn bad_tokens(house: &House) -> Vec<(&'static str, String)> {
    let idp = &house.idp;
    let now = BEGINNING.as_secs();
    let with = |name: &'static str, value: Value| idp.access_token(|claims| claims[name] = value);
    let without = |name: &str| idp.access_token(|claims| drop(claims.as_object_mut().expect("an object").remove(name)));
    let mut bad = vec![
        ("another audience", with("aud", json!("other"))),
        ("audiences that are none", with("aud", json!([["countersign"]]))),
        ("no audience", without("aud")),
        ("expired", with("exp", json!(now))),
        ("endless", without("exp")),
        ("an end that is a text", with("exp", json!((now + 600).to_string()))),
        ("not yet", with("nbf", json!(now + 61))),
        ("issued in the future", with("iat", json!(now + 61))),
        ("no subject", without("sub")),
        ("an empty subject", with("sub", json!(""))),
        ("an unverified address", with("email_verified", json!(false))),
        ("no address", without("email")),
        ("groups that are none", with("groups", json!({"ml": true}))),
        // Its type is left out, as OIDC Back-Channel Logout section 2.4 allows.
        ("a logout token", with("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}}))),
        ("a name of Kubernetes", with("email", json!("system:serviceaccount:a@b"))),
    ];
    for (name, signing) in [
        ("alg none", Signing::None),
        ("HS256", Signing::Hs256),
        ("a stranger's key", Signing::Strangers),
        ("tampered with", Signing::Tampered),
    ] {
        idp.lie(|idp| idp.signing = signing);
        bad.push((name, idp.access_token(|_| ())));
    }
    idp.lie(|idp| idp.signing = Signing::Rs256);
    for (name, member, value) in [
        ("an RC token's type", "typ", json!("rc+jwt")),
        ("a logout token", "typ", json!("logout+jwt")),
        ("an extension", "crit", json!(["b64"])),
        ("an algorithm that is not allowed", "alg", json!("RS512")),
        ("an unknown key", "kid", json!("https://evil.example/key")),
    ] {
        let value = value.clone();
        idp.lie(|idp| idp.header = Box::new(move |header| header[member] = value.clone()));
        bad.push((name, idp.access_token(|_| ())));
    }
    idp.lie(|idp| idp.header = Box::new(|_| ()));
    bad
}

#[tokio::test]
async fn a_bad_token_is_refused_whatever_cookie_comes_with_it() {
    let house = house().await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    for (name, token) in bad_tokens(&house) {
        for browser in [&somebody, &nobody] {
            for target in ["/", "/maybe/x", "/admins/x"] {
                // Twice: the second time from memory.
                for _ in 0..2 {
                    let answer = ask(browser, target, &token).await;
                    assert_eq!(answer.status, 401, "{name} at {target}");
                    assert_eq!(answer.json()["error"], json!("invalid_token"), "{name}");
                    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{name}");
                    assert_eq!(answer.headers.get("kubeflow-userid"), None);
                }
            }
        }
    }
    assert_eq!(ask(&nobody, "/", &house.idp.access_token(|_| ())).await.status, 200, "a good one is good");
}

#[tokio::test]
async fn what_is_for_nobody_here_leaves_the_cookie_to_decide() {
    let house = house().await;
    let other = LyingIdp::start(Arc::new(TestClock::at(BEGINNING))).await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    let no_issuer = house.idp.access_token(|claims| drop(claims.as_object_mut().expect("an object").remove("iss")));
    let huge = house.idp.access_token(|claims| claims["pad"] = json!("x".repeat(20_000)));
    for token in [&*other.access_token(|_| ()), &*no_issuer, &*huge, "sk-proj-abc", "v1.local.abc"] {
        let answer = ask(&somebody, "/", token).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"));
        assert!(!answer.header("authorization").contains(token), "what the workload gets is ours");
        let answer = ask(&nobody, "/", token).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("sign_in_required")));
        let anonymous = ask(&nobody, "/maybe/x", token).await;
        assert_eq!((anonymous.status, anonymous.headers.get("kubeflow-userid")), (200, None));
    }
    for other_scheme in ["Basic eDp5", "token 0a1b2c", "Bearer", "Bearer a b"] {
        let headers = [PAGE, ("authorization", other_scheme)];
        assert_eq!(somebody.check_with(Method::GET, "/", &headers).await.status, 200, "{other_scheme}");
        assert_eq!(nobody.check_with(Method::GET, "/", &headers).await.status, 302, "{other_scheme}");
    }
    assert_eq!((other.hits(JWKS), other.hits(DISCOVERY)), (0, 0), "nobody is asked who is not configured");
}

#[tokio::test]
async fn where_the_clients_word_is_kept_the_cookie_goes_first() {
    let house = house().await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    let good = house.idp.access_token(|_| ());
    let for_another = house.idp.access_token(|claims| claims["aud"] = json!("pipelines.kubeflow.org"));
    for token in [&*good, &*for_another, "sk-proj-abc"] {
        let answer = ask(&somebody, "/notebook/ann/nb/", token).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"), "{token}");
        assert_eq!(answer.headers.get("authorization"), None, "neither set");
        assert!(!answer.removed().contains(&"authorization"), "nor removed");
    }
    // What says here who somebody is would say so for the workload, too. Twice: the second time it is at hand.
    for _ in 0..2 {
        let by_token = ask(&nobody, "/notebook/ann/nb/", &good).await;
        assert_eq!((by_token.status, by_token.header("kubeflow-userid")), (200, "robot@example.com"));
        assert_eq!(by_token.headers.get("authorization"), None, "and none of ours in its place");
        assert!(by_token.removed().contains(&"authorization"), "{:?}", by_token.removed());
    }
    let public = ask(&nobody, "/dex/token", &good).await;
    assert!(public.status == 200 && !public.removed().contains(&"authorization"), "nobody was asked who it is");
    for token in [&*for_another, "sk-proj-abc"] {
        let answer = ask(&nobody, "/notebook/ann/nb/", token).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("sign_in_required")));
    }
}

#[tokio::test]
async fn two_authorizations_are_refused() {
    let house = house().await;
    let good = format!("Bearer {}", house.idp.access_token(|_| ()));
    for browser in [house.signed_in().await, house.browser()] {
        for other in ["Basic eDp5", "Bearer x", &*good] {
            for pair in [[other, &*good], [&*good, other]] {
                let headers = [("accept", "*/*"), ("authorization", pair[0]), ("authorization", pair[1])];
                let answer = browser.check_with(Method::GET, "/", &headers).await;
                assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("two_credentials")));
            }
        }
    }
    // Where they belong to the workload, they are its own matter.
    let headers = [("accept", "*/*"), ("authorization", &*good), ("authorization", &*good)];
    let answer = house.signed_in().await.check_with(Method::GET, "/notebook/ann/nb/", &headers).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"));
    let answer = house.browser().check_with(Method::GET, "/notebook/ann/nb/", &headers).await;
    assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("two_credentials")));
}

#[tokio::test]
async fn the_secrets_of_others_are_shown_to_nobody() {
    let house = house_with(
        "bearer:
  - {kind: jwt, issuer: ISSUER, audiences: [countersign], algorithms: [RS256], jwks_url: ISSUER/keys}
  - {kind: introspection, introspection_url: ISSUER/introspect, client_id: c, client_secret: s, audiences: ['*'], identity: {user: {prefix: 'x:'}}}
identity: {user: {prefix: 'corp:'}}
",
    )
    .await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    let value = somebody.cookie(SESSION).expect("a session");
    let own = somebody.check("/").await.token().to_owned();
    let hidden = format!("x.{own}");
    let other = LyingIdp::start(Arc::new(TestClock::at(BEGINNING))).await;
    for token in [&*value, &*own, &*hidden, &*other.access_token(|_| ())] {
        assert_eq!(ask(&nobody, "/", token).await.status, 401);
        assert_eq!(ask(&somebody, "/", token).await.status, 200);
    }
    for path in ["/notebook/ann/nb/", "/dex/token", "/public/x"] {
        ask(&nobody, path, "workloads-own-key").await;
    }
    assert_eq!(house.idp.hits("/introspect"), 0);
    ask(&nobody, "/", "an-opaque-one").await;
    assert_eq!(house.idp.hits("/introspect"), 1, "such a one is");
}

#[tokio::test]
async fn a_token_of_ours_is_no_bearer() {
    let house = house().await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    let by_session = somebody.check("/").await.token().to_owned();
    let by_token = ask(&nobody, "/", &house.idp.access_token(|_| ())).await.token().to_owned();
    for token in [by_session, by_token] {
        let answer = ask(&nobody, "/", &token).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("sign_in_required")));
        let answer = ask(&nobody, "/maybe/x", &token).await;
        assert_eq!((answer.status, answer.headers.get("kubeflow-userid")), (200, None));
        assert_eq!(ask(&somebody, "/notebook/ann/nb/", &token).await.json()["error"], json!("own_token"));
    }
}
