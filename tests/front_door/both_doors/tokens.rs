//! The same for who comes with a token: at both doors it is worth the same, alone and beside a cookie.

use std::collections::HashMap;
use std::sync::Arc;

use countersign::clock::TestClock;
use countersign::config::KubernetesApi;
use serde_json::json;

use super::{Doors, Expected, JSON, with_session};
use crate::browser::SESSION;
use crate::grpc_check::Encoding;
use crate::house::{self, BEGINNING, House, eventually};
use crate::lying_idp::{Answer as Instead, KEYS, Signing};
use crate::token_review::{AUDIENCE, Cluster, KEY_SET};

const INTROSPECT: &str = "/introspect";
/// Every kind of source.
const SOURCES: &str = "bearer:
  - {kind: jwt, issuer: ISSUER, audiences: [countersign], algorithms: [RS256, ES256], jwks_url: ISSUER/keys,
     identity: {user: {prefix: 'by-token:'}}}
  - {kind: kubernetes, audiences: [AUDIENCE], api_url: 'CLUSTER', ca_file: 'CA', token_file: 'TOKEN'}
  - {kind: introspection, introspection_url: ISSUER/introspect, client_id: c, client_secret: s, audiences: ['*'],
     identity: {user: {prefix: 'opaque:'}}}
  - {kind: session}
";
const ROBOT: Expected = "by-token:robot";
const RUNNER: Expected = "system:serviceaccount:team-a:runner";
const OPAQUE: Expected = "opaque:robot";

/// What is in `Authorization`, method and target, what it gets alone, what it gets beside Ann's cookie.
const TABLE: &[(&str, &str, Expected, Expected)] = &[
    ("a robot's", "GET /x", ROBOT, ROBOT),
    ("a robot's", "POST /api/runs", ROBOT, ROBOT),
    ("a robot's", "HEAD /x", ROBOT, ROBOT),
    ("a robot's", "GET /maybe/x", ROBOT, ROBOT),
    ("a robot's", "GET /ml/x", ROBOT, ROBOT),
    ("a robot's", "GET /admins/x", "403", "403"),
    ("a robot's", "GET /pipeline/runs?a=b", ROBOT, ROBOT),
    ("a robot's", "GET /public/x", "open", "open"),
    ("a robot's", "GET /oauth2/userinfo", "open", "open"),
    ("a robot's", "GET /public/..%2fadmins/x", "400", "400"),
    // The workload's own.
    ("a robot's", "GET /notebook/ann/nb/", ROBOT, "ann"),
    ("a robot's", "GET /dex/token", "open", "open"),
    ("a service account's", "GET /x", RUNNER, RUNNER),
    ("a service account's", "DELETE /api/runs/1", RUNNER, RUNNER),
    ("a service account's", "GET /maybe/x", RUNNER, RUNNER),
    ("a service account's", "GET /ml/x", "403", "403"),
    ("a service account's", "GET /pipeline/runs", RUNNER, RUNNER),
    ("a service account's", "GET /public/x", "open", "open"),
    ("a service account's", "GET /notebook/ann/nb/", RUNNER, "ann"),
    ("a service account's", "GET /dex/token", "open", "open"),
    ("an opaque one", "GET /x", OPAQUE, OPAQUE),
    ("an opaque one", "GET /admins/x", "403", "403"),
    ("an opaque one", "GET /public/x", "open", "open"),
    ("an opaque one", "GET /notebook/ann/nb/", "401", "ann"),
    // No good, whatever comes with them.
    ("a robot's that has ended", "GET /x", "401", "401"),
    ("a robot's that has ended", "GET /maybe/x", "401", "401"),
    ("a robot's that has ended", "GET /public/x", "open", "open"),
    ("a robot's that has ended", "GET /notebook/ann/nb/", "401", "ann"),
    ("a robot's for another", "GET /x", "401", "401"),
    ("a robot's by a stranger", "GET /x", "401", "401"),
    ("a service account's for another", "GET /x", "401", "401"),
    ("a service account's for another", "GET /notebook/ann/nb/", "401", "ann"),
    ("a service account's by a stranger", "GET /x", "401", "401"),
    ("a service account's by a stranger", "GET /maybe/x", "401", "401"),
    ("a service account's that was revoked", "GET /x", "401", "401"),
    // For nobody here.
    ("of elsewhere", "GET /x", "401", "ann"),
    ("of elsewhere", "GET /maybe/x", "open", "ann"),
    ("of elsewhere", "GET /notebook/ann/nb/", "401", "ann"),
    ("of elsewhere", "GET /dex/token", "open", "open"),
    ("a password", "GET /x", "401", "ann"),
    ("a password", "GET /maybe/x", "open", "ann"),
    ("two words", "GET /x", "401", "ann"),
    ("nothing", "GET /x", "401", "ann"),
    // The value of Ann's cookie.
    ("a session's", "GET /x", "ann", "ann"),
    ("a session's", "GET /admins/x", "403", "403"),
    ("a session's", "GET /pipeline/runs", "ann", "ann"),
    ("a session's", "GET /public/x", "open", "open"),
    ("a session's", "GET /notebook/ann/nb/", "400", "400"),
    ("a session's", "GET /dex/token", "400", "400"),
    ("a session's that has ended", "GET /x", "401", "401"),
    ("a session's that has ended", "GET /notebook/ann/nb/", "400", "400"),
];

struct Rig {
    house: House,
    /// What is in `Authorization`, by the table's names.
    values: HashMap<&'static str, String>,
    session: String,
    // Held for as long as the house stands.
    _cluster: Cluster,
}

#[tokio::test]
async fn a_token_is_worth_the_same_at_both_doors() {
    let rig = rig().await;
    let mut doors = Doors::open(rig.house.gateway.address).await;
    let mut wrong = Vec::new();
    for (name, what, alone, beside) in TABLE {
        let (method, target) = what.split_once(' ').expect("a method and a target");
        let value = &*rig.values[name];
        for (cookie, expected) in [(None, alone), (Some(&*rig.session), beside)] {
            let headers = with_session(&[JSON, ("authorization", value)], cookie);
            let said = doors.ask(method, target, &headers).await;
            if said.in_short() != *expected {
                wrong.push(format!("{name}, {what}, cookie {}: {said:?}, not {expected}", cookie.is_some()));
            }
            let kept = !said.headers.contains_key("authorization") && !said.removed.contains(&"authorization".into());
            if said.status == 200 && !target.starts_with("/oauth2/") {
                // What says here who somebody is must not say so for the workload.
                let decides = said.in_short() != "ann";
                let is_the_workloads = target.starts_with("/dex/") || (target.starts_with("/notebook/") && !decides);
                assert_eq!(kept, is_the_workloads, "{name}, {what}: {said:?}");
            }
            let token = value.split_once(' ').map_or(value, |(_, token)| token);
            let told_on = said.headers.iter().find(|(_, ours)| token.len() > 10 && ours.contains(token));
            assert_eq!(told_on, None, "{name}, {what}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(doors.asked, TABLE.len() * 6);
}

#[tokio::test]
async fn two_authorizations_are_refused_at_both_doors() {
    let rig = rig().await;
    let mut doors = Doors::open(rig.house.gateway.address).await;
    let value = |name: &str| ("authorization", rig.values[name].clone());
    for (first, second) in [
        ("a robot's", "a service account's"),
        ("a service account's", "a robot's"),
        ("a robot's", "a robot's"),
        ("a password", "a service account's"),
        ("of elsewhere", "a session's"),
    ] {
        for (cookie, beside_a_workload) in [(None, "400"), (Some(&*rig.session), "ann")] {
            // What the workload would read must not be a session's value, whatever stands beside it.
            let beside_a_workload = if second == "a session's" { "400" } else { beside_a_workload };
            for (target, expected) in [("/x", "400"), ("/public/x", "open"), ("/notebook/ann/nb/", beside_a_workload)] {
                let mut headers = with_session(&[JSON], cookie);
                headers.extend([value(first), value(second)]);
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
                let over_http = doors.over_http("GET", target, &headers).await;
                assert_eq!(over_http.in_short(), expected, "{first} and {second} at {target}: {over_http:?}");
                assert_eq!(over_http, doors.over_grpc("GET", target, &headers, Encoding::Raw).await);
            }
        }
    }
}

#[tokio::test]
async fn two_authorizations_that_a_gateway_has_joined_are_nobodys() {
    let rig = rig().await;
    let mut doors = Doors::open(rig.house.gateway.address).await;
    for (first, second) in
        [("a robot's", "a service account's"), ("a password", "a robot's"), ("a robot's", "a session's")]
    {
        let apart = [JSON, ("authorization", &*rig.values[first]), ("authorization", &*rig.values[second])];
        let said = doors.over_grpc("GET", "/x", &apart, Encoding::Joined).await;
        assert_eq!(said.in_short(), "401", "{first} and {second}");
    }
    let (session, password) = (("authorization", &*rig.values["a session's"]), ("authorization", "Basic eDp5"));
    let cookie = format!("{SESSION}={}", rig.session);
    for (first, second) in [(password, session), (session, password)] {
        for (target, alone) in [("/notebook/ann/nb/", "401"), ("/dex/token", "400")] {
            let said = doors.over_grpc("GET", target, &[JSON, first, second], Encoding::Joined).await;
            assert_eq!(said.in_short(), alone, "{target}: {said:?}");
            let beside = [JSON, first, second, ("cookie", &cookie)];
            let said = doors.over_grpc("GET", target, &beside, Encoding::Joined).await;
            assert_eq!(said.in_short(), "400", "the workload at {target} would read it: {said:?}");
        }
    }
}

async fn rig() -> Rig {
    let cluster = Cluster::start(Arc::new(TestClock::at(BEGINNING))).await;
    let KubernetesApi { address, ca, token_file } = cluster.api();
    let house = House::open_with(|settings| {
        let issuer = settings.providers[0].issuer.clone();
        let sources = SOURCES
            .replace("ISSUER", &issuer)
            .replace("AUDIENCE", AUDIENCE)
            .replace("CLUSTER", address.as_str())
            .replace("CA", &ca.display().to_string())
            .replace("TOKEN", &token_file.display().to_string());
        settings.bearer = house::bearer_beside("{user: {prefix: 'corp:'}}", &issuer, &sources);
    })
    .await;
    eventually("all keys are there", async || (cluster.count(KEY_SET) > 0 && house.idp.hits(KEYS) > 0).then_some(()))
        .await;
    let active = json!({"active": true, "sub": "robot-2", "email": "robot@example.com", "email_verified": true});
    house.idp.lie(|idp| {
        idp.answers.insert(INTROSPECT, Instead::Plain(200, "application/json", active.to_string()));
    });
    let session = house.signed_in().await.cookie(SESSION).expect("a session");
    let ended = house.ended_session().await;
    house.idp.lie(|idp| idp.signing = Signing::Strangers);
    let forged = house.idp.access_token(|_| ());
    house.idp.lie(|idp| idp.signing = Signing::Rs256);
    let revoked = cluster.token();
    cluster.revoke(&revoked);
    let tokens = [
        ("a robot's", house.idp.access_token(|_| ())),
        ("a robot's that has ended", house.idp.access_token(|claims| claims["exp"] = json!(BEGINNING.as_secs()))),
        ("a robot's for another", house.idp.access_token(|claims| claims["aud"] = json!("other"))),
        ("a robot's by a stranger", forged),
        ("a service account's", cluster.token()),
        ("a service account's for another", cluster.token_with(|claims| claims["aud"] = json!(["vault"]))),
        ("a service account's by a stranger", cluster.forged()),
        ("a service account's that was revoked", revoked),
        ("an opaque one", "sk-proj-abc".to_owned()),
        ("of elsewhere", cluster.token_with(|claims| claims["iss"] = json!("https://elsewhere.example.com"))),
        ("two words", "a b".to_owned()),
        ("a session's", session.clone()),
        ("a session's that has ended", ended),
    ];
    let mut values: HashMap<_, _> = tokens.into_iter().map(|(name, token)| (name, format!("Bearer {token}"))).collect();
    values.extend([("a password", "Basic eDp5".to_owned()), ("nothing", "Bearer".to_owned())]);
    Rig { house, values, session, _cluster: cluster }
}
