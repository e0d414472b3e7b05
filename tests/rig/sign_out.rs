//! The end of a session, by a click.

use crate::house::House;
use crate::part::eventually;
use crate::wire;

#[tokio::test]
async fn a_click_ends_the_session_for_the_very_next_request() {
    let house = House::build().await;
    let ann = house.signed_in("ann").await;
    let cookie = ann.cookie_header().await;
    let asks = [("Cookie", cookie.as_str()), ("Accept", "application/json")];

    // A link alone asks, and ends nothing.
    ann.go(&house.at("/oauth2/sign_out")).await;
    ann.reads("ann@example.com").await;
    ann.picture("sign-out").await;
    assert_eq!(house.get("/app", &asks).await.status, 200);

    // Nor does another site's form.
    let foreign = [
        ("Cookie", cookie.as_str()),
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Content-Length", "0"),
    ];
    assert_eq!(wire::send(house.front, "POST", "/oauth2/sign_out", &foreign).await.status, 403);
    assert_eq!(house.get("/app", &asks).await.status, 200);

    ann.click("form button[type=submit]").await;
    ann.reads("signed out").await;
    ann.picture("signed-out").await;
    assert_eq!(house.get("/app", &asks).await.status, 401, "the cookie that somebody kept");
    let left = ann.cookie_names().await;
    assert!(!left.iter().any(|name| name == "countersign"), "{left:?}");

    ann.go(&house.at("/home")).await;
    ann.sees("#login").await;
}

#[tokio::test]
async fn a_session_is_ended_from_another_browser() {
    let house = House::build().await;
    let (here, there) = (house.signed_in("ann").await, house.signed_in("ann").await);
    let cookies = there.cookie_header().await;
    let headers = [("cookie", &*cookies), ("accept", "text/html")];
    assert_eq!(house.get("/home", &headers).await.status, 200);
    here.go(&house.at("/oauth2/sessions")).await;
    here.reads("Chrome on Linux").await;
    here.picture("sessions").await;
    here.click(".sessions form button").await;
    here.reads("This browser").await;
    eventually("the other session's end", || async {
        let answer = house.get("/home", &headers).await;
        if answer.status == 302 { Ok(()) } else { Err(answer.status.to_string()) }
    })
    .await;
    here.go(&house.at("/home")).await;
    here.arrives(&house.at("/home")).await;
}
