//! What ends a session on one replica ends it on all, whoever asked for that.

use http::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::house::{Replicas, until};
use crate::servers::{Kind, Servers};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const BACK: &str = "/oauth2/backchannel_logout";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_token_counts_once_on_all_replicas_together() {
    let servers = Servers::start(Kind::Standalone).await;
    let house = Replicas::start(2, &servers, TOKEN).await;
    let everywhere = in_memory_everywhere(&house).await;
    let token = format!("logout_token={}", house.idp.logout_token(|_| ()));
    assert_eq!(house.browser(1).post(BACK, &token, &[]).await.status, 200);
    assert_over(&everywhere).await;
    let again = in_memory_everywhere(&house).await;
    for number in [0, 1] {
        let refused = house.browser(number).post(BACK, &token, &[]).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains("used before"), "{}", refused.body);
    }
    for browser in &again {
        assert_eq!(browser.check("/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_and_the_person_end_sessions_on_all_replicas() {
    let servers = Servers::start(Kind::Standalone).await;
    let house = Replicas::start(2, &servers, TOKEN).await;
    let (here, there) = (in_memory_everywhere(&house).await, in_memory_everywhere(&house).await);
    let ended = here[1].post("/oauth2/sessions", "end_others=1", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(ended.status, 303, "{}", ended.body);
    assert_over(&there).await;
    for browser in &here {
        assert_eq!(browser.check("/").await.status, 200);
    }
    let more = in_memory_everywhere(&house).await;
    let bearer = format!("Bearer {TOKEN}");
    let ended = house.admin(1).ask(Method::DELETE, "/sessions?all=true", &[("authorization", &bearer)]).await;
    assert_eq!((ended.status, ended.json()), (200, json!({"ended": 2})));
    assert_over(&here).await;
    assert_over(&more).await;
}

/// Somebody at each replica, which all know the session already.
async fn in_memory_everywhere(house: &Replicas) -> Vec<Browser> {
    let browsers = house.signed_in().await;
    for browser in &browsers {
        assert_eq!(browser.check("/").await.status, 200);
    }
    browsers
}

async fn assert_over(everywhere: &[Browser]) {
    for browser in everywhere {
        until("it is over", async || browser.check("/").await.status == 302).await;
    }
}
