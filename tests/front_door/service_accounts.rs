//! ServiceAccounts of a cluster, and opaque tokens, in exchange for RC tokens: so Istio trusts one issuer only.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::TestClock;
use countersign::config::KubernetesApi;
use futures_util::future::join_all;
use serde_json::json;

use crate::bearer::ask;
use crate::house::{self, BEGINNING, House, eventually};
use crate::lying_idp::Answer as Instead;
use crate::token_review::{AUDIENCE, Answer, Cluster, KEY_SET, USER};
use crate::{journal, rc_token};

const INTROSPECT: &str = "/introspect";

struct Rig {
    cluster: Cluster,
    house: House,
}

/// A gateway beside a cluster whose ServiceAccounts may come, and whoever brings an opaque token of its provider's.
async fn rig(verify: &str) -> Rig {
    let cluster = Cluster::start(Arc::new(TestClock::at(BEGINNING))).await;
    let KubernetesApi { address, ca, token_file } = cluster.api();
    let house = House::open_with(|settings| {
        let issuer = settings.providers[0].issuer.clone();
        let sources = format!(
            "bearer:
  - {{kind: kubernetes, verify: {verify}, audiences: [{AUDIENCE}], api_url: '{address}', ca_file: '{}',
     token_file: '{}'}}
  - {{kind: introspection, introspection_url: '{issuer}{INTROSPECT}', client_id: c, client_secret: {{env: SECRET}}, audiences: ['*'],
     identity: {{user: {{claim: username, prefix: 'opaque:'}}}}}}
",
            ca.display(),
            token_file.display()
        );
        let identity = "{user: {prefix: 'corp:'}}";
        settings.bearer = house::bearer_beside(identity, &issuer, &sources.replace("{env: SECRET}", "s3cret"));
    })
    .await;
    eventually("the keys are there", async || (cluster.count(KEY_SET) > 0).then_some(())).await;
    Rig { cluster, house }
}

#[tokio::test]
async fn a_service_account_is_exchanged_for_a_token_of_ours() {
    for verify in ["token_review", "keys"] {
        let Rig { cluster, house } = rig(verify).await;
        let pod = house.browser();
        let token = cluster.token();
        let answer = ask(&pod, "/pipeline/runs", &token).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, USER), "{}", answer.body);
        assert_eq!(
            answer.header("kubeflow-groups"),
            "system:serviceaccounts,system:serviceaccounts:team-a,system:authenticated"
        );
        let (_, claims) = rc_token::verify(&pod, answer.token(), "pipelines").await;
        assert_eq!((&claims["sub"], &claims["idp"]), (&json!(USER), &json!("kubernetes")));
        assert!(!answer.header("authorization").contains(&token));
        assert_eq!(ask(&pod, "/admins/x", &token).await.status, 403);
        assert_eq!(ask(&pod, "/", &cluster.forged()).await.json()["error"], json!("invalid_token"));
        assert_eq!(cluster.reviews(), usize::from(verify == "token_review"));
        assert!(!journal::all().contains(token.rsplit('.').next().expect("a signature")));
    }
}

#[tokio::test]
async fn under_load_a_token_is_reviewed_once_a_minute() {
    let Rig { cluster, house } = rig("token_review").await;
    let pod = house.browser();
    let tokens = [cluster.token(), cluster.token()];
    for minute in 1..=3 {
        for second in 0..4 {
            let asked = (0..50).map(|n| ask(&pod, "/", &tokens[n % 2]));
            for answer in join_all(asked).await {
                assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, USER), "{minute}:{second}");
            }
            house.clock.advance(Duration::from_secs(15));
        }
        assert_eq!(cluster.reviews(), 2 * minute, "minute {minute}");
    }
}

#[tokio::test]
async fn while_the_api_server_is_away_everybody_else_comes_and_goes() {
    let Rig { mut cluster, house } = rig("token_review").await;
    let (ann, pod) = (house.signed_in().await, house.browser());
    let token = cluster.token();
    cluster.stop().await;
    let answer = ask(&pod, "/", &token).await;
    assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("issuer_unavailable")));
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(ann.check("/").await.status, 200);
    house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, active("build-1"))));
    assert_eq!(ask(&pod, "/", "opaque-1").await.status, 200);
}

#[tokio::test]
async fn a_cluster_that_refuses_us_is_said_in_the_log_and_to_nobody_else() {
    let Rig { cluster, house } = rig("token_review").await;
    cluster.behave(|behaviour| behaviour.may_review = false);
    let answer = ask(&house.browser(), "/", &cluster.token()).await;
    assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("issuer_unavailable")));
    assert!(!answer.body.contains("auth-delegator"));
    assert!(journal::all().contains("bind the ClusterRole `system:auth-delegator` to it"));
}

#[tokio::test]
async fn an_opaque_token_is_exchanged_too_and_each_is_shown_to_its_own_issuer() {
    let Rig { cluster, house } = rig("token_review").await;
    let robot = house.browser();
    house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, active("build-1"))));
    for _ in 0..20 {
        let answer = ask(&robot, "/", "opaque-1").await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "opaque:build-1"), "{}", answer.body);
        assert_eq!(rc_token::claims(answer.token())["idp"], json!("introspection"));
    }
    assert_eq!(house.idp.hits(INTROSPECT), 1);
    // Neither the cluster's tokens nor anybody's.
    let strange = cluster.token_with(|claims| claims["iss"] = json!("https://elsewhere.example.com"));
    assert_eq!(ask(&robot, "/", &cluster.token()).await.header("kubeflow-userid"), USER);
    assert_eq!(ask(&robot, "/", &strange).await.json()["error"], json!("sign_in_required"));
    assert_eq!((house.idp.hits(INTROSPECT), cluster.reviews()), (1, 1));

    house.clock.advance(Duration::from_mins(1));
    let inactive = Instead::Plain(200, "application/json", json!({"active": false}).to_string());
    house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, inactive)));
    assert_eq!(ask(&robot, "/", "opaque-1").await.json()["error"], json!("invalid_token"), "it was revoked");
}

#[tokio::test]
async fn garbage_shuts_out_no_opaque_token_that_was_good_before() {
    let Rig { cluster: _cluster, house } = rig("token_review").await;
    let (robot, stranger) = (house.browser(), house.browser());
    let answer = |instead: Instead| house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, instead)));
    let inactive = || Instead::Plain(200, "application/json", json!({"active": false}).to_string());
    let flood = async |name: &str| {
        for n in 0..250 {
            ask(&stranger, "/", &format!("{name}-{n}")).await;
        }
    };
    answer(active("build-1"));
    assert_eq!(ask(&robot, "/", "opaque-1").await.status, 200);
    assert_eq!(ask(&robot, "/", "opaque-2").await.status, 200);
    house.clock.advance(Duration::from_mins(1));
    answer(inactive());
    flood("garbage").await;
    assert_eq!(ask(&stranger, "/", "opaque-3").await.json()["error"], json!("issuer_unavailable"));
    assert_eq!(ask(&robot, "/", "opaque-2").await.json()["error"], json!("invalid_token"), "it was revoked");
    answer(active("build-1"));
    assert_eq!(ask(&robot, "/", "opaque-1").await.status, 200);

    house.clock.advance(Duration::from_secs(20));
    answer(inactive());
    flood("rubbish").await;
    answer(active("build-1"));
    assert_eq!(ask(&robot, "/", "opaque-2").await.json()["error"], json!("issuer_unavailable"), "it is good no longer");
}

#[tokio::test]
async fn a_slow_api_server_is_asked_once_for_all_who_wait() {
    let Rig { cluster, house } = rig("token_review").await;
    let pod = house.browser();
    let token = cluster.token();
    let gate = cluster.hold(crate::token_review::TOKEN_REVIEWS);
    let answers = async {
        eventually("it is asked", async || (cluster.reviews() == 1).then_some(())).await;
        gate.add_permits(1);
    };
    let (asked, ()) = tokio::join!(join_all((0..100).map(|_| ask(&pod, "/", &token))), answers);
    assert!(asked.iter().all(|answer| answer.status == 200));
    assert_eq!(cluster.reviews(), 1);
    cluster.behave(|behaviour| {
        drop(behaviour.answers.insert(crate::token_review::TOKEN_REVIEWS, Answer::Status(500, "etcd is away")));
    });
    assert_eq!(ask(&pod, "/", &token).await.status, 200, "who is known stays known");
}

#[tokio::test]
async fn readiness_names_the_source_that_is_away_and_stays() {
    let Rig { mut cluster, house } = rig("token_review").await;
    let pod = house.browser();
    let sources = async || {
        let told = house.admin("/readyz").await;
        assert_eq!((told.status, &told.json()["ready"]), (200, &json!(true)), "whoever is signed in stays so");
        assert!(!told.body.contains("eyJ"), "{}", told.body);
        told.json()["sources"].clone()
    };
    let all_well = json!({"kubernetes": "ready", "introspection": "ready"});
    eventually("the keys are taken", async || (sources().await == all_well).then_some(())).await;

    cluster.behave(|behaviour| behaviour.may_review = false);
    ask(&pod, "/", &cluster.token()).await;
    let refused = sources().await["kubernetes"].to_string();
    assert!(refused.contains("missing: ") && refused.contains("`system:auth-delegator`"), "{refused}");
    cluster.behave(|behaviour| behaviour.may_review = true);
    assert_eq!(ask(&pod, "/", &cluster.token()).await.status, 200);
    assert_eq!(sources().await, all_well);

    house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, Instead::Plain(503, "text/plain", "away".into()))));
    ask(&pod, "/", "opaque-1").await;
    let away = sources().await["introspection"].to_string();
    assert!(away.contains("missing: ") && away.contains("503") && !away.contains("opaque-1"), "{away}");
    house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, active("build-1"))));
    assert_eq!(ask(&pod, "/", "opaque-2").await.status, 200);
    assert_eq!(sources().await, all_well);

    cluster.stop().await;
    ask(&pod, "/", &cluster.token()).await;
    let gone = sources().await["kubernetes"].to_string();
    assert!(gone.contains("missing: the Kubernetes API server cannot be reached"), "{gone}");
}

#[tokio::test]
async fn what_the_api_server_is_asked_is_counted() {
    let Rig { mut cluster, house } = rig("token_review").await;
    let pod = house.browser();
    let count = async |provider: &str, operation: &str, outcome: &str| {
        let labels = format!("{{provider=\"{provider}\",operation=\"{operation}\",outcome=\"{outcome}\"}} ");
        let told = house.admin("/metrics").await.body;
        let line =
            told.lines().find_map(|line| line.strip_prefix("countersign_idp_requests_total")?.strip_prefix(&labels));
        line.map_or(0, |count| count.parse::<u64>().expect("a number"))
    };
    eventually("its keys are counted", async || (count("kubernetes", "jwks", "ok").await == 1).then_some(())).await;
    assert_eq!(count("kubernetes", "discovery", "ok").await, 1);
    let token = cluster.token();
    for _ in 0..3 {
        assert_eq!(ask(&pod, "/", &token).await.status, 200);
    }
    assert_eq!(count("kubernetes", "token_review", "ok").await, 1, "what is known is not asked");
    let revoked = cluster.token();
    cluster.revoke(&revoked);
    ask(&pod, "/", &revoked).await;
    assert_eq!(count("kubernetes", "token_review", "ok").await, 2, "a no is a good answer, too");
    cluster.behave(|behaviour| behaviour.may_review = false);
    ask(&pod, "/", &cluster.token()).await;
    assert_eq!(count("kubernetes", "token_review", "refused").await, 1);
    let strange = Answer::Body("{}".to_owned());
    cluster.behave(|behaviour| drop(behaviour.answers.insert(crate::token_review::TOKEN_REVIEWS, strange)));
    ask(&pod, "/", &cluster.token()).await;
    assert_eq!(count("kubernetes", "token_review", "misbehaved").await, 1);
    cluster.stop().await;
    ask(&pod, "/", &cluster.token()).await;
    assert_eq!(count("kubernetes", "token_review", "unreachable").await, 1);
    house.idp.lie(|idp| drop(idp.answers.insert(INTROSPECT, active("build-1"))));
    ask(&pod, "/", "opaque-1").await;
    assert_eq!(count("introspection", "introspection", "ok").await, 1);
}

fn active(user: &str) -> Instead {
    let members = json!({"active": true, "sub": format!("{user}@robots"), "username": user});
    Instead::Plain(200, "application/json", members.to_string())
}
