//! What a client says of itself does not reach the workload, however it is spelled.

use serde_json::json;

use crate::envoy::Variant;
use crate::house::{House, KEEPS_AUTHORIZATION};

/// Every value says "evil", so that one look finds what came through.
pub(crate) const FORGED: [(&str, &str); 31] = [
    ("kubeflow-userid", "evil@example.com"),
    ("KUBEFLOW-USERID", "evil@example.com"),
    ("Kubeflow_Userid", "evil@example.com"),
    ("kubeflow_userid", "evil@example.com"),
    ("kubeflow-userid", ""),
    ("kubeflow-groups", "evil"),
    ("kubeflow_groups", "evil"),
    ("Kubeflow-groups", "evil,authors"),
    ("kubeflow-Groups", ""),
    ("KUBEFLOW_GROUPS", ""),
    ("Txn-Token", "evil"),
    ("txn_token", "evil"),
    ("Authorization", "Bearer evil"),
    ("X-Forwarded-For", "6.6.6.6, evil"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "evil"),
    ("X-Forwarded-Uri", "/evil"),
    ("X-Forwarded-User", "evil"),
    ("X-Original-URL", "/evil"),
    ("x-envoy-auth-headers-to-remove", "kubeflow-userid, kubeflow-groups, authorization"),
    ("x-envoy-original-path", "/evil"),
    ("Forwarded", "for=evil"),
    // Some servers have an underscore in the place of every sign.
    ("kubeflow.userid", "evil@example.com"),
    ("Kubeflow~Userid", "evil@example.com"),
    ("kubeflow!groups", "evil"),
    ("txn.token", "evil"),
    ("X_Forwarded_For", "6.6.6.6"),
    ("x.forwarded.host", "evil.example"),
    ("X_Forwarded-User", "evil"),
    ("X_Original_URL", "/evil"),
    ("x|rewrite|url", "/evil"),
];

#[tokio::test]
async fn nothing_forged_reaches_the_workload() {
    nothing_forged_is_received(Variant::default()).await;
}

/// There only Countersign's word removes anything.
#[tokio::test]
async fn nothing_forged_reaches_the_workload_with_checks_over_grpc() {
    nothing_forged_is_received(Variant { grpc: true, ..Variant::default() }).await;
}

async fn nothing_forged_is_received(variant: Variant) {
    let house = House::build_with(variant).await;
    let ann = house.signed_in("ann").await;
    let cookie = format!("theme=dark; {}", ann.cookie_header().await);

    let mut headers = FORGED.to_vec();
    headers.push(("Cookie", &cookie));
    // Hop-by-hop by the client's wish: it must not strip what is set for the workload.
    headers.push(("Connection", "kubeflow-userid"));
    let answer = house.get("/app", &headers).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = answer.received();
    assert!(!answer.body.contains("evil") && !answer.body.contains("6.6.6.6"), "{received:?}");
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    for folded in ["kubeflow_userid", "kubeflow_groups", "txn_token", "txn-token"] {
        assert_eq!(received.all(folded), Vec::<&str>::new(), "{folded}");
    }
    // The workload's own cookies stay.
    assert_eq!(received.one("cookie"), "theme=dark");
}

#[tokio::test]
async fn a_header_that_envoy_is_not_told_to_take_over_is_missing_not_forged() {
    let not_allowed_upstream = &["kubeflow-userid", "kubeflow-groups"];
    let house = House::build_with(Variant { not_allowed_upstream, ..Variant::default() }).await;
    let ann = house.signed_in("ann").await;
    let cookie = ann.cookie_header().await;
    let forged =
        [("Cookie", cookie.as_str()), ("Kubeflow-Userid", "evil@example.com"), ("Kubeflow-Groups", "evil,authors")];
    let answer = house.get("/app", &forged).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = answer.received();
    assert!(received.one("authorization").starts_with("Bearer "), "{received:?}");
    for name in not_allowed_upstream {
        assert_eq!(received.all(name), Vec::<&str>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_dot_behind_the_host_is_taken_off_before_anybody_looks() {
    let house = House::build().await;
    let dotted = format!("localhost.:{}", house.front);
    let answer = house.get("/public/page", &[("Host", &dotted)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.received().one("host"), format!("localhost:{}", house.front));
}

#[tokio::test]
async fn nothing_forged_passes_a_public_page() {
    nothing_forged_passes_in_public(Variant::default()).await;
}

#[tokio::test]
async fn nothing_forged_passes_a_public_page_with_checks_over_grpc() {
    nothing_forged_passes_in_public(Variant { grpc: true, ..Variant::default() }).await;
}

async fn nothing_forged_passes_in_public(variant: Variant) {
    let house = House::build_with(variant).await;
    let broken = ("Cookie", "countersign=not-one-of-ours");
    for cookie in [None, Some(broken)] {
        let mut headers = FORGED.to_vec();
        headers.extend(cookie);
        let answer = house.get("/public/page", &headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = answer.received();
        assert!(!answer.body.contains("evil") && !answer.body.contains("6.6.6.6"), "{received:?}");
        for owned in ["authorization", "kubeflow-userid", "kubeflow-groups", "kubeflow_userid", "kubeflow_groups"] {
            assert_eq!(received.all(owned), Vec::<&str>::new(), "{owned}");
        }
    }
}

#[tokio::test]
async fn a_script_on_the_page_cannot_forge_either() {
    let house = House::build().await;
    let bob = house.signed_in("bob").await;
    let forged = json!({"Kubeflow_Userid": "evil", "kubeflow-userid": "evil", "kubeflow_groups": "evil", "Txn-Token": "evil",
        "X-Forwarded-For": "evil", "Authorization": "Bearer evil"});
    let answer = bob.fetch("/api/me", forged).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let body = answer["body"].as_str().expect("a body");
    assert!(!body.contains("evil"), "{body}");
    assert!(body.contains("bob@example.com"), "{body}");
}

#[tokio::test]
async fn a_token_that_a_workload_received_opens_nothing() {
    let house = House::build().await;
    let ann = house.signed_in("ann").await;
    let received = ann.received().await;
    let token = received.one("authorization");
    let bare = token.trim_start_matches("Bearer ");
    for header in [("Authorization", token), ("Txn-Token", bare)] {
        let answer = house.get("/app", &[header, ("Accept", "application/json")]).await;
        assert_eq!(answer.status, 401, "{} opened the door: {answer:?}", header.0);
    }
}

#[tokio::test]
async fn such_a_token_is_refused_where_the_clients_own_one_would_go_on_to_the_mesh() {
    let house = House::build().await;
    let ann = house.signed_in("ann").await;
    let cookie = ann.cookie_header().await;
    let received = ann.received().await;
    let genuine = received.one("authorization");
    // On this path Countersign leaves `Authorization` as it is.
    for (what, authorization, status) in [
        ("absent", None, 401),
        ("somebody's", Some("Bearer eyJhbGciOiJub25lIn0.e30."), 401),
        ("ours", Some(genuine), 400),
    ] {
        let mut headers = vec![("Cookie", cookie.as_str())];
        headers.extend(authorization.map(|it| ("Authorization", it)));
        let answer = house.get(KEEPS_AUTHORIZATION, &headers).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn envoy_itself_refuses_what_countersign_did_not_sign() {
    let mut house = House::build().await;
    let ann = house.signed_in("ann").await;
    let received = ann.received().await;
    let genuine = received.one("authorization");
    let (rest, signature) = genuine.rsplit_once('.').expect("a JWT");
    let claims = rest.rsplit_once('.').expect("a JWT").1;
    // {"alg":"none","typ":"rc+jwt"}
    let unsigned = format!("Bearer eyJhbGciOiJub25lIiwidHlwIjoicmMrand0In0.{claims}.");
    let altered = format!("{rest}.{}", signature.chars().rev().collect::<String>());

    house.replace_envoy(Variant { without_checks: true, ..Variant::default() }).await;
    for (what, authorization) in [("absent", None), ("unsigned", Some(&*unsigned)), ("altered", Some(&*altered))] {
        let target = format!("/app/{what}");
        let answer = house.get(&target, authorization.map(|it| ("Authorization", it)).as_slice()).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        house.envoy.logs(&format!("GET {target} 401 jwt_authn_access_denied")).await;
    }
    let answer = house.get("/app", &[("Authorization", genuine)]).await;
    assert_eq!(answer.status, 200, "the genuine one: {answer:?}");
}
