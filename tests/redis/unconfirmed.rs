//! Sign-outs that the store does not take at first: nobody is told that they are done before they are, and whoever tries
//! again gets them done.

use std::time::Duration;

use http::Method;
use redis::cmd;
use serde_json::json;

use crate::browser::{Answer, Browser};
use crate::faults::{Listening, base64, in_an_hour, key, replica, row};
use crate::house::{Replicas, until};
use crate::servers::{Kind, Server, Servers};

use countersign::session::Store;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const BACK: &str = "/oauth2/backchannel_logout";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_told_it_failed_may_send_the_same_token_again() {
    let (servers, house) = open().await;
    let everywhere = house.signed_in().await;
    assert_in(&everywhere).await;
    let token = format!("logout_token={}", house.idp.logout_token(|_| ()));
    let send = async || house.browser(0).post(BACK, &token, &[]).await;
    takes_scripts(&servers.stores[0], false).await;
    let failed = send().await;
    assert_eq!(failed.status, 400);
    assert!(failed.body.contains("temporarily_unavailable"), "{}", failed.body);
    takes_scripts(&servers.stores[0], true).await;
    assert_eq!(everywhere[1].check("/").await.status, 200, "nothing was confirmed");
    assert_eq!(send().await.status, 200);
    is_out(&everywhere[1]).await;
    assert!(send().await.body.contains("used before"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_again_is_told_that_it_is_done_when_it_is() {
    let (servers, house) = open().await;
    let everywhere = house.signed_in().await;
    assert_in(&everywhere).await;
    let sign_out =
        async || -> Answer { everywhere[0].post("/oauth2/sign_out", "", &[("sec-fetch-site", "same-origin")]).await };
    takes_scripts(&servers.stores[0], false).await;
    for _ in 0..2 {
        assert_eq!(sign_out().await.status, 503);
        assert_eq!(everywhere[0].check("/").await.status, 302, "not here any more");
        assert_eq!(everywhere[1].check("/").await.status, 200, "but there");
    }
    takes_scripts(&servers.stores[0], true).await;
    assert_eq!(sign_out().await.status, 303);
    is_out(&everywhere[1]).await;
}

/// Whose session it was cannot be said then; that it is to end, can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_while_the_store_is_away_is_out_when_it_is_back() {
    let (servers, house) = open().await;
    let everywhere = house.signed_in().await;
    assert_in(&everywhere).await;
    servers.stores[0].hang(true);
    let is_away = async || everywhere[0].check("/").await.location().contains("/oauth2/unavailable");
    until("the store is away", is_away).await;
    let signed_out = everywhere[0].post("/oauth2/sign_out", "", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(signed_out.status, 503);
    house.advance(Duration::from_secs(5));
    servers.stores[0].hang(false);
    is_out(&everywhere[1]).await;
    assert_eq!(everywhere[0].check("/").await.status, 302);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_tries_again_ends_what_is_left() {
    let (servers, house) = open().await;
    let everywhere = house.signed_in().await;
    assert_in(&everywhere).await;
    let bearer = format!("Bearer {TOKEN}");
    let end = async |query: &str| {
        house.admin(0).ask(Method::DELETE, &format!("/sessions?{query}"), &[("authorization", &bearer)]).await
    };
    takes_scripts(&servers.stores[0], false).await;
    assert_eq!(end("user=ann@example.com").await.status, 503);
    assert_eq!(end("all=true").await.status, 503);
    takes_scripts(&servers.stores[0], true).await;
    let ended = end("all=true").await;
    assert_eq!((ended.status, ended.json()), (200, json!({"ended": 1})));
    is_out(&everywhere[1]).await;
}

/// As the first who could listen comes late, and another server is there by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ended_before_anybody_could_listen_is_ended_again_as_well() {
    let mut servers = Servers::start(Kind::Standalone).await;
    let deaf = cmd("ACL").arg("SETUSER").arg("default").arg("-client|tracking").clone();
    let () = servers.stores[0].ask(&deaf).await.expect("set");
    let store = replica(&servers);
    let row_key = format!("cs:1:s:{{{}}}", base64(key(1)));
    store.create(key(1), row()).await.expect("created");
    let old: Vec<u8> = servers.stores[0].ask(cmd("DUMP").arg(&row_key)).await.expect("a copy");
    assert_eq!(store.remove(key(1), in_an_hour()).await, Ok(true));
    let port = servers.stores[0].port;
    servers.stores.remove(0).kill();
    servers.stores.push(Server::start(port, &[]).await);
    let () = servers.stores[0].ask(cmd("RESTORE").arg(&row_key).arg(0).arg(&old)).await.expect("back");
    let _told = Listening::on(&store).await;
    let row: Vec<u8> = servers.stores[0].ask(cmd("GET").arg(&row_key)).await.expect("answered");
    assert_eq!(row, b"x", "another replica would find it");
}

async fn open() -> (Servers, Replicas) {
    let servers = Servers::start(Kind::Standalone).await;
    let house = Replicas::start(2, &servers, TOKEN).await;
    (servers, house)
}

/// Whether what changes anything is taken.
async fn takes_scripts(server: &Server, takes: bool) {
    let right = if takes { "+eval" } else { "-eval" };
    let () = server.ask(cmd("ACL").arg("SETUSER").arg("default").arg(right)).await.expect("set");
}

async fn assert_in(everywhere: &[Browser]) {
    for browser in everywhere {
        assert_eq!(browser.check("/").await.status, 200);
    }
}

async fn is_out(browser: &Browser) {
    until("the session is over at the other replica", async || browser.check("/").await.status == 302).await;
}
