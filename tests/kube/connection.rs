use std::path::PathBuf;
use std::sync::Arc;

use countersign::clock::SystemClock;
use countersign::kube::{ApiServer, Review};

use crate::rig::{Kind, Rig, assert_failed};
use crate::token_review::{Answer, Cluster, TOKEN_REVIEWS};

#[tokio::test]
async fn a_token_that_the_cluster_does_not_accept_is_the_operators_to_mend() {
    let rig = Rig::new().await;
    rig.cluster.write_own_token("own-of-another-cluster");
    rig.fails(Kind::Refused, "status 401 Unauthorized (Unauthorized): it does not accept our own token").await;
    assert_eq!(rig.cluster.reviews(), 1, "the same token is not sent twice");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_used_from_then_on() {
    let rig = Rig::new().await;
    for name in ["own-1", "own-2", "own-3"] {
        rig.cluster.behave(|behaviour| behaviour.accepted = [name.to_owned()].into());
        rig.cluster.write_own_token(name);
        assert!(matches!(rig.review(&rig.cluster.token()).await, Ok(Review::Authenticated(_))), "{name}");
    }
    assert_eq!(rig.cluster.reviews(), 3, "none was asked twice");
}

#[tokio::test]
async fn a_token_that_is_replaced_while_it_is_under_way_is_read_again_once() {
    let rig = Rig::new().await;
    let gate = rig.cluster.hold(TOKEN_REVIEWS);
    let token = rig.cluster.token();
    let replace = async {
        while rig.cluster.reviews() == 0 {
            tokio::task::yield_now().await;
        }
        rig.cluster.behave(|behaviour| behaviour.accepted = ["own-2".to_owned()].into());
        rig.cluster.write_own_token("own-2\n");
        gate.add_permits(2);
    };
    let (review, ()) = tokio::join!(rig.review(&token), replace);
    assert!(matches!(review, Ok(Review::Authenticated(_))), "{review:?}");
    let sent: Vec<String> =
        rig.cluster.seen().iter().map(|seen| format!("{:?}", seen.headers["authorization"])).collect();
    assert_eq!(sent, ["\"Bearer own-1\"", "\"Bearer own-2\""]);
}

#[tokio::test]
async fn a_token_file_that_cannot_be_used_is_named() {
    let rig = Rig::with(|settings| settings.token_file = PathBuf::from("/nonexistent/token")).await;
    rig.fails(Kind::Misconfigured, "token_file /nonexistent/token: No such file").await;
    let rig = Rig::new().await;
    rig.cluster.write_own_token("\n");
    rig.fails(Kind::Misconfigured, "token: it is empty").await;
    rig.cluster.write_own_token("own-1\r\nX-Remote-User: admin");
    rig.fails(Kind::Misconfigured, "characters that no token has").await;
    assert_eq!(rig.cluster.reviews(), 0);
}

#[tokio::test]
async fn only_the_clusters_own_ca_is_trusted() {
    let stranger = Cluster::start(Arc::new(SystemClock)).await;
    let rig = Rig::with(|settings| settings.ca = stranger.ca()).await;
    rig.fails(Kind::Unreachable, "invalid peer certificate").await;
    assert_eq!(rig.cluster.reviews(), 0, "nothing is sent to a stranger");
}

#[tokio::test]
async fn its_certificate_must_be_for_its_name() {
    let rig = Rig::with(|settings| settings.address.set_host(Some("localhost")).expect("a host")).await;
    rig.fails(Kind::Unreachable, "not valid for name").await;
}

#[tokio::test]
async fn a_ca_that_cannot_be_used_is_named() {
    let cluster = Cluster::start(Arc::new(SystemClock)).await;
    let mut settings = cluster.api();
    settings.ca = PathBuf::from("/nonexistent/ca.crt");
    let unreadable = ApiServer::new(&settings).map(drop);
    assert_failed(unreadable, &Kind::Misconfigured, "ca /nonexistent/ca.crt: No such file");
    settings.ca = settings.token_file.clone();
    assert_failed(ApiServer::new(&settings).map(drop), &Kind::Misconfigured, "it holds no PEM certificate");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let rig = Rig::new().await;
    let elsewhere = format!("{}/elsewhere", rig.cluster.address);
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, Answer::Redirect(elsewhere))));
    rig.fails(Kind::Misbehaved, "it redirects, which is not followed").await;
    assert_eq!(rig.cluster.count("/elsewhere"), 0);
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let rig = Rig::new().await;
    let huge = " ".repeat(ApiServer::MAX_BODY + 1);
    rig.cluster.behave(|behaviour| drop(behaviour.answers.insert(TOKEN_REVIEWS, Answer::Body(huge))));
    rig.fails(Kind::Misbehaved, "its answer is larger than 256 KiB").await;
}
