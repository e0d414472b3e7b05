use std::time::Duration;

use countersign::kube::Review;
use serde_json::{Value, json};

use crate::rig::{Kind, Rig, assert_failed};
use crate::token_review::{AUDIENCE, Answer, TOKEN_REVIEWS, USER};

#[tokio::test]
async fn a_good_token_names_its_service_account() {
    let rig = Rig::new().await;
    let token = rig.cluster.token();
    let Ok(Review::Authenticated(reviewed)) = rig.review(&token).await else { panic!("not authenticated") };
    assert_eq!(reviewed.account.to_string(), USER);
    assert_eq!(reviewed.groups, ["system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"]);

    let seen = rig.cluster.seen().pop().expect("a request");
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", TOKEN_REVIEWS));
    assert_eq!(seen.headers["authorization"], "Bearer own-1");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(
        seen.body,
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        })
    );
}

#[tokio::test]
async fn what_the_cluster_does_not_vouch_for_is_rejected() {
    let rig = Rig::new().await;
    for (token, reason) in [
        (rig.cluster.forged(), "the cluster does not know the token: [invalid bearer token]"),
        (rig.cluster.token_with(|claims| claims["aud"] = json!(["vault"])), "audiences are invalid"),
        (rig.cluster.token_with(|claims| claims["exp"] = json!(1_700_000_000)), "has expired"),
        (
            rig.cluster.token_with(|claims| claims["sub"] = json!("system:node:a")),
            "`system:node:a` is no ServiceAccount",
        ),
    ] {
        rejected(&rig, &token, reason).await;
    }
    let revoked = rig.cluster.token();
    rig.cluster.revoke(&revoked);
    rejected(&rig, &revoked, "has been invalidated").await;
}

/// Each is one member away from an answer that authenticates.
#[tokio::test]
async fn an_answer_must_say_yes_for_our_audience() {
    let rig = Rig::new().await;
    for (change, reason) in [
        (json!({"authenticated": false}), "does not know the token"),
        (json!({"authenticated": null}), "no TokenReview"),
        (json!({"authenticated": "true"}), "no TokenReview"),
        (json!({"audiences": []}), "another audience"),
        (json!({"audiences": ["https://kubernetes.default.svc"]}), "another audience"),
        (json!({"audiences": AUDIENCE}), "no TokenReview"),
        (json!({"user": {}}), "is no ServiceAccount"),
        (json!({"user": {"username": "ann@example.com"}}), "is no ServiceAccount"),
        (json!({"user": {"username": ["system:serviceaccount:team-a:runner"]}}), "no TokenReview"),
    ] {
        let members = change.clone();
        change_review(&rig, move |review| {
            for (name, value) in members.as_object().expect("an object") {
                review["status"][name] = value.clone();
            }
        });
        let said = match rig.review(&rig.cluster.token()).await {
            Ok(Review::Rejected(reason)) => reason,
            Ok(Review::Authenticated(reviewed)) => panic!("{change}: authenticated as {}", reviewed.account),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(reason), "{change}: `{said}` does not say `{reason}`");
    }
}

#[tokio::test]
async fn an_answer_without_an_audience_counts_for_nobody() {
    let rig = Rig::new().await;
    change_review(&rig, |review| drop(review["status"].as_object_mut().expect("an object").remove("audiences")));
    rejected(&rig, &rig.cluster.token(), "another audience").await;
}

#[tokio::test]
async fn extra_is_ignored() {
    let rig = Rig::new().await;
    change_review(&rig, |review| review["status"]["user"]["extra"] = json!("whatever"));
    assert!(matches!(rig.review(&rig.cluster.token()).await, Ok(Review::Authenticated(_))));
}

#[tokio::test]
async fn an_object_of_another_kind_is_no_answer() {
    let rig = Rig::new().await;
    for (member, value) in [
        ("kind", json!("SelfSubjectReview")),
        ("apiVersion", json!("authentication.k8s.io/v1beta1")),
        ("apiVersion", Value::Null),
        ("status", json!("yes")),
    ] {
        change_review(&rig, move |review| review[member] = value.clone());
        rig.fails(Kind::Misbehaved, TOKEN_REVIEWS).await;
    }
    for body in ["{\"kind\": \"TokenRev", "<html>", "", "[]", "true"] {
        rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, Answer::Body(body.to_owned()))));
        rig.fails(Kind::Misbehaved, "the answer is no TokenReview").await;
    }
}

#[tokio::test]
async fn an_error_text_is_told_without_the_token() {
    let rig = Rig::new().await;
    change_review(&rig, |review| {
        let token = review["spec"]["token"].clone();
        review["status"] = json!({"error": format!("[cannot parse {token}\u{1b}[31m]")});
    });
    let Ok(Review::Rejected(reason)) = rig.review(&rig.cluster.token()).await else { panic!("not rejected") };
    assert_eq!(reason, "the cluster does not know the token: [cannot parse \"[…] [31m]");
}

#[tokio::test]
async fn without_the_permission_it_is_said_what_to_bind() {
    let rig = Rig::new().await;
    rig.cluster.behave(|behaviour| behaviour.may_review = false);
    rig.fails(Kind::Refused, "cannot create resource \"tokenreviews\"").await;
    rig.fails(Kind::Refused, "bind the ClusterRole `system:auth-delegator` to it").await;
}

#[tokio::test]
async fn a_server_that_fails_is_away() {
    let rig = Rig::new().await;
    for (code, reason) in
        [(500, "status 500 Internal Server Error (etcdserver: leader changed)"), (503, "503"), (429, "429")]
    {
        let answer = Answer::Status(code, "etcdserver: leader changed");
        rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, answer)));
        rig.fails(Kind::Unreachable, reason).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_away_and_the_next_call_is_not_caught_in_it() {
    let mut rig = Rig::new().await;
    let patient = rig.api;
    rig.api = patient.with_deadline(Duration::from_millis(100));
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, Answer::Hang)));
    rig.fails(Kind::Unreachable, "no complete answer within 100ms").await;

    rig.api = rig.api.with_deadline(Duration::from_secs(20));
    rig.cluster.behave(|behaviour| behaviour.answers.clear());
    let token = rig.cluster.token();
    assert!(matches!(rig.review(&token).await, Ok(Review::Authenticated(_))));
}

#[tokio::test]
async fn a_server_that_is_down_is_away() {
    let mut rig = Rig::new().await;
    let token = rig.cluster.token();
    rig.cluster.stop().await;
    assert_failed(rig.review(&token).await, &Kind::Unreachable, "no connection");
}

async fn rejected(rig: &Rig, token: &str, reason: &str) {
    match rig.review(token).await {
        Ok(Review::Rejected(said)) => assert!(said.contains(reason), "`{said}` does not say `{reason}`"),
        other => panic!("not rejected: {other:?}"),
    }
}

fn change_review(rig: &Rig, change: impl Fn(&mut Value) + Send + 'static) {
    rig.cluster.behave(|behaviour| drop(behaviour.changes.insert(TOKEN_REVIEWS, Box::new(change))));
}
