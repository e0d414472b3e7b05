//! Bearer tokens of a cluster, as a check asks about them: what the caches spare the API server, and what happens to
//! others while it is away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::bearer::{BearerError, Sources, Verified};
use countersign::clock::{Clock, TestClock, UnixTime};
use countersign::config::{EgressSettings, KubernetesApi};
use countersign::idp::Outbound;
use countersign::metrics::Metrics;
use futures_util::future::join_all;
use http::{HeaderMap, header};
use serde_json::json;

use crate::settings::{NOBODY, settings};
use crate::token_review::{AUDIENCE, Answer, Cluster, KEY_SET, TOKEN_REVIEWS, USER};

struct Rig {
    clock: Arc<TestClock>,
    cluster: Cluster,
    sources: Sources,
}

impl Rig {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With `rest` of the source's settings as the file spells them.
    async fn with(rest: &str) -> Self {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let cluster = Cluster::start(clock.clone()).await;
        let KubernetesApi { address, ca, token_file } = cluster.api();
        let text = format!(
            "{{kind: kubernetes, audiences: [{AUDIENCE}], api_url: '{address}', ca_file: '{}', token_file: '{}', {rest}}}",
            ca.display(),
            token_file.display()
        );
        let settings = settings(Path::new("/nowhere"), NOBODY, &format!("bearer: [{text}]")).bearer;
        let outbound = Outbound::new(&EgressSettings::default()).expect("a way out");
        let shared: Arc<dyn Clock> = clock.clone();
        let sources = Sources::new(&settings, &outbound, &Arc::new(Metrics::new()), &shared).expect("a cluster");
        Self { clock, cluster, sources }
    }

    async fn identify(&self, token: &str) -> Result<Option<Arc<Verified>>, BearerError> {
        let value = format!("Bearer {token}").parse().expect("a value");
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let credential = self.sources.find(&headers).expect("one credential").expect("a credential");
        self.sources.identify(&credential).await
    }

    async fn user(&self, token: &str) -> String {
        self.identify(token).await.expect("it is good").expect("it is for the cluster").identity.user.to_string()
    }
}

#[tokio::test]
async fn a_hundred_requests_with_a_new_token_are_one_review() {
    let rig = Rig::new().await;
    let token = rig.cluster.token();
    let gate = rig.cluster.hold(TOKEN_REVIEWS);
    let arrives = async {
        while rig.cluster.reviews() == 0 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(100);
    };
    let (users, ()) = tokio::join!(join_all((0..100).map(|_| rig.user(&token))), arrives);
    assert_eq!(users, vec![USER; 100]);
    assert_eq!(rig.cluster.reviews(), 1);
}

#[tokio::test]
async fn a_token_is_reviewed_once_a_minute_however_often_it_comes() {
    let rig = Rig::new().await;
    let token = rig.cluster.token();
    for minute in 1..=5 {
        for _ in 0..60 {
            assert_eq!(rig.user(&token).await, USER);
            rig.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(rig.cluster.reviews(), minute);
    }
}

#[tokio::test]
async fn tokens_are_told_apart_by_all_of_them() {
    let rig = Rig::new().await;
    let other = rig.cluster.token_with(|claims| {
        claims["sub"] = json!("system:serviceaccount:team-b:runner");
        claims["kubernetes.io"]["namespace"] = json!("team-b");
    });
    let (token, again) = (rig.cluster.token(), rig.cluster.token());
    assert_eq!((rig.user(&token).await, rig.user(&again).await), (USER.to_owned(), USER.to_owned()));
    assert_eq!(rig.user(&other).await, "system:serviceaccount:team-b:runner");
    let ((said, _), (_, signature)) = (token.rsplit_once('.').expect("JWTs"), other.rsplit_once('.').expect("JWTs"));
    let outcome = rig.identify(&format!("{said}.{signature}")).await;
    assert!(matches!(outcome, Err(BearerError::Refused { .. })), "nobody has signed that: {outcome:?}");
    assert_eq!(rig.cluster.reviews(), 3);
}

#[tokio::test]
async fn no_answer_outlives_its_token() {
    let rig = Rig::new().await;
    let token = rig.cluster.token_with(|claims| claims["exp"] = json!(1_800_000_020));
    assert_eq!(rig.user(&token).await, USER);
    rig.clock.advance(Duration::from_secs(19));
    assert_eq!(rig.user(&token).await, USER);
    rig.clock.advance(Duration::from_secs(1));
    assert!(matches!(rig.identify(&token).await, Err(BearerError::Refused { .. })));
    assert_eq!(rig.cluster.reviews(), 1);
}

#[tokio::test]
async fn a_revoked_token_is_good_for_a_minute_at_most() {
    let rig = Rig::new().await;
    let token = rig.cluster.token();
    assert_eq!(rig.user(&token).await, USER);
    rig.cluster.revoke(&token);
    rig.clock.advance(Duration::from_mins(1));
    assert!(matches!(rig.identify(&token).await, Err(BearerError::Refused { .. })));
}

#[tokio::test]
async fn a_bad_token_is_remembered_for_a_moment() {
    let rig = Rig::new().await;
    let token = rig.cluster.token_with(|claims| claims["aud"] = json!(["vault"]));
    for _ in 0..100 {
        assert!(matches!(rig.identify(&token).await, Err(BearerError::Refused { .. })));
    }
    assert_eq!(rig.cluster.reviews(), 1);
    rig.clock.advance(Duration::from_mins(1));
    assert!(matches!(rig.identify(&token).await, Err(BearerError::Refused { .. })));
    assert_eq!(rig.cluster.reviews(), 2, "a mistake of the cluster's would be mended");
}

#[tokio::test]
async fn tokens_of_others_never_reach_the_cluster() {
    let rig = Rig::new().await;
    let strange = rig.cluster.token_with(|claims| claims["iss"] = json!("https://idp.example.com"));
    for token in [strange.as_str(), "opaque", "a.b.c", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"] {
        assert!(matches!(rig.identify(token).await, Ok(None)), "{token}");
    }
    for _ in 0..100 {
        assert!(matches!(rig.identify(&rig.cluster.forged()).await, Err(BearerError::Refused { .. })));
    }
    assert_eq!((rig.cluster.reviews(), rig.cluster.count(KEY_SET)), (0, 1));
}

#[tokio::test]
async fn whoever_is_known_does_not_notice_that_the_api_server_is_away() {
    let mut rig = Rig::new().await;
    let (known, new) = (rig.cluster.token(), rig.cluster.token());
    assert_eq!(rig.user(&known).await, USER);
    rig.cluster.stop().await;
    assert!(matches!(rig.identify(&new).await, Err(BearerError::Unavailable { .. })));
    assert_eq!(rig.user(&known).await, USER);
    rig.clock.advance(Duration::from_mins(1));
    // Nothing is believed for longer because nobody can be asked.
    assert!(matches!(rig.identify(&known).await, Err(BearerError::Unavailable { .. })));
}

#[tokio::test]
async fn a_failing_api_server_is_not_asked_by_everybody_at_once() {
    let rig = Rig::new().await;
    let token = rig.cluster.token();
    let broken = Answer::Status(500, "etcdserver: request timed out");
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, broken)));
    for outcome in join_all((0..100).map(|_| rig.identify(&token))).await {
        assert!(matches!(outcome, Err(BearerError::Unavailable { .. })), "{outcome:?}");
    }
    assert_eq!(rig.cluster.reviews(), 1);
    rig.cluster.behave(|behaviour| behaviour.answers.clear());
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(rig.user(&token).await, USER, "it is back");
}

#[tokio::test]
async fn a_hanging_api_server_is_given_up() {
    let rig = Rig::new().await;
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, Answer::Hang)));
    let outcome = rig.identify(&rig.cluster.token()).await;
    assert!(matches!(outcome, Err(BearerError::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn with_keys_nobody_is_reviewed() {
    let rig = Rig::with("verify: keys").await;
    for _ in 0..100 {
        assert_eq!(rig.user(&rig.cluster.token()).await, USER);
    }
    assert_eq!((rig.cluster.reviews(), rig.cluster.count(KEY_SET)), (0, 1));
}

#[tokio::test]
async fn only_whom_the_source_admits_gets_in() {
    let rig = Rig::with("identity: {admit: {groups: ['system:serviceaccounts:team-b']}}").await;
    let outcome = rig.identify(&rig.cluster.token()).await;
    assert!(matches!(outcome, Err(BearerError::NotAdmitted { .. })), "{outcome:?}");
}
