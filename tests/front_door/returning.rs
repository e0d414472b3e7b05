//! Where a login may end: at one of our own origins, and not in a circle.

use crate::browser::target_of;
use crate::house::House;

#[tokio::test]
async fn a_login_ends_at_home_whatever_an_attacker_writes() {
    let house = House::open_with(|settings| {
        settings.hosts = vec!["https://lab.example.com/".parse().expect("a URL")];
    })
    .await;
    for rd in [
        "https://evil.example/",
        "//evil.example/",
        "/%2Fevil.example",
        "/\\evil.example",
        "/%5Cevil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "http://mesh.example.com/",
        "https://mesh.example.com.evil.example/",
        "https://mesh.example.com@evil.example/",
        "https://mesh.example.com:444/",
        "https://evil.lab.example.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/x%0d%0aset-cookie:%20a=b",
        "/%09/evil.example",
        "/\t/evil.example",
        "/\0x",
        "https://evilmesh.example.com/",
        "https://evil.example#@mesh.example.com/",
        "https://evil.example/#https://mesh.example.com/",
        "/\tx",
        "evil.example",
        "",
        // Steps of our own: a login would begin again, or a question be asked that nobody meant.
        "/oauth2/start?rd=/x",
        "/oauth2/start",
        "/oauth2/sign_out",
        "/oauth2/signed_out",
        "/oauth2/callback?error=x&state=y",
        "/oauth2/callback/corp",
        "/oauth2/unavailable",
        "/x/../oauth2/start",
        "/oauth2/%73tart",
        "https://mesh.example.com/oauth2/sign_out",
        "https://lab.example.com/oauth2/start?rd=/",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        assert_eq!(ends_at(&house, &encoded).await, "https://mesh.example.com/", "{rd:?}");
    }
    for length in [1024, 8 * 1024] {
        let long = format!("/{}", "a".repeat(length));
        assert_eq!(ends_at(&house, &long).await, "https://mesh.example.com/", "{length}");
    }
}

#[tokio::test]
async fn a_login_ends_where_it_was_asked_to() {
    let house = House::open_with(|settings| {
        settings.hosts = vec!["https://lab.example.com/".parse().expect("a URL")];
    })
    .await;
    for (rd, there) in [
        ("/x?rd=https://evil.example/", "https://mesh.example.com/x?rd=https://evil.example/"),
        ("/#/runs/1", "https://mesh.example.com/#/runs/1"),
        ("/oauth2", "https://mesh.example.com/oauth2"),
        ("/oauth2/userinfo", "https://mesh.example.com/oauth2/userinfo"),
        ("/oauth2x/start", "https://mesh.example.com/oauth2x/start"),
        ("/a/oauth2/start", "https://mesh.example.com/a/oauth2/start"),
        ("https://lab.example.com/y", "https://lab.example.com/y"),
        ("/ö b", "https://mesh.example.com/%C3%B6%20b"),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        assert_eq!(ends_at(&house, &encoded).await, there, "{rd:?}");
    }
}

async fn ends_at(house: &House, rd: &str) -> String {
    let browser = house.browser();
    let callback = browser.visit(&house.idp, &format!("/oauth2/start?rd={rd}")).await;
    let arrived = browser.get(&target_of(&callback)).await;
    assert_eq!(arrived.status, 303, "{}", arrived.body);
    arrived.location().to_owned()
}
