//! People: in, about, and out again.

use std::time::Duration;

use countersign::secret::SecretText;
use http::Method;
use serde_json::json;

use crate::browser::{Answer, Browser, PAGE, SESSION, target_of};
use crate::canaries::seed;
use crate::house::{House, ORIGIN, eventually};
use crate::lying_idp::{Answer as Instead, TOKEN};

/// The operator's.
pub(crate) const ADMIN: &str = "the-token-of-an-operator-4fX9bT2mQ7zLk3Ws";
/// What an application keeps in its own addresses, cookies and headers is no less secret for not being ours.
pub(crate) const THEIRS: &str = "a-secret-of-an-application-8Hc5Rv";

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");
/// The fixture's access tokens live for five minutes.
const DUE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(31);

pub(crate) async fn all() {
    seed("the admin token", ADMIN);
    seed("an application's secret", THEIRS);
    let mut house = House::open_with(|settings| settings.admin.token = Some(SecretText::new(ADMIN.into()))).await;
    strangers(&house).await;
    let browser = signs_in(&house).await;
    about(&house, &browser).await;
    renewals(&house).await;
    broken_logins(&house).await;
    broken_cookies(&house, &browser).await;
    operators(&house).await;
    endings(&house).await;
    for path in ["/metrics", "/readyz", "/livez", "/nowhere"] {
        house.admin(path).await;
    }
    // A gateway that ends and begins anew with the same keys.
    house.reopen(|settings| settings.log.filter = "trace".into()).await;
    assert_eq!(browser.moved_to(house.gateway.address).check("/").await.status, 302, "an operator ended it");
}

async fn strangers(house: &House) {
    let nobody = house.browser();
    for (method, target, headers) in [
        (Method::GET, "/", &[PAGE][..]),
        (Method::GET, "/api/x", &[]),
        (Method::POST, "/api/x", &[PAGE]),
        (Method::GET, "/%", &[PAGE]),
        (Method::GET, "/public/..%2fadmins/x", &[PAGE]),
        (Method::GET, "/jupyter/", &[PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
    ] {
        // Where they come back to is told to themselves.
        let cookie = format!("theirs={THEIRS}");
        let bearer = format!("Bearer {THEIRS}");
        let headers = [headers, &[("cookie", &*cookie), ("authorization", &*bearer)]].concat();
        let answer = nobody.check_with(method, target, &headers).await;
        assert_ne!(answer.status, 200, "{target}");
    }
    for target in
        ["/oauth2/userinfo", "/oauth2/sessions", "/oauth2/sign_out", "/oauth2/signed_out?state=x", "/oauth2/x"]
    {
        nobody.get(target).await;
    }
}

async fn signs_in(house: &House) -> Browser {
    let browser = house.browser();
    let start = format!("/oauth2/start?rd=/deep%3Fkey={THEIRS}");
    let callback = browser.visit(&house.idp, &start).await;
    let target = target_of(&callback);
    // The address itself belongs to whoever asked for it.
    let raw = browser.send(&Method::GET, &target, &[PAGE], "").await;
    let arrived = Answer::parse(&whole(raw).await);
    assert_eq!((arrived.status, arrived.location()), (303, &*format!("{ORIGIN}/deep?key={THEIRS}")));
    // It is burnt now; a browser that goes back with it is told so.
    assert_ne!(browser.get(&target).await.status, 303);
    house.signed_in().await
}

async fn whole(mut socket: tokio::net::TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut bytes).await.expect("an answer");
    bytes
}

async fn about(house: &House, browser: &Browser) {
    for (target, status) in [
        ("/", 200),
        ("/ml/x", 200),
        ("/admins/x", 403),
        ("/public/x", 200),
        ("/maybe/x", 200),
        ("/notebook/x", 200),
        ("/pipeline/x", 200),
        ("/public/../admins/x", 400),
        ("/oauth2/userinfo", 200),
    ] {
        assert_eq!(browser.check(&format!("{target}?key={THEIRS}")).await.status, status, "{target}");
        browser.check_with(Method::POST, target, &[("authorization", &format!("Bearer {THEIRS}"))]).await;
    }
    for target in
        ["/oauth2/userinfo", "/oauth2/sessions", "/oauth2/sign_out", "/oauth2/start", "/.well-known/jwks.json"]
    {
        browser.get(target).await;
    }
    // Two at once, and one that is ended from the other.
    let other = house.signed_in().await;
    let page = other.get("/oauth2/sessions").await;
    assert_eq!(page.status, 200);
    assert_eq!(browser.post("/oauth2/sessions", "all=others", &[SAME_ORIGIN]).await.status, 400, "not so");
}

async fn renewals(house: &House) {
    let browser = house.signed_in().await;
    // One that failed a moment ago is tried again after a pause.
    let pause = || house.clock.advance(PAUSE);
    let becomes = async |groups: &str| {
        eventually("it is renewed", async || {
            pause();
            (browser.check("/").await.header("kubeflow-groups") == groups).then_some(())
        })
        .await;
    };
    house.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    house.clock.advance(DUE);
    becomes("ops").await;
    // Away, and raving.
    for answer in [Instead::Plain(503, "text/plain", "away".into()), Instead::CutShort] {
        let asked = house.idp.hits(TOKEN);
        house.idp.lie(|idp| drop(idp.answers.insert(TOKEN, answer)));
        house.clock.advance(DUE);
        eventually("it is tried", async || {
            pause();
            browser.check("/").await;
            (house.idp.hits(TOKEN) > asked).then_some(())
        })
        .await;
    }
    house.idp.repent();
    house.clock.advance(DUE);
    becomes("ml,ops").await;
    // A provider that repeats what it was sent, while it refuses it.
    house.idp.lie(|idp| drop(idp.answers.insert(TOKEN, Instead::Repeating(400, "invalid_grant"))));
    house.clock.advance(DUE);
    eventually("it is refused", async || {
        pause();
        (browser.check("/").await.status == 302).then_some(())
    })
    .await;
    house.idp.repent();
}

async fn broken_logins(house: &House) {
    // The same of a code, on a page; and of our own secret.
    for (status, error) in [
        (400, "invalid_grant"),
        (401, "invalid_client"),
        (400, "invalid_request"),
        (400, "something_else"),
        (503, "temporarily_unavailable"),
    ] {
        let browser = house.browser();
        let callback = browser.visit(&house.idp, "/oauth2/start").await;
        house.idp.lie(|idp| drop(idp.answers.insert(TOKEN, Instead::Repeating(status, error))));
        let page = browser.get(&target_of(&callback)).await;
        assert!((400..600).contains(&page.status), "{}", page.body);
        house.idp.repent();
    }
    let browser = house.browser();
    for query in ["", "?state=x", "?code=x&state=y", "?error=access_denied&error_description=no", "?%"] {
        browser.get(&format!("/oauth2/callback{query}")).await;
    }
    // A good answer of the provider's, in another browser, and too late.
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    house.browser().get(&target_of(&callback)).await;
    house.clock.advance(Duration::from_mins(11));
    assert_eq!(browser.get(&target_of(&callback)).await.status, 400);
}

async fn broken_cookies(house: &House, browser: &Browser) {
    let good = browser.cookie(SESSION).expect("a session");
    for bad in [format!("{good}x"), good[..good.len() - 1].to_owned(), good.replace('.', ":"), good.to_lowercase()] {
        let other = house.browser();
        other.plant(SESSION, &bad);
        assert_eq!(other.check("/").await.status, 302);
        for target in ["/oauth2/userinfo", "/oauth2/sessions", "/oauth2/start", "/oauth2/sign_out"] {
            other.get(target).await;
        }
    }
    // Two of one name, one in another's place, and one as a bearer where that means nothing.
    let other = house.browser();
    other.plant(SESSION, &good);
    other.plant(SESSION, &format!("{good}x"));
    other.plant("__Host-countersign-flow-x", &good);
    for target in ["/", "/api", "/oauth2/userinfo"] {
        other.check(target).await;
        other.get(target).await;
    }
    let bearer = format!("Bearer {good}");
    for path in ["/", "/notebook/x", "/public/x"] {
        house.browser().check_with(Method::GET, path, &[("authorization", &bearer)]).await;
    }
}

async fn operators(house: &House) {
    let port = Browser::new(house.gateway.admin, house.clock.clone());
    for token in [ADMIN, &ADMIN[1..], "x", ""] {
        let bearer = format!("Bearer {token}");
        for (method, target) in [
            (Method::GET, "/sessions"),
            (Method::GET, "/sessions?user=ann%40example.com"),
            (Method::GET, "/sessions/nobody"),
            (Method::DELETE, "/sessions?all=maybe"),
            (Method::DELETE, "/sessions?all=true"),
        ] {
            port.ask(method, target, &[("authorization", &bearer)]).await;
        }
    }
}

async fn endings(house: &House) {
    let browser = house.signed_in().await;
    assert_eq!(browser.post("/oauth2/sign_out", "", &[("sec-fetch-site", "cross-site")]).await.status, 403);
    let gone = browser.post("/oauth2/sign_out", "", &[SAME_ORIGIN]).await;
    assert_eq!(gone.status, 303);
    browser.get("/oauth2/signed_out?state=x").await;
    // The provider cannot be told.
    let browser = house.signed_in().await;
    house.idp.lie(|idp| drop(idp.answers.insert(crate::lying_idp::REVOKE, Instead::Repeating(400, "invalid_request"))));
    browser.post("/oauth2/sign_out", "", &[SAME_ORIGIN]).await;
    house.idp.repent();
    // The provider tells us; well, twice, and badly.
    let browser = house.signed_in().await;
    assert_eq!(browser.check("/").await.status, 200);
    let form = house.idp.logout_form();
    let bad = format!("logout_token={}", house.idp.logout_token(|claims| claims["aud"] = json!("other")));
    for (form, status) in [(&form, 200), (&form, 400), (&bad, 400), (&format!("{form}x"), 400), (&String::new(), 400)] {
        assert_eq!(house.browser().post("/oauth2/backchannel_logout", form, &[]).await.status, status);
    }
    assert_eq!(browser.check("/").await.status, 302);
    house.browser().get("/oauth2/frontchannel_logout?iss=x&sid=y").await;
}
