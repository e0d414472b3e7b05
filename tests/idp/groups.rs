//! Groups that are too many for a token: nobody is signed in without them by mistake, and nothing is asked where a token
//! says.

use countersign::config::Overage;
use countersign::identity::GroupName;
use countersign::idp::SignedIn;
use serde_json::{Value, json};

use crate::lying_idp::{Answer, LyingIdp};
use crate::rig::{Kind, Rig, overwrite};

const MEMBER_OBJECTS: &str = "/v1.0/me/getMemberObjects";
const MORE: &str = "/v1.0/me/more";
/// Where the token says that the groups are.
const ELSEWHERE: &str = "/elsewhere";

#[tokio::test]
async fn too_many_groups_are_refused_with_what_to_set() {
    let rig = Rig::found().await;
    for overage in [in_many_groups(&rig.idp), json!({"groups": null, "hasgroups": true})] {
        too_many(&rig.idp, overage);
        rig.refuses(Kind::UnusableIdentity, "claim `groups`: the provider left it out").await;
        rig.refuses(Kind::UnusableIdentity, "`groupMembershipClaims: ApplicationGroup`").await;
        rig.refuses(Kind::UnusableIdentity, "`identity.groups.overage: graph`").await;
    }
    assert_eq!((rig.idp.hits(MEMBER_OBJECTS), rig.idp.hits(ELSEWHERE)), (0, 0));
    // What is missing for another reason, or beside groups that are there, is no overage.
    too_many(&rig.idp, json!({"groups": null, "_claim_names": {"address": "src1"}}));
    assert!(groups(&rig.sign_in().await.expect("signed in")).is_empty());
    too_many(&rig.idp, json!({"groups": ["ml"], "_claim_names": {"groups": "src1"}, "hasgroups": true}));
    assert_eq!(groups(&rig.sign_in().await.expect("signed in")), ["ml"]);
    let by_roles = Rig::found_with(|settings| settings.identity.groups_claim = "roles".into()).await;
    too_many(&by_roles.idp, json!({"groups": null, "_claim_names": {"groups": "src1"}, "hasgroups": true}));
    assert!(groups(&by_roles.sign_in().await.expect("signed in")).is_empty(), "nobody wants those");
    for odd in [json!([]), json!("groups"), json!(7), json!(null)] {
        too_many(&rig.idp, json!({"groups": null, "_claim_names": odd}));
        assert!(groups(&rig.sign_in().await.expect("signed in")).is_empty());
    }
}

#[tokio::test]
async fn where_groups_decide_nothing_they_may_be_ignored() {
    let rig = Rig::found_with(|settings| settings.identity.groups_overage = Overage::Ignore).await;
    too_many(&rig.idp, in_many_groups(&rig.idp));
    assert!(groups(&rig.sign_in().await.expect("signed in")).is_empty());
}

#[tokio::test]
async fn graph_is_asked_where_the_settings_say_with_the_users_token() {
    let rig = with_graph().await;
    too_many(&rig.idp, in_many_groups(&rig.idp));
    let next = format!("{}{MORE}?$skiptoken=x", rig.idp.address);
    graph_says(&rig.idp, MEMBER_OBJECTS, 200, &json!({"value": ["g-1", "g-2"], "@odata.nextLink": next}));
    graph_says(&rig.idp, MORE, 200, &json!({"value": ["g-3"]}));
    let first = rig.sign_in().await.expect("signed in");
    assert_eq!(groups(&first), ["g-1", "g-2", "g-3"]);
    let asked = &rig.idp.seen(MEMBER_OBJECTS)[0];
    let bearer = format!("Bearer {}", first.tokens.access_token.expose());
    assert_eq!(asked.headers["authorization"].to_str().expect("text"), bearer);
    assert!(asked.form.contains_key("{\"securityEnabledOnly\":true}"), "{:?}", asked.form);
    assert_eq!(rig.idp.hits(ELSEWHERE), 0, "a token says where; that is not where we ask");

    // A renewal asks again.
    graph_says(&rig.idp, MEMBER_OBJECTS, 200, &json!({"value": ["g-9"]}));
    let second = rig.provider.renew(&first.tokens, &first.identity).await.expect("renewed");
    assert_eq!(groups(&second), ["g-9"]);
    // Whoever is in few groups costs no question.
    rig.idp.repent();
    let before = rig.idp.hits(MEMBER_OBJECTS);
    assert_eq!(groups(&rig.sign_in().await.expect("signed in")), ["ml", "ops"]);
    assert_eq!(rig.idp.hits(MEMBER_OBJECTS), before);
}

#[tokio::test]
async fn a_graph_that_does_not_answer_signs_nobody_in() {
    let rig = with_graph().await;
    too_many(&rig.idp, in_many_groups(&rig.idp));
    let missing = "delegated permission `User.Read`";
    let limit = json!({"error": {"code": "Directory_ResultSizeLimitExceeded", "message": "…"}});
    let to = |place: &str| json!({"value": [], "@odata.nextLink": place});
    let endless = to(&format!("{}{MEMBER_OBJECTS}", rig.idp.address));
    for (status, answer, kind, reason) in [
        (401, json!({}), Kind::Misconfigured, missing),
        (403, json!({}), Kind::Misconfigured, missing),
        (400, limit, Kind::Misbehaved, "status 400 Bad Request and `Directory_ResultSizeLimitExceeded`"),
        (404, json!([]), Kind::Misbehaved, "status 404"),
        (429, json!({}), Kind::Unreachable, "status 429"),
        (503, json!({}), Kind::Unreachable, "status 503"),
        (200, json!({}), Kind::Misbehaved, "no list of groups"),
        (200, json!({"value": [1]}), Kind::Misbehaved, "no list of groups"),
        (
            200,
            to("https://evil.example/v1.0/x"),
            Kind::Misbehaved,
            "its next page is elsewhere, at https://evil.example",
        ),
        (200, to("http://127.0.0.1:1/v1.0/x"), Kind::Misbehaved, "its next page is elsewhere"),
        (200, to(&format!("{}/token", rig.idp.address)), Kind::Misbehaved, "its next page is elsewhere"),
        (200, to("/v1.0/x"), Kind::Misbehaved, "its next page is no URL"),
        (200, endless, Kind::Misbehaved, "its list does not end"),
    ] {
        graph_says(&rig.idp, MEMBER_OBJECTS, status, &answer);
        rig.refuses(kind, reason).await;
    }
    rig.idp.lie(|idp| drop(idp.answers.insert(MEMBER_OBJECTS, Answer::Huge)));
    rig.refuses(Kind::Misbehaved, "larger than 1024 KiB").await;
    rig.idp.lie(|idp| drop(idp.answers.insert(MEMBER_OBJECTS, Answer::Redirect("https://evil.example/".into()))));
    rig.refuses(Kind::Misbehaved, "it redirects to https://evil.example/").await;
}

#[tokio::test]
async fn a_graph_that_is_away_at_a_renewal_changes_no_groups() {
    let rig = with_graph().await;
    too_many(&rig.idp, in_many_groups(&rig.idp));
    for status in [503, 403] {
        graph_says(&rig.idp, MEMBER_OBJECTS, 200, &json!({"value": ["g-1"]}));
        let first = rig.sign_in().await.expect("signed in");
        graph_says(&rig.idp, MEMBER_OBJECTS, status, &json!({}));
        let second = rig.provider.renew(&first.tokens, &first.identity).await.expect("the new tokens");
        assert_eq!(groups(&second), ["g-1"], "{status}");
        graph_says(&rig.idp, MEMBER_OBJECTS, 200, &json!({"value": ["g-2"]}));
        let third = rig.provider.renew(&second.tokens, &second.identity).await.expect("the tokens were kept");
        assert_eq!(groups(&third), ["g-2"]);
    }
}

async fn with_graph() -> Rig {
    Rig::found_with(|settings| {
        settings.identity.groups_overage = Overage::Graph(settings.issuer.parse().expect("a URL"));
    })
    .await
}

/// What Entra says in the place of more than 200 groups.
fn in_many_groups(idp: &LyingIdp) -> Value {
    let endpoint = format!("{}{ELSEWHERE}", idp.address);
    json!({"groups": null, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}})
}

fn too_many(idp: &LyingIdp, change: Value) {
    idp.lie(|idp| {
        idp.userinfo = Box::new(|claims| overwrite(claims, &json!({"groups": null})));
        idp.claims = Box::new(move |claims| overwrite(claims, &change));
    });
}

fn graph_says(idp: &LyingIdp, path: &'static str, status: u16, answer: &Value) {
    idp.lie(|idp| drop(idp.answers.insert(path, Answer::Plain(status, "application/json", answer.to_string()))));
}

fn groups(signed_in: &SignedIn) -> Vec<&str> {
    signed_in.identity.groups.iter().map(GroupName::as_str).collect()
}
