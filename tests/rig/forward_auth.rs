//! nginx and Caddy as their examples set them up, each before Countersign, Dex and a workload.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::countersign::Countersign;
use crate::dex::Dex;
use crate::forward_proxy::{Ports, Proxy, Running};
use crate::part::free_port;
use crate::wire::{self, Answer};

/// Every value says "evil", so that one look finds what came through.
const FORGED: [(&str, &str); 31] = [
    ("kubeflow-userid", "evil@example.com"),
    ("KUBEFLOW-USERID", "evil@example.com"),
    ("Kubeflow_Userid", "evil@example.com"),
    ("kubeflow_userid", "evil@example.com"),
    ("kubeflow-userid", ""),
    ("kubeflow-groups", "evil"),
    ("kubeflow_groups", "evil"),
    ("Kubeflow-groups", "evil,authors"),
    ("KUBEFLOW_GROUPS", ""),
    ("Txn-Token", "evil"),
    ("txn_token", "evil"),
    ("Authorization", "Bearer evil"),
    ("X-Forwarded-For", "6.6.6.6, evil"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "evil"),
    ("X-Forwarded-Uri", "/public/evil"),
    ("X-Forwarded-Uri", "/public/evil2"),
    ("X-Forwarded-Method", "EVIL"),
    ("X-Forwarded-User", "evil"),
    ("X-Original-URL", "/evil"),
    ("X-Rewrite-URL", "/evil"),
    ("Forwarded", "for=evil"),
    // Some servers have an underscore in the place of every sign.
    ("kubeflow.userid", "evil@example.com"),
    ("Kubeflow~Groups", "evil"),
    ("txn.token", "evil"),
    ("X_Original_URL", "/evil"),
    ("X-Original_URL", "/evil"),
    ("X_Forwarded_Host", "evil.example"),
    ("X_Rewrite-URL", "/evil"),
    ("X-Forwarded_User", "evil"),
    ("x.forwarded.user", "evil"),
];

const PAGE: (&str, &str) = ("Accept", "text/html");

struct House {
    front: u16,
    dex: Dex,
    countersign: Countersign,
    proxy: Running,
    _backend: Backend,
}

impl House {
    async fn build(proxy: Proxy) -> Self {
        Self::build_with(proxy, |_| ()).await
    }

    async fn build_with(proxy: Proxy, alter: impl FnOnce(&mut Value)) -> Self {
        let front = free_port();
        let origin = format!("http://localhost:{front}");
        let dex = Dex::start(&format!("{origin}/oauth2/callback")).await;
        let backend = Backend::start().await;
        let countersign = Countersign::start_from(proxy.settings(), &origin, &dex.issuer(), |settings| {
            let rules = settings["rules"].as_array_mut().expect("the example has rules");
            rules.push(json!({"path": "/keeps/", "token": "none", "authorization": "keep"}));
            alter(settings);
        })
        .await;
        let ports = Ports { proxy: front, countersign: countersign.port(), backend: backend.port() };
        let proxy = proxy.start(&ports).await;
        Self { front, dex, countersign, proxy, _backend: backend }
    }

    fn at(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.front)
    }

    async fn signed_in(&self, name: &str) -> Browser {
        let browser = Browser::open().await;
        browser.go(&self.at("/home")).await;
        browser.sign_in_at_dex(name).await;
        browser.arrives(&self.at("/home")).await;
        browser
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        wire::get(self.front, target, headers).await
    }
}

/// Each test, once with either.
macro_rules! with_both {
    ($($test:ident)+) => {
        mod nginx {
            $(#[tokio::test] async fn $test() { super::$test(super::Proxy::Nginx).await })+
        }
        mod caddy {
            $(#[tokio::test] async fn $test() { super::$test(super::Proxy::Caddy).await })+
        }
    };
}

with_both! {
    a_stranger_signs_in_and_arrives_where_they_wanted_to_go
    nothing_forged_reaches_the_workload
    who_may_not_enter_is_told_so_in_their_own_way
    a_click_ends_the_session_for_the_very_next_request
    a_websocket_opens_for_the_signed_in_only
    large_requests_pass
    without_dex_sessions_go_on_and_signing_in_says_why_not
    without_countersign_nothing_passes
    a_proxy_that_is_not_trusted_opens_nothing
    sign_ins_are_counted_by_the_address_that_the_proxy_saw
}

async fn a_stranger_signs_in_and_arrives_where_they_wanted_to_go(proxy: Proxy) {
    let house = House::build(proxy).await;
    let browser = Browser::open().await;
    let wanted = "/reports/q3?year=2026&tag=a%2Fb&tag=c";

    browser.go(&house.at(wanted)).await;
    assert!(browser.address().await.as_str().starts_with(&house.dex.issuer()), "at {}", browser.address().await);
    browser.sign_in_at_dex("ann").await;
    browser.arrives(&house.at(wanted)).await;

    let received = browser.received().await;
    assert_eq!(received.path, wanted);
    assert_eq!(received.one("host"), format!("localhost:{}", house.front));
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    assert!(received.one("authorization").starts_with("Bearer eyJ"), "{received:?}");
    assert_eq!(received.all("cookie"), Vec::<&str>::new(), "the session cookie is not for workloads");
    // What proxies log has no code in it.
    assert!(!house.proxy.log().contains("code="), "{}", house.proxy.log());
}

async fn nothing_forged_reaches_the_workload(proxy: Proxy) {
    let house = House::build(proxy).await;
    let ann = house.signed_in("ann").await;
    let cookie = format!("theme=dark; braces={{env.HOME}}; {}", ann.cookie_header().await);

    let mut headers = FORGED.to_vec();
    headers.push(("Cookie", &cookie));
    // Hop-by-hop by the client's wish: it must not strip what is set for the workload.
    headers.push(("Connection", "kubeflow-userid, cookie"));
    let answer = house.get("/app", &headers).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = answer.received();
    assert!(!answer.body.contains("evil") && !answer.body.contains("6.6.6.6"), "{received:?}");
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(received.one("kubeflow-groups"), "authors,staff");
    assert!(received.one("authorization").starts_with("Bearer eyJ"), "{received:?}");
    // The workload's own cookies stay.
    assert_eq!(received.one("cookie"), "theme=dark; braces={env.HOME}");

    // A script on a page cannot, either.
    let forged = json!({"Kubeflow_Userid": "evil", "kubeflow-userid": "evil", "Txn-Token": "evil", "Authorization": "evil",
        "X-Forwarded-Uri": "/public/evil"});
    let fetched = ann.fetch("/api/me", forged).await;
    let body = fetched["body"].as_str().expect("a body");
    assert!(fetched["status"] == 200 && !body.contains("evil") && body.contains("ann@example.com"), "{fetched}");

    // Nor does it make another request of it, or another person of nobody.
    let by_script = [&FORGED[..], &[("Accept", "application/json")]].concat();
    assert_eq!(house.get("/app", &by_script).await.status, 401);
    let named = [PAGE, ("X-Forwarded-Uri", "/public/evil"), ("X-Forwarded-Host", "evil.example")];
    let sent_away = house.get("/app?x=1", &named).await;
    let location = house.at("/oauth2/start?rd=/app%3Fx%3D1");
    assert_eq!((sent_away.status, sent_away.header("location")), (302, Some(&*location)), "{sent_away:?}");
    assert_eq!(sent_away.header("set-cookie"), None, "a check keeps no state");

    // On a public page nobody has a name.
    for cookie in [None, Some(("Cookie", &*cookie))] {
        let mut headers = FORGED.to_vec();
        headers.extend(cookie);
        let answer = house.get("/public/page", &headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = answer.received();
        assert!(!answer.body.contains("evil") && !answer.body.contains("ann"), "{received:?}");
        for owned in ["authorization", "kubeflow-userid", "kubeflow-groups", "txn-token", "kubeflow_userid"] {
            assert_eq!(received.all(owned), Vec::<&str>::new(), "{owned}");
        }
        let left: &[&str] = if cookie.is_some() { &["theme=dark; braces={env.HOME}"] } else { &[] };
        assert_eq!(received.all("cookie"), left);
    }

    // Where a rule leaves the client's own word, it is left.
    let kept = house.get("/keeps/x", &[("Cookie", &cookie), ("Authorization", "token abc")]).await;
    assert_eq!(kept.received().one("authorization"), "token abc");
    let kept = house.get("/keeps/x", &[("Cookie", &cookie)]).await;
    assert_eq!(kept.received().all("authorization"), Vec::<&str>::new());
}

async fn who_may_not_enter_is_told_so_in_their_own_way(proxy: Proxy) {
    let house = House::build(proxy).await;
    let bob = house.signed_in("bob").await;
    bob.go(&house.at("/authors/drafts")).await;
    bob.reads("may not enter").await;
    bob.reads("bob@example.com").await;
    let cookie = bob.cookie_header().await;
    let page = house.get("/authors/drafts", &[("Cookie", &cookie), PAGE]).await;
    assert_eq!(page.status, 403, "{page:?}");
    let script =
        wire::send(house.front, "PUT", "/authors/drafts", &[("Cookie", &cookie), ("Content-Length", "0")]).await;
    assert_eq!((script.status, script.header("content-type")), (403, Some("application/json")), "{script:?}");

    // Nobody's script learns the way in; nothing piles up.
    bob.go(&house.at("/home")).await;
    let answer = bob.script(
        "fetch('/api/x?y=1', {credentials: 'omit'}).then(async it => done([it.status, await it.json()]));",
        vec![],
    );
    let answer = answer.await;
    assert_eq!((&answer[0], &answer[1]["error"]), (&json!(401), &json!("sign_in_required")), "{answer}");
    assert_eq!(answer[1]["login_url"], "/oauth2/start?rd=/api/x%3Fy%3D1");
    let script = wire::send(house.front, "DELETE", "/api/x", &[PAGE]).await;
    assert_eq!((script.status, script.header("www-authenticate")), (401, Some("Bearer")), "{script:?}");
    assert_eq!(script.headers.iter().filter(|(name, _)| name == "www-authenticate").count(), 1, "{script:?}");
    assert_eq!(script.header("set-cookie"), None);
    let framed = house.get("/jupyter/", &[PAGE, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")]).await;
    assert!(framed.status == 401 && framed.body.contains("target=\"_blank\""), "{framed:?}");

    // Paths that servers read in different ways.
    for path in ["/public/..%2fauthors/x", "/public/..;/authors/x", "/public/%2e%2e/authors/x"] {
        let answer = house.get(path, &[("Cookie", &cookie), PAGE]).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.body.contains("read in more than one way"), "{answer:?}");
    }
}

async fn a_click_ends_the_session_for_the_very_next_request(proxy: Proxy) {
    let house = House::build(proxy).await;
    let ann = house.signed_in("ann").await;
    let cookie = ann.cookie_header().await;
    let asks = [("Cookie", cookie.as_str()), ("Accept", "application/json")];
    ann.go(&house.at("/oauth2/sign_out")).await;
    ann.reads("ann@example.com").await;
    assert_eq!(house.get("/app", &asks).await.status, 200);
    ann.click("form button[type=submit]").await;
    ann.reads("signed out").await;
    assert_eq!(house.get("/app", &asks).await.status, 401, "the cookie that somebody kept");
    ann.go(&house.at("/home")).await;
    ann.sees("#login").await;
}

async fn a_websocket_opens_for_the_signed_in_only(proxy: Proxy) {
    let house = House::build(proxy).await;
    let socket = format!("ws://localhost:{}/kernel/channels", house.front);
    let ann = house.signed_in("ann").await;
    assert_eq!(ann.websocket(&socket).await, json!({"echo": "hello"}));
    let handshake = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = house.get("/kernel/channels", &handshake).await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

async fn large_requests_pass(proxy: Proxy) {
    let house = House::build(proxy).await;
    let ann = house.signed_in("ann").await;
    // More than Countersign takes as a body of its own.
    let post = "fetch('/upload', {method: 'POST', body: 'x'.repeat(arguments[0])}).then(it => done(it.status));";
    assert_eq!(ann.script(post, vec![json!(600_000)]).await, 200);
    let crumbs = format!("crumbs={}; {}", "x".repeat(6000), ann.cookie_header().await);
    let answer = house.get("/app", &[("Cookie", &crumbs)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.received().one("cookie").len(), "crumbs=".len() + 6000);
}

async fn without_dex_sessions_go_on_and_signing_in_says_why_not(proxy: Proxy) {
    let mut house = House::build(proxy).await;
    let ann = house.signed_in("ann").await;
    house.dex.stop();
    ann.go(&house.at("/without-dex")).await;
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com");
    crate::part::eventually("signing in says that Dex is away", || async {
        let answer = house.get("/oauth2/start?rd=/wanted", &[PAGE]).await;
        if answer.status == 503 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let bob = Browser::open().await;
    bob.go(&house.at("/wanted?by=bob")).await;
    bob.reads("identity provider is away").await;
}

async fn without_countersign_nothing_passes(proxy: Proxy) {
    let mut house = House::build(proxy).await;
    let ann = house.signed_in("ann").await;
    let cookie = ann.cookie_header().await;
    house.countersign.stop();
    let status = if proxy == Proxy::Nginx { 503 } else { 502 };
    for target in ["/app", "/public/page"] {
        let answer = house.get(target, &[("Cookie", &cookie)]).await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert!(answer.body.contains("in a moment"), "{answer:?}");
    }
}

async fn a_proxy_that_is_not_trusted_opens_nothing(proxy: Proxy) {
    let house = House::build_with(proxy, |settings| settings["trusted_proxies"] = json!(["192.0.2.1"])).await;
    for target in ["/app", "/public/page"] {
        let answer = house.get(target, &[PAGE]).await;
        assert!(answer.status == 403 && answer.body.contains("trusted_proxies"), "{target}: {answer:?}");
    }
    let log = house.countersign.log();
    let told = log.lines().filter(|line| line.contains("add its address to trusted_proxies"));
    assert_eq!(told.filter(|line| line.contains("127.0.0.1")).count(), 1, "{log}");
}

async fn sign_ins_are_counted_by_the_address_that_the_proxy_saw(proxy: Proxy) {
    let limits = |settings: &mut Value| settings["limits"] = json!({"sign_ins_per_address": "3/1h"});
    let house = House::build_with(proxy, limits).await;
    // The proxy's own address is trusted, and nobody's.
    let start_from = async |last: u8, forged: &str| {
        let headers = [PAGE, ("X-Forwarded-For", forged)];
        wire::send_from([127, 0, 0, last].into(), house.front, "GET", "/oauth2/start", &headers).await
    };
    for number in 0..3 {
        assert_eq!(start_from(2, &format!("198.51.100.{number}")).await.status, 302);
    }
    let refused = start_from(2, "198.51.100.7").await;
    assert!(refused.status == 429 && refused.body.contains("from 127.0.0.2: "), "{refused:?}");
    assert_eq!(start_from(3, "127.0.0.2").await.status, 302, "nobody uses up what another has");
}
