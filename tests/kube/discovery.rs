use serde_json::{Value, json};

use crate::rig::{Kind, Rig, assert_failed};
use crate::token_review::{Answer, DISCOVERY, ISSUER, KEY_SET};

#[tokio::test]
async fn the_issuer_and_the_keys_are_asked_for_with_our_own_token() {
    let rig = Rig::new().await;
    assert_eq!(rig.api.issuer().await.as_deref(), Ok(ISSUER));
    let keys: Value = serde_json::from_slice(&rig.api.key_set().await.expect("keys")).expect("JSON");
    assert_eq!(keys["keys"][0]["kid"], "key-1");

    let seen = rig.cluster.seen();
    // Not at `jwks_uri`, which leads elsewhere.
    assert_eq!(seen.iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(), [DISCOVERY, KEY_SET]);
    assert!(seen.iter().all(|seen| seen.headers["authorization"] == "Bearer own-1"));
}

#[tokio::test]
async fn without_the_permission_it_is_said_what_to_bind() {
    let rig = Rig::new().await;
    rig.cluster.behave(|behaviour| behaviour.may_discover = false);
    let binding = "bind the ClusterRole `system:service-account-issuer-discovery` to it";
    assert_failed(rig.api.issuer().await, &Kind::Refused, binding);
    assert_failed(rig.api.key_set().await, &Kind::Refused, binding);
}

#[tokio::test]
async fn a_document_without_an_issuer_is_refused() {
    let rig = Rig::new().await;
    for issuer in [Value::Null, json!(""), json!([ISSUER])] {
        let change = move |document: &mut Value| document["issuer"] = issuer.clone();
        rig.cluster.behave(|behaviour| drop(behaviour.changes.insert(DISCOVERY, Box::new(change))));
        assert_failed(rig.api.issuer().await, &Kind::Misbehaved, "it names no issuer");
    }
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(DISCOVERY, Answer::Body("<html>".to_owned()))));
    assert_failed(rig.api.issuer().await, &Kind::Misbehaved, "status 201");
}
