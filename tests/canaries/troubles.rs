//! Providers that are away, hang, are cut off, or cannot be believed over TLS.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::browser::{Browser, target_of};
use crate::house::House;
use crate::lying_idp::{Answer as Instead, TOKEN, USERINFO};

pub(crate) async fn all() {
    let house = House::open().await;
    for path in [TOKEN, USERINFO] {
        for answer in [
            Instead::Plain(503, "text/plain", "away".into()),
            Instead::Plain(200, "application/json", "[]".into()),
            Instead::Plain(200, "text/html", "<title>Log in</title>".into()),
            Instead::Repeating(400, "invalid_request"),
            Instead::Repeating(500, "server_error"),
            Instead::Redirect("https://elsewhere.example.com/?x=y".into()),
            Instead::Compressed,
            Instead::CutShort,
        ] {
            let browser = house.browser();
            let callback = browser.visit(&house.idp, "/oauth2/start").await;
            house.idp.lie(|idp| idp.id_token_lacks = &["groups"]);
            house.idp.lie(|idp| drop(idp.answers.insert(path, answer)));
            let page = browser.get(&target_of(&callback)).await;
            assert_ne!(page.status, 303, "{path}: {}", page.body);
            house.idp.repent();
        }
    }
    odd_tokens(&house).await;
    hangs(&house).await;
}

/// Good JSON that cannot be read, with everything in it.
async fn odd_tokens(house: &House) {
    for change in [
        |answer: &mut serde_json::Value| answer["token_type"] = answer["access_token"].clone(),
        |answer| answer["expires_in"] = answer["refresh_token"].clone(),
        |answer| answer["access_token"] = serde_json::json!([answer["access_token"]]),
        |answer| answer["scope"] = serde_json::json!({"x": answer["id_token"]}),
        |answer| answer["id_token"] = serde_json::json!([answer["id_token"]]),
        |answer| answer["id_token"] = answer["refresh_token"].clone(),
        |answer| answer["id_token"] = format!("x{}", answer["id_token"]).into(),
        |answer| answer["access_token"] = format!("{}\r\nx: y", answer["access_token"]).into(),
        |answer| *answer = serde_json::json!([answer.take()]),
    ] as [fn(&mut serde_json::Value); 9]
    {
        let browser = house.browser();
        let callback = browser.visit(&house.idp, "/oauth2/start").await;
        house.idp.lie(|idp| idp.id_token_lacks = &["groups"]);
        house.idp.lie(|idp| idp.token_answer = Box::new(change));
        browser.get(&target_of(&callback)).await;
        house.idp.repent();
    }
}

/// Whoever asked has gone before there is an answer.
async fn hangs(house: &House) {
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| drop(idp.held.insert(TOKEN, gate.clone())));
    let asked = house.idp.hits(TOKEN);
    let gone: tokio::net::TcpStream = browser.send(&http::Method::GET, &target_of(&callback), &[], "").await;
    crate::house::eventually("it is asked", async || (house.idp.hits(TOKEN) > asked).then_some(())).await;
    drop(gone);
    gate.add_permits(9);
    house.idp.repent();
    let other: Browser = house.signed_in().await;
    assert_eq!(other.check("/").await.status, 200);
}
