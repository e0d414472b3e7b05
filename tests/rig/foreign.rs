//! What pages of others' can have a browser do at the gateway: in the end Ann is as signed in as she was before.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::envoy::Variant;
use crate::hostile::{Hostile, SIBLING, STRANGER};
use crate::house::House;

/// Where a session ends, and with which form.
const ENDS: [(&str, &str); 3] = [
    ("/oauth2/sign_out", ""),
    ("/oauth2/sign_out", "<input name=rd value=/>"),
    ("/oauth2/sessions", "<input name=end_others value=1>"),
];

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_out() {
    let (house, evil) = (over_tls().await, Hostile::start().await);
    let (ann, elsewhere) = (house.signed_in("ann").await, house.signed_in("ann").await);
    for name in [STRANGER, SIBLING] {
        for (number, (path, fields)) in ENDS.iter().enumerate() {
            let action = house.at(path);
            let form = format!(
                "<form method=post action='{action}'>{fields}</form><script>document.forms[0].submit()</script>"
            );
            let own = format!("/form/{number}");
            evil.says(&own, &[], &form);
            ann.go(&evil.at(name, &own)).await;
            ann.reads("Not from this site").await;
            assert_eq!(ann.address().await.as_str(), action, "{name}");
            for browser in [&ann, &elsewhere] {
                is_signed_in(browser, &house).await;
            }
        }
    }
    // Six forms arrived, and each was refused.
    assert_eq!(house.envoy.logged("POST /oauth2/s"), 6);
    for (path, count) in [("sign_out", 4), ("sessions", 2)] {
        assert_eq!(house.envoy.logged(&format!("POST /oauth2/{path} 403 via_upstream")), count, "{path}");
    }
}

#[tokio::test]
async fn a_script_of_another_site_signs_nobody_out() {
    let (house, evil) = (over_tls().await, Hostile::start().await);
    let ann = house.signed_in("ann").await;
    evil.says("/", &[], "");
    let script = "const [at, type] = arguments;
        const form = new URLSearchParams({end_others: '1'});
        const sent = [
          fetch(at + '/oauth2/sign_out', {method: 'POST', credentials: 'include', mode: 'no-cors'}),
          fetch(at + '/oauth2/sign_out', {method: 'POST', credentials: 'include', mode: 'no-cors', body: form}),
          fetch(at + '/oauth2/sign_out', {method: 'POST', credentials: 'include', referrerPolicy: 'no-referrer', mode: 'no-cors'}),
          fetch(at + '/oauth2/sign_out', {method: 'POST', credentials: 'include', headers: {'x-requested-with': 'x'}}),
          fetch(at + '/oauth2/sign_out', {method: 'DELETE', credentials: 'include'}),
          fetch(at + '/oauth2/sign_out', {credentials: 'include', mode: 'no-cors'}),
          fetch(at + '/oauth2/frontchannel_logout', {credentials: 'include', mode: 'no-cors'}),
          new Promise(then => { const it = new Image(); it.onload = it.onerror = then; it.src = at + '/oauth2/sign_out'; }),
          new Promise(then => { const it = document.createElement('iframe'); it.onload = then; it.src = at + '/oauth2/sign_out';
            document.body.append(it); }),
          new Promise(then => { const it = document.createElement('link'); it.onload = it.onerror = then; it.rel = 'stylesheet';
            it.href = at + '/oauth2/sign_out'; document.head.append(it); }),
        ];
        navigator.sendBeacon(at + '/oauth2/sign_out', form);
        Promise.allSettled(sent).then(all => done(all.map(it => it.status)));";
    for name in [STRANGER, SIBLING] {
        ann.go(&evil.at(name, "/")).await;
        let settled = ann.script(script, vec![json!(house.at(""))]).await;
        assert_eq!(settled.as_array().map(Vec::len), Some(10), "{settled}");
        is_signed_in(&ann, &house).await;
    }
    // What needs a preflight never came; of the rest, four posts a site, every one was refused.
    house.envoy.logs("POST /oauth2/sign_out 403 via_upstream").await;
    assert_eq!(
        house.envoy.logged("POST /oauth2/sign_out"),
        house.envoy.logged("POST /oauth2/sign_out 403 via_upstream")
    );
    assert!(house.envoy.logged("POST /oauth2/sign_out") >= 6);
    assert_eq!(house.envoy.logged("DELETE "), 0);
}

/// A link alone asks, wherever it is.
#[tokio::test]
async fn a_link_of_another_site_asks_first() {
    let (house, evil) = (over_tls().await, Hostile::start().await);
    let ann = house.signed_in("ann").await;
    evil.says("/link", &[], &format!("<a href='{}'>a kitten</a>", house.at("/oauth2/sign_out")));
    for name in [STRANGER, SIBLING] {
        ann.go(&evil.at(name, "/link")).await;
        ann.click("a").await;
        ann.reads("Sign out?").await;
        ann.reads("ann@example.com").await;
        is_signed_in(&ann, &house).await;
    }
}

/// What each page says, and who may have it in a frame: nobody, or pages of the same origin.
#[tokio::test]
async fn pages_of_ours_are_not_shown_in_frames_of_others() {
    let with_pages = |settings: &mut Value| {
        let rules = settings["rules"].as_array_mut().expect("rules");
        rules.push(json!({"path": "/asks/", "unauthenticated": {"navigation": "page"}}));
    };
    let house = House::build_at("https://auth.example.test", Variant::default(), with_pages).await;
    let evil = Hostile::start().await;
    evil.says("/", &[], "");
    let bob = house.signed_in("bob").await;
    let stranger = Browser::open().await;
    stranger.go(&house.at("/public/page")).await;
    for (browser, path, says, in_own_frames) in [
        (&bob, "/oauth2/sign_out", "Sign out?", false),
        (&bob, "/oauth2/sessions", "Where you are signed in", false),
        (&bob, "/oauth2/signed_out", "You are signed out", false),
        (&bob, "/authors/drafts", "may not enter", true),
        (&bob, "/oauth2/callback", "no answer of a sign-in", true),
        (&bob, "/oauth2/unavailable", "cannot decide", true),
        (&stranger, "/app", "You are not signed in any more", true),
        (&stranger, "/asks/", "You are not signed in any more", true),
    ] {
        for name in [STRANGER, SIBLING] {
            browser.go(&evil.at(name, "/")).await;
            let shown = browser.framed(&house.at(path)).await;
            // Nor the provider's, though no cookie of ours comes there from another site, and the list asks for a sign-in.
            assert_eq!(shown, None, "{path} in a frame of {name}");
        }
        browser.go(&house.at("/public/page")).await;
        let shown = browser.framed(path).await;
        assert_eq!(shown.is_some(), in_own_frames, "{path} in a frame of our own origin: {shown:?}");
        assert!(shown.is_none_or(|shown| shown.contains(says)), "{path}");
        assert!(house.envoy.logged(&format!("GET {path} ")) >= 3, "{path} was not even asked for");
    }
    // Outside of frames they are there.
    for (path, says) in [("/oauth2/sign_out", "Sign out?"), ("/oauth2/sessions", "Where you are signed in")] {
        bob.go(&house.at(path)).await;
        bob.reads(says).await;
        bob.reads("bob@example.com").await;
    }
    stranger.go(&house.at("/asks/")).await;
    stranger.reads("Please sign in").await;
}

async fn over_tls() -> House {
    House::build_at("https://auth.example.test", Variant::default(), |_| ()).await
}

async fn is_signed_in(browser: &Browser, house: &House) {
    browser.go(&house.at("/home")).await;
    browser.arrives(&house.at("/home")).await;
    assert_eq!(browser.received().await.one("kubeflow-userid"), "ann@example.com");
}
