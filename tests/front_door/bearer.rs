//! Who comes with a token and no browser: exchanged for an RC token exactly as a session is.

use http::Method;
use serde_json::json;

use crate::browser::{Answer, Browser, PAGE, SESSION};
use crate::house::{self, BEGINNING, House, eventually};
use crate::lying_idp::{Answer as Instead, KEYS, LyingIdp, Signing};
use crate::{journal, rc_token};

/// The provider's own access tokens, for us; and sessions as bearers.
const SOURCES: &str = "bearer:
  - {kind: jwt, id: robots, issuer: ISSUER, audiences: [countersign], algorithms: [RS256, ES256],
     jwks_url: ISSUER/keys}
  - {kind: session}
";

/// A gateway that takes the tokens of its provider.
pub(crate) async fn house() -> House {
    house_with(SOURCES).await
}

pub(crate) async fn house_with(sources: &str) -> House {
    let house = House::open_with(|settings| {
        let issuer = settings.providers[0].issuer.clone();
        settings.bearer = house::bearer(&issuer, &sources.replace("ISSUER", &issuer));
    })
    .await;
    // Otherwise a test that counts fetches would count the first one, too.
    eventually("the keys are there", async || (house.idp.hits(KEYS) == 1).then_some(())).await;
    house
}

/// Asks as programs do.
pub(crate) async fn ask(browser: &Browser, target: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    browser.check_with(Method::GET, target, &[("accept", "*/*"), ("authorization", &bearer)]).await
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_of_ours() {
    let house = house().await;
    let robot = house.browser();
    let token = house.idp.access_token(|_| ());
    let answer = ask(&robot, "/", &token).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "robot@example.com"), "{}", answer.body);
    assert_eq!(answer.header("kubeflow-groups"), "ml");
    assert!(answer.removed().contains(&"kubeflow_userid") && answer.cookies().is_empty());
    let (_, claims) = rc_token::verify(&robot, answer.token(), "mesh").await;
    for (name, value) in [
        ("sub", json!("robot@example.com")),
        ("idp", json!("robots")),
        ("groups", json!(["ml"])),
        ("exp", json!(BEGINNING.as_secs() + 300)),
        ("auth_time", json!(null)),
        ("signed_in_at", json!(null)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let sid = claims["sid"].as_str().expect("a sid");
    assert!(sid.len() >= 16 && !token.contains(sid));
    for spelling in [format!("bearer {token}"), format!("BEARER  {token}")] {
        let headers = [("accept", "*/*"), ("authorization", &*spelling)];
        let again = robot.check_with(Method::GET, "/", &headers).await;
        assert_eq!(again.token(), answer.token(), "found again, however the scheme is spelt");
    }
    let runs = ask(&robot, "/pipeline/x", &token).await;
    assert_eq!(rc_token::claims(runs.token())["aud"], json!(["pipelines", "runs"]));
    assert_eq!(rc_token::claims(runs.token())["sid"], claims["sid"]);
}

#[tokio::test]
async fn what_the_issuer_says_of_the_sign_in_is_told_on() {
    let house = house().await;
    let token = house.idp.access_token(|claims| {
        claims["auth_time"] = json!(BEGINNING.as_secs() - 60);
        claims["acr"] = json!("gold");
        claims["email"] = json!("other@example.com");
    });
    let claims = rc_token::claims(ask(&house.browser(), "/", &token).await.token());
    assert_eq!((&claims["auth_time"], &claims["acr"]), (&json!(BEGINNING.as_secs() - 60), &json!("gold")));
}

#[tokio::test]
async fn what_is_found_ends_with_the_token() {
    let house = house().await;
    let robot = house.browser();
    let token = house.idp.access_token(|claims| claims["exp"] = json!(BEGINNING.as_secs() + 100));
    let answer = ask(&robot, "/", &token).await;
    assert_eq!(rc_token::claims(answer.token())["exp"], json!(BEGINNING.as_secs() + 100), "never past the token's");
    house.clock.advance(std::time::Duration::from_secs(99));
    assert_eq!(ask(&robot, "/", &token).await.status, 200);
    house.clock.advance(std::time::Duration::from_secs(1));
    let over = ask(&robot, "/", &token).await;
    assert_eq!((over.status, over.json()["error"].clone()), (401, json!("invalid_token")));
}

#[tokio::test]
async fn it_is_believed_for_the_configured_time_and_then_looked_at_anew() {
    let house = house_with(&SOURCES.replace("id: robots", "id: robots, cache_for: 30s")).await;
    let robot = house.browser();
    let token = house.idp.access_token(|claims| claims["exp"] = json!(BEGINNING.as_secs() + 6000));
    assert_eq!(ask(&robot, "/", &token).await.status, 200);
    // The key is withdrawn, and the gateway learns of it by a token that names another.
    house.idp.lie(|idp| {
        idp.jwks = Box::new(|set| set["keys"].as_array_mut().expect("keys").retain(|key| key["kty"] == "EC"));
        idp.header = Box::new(|header| header["kid"] = json!("unknown"));
    });
    assert_eq!(ask(&robot, "/", &house.idp.access_token(|_| ())).await.status, 401);
    assert_eq!(house.idp.hits(KEYS), 2);
    house.clock.advance(std::time::Duration::from_secs(29));
    assert_eq!(ask(&robot, "/", &token).await.status, 200);
    house.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(ask(&robot, "/", &token).await.status, 401);
}

#[tokio::test]
async fn rules_admit_and_refuse_it_as_they_do_a_session() {
    let house = house().await;
    let robot = house.browser();
    let token = house.idp.access_token(|_| ());
    assert_eq!(ask(&robot, "/ml/models", &token).await.status, 200);
    let denied = ask(&robot, "/admins/x", &token).await;
    assert_eq!((denied.status, denied.json()["error"].clone()), (403, json!("forbidden")));
    let known = ask(&robot, "/maybe/x", &token).await;
    assert_eq!((known.status, known.header("kubeflow-userid")), (200, "robot@example.com"));
    let public = ask(&robot, "/public/x", &token).await;
    assert_eq!((public.status, public.headers.get("kubeflow-userid")), (200, None));
    assert!(public.removed().contains(&"authorization"));
}

#[tokio::test]
async fn the_sources_own_admit_decides_too() {
    let house = house_with(&SOURCES.replace("id: robots", "id: robots, identity: {admit: {groups: [ops]}}")).await;
    let robot = house.browser();
    let denied = ask(&robot, "/", &house.idp.access_token(|_| ())).await;
    assert_eq!((denied.status, denied.json()["error"].clone()), (403, json!("forbidden")));
    assert_eq!(denied.json()["message"], json!("needs one of the groups: ops"));
    let ops = house.idp.access_token(|claims| claims["groups"] = json!(["ops"]));
    assert_eq!(ask(&robot, "/", &ops).await.status, 200);
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_them_and_no_flood_makes_it_more() {
    let house = house().await;
    let robot = house.browser();
    let fetched = house.idp.hits(KEYS);
    house.idp.rotate("ec-2");
    let rotated = house.idp.access_token(|_| ());
    assert_eq!(ask(&robot, "/", &rotated).await.status, 200);
    assert_eq!(house.idp.hits(KEYS), fetched + 1);
    for n in 0..100 {
        house.idp.lie(|idp| idp.header = Box::new(move |header| header["kid"] = json!(format!("../{n}"))));
        let unknown = house.idp.access_token(|_| ());
        assert_eq!(ask(&robot, "/", &unknown).await.status, 401);
    }
    assert_eq!(house.idp.hits(KEYS), fetched + 1, "half a minute has not passed");
    assert_eq!(ask(&robot, "/", &rotated).await.status, 200, "no garbage drives out who is known");
}

#[tokio::test]
async fn while_the_keys_cannot_be_had_nobody_passes_by_a_token() {
    let away = |idp: &LyingIdp| {
        idp.lie(|idp| drop(idp.answers.insert(KEYS, Instead::Plain(503, "text/plain", "away".into()))));
    };
    let house = House::open_at_once(away, |settings| {
        let issuer = settings.providers[0].issuer.clone();
        settings.bearer = house::bearer(&issuer, &SOURCES.replace("ISSUER", &issuer));
    })
    .await;
    let robot = house.browser();
    let token = house.idp.access_token(|_| ());
    for target in ["/", "/maybe/x", "/notebook/x"] {
        let answer = ask(&robot, target, &token).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("issuer_unavailable")), "{target}");
        assert_eq!(answer.header("retry-after"), "5");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "the token may be good");
    }
    let sources = async || house.admin("/readyz").await.json()["sources"].clone();
    let told = eventually("it was looked at", async || {
        let told = sources().await["robots"].to_string();
        (!told.contains("have not been fetched yet")).then_some(told)
    })
    .await;
    assert!(told.contains("missing: ") && told.contains("503"), "{told}");
    house.idp.repent();
    eventually("the issuer is back", async || {
        house.clock.advance(std::time::Duration::from_secs(1));
        (ask(&robot, "/", &token).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sessions_value_is_a_bearer_where_that_is_said() {
    let house = house().await;
    let browser = house.signed_in().await;
    let value = browser.cookie(SESSION).expect("a session");
    let script = house.browser();
    let answer = ask(&script, "/ml/x", &value).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"));
    assert_eq!(rc_token::claims(answer.token())["idp"], json!("corp"));
    assert_eq!(ask(&script, "/admins/x", &value).await.status, 403);
    // As a cookie it would be kept from the workload, so it is not let through as something else.
    for path in ["/notebook/ann/nb/", "/dex/token"] {
        for browser in [&script, &browser] {
            let answer = ask(browser, path, &value).await;
            assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("session_for_workload")), "{path}");
        }
    }
    for hidden in [
        format!("Bearer {value},Basic x"),
        format!("Basic x, Bearer {value}"),
        format!("Bearer {value},\u{e9}"),
        format!("Bearer\t{value}"),
        format!("token token=\"{value}\""),
        value.clone(),
    ] {
        for path in ["/notebook/ann/nb/", "/dex/token"] {
            let headers = [("accept", "*/*"), ("authorization", &*hidden)];
            let answer = browser.check_with(Method::GET, path, &headers).await;
            let told = (answer.status, answer.json()["error"].clone());
            assert_eq!(told, (400, json!("session_for_workload")), "{path} {}", hidden.replace(&value, "…"));
        }
    }
    let last = if value.ends_with('A') { 'B' } else { 'A' };
    let forged = format!("{}{last}", &value[..value.len() - 1]);
    assert_eq!(ask(&script, "/", &forged).await.status, 401);
    let same_origin = [PAGE, ("sec-fetch-site", "same-origin")];
    browser.post("/oauth2/sign_out", "", &same_origin).await;
    let ended = ask(&script, "/", &value).await;
    assert_eq!((ended.status, ended.json()["error"].clone()), (401, json!("invalid_token")));

    let without = house_with(SOURCES.split("  - {kind: session}").next().expect("a half")).await;
    let value = without.signed_in().await.cookie(SESSION).expect("a session");
    assert_eq!(ask(&without.browser(), "/", &value).await.status, 401, "where that is not said");
}

#[tokio::test]
async fn a_sessions_value_may_come_in_a_header_of_its_own() {
    let house = house_with(&SOURCES.replace("kind: session", "kind: session, header: x-auth-token")).await;
    let value = house.signed_in().await.cookie(SESSION).expect("a session");
    let script = house.browser();
    for target in ["/", "/notebook/ann/nb/"] {
        let answer = script.check_with(Method::GET, target, &[("accept", "*/*"), ("x-auth-token", &*value)]).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"), "{target}");
        assert!(answer.removed().contains(&"x-auth-token") && answer.removed().contains(&"x_auth_token"));
    }
    for (name, value) in [("authorization", &*format!("Bearer {value}")), ("x-auth-token", "mine")] {
        let answer = script.check_with(Method::GET, "/", &[("accept", "*/*"), (name, value)]).await;
        assert_eq!(answer.status, 401, "{name}");
    }
    // Whatever cookie there is: it was meant to say who it is.
    let ann = house.signed_in().await;
    let bad = ann.check_with(Method::GET, "/", &[("accept", "*/*"), ("x-auth-token", "mine")]).await;
    assert_eq!((bad.status, bad.json()["error"].clone()), (401, json!("invalid_token")));
}

#[tokio::test]
async fn the_audit_trail_names_who_came_and_who_was_refused_and_no_token() {
    let house = house().await;
    let robot = house.browser();
    let good = house.idp.access_token(|_| ());
    let bad = house.idp.access_token(|claims| claims["aud"] = json!("other"));
    for (id, token) in [("bearer-good", &good), ("bearer-bad", &bad)] {
        let bearer = format!("Bearer {token}");
        let headers = [("accept", "*/*"), ("authorization", &*bearer), ("x-request-id", id)];
        robot.check_with(Method::GET, "/", &headers).await;
        robot.check_with(Method::GET, "/", &headers).await;
    }
    let came = journal::events("bearer", "bearer-good");
    assert_eq!(came.len(), 1, "once, not at each request");
    assert_eq!((&came[0]["user"], &came[0]["provider"]), (&json!("robot@example.com"), &json!("robots")));
    let refused = journal::events("refusal", "bearer-bad");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["provider"], json!("robots"));
    for token in [good, bad] {
        assert!(!journal::all().contains(token.rsplit('.').next().expect("a signature")));
    }
}

#[tokio::test]
async fn its_keys_are_found_by_discovery_too() {
    let sources = SOURCES.replace(",\n     jwks_url: ISSUER/keys", "");
    let house = House::open_with(|settings| {
        let issuer = settings.providers[0].issuer.clone();
        settings.bearer = house::bearer(&issuer, &sources.replace("ISSUER", &issuer));
    })
    .await;
    house.idp.lie(|idp| idp.signing = Signing::Es256);
    assert_eq!(ask(&house.browser(), "/", &house.idp.access_token(|_| ())).await.status, 200);
}
