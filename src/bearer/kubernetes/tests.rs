#[path = "../../../tests/support/token_review.rs"]
mod token_review;

use std::path::Path;

use serde_json::json;

use super::*;
use crate::clock::TestClock;
use crate::config::{BearerSource, KubernetesApi, for_tests as settings};
use token_review::{AUDIENCE, Answer, Cluster, KEY_SET, TOKEN_REVIEWS, USER};

struct Rig {
    clock: Arc<TestClock>,
    cluster: Cluster,
    source: Kubernetes,
}

impl Rig {
    async fn new(verify: KubernetesVerify) -> Self {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let cluster = Cluster::start(clock.clone()).await;
        let KubernetesApi { address, ca, token_file } = cluster.api();
        let text = format!(
            "{{kind: kubernetes, id: cluster, audiences: [other, {AUDIENCE}], api_url: '{address}', ca_file: '{}', \
             token_file: '{}', identity: {{user: {{prefix: 'k8s:'}}}}}}",
            ca.display(),
            token_file.display()
        );
        let sources = settings::settings(Path::new("/nowhere"), settings::NOBODY, &format!("bearer: [{text}]")).bearer;
        let [BearerSource::Kubernetes(settings)] = &sources.sources[..] else { panic!("{sources:?}") };
        let settings = KubernetesSettings { verify, ..settings.clone() };
        let mut source = Kubernetes::new(settings, &Arc::new(Metrics::new()), clock.clone()).expect("a cluster");
        // Longer than anything takes that is meant to be answered.
        let api = Arc::into_inner(source.api).expect("nobody else has it");
        source.api = Arc::new(api.with_deadline(Duration::from_secs(20)));
        Self { clock, cluster, source }
    }

    async fn refuses(&self, token: &str, reason: &str) {
        match self.source.verify(token, Standing::Stranger).await {
            Err(Doubt::Refused(said)) => assert!(said.contains(reason), "`{said}` does not say `{reason}`"),
            other => panic!("{other:?}, though: {reason}"),
        }
    }

    async fn cannot_tell(&self, token: &str, reason: &str) {
        match self.source.verify(token, Standing::Stranger).await {
            Err(Doubt::Unavailable(said)) => assert!(said.contains(reason), "`{said}` does not say `{reason}`"),
            other => panic!("{other:?}, though: {reason}"),
        }
    }
}

#[tokio::test]
async fn either_way_it_is_the_same_service_account() {
    for verify in [KubernetesVerify::TokenReview, KubernetesVerify::Keys] {
        let rig = Rig::new(verify).await;
        let Vouched { identity, ends_at } =
            rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.expect("it is good");
        assert_eq!(identity.user.as_str(), format!("k8s:{USER}"));
        assert_eq!(identity.subject.as_str(), USER);
        assert_eq!(identity.provider.as_str(), "cluster");
        assert_eq!(
            identity.groups.to_csv(),
            "system:serviceaccounts,system:serviceaccounts:team-a,system:authenticated"
        );
        assert_eq!((identity.email, identity.auth_time, identity.acr), (None, None, None));
        assert_eq!(ends_at, Some(rig.clock.now().plus(Duration::from_hours(1))));
        assert_eq!(rig.cluster.reviews(), usize::from(verify == KubernetesVerify::TokenReview));
    }
}

#[tokio::test]
async fn either_way_what_is_not_good_for_us_is_refused() {
    for verify in [KubernetesVerify::TokenReview, KubernetesVerify::Keys] {
        let rig = Rig::new(verify).await;
        let now = rig.clock.now().as_secs();
        let issued = |change: &dyn Fn(&mut Value)| rig.cluster.token_with(change);
        rig.refuses(&issued(&|claims| claims["aud"] = json!(["vault"])), "aud").await;
        rig.refuses(&issued(&|claims| claims["exp"] = json!(now)), "ended").await;
        rig.refuses(&issued(&|claims| claims["exp"] = json!("never")), "`exp`").await;
        rig.refuses(&issued(&|claims| claims["sub"] = json!("system:node:a")), "is no ").await;
    }
}

#[tokio::test]
async fn a_token_that_the_clusters_keys_did_not_sign_costs_no_call() {
    for verify in [KubernetesVerify::TokenReview, KubernetesVerify::Keys] {
        let rig = Rig::new(verify).await;
        for _ in 0..100 {
            rig.refuses(&rig.cluster.forged(), "signature does not fit").await;
        }
        assert_eq!((rig.cluster.reviews(), rig.cluster.count(KEY_SET)), (0, 1));
    }
}

#[tokio::test]
async fn a_look_finds_the_api_server_again_but_not_the_right_to_ask() {
    let mut rig = Rig::new(KubernetesVerify::TokenReview).await;
    assert!(rig.source.lacking().is_some(), "nothing is known yet");
    rig.source.look_anew().await.expect("its keys");
    assert_eq!(rig.source.lacking(), None);
    let away = Answer::Status(503, "etcd is away");
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, away)));
    rig.cannot_tell(&rig.cluster.token(), "503").await;
    assert!(rig.source.lacking().is_some_and(|lack| lack.contains("503")));
    rig.source.look_anew().await.expect("its keys");
    assert_eq!(rig.source.lacking(), None);

    rig.cluster.behave(|behaviour| {
        behaviour.answers.clear();
        behaviour.may_review = false;
    });
    rig.cannot_tell(&rig.cluster.token(), "tokenreviews").await;
    rig.source.look_anew().await.expect("its keys");
    assert!(rig.source.lacking().is_some_and(|lack| lack.contains("tokenreviews")), "{:?}", rig.source.lacking());

    rig.cluster.behave(|behaviour| behaviour.may_review = true);
    rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.expect("it is good");
    assert_eq!(rig.source.lacking(), None);
    rig.cluster.stop().await;
    rig.source.look_anew().await.expect_err("it is gone");
    assert!(rig.source.lacking().is_some_and(|lack| lack.contains("cannot be reached")));
}

#[tokio::test]
async fn a_token_that_has_expired_is_not_reviewed() {
    let rig = Rig::new(KubernetesVerify::TokenReview).await;
    let token = rig.cluster.token();
    rig.clock.advance(Duration::from_hours(1));
    rig.refuses(&token, "it has ended").await;
    assert_eq!(rig.cluster.reviews(), 0);
}

#[tokio::test]
async fn only_the_review_knows_whose_pod_is_gone() {
    let rig = Rig::new(KubernetesVerify::TokenReview).await;
    let token = rig.cluster.token();
    rig.cluster.revoke(&token);
    rig.refuses(&token, "has been invalidated").await;

    let rig = Rig::new(KubernetesVerify::Keys).await;
    let token = rig.cluster.token();
    rig.cluster.revoke(&token);
    assert!(rig.source.verify(&token, Standing::Stranger).await.is_ok(), "the docs say that keys cannot tell");
}

#[tokio::test]
async fn without_the_keys_the_review_judges_alone() {
    let rig = Rig::new(KubernetesVerify::TokenReview).await;
    rig.cluster.behave(|behaviour| behaviour.may_discover = false);
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
    rig.refuses(&rig.cluster.forged(), "invalid bearer token").await;
    assert_eq!(rig.cluster.reviews(), 2);
}

#[tokio::test]
async fn without_the_keys_a_flood_of_forgeries_is_a_trickle_at_the_api_server() {
    let rig = Rig::new(KubernetesVerify::TokenReview).await;
    rig.cluster.behave(|behaviour| behaviour.may_discover = false);
    let forged = rig.cluster.forged();
    let strangers = REVIEWS_AT_ONCE - REVIEWS_AT_ONCE / 4;
    for _ in 0..strangers + 20 {
        assert!(rig.source.verify(&forged, Standing::Stranger).await.is_err());
    }
    assert_eq!(rig.cluster.reviews() as u64, strangers);
    rig.cannot_tell(&rig.cluster.token(), "too many tokens").await;
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Known).await.is_ok(), "who was good before is reviewed");
    rig.clock.advance(Duration::from_secs(1));
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
}

#[tokio::test]
async fn the_claims_of_a_token_agree_with_each_other() {
    let rig = Rig::new(KubernetesVerify::Keys).await;
    let about = "its `kubernetes.io` is about another than its `sub`";
    for (path, value) in [
        ("/kubernetes.io/namespace", json!("kube-system")),
        ("/kubernetes.io/serviceaccount/name", json!("admin")),
        ("/kubernetes.io/serviceaccount", json!("runner")),
        ("/kubernetes.io", json!(null)),
        ("/sub", json!("system:serviceaccount:kube-system:runner")),
    ] {
        let token = rig.cluster.token_with(|claims| *claims.pointer_mut(path).expect("a claim") = value.clone());
        rig.refuses(&token, about).await;
    }
    rig.refuses(&rig.cluster.token_with(|claims| claims["iss"] = json!("https://elsewhere")), "`iss`").await;
    rig.refuses(
        &rig.cluster.token_with(|claims| drop(claims.as_object_mut().expect("an object").remove("exp"))),
        "`exp`",
    )
    .await;
    rig.refuses(&rig.cluster.token_with(|claims| claims["nbf"] = json!(1_800_000_061)), "`nbf`").await;
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_needs_them() {
    let rig = Rig::new(KubernetesVerify::Keys).await;
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
    rig.cluster.behave(|behaviour| behaviour.kid = "key-2".to_owned());
    rig.clock.advance(Duration::from_mins(1));
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
    assert_eq!((rig.cluster.count(KEY_SET), rig.cluster.reviews()), (2, 0));
}

#[tokio::test]
async fn an_api_server_that_is_away_leaves_the_token_undecided() {
    for verify in [KubernetesVerify::TokenReview, KubernetesVerify::Keys] {
        let mut rig = Rig::new(verify).await;
        let token = rig.cluster.token();
        rig.cluster.stop().await;
        rig.cannot_tell(&token, "cannot be reached").await;
    }
    let rig = Rig::new(KubernetesVerify::TokenReview).await;
    for answer in [Answer::Status(500, "etcd"), Answer::Body("{".to_owned()), Answer::Redirect("/".to_owned())] {
        rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, answer)));
        rig.cannot_tell(&rig.cluster.token(), TOKEN_REVIEWS).await;
    }
}

#[tokio::test]
async fn with_the_keys_at_hand_nobody_waits_for_the_api_server() {
    let mut rig = Rig::new(KubernetesVerify::Keys).await;
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
    rig.cluster.stop().await;
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
}

#[tokio::test]
async fn what_verifying_takes_is_fetched_before_anybody_comes() {
    let rig = Rig::new(KubernetesVerify::Keys).await;
    assert_eq!(rig.source.look_anew().await, Ok(()));
    rig.cluster.behave(|behaviour| behaviour.may_discover = false);
    assert!(rig.source.verify(&rig.cluster.token(), Standing::Stranger).await.is_ok());
    let reason = rig.source.look_anew().await.expect_err("forbidden");
    assert!(reason.contains("system:service-account-issuer-discovery"), "{reason}");
}
