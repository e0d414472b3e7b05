//! What large directories say of people: hundreds of groups, names to be rewritten, accounts to be switched.

use http::Method;
use serde_json::{Value, json};

use crate::browser::{PAGE, SESSION, target_of};
use crate::house::{House, eventually, provider};
use crate::lying_idp::{LyingIdp, registration};
use crate::settings::{self, rule};
use crate::{journal, rc_token};

/// A house whose provider's claims are read so.
async fn house(identity: &str) -> House {
    House::open_with(|settings| {
        let text = registration("corp", &settings.providers[0].issuer);
        let text = format!("{}, \"identity\": {identity}}}", text.strip_suffix('}').expect("a map"));
        settings.providers = vec![settings::provider(&text)];
    })
    .await
}

fn nine_hundred() -> Value {
    (0..900).map(|n| json!(format!("cn=team-{n:03},ou=groups,dc=example,dc=com"))).collect()
}

#[tokio::test]
async fn nine_hundred_groups_are_too_many_and_the_refusal_says_what_and_how_many() {
    let mut house = House::open_with(|settings| {
        settings.rules = vec![rule("{path: /bare/, token: none}")];
        settings.headers.retain(|(name, _)| name == "kubeflow-userid");
    })
    .await;
    house.idp.lie(|idp| idp.user["groups"] = nine_hundred());
    let browser = house.signed_in().await;
    let answer = browser.check_with(Method::GET, "/x", &[("accept", "application/json")]).await;
    let message = answer.json()["message"].as_str().expect("a text").to_owned();
    assert_eq!((answer.status, answer.json()["error"].clone()), (403, json!("forbidden")));
    let bytes: usize = message.split(' ').find_map(|word| word.parse().ok()).expect("how large");
    assert!(bytes > 30_000 && message.contains("8000 is the most"), "{message}");
    for part in ["the token for the workload", "in 900 groups", "`identity.groups.only`", "`token: none`"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(browser.check("/x").await.page().contains("in 900 groups"));
    assert_eq!(browser.check("/bare/").await.header("kubeflow-userid"), "ann@example.com", "they need not travel");
    // The session has them all, in its store too.
    house.reopen(|_| ()).await;
    let told = browser.moved_to(house.gateway.address).get("/oauth2/userinfo").await.json();
    assert_eq!(told["groups"], nine_hundred());
}

#[tokio::test]
async fn a_header_has_its_limit_too() {
    let house = House::open_with(|settings| settings.rules = vec![rule("{token: none}")]).await;
    let names = (0..900).map(|n| json!(format!("team-{n:03}-of-the-company"))).collect();
    house.idp.lie(|idp| idp.user["groups"] = names);
    let answer = house.signed_in().await.check_with(Method::GET, "/x", &[("accept", "application/json")]).await;
    let message = answer.json()["message"].as_str().expect("a text").to_owned();
    assert_eq!(answer.status, 403);
    assert!(message.contains("the header `kubeflow-groups` would take 21599 bytes, and 8000 is the most"), "{message}");
    assert!(message.contains("in 900 groups") && message.contains("`identity.groups.only`"), "{message}");
}

#[tokio::test]
async fn with_the_groups_that_matter_the_token_is_small() {
    let house = house(
        "{groups: {only: ['cn=team-00*,ou=groups,*'], rename: [{regex: 'cn=([^,]+),.*', replace: $1}]}, admit: {groups: [team-007]}}",
    )
    .await;
    house.idp.lie(|idp| idp.user["groups"] = nine_hundred());
    let answer = house.signed_in().await.check("/x").await;
    assert!(answer.token().len() < 4_096, "{}", answer.token().len());
    let names: Vec<String> = (0..10).map(|n| format!("team-{n:03}")).collect();
    assert_eq!(answer.header("kubeflow-groups"), names.join(","));
    assert_eq!(rc_token::claims(answer.token())["groups"], json!(names));
}

#[tokio::test]
async fn users_get_the_names_that_the_operator_gives_them() {
    let house = house(
        "{user: {transform: [{regex: '([^@]+)@example\\.com', replace: $1}], lower_case: true, prefix: 'corp:'}, \
         groups: {claim: realm_access.roles, prefix: 'corp:'}, admit: {email_domains: [example.com]}}",
    )
    .await;
    house.idp.lie(|idp| {
        idp.user["email"] = json!("Ann.Lee@Example.com");
        idp.user["realm_access"] = json!({"roles": ["ml"]});
    });
    let seen = house.signed_in().await.check("/").await;
    assert_eq!((seen.header("kubeflow-userid"), seen.header("kubeflow-groups")), ("corp:ann.lee", "corp:ml"));
    assert_eq!(rc_token::claims(seen.token())["sub"], json!("corp:ann.lee"));
    assert_eq!(rc_token::claims(seen.token())["email"], json!("Ann.Lee@Example.com"), "as the provider writes it");
    house.idp.lie(|idp| idp.user["email"] = json!("Ann@example.com.evil.example"));
    let browser = house.browser();
    let page = browser.get(&target_of(&browser.visit(&house.idp, "/oauth2/start").await)).await;
    assert_eq!((page.status, browser.cookie(SESSION)), (403, None));
}

#[tokio::test]
async fn groups_of_another_shape_are_an_error_that_says_where() {
    let house = house("{groups: {claim: realm_access.roles}}").await;
    for shape in [
        json!({"roles": {"ml": true}}),
        json!({"roles": [["ml"]]}),
        json!({"roles": 7}),
        json!({"roles": [{"name": "ml"}]}),
    ] {
        house.idp.lie(|idp| idp.user["realm_access"] = shape.clone());
        let browser = house.browser();
        let page = browser.get(&target_of(&browser.visit(&house.idp, "/oauth2/start").await)).await;
        assert_eq!((page.status, browser.cookie(SESSION)), (403, None), "{shape}");
        let text = page.page().replace('`', "");
        assert!(text.contains("claim realm_access.roles: it is neither a list of strings nor a string"), "{text}");
    }
    house.idp.lie(|idp| idp.user["realm_access"] = json!({"roles": "ml"}));
    assert_eq!(house.signed_in().await.check("/").await.header("kubeflow-groups"), "ml");
}

#[tokio::test]
async fn nobody_signs_in_as_a_service_account() {
    let house = house("{user: {claim: preferred_username}}").await;
    house.idp.lie(|idp| idp.user["preferred_username"] = json!("system:serviceaccount:kubeflow:ml-pipeline"));
    let browser = house.browser();
    let target = target_of(&browser.visit(&house.idp, "/oauth2/start").await);
    let page = browser.ask(Method::GET, &target, &[PAGE, ("x-request-id", "service-account")]).await;
    assert_eq!((page.status, browser.cookie(SESSION)), (403, None));
    let refused = journal::events("refusal", "service-account");
    let logged = refused[0]["reason"].as_str().expect("a reason");
    for text in [page.page().replace('`', ""), logged.replace('`', "")] {
        assert!(text.contains("it makes system:serviceaccount:kubeflow:ml-pipeline of this user"), "{text}");
        assert!(text.contains("Kubernetes keeps names that begin with system: for itself"), "{text}");
    }
}

#[tokio::test]
async fn nobody_signs_in_to_a_group_of_kubernetes() {
    let house = house("{}").await;
    house.idp.lie(|idp| idp.user["groups"] = json!(["system:masters-of-the-sign-in", "ml"]));
    for _ in 0..2 {
        let seen = house.signed_in().await.check("/").await;
        assert_eq!((seen.status, seen.header("kubeflow-groups")), (200, "ml"));
        assert_eq!(rc_token::claims(seen.token())["groups"], json!(["ml"]));
    }
    let log = journal::all();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("masters-of-the-sign-in")).collect();
    assert!(told.len() == 1 && told[0].contains("it is left out") && told[0].contains("corp"), "once: {told:?}");
}

#[tokio::test]
async fn nobody_is_signed_in_without_groups_that_were_too_many_to_say() {
    let house = House::open().await;
    house.idp.lie(|idp| {
        idp.user.as_object_mut().expect("an object").remove("groups");
        idp.claims = Box::new(|claims| claims["_claim_names"] = json!({"groups": "src1"}));
    });
    let browser = house.browser();
    let page = browser.get(&target_of(&browser.visit(&house.idp, "/oauth2/start").await)).await;
    assert_eq!((page.status, browser.cookie(SESSION)), (403, None));
    let text = page.page();
    for part in
        ["in too many groups", "ApplicationGroup", "identity.groups.overage: graph", "The people who run this site"]
    {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn who_may_not_enter_can_come_back_as_somebody_else() {
    let house = House::open_with(|settings| {
        settings.providers[0].identity.admit.groups = vec!["staff".into()];
    })
    .await;
    let browser = house.browser();
    let refused = browser.get(&target_of(&browser.visit(&house.idp, "/oauth2/start?rd=/x?y=1").await)).await;
    assert_eq!(refused.status, 403);
    let page = refused.page();
    assert!(page.contains(">Sign in as somebody else</a>"), "{page}");
    let href = "/oauth2/start?as=somebody_else&amp;rd=https%3A%2F%2Fmesh%2Eexample%2Ecom%2Fx%3Fy%3D1";
    assert!(page.contains(&format!("href=\"{href}\"")), "{page}");
    let started = browser.get(&href.replace("&amp;", "&")).await;
    assert!(started.location().ends_with("&prompt=login"), "{}", started.location());
    for other in ["/oauth2/start?rd=/x", "/oauth2/start?as=admin"] {
        assert!(!browser.get(other).await.location().contains("prompt"), "{other}");
    }
    house.idp.lie(|idp| idp.user["groups"] = json!(["staff"]));
    let arrived = browser.get(&target_of(&house.idp.visit(started.location()))).await;
    assert_eq!((arrived.status, arrived.location()), (303, "https://mesh.example.com/x?y=1"));
    // What it says of where to go is judged like any other.
    let elsewhere = browser.visit(&house.idp, "/oauth2/start?as=somebody_else&rd=https://evil.example/").await;
    assert_eq!(browser.get(&target_of(&elsewhere)).await.location(), "https://mesh.example.com/");
}

#[tokio::test]
async fn the_choice_of_providers_remembers_that_it_is_somebody_else() {
    let clock = std::sync::Arc::new(countersign::clock::TestClock::at(crate::house::BEGINNING));
    let other = LyingIdp::start(clock).await;
    other.lie(|idp| {
        idp.metadata = Box::new(|metadata| metadata["prompt_values_supported"] = json!(["select_account"]));
    });
    let second = provider("guests", &other.issuer);
    let house = House::open_with(|settings| settings.providers.push(second)).await;
    let page = house.browser().get("/oauth2/start?as=somebody_else&rd=/x").await.page();
    assert!(
        page.contains(
            "/oauth2/start?provider=guests&amp;rd=https%3A%2F%2Fmesh%2Eexample%2Ecom%2Fx&amp;as=somebody_else"
        ),
        "{page}"
    );
    let start = "/oauth2/start?provider=guests&as=somebody_else";
    let location = eventually("the other provider is found", async || {
        let started = house.browser().get(start).await;
        (started.status == 302).then(|| started.location().to_owned())
    })
    .await;
    assert!(location.ends_with("&prompt=select_account"), "{location}");
}

#[tokio::test]
async fn a_bad_id_token_at_a_renewal_ends_no_session() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    house.idp.lie(|idp| idp.refreshed_claims = Box::new(|claims| claims["exp"] = json!(1)));
    house.clock.advance(std::time::Duration::from_mins(5));
    browser.check("/").await;
    let noticed =
        async || journal::all().lines().any(|line| line.contains("not read anew") && line.contains("(`exp`)"));
    eventually("the bad token is noticed", async || noticed().await.then_some(())).await;
    house.idp.repent();
    house.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    eventually("the groups are read anew", async || {
        // Until it is due again, whenever the first renewal came to its end.
        house.clock.advance(std::time::Duration::from_secs(30));
        let answer = browser.check("/").await;
        assert_eq!(answer.status, 200, "the refresh token of the bad renewal was kept");
        (answer.header("kubeflow-groups") == "ops").then_some(())
    })
    .await;
}
