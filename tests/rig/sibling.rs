//! A host beside the gateway's own, in somebody else's hands. Browsers let it set cookies for the domain that both share, and
//! take it for the same site. It has a session of its own to plant: whoever visits it must not become that person.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::envoy::Variant;
use crate::hostile::{Hostile, SIBLING};
use crate::house::House;

/// What our cookies' names begin with, where they are as they should be.
const OURS: &str = "__Host-countersign";
/// Every way to have our name, or what some server takes for it, behind a domain.
const NAMES: [&str; 10] = [
    "countersign",
    "__Secure-countersign",
    "__Host-countersign",
    "__host-countersign",
    "__HOST-COUNTERSIGN",
    "Host-countersign",
    // White space that servers trim and browsers do not.
    "\u{2000}__Host-countersign",
    "\u{a0}__Host-countersign",
    // No name at all, so that the value looks like one.
    "=__Host-countersign",
    "==__Host-countersign",
];
/// Where one cookie is enough.
const ROOT: [&str; 1] = ["/"];
/// Who has the longest path comes first in what a browser sends.
const PATHS: [&str; 4] = ["/", "/home", "/oauth2", "/oauth2/callback"];

#[tokio::test]
async fn nobody_becomes_whoever_a_sibling_host_has_signed_in() {
    let (house, evil) = (over_tls().await, Hostile::start().await);
    let bobs = the_one(&house.signed_in("bob").await).await.1;
    let toss = tosses(&evil, "", &bobs, &ROOT);

    let ann = Browser::open().await;
    ann.go(&toss).await;
    let kept = ann.script("done(document.cookie)", vec![]).await;
    assert!(kept.as_str().is_some_and(|kept| kept.contains(&format!("countersign={bobs}"))), "it tosses: {kept}");
    ann.go(&house.at("/home")).await;
    ann.sign_in_at_dex("ann").await;
    is_ann(&ann, &house).await;

    // Beside her own, and before it.
    for paths in [&ROOT[..], &PATHS] {
        ann.go(&tosses(&evil, "", &bobs, paths)).await;
        is_ann(&ann, &house).await;
    }
}

#[tokio::test]
async fn nobody_finishes_a_login_that_a_sibling_host_began() {
    let (house, evil) = (over_tls().await, Hostile::start().await);
    // Bob stops short of the end, and has what he needs: the address with the code, and the cookie of the login.
    let bob = Browser::open().await;
    bob.go(&house.at("/home")).await;
    let at_dex = bob.tab().await;
    bob.new_tab().await;
    bob.go(&house.at("/public/page")).await;
    let (name, flow) = the_one(&bob).await;
    bob.forget_cookies().await;
    bob.turn_to(&at_dex).await;
    bob.sign_in_at_dex("bob").await;
    bob.reads("This sign-in is over").await;
    let callback = bob.address().await;

    let ann = Browser::open().await;
    for paths in [&ROOT[..], &PATHS] {
        ann.go(&tosses(&evil, &name[OURS.len()..], &flow, paths)).await;
        ann.go(callback.as_str()).await;
        ann.reads("This sign-in is over").await;
        ann.go(&house.at("/oauth2/userinfo")).await;
        ann.reads("sign_in_required").await;
    }
    // The page leads out of it.
    ann.go(callback.as_str()).await;
    ann.click(".actions a").await;
    ann.sign_in_at_dex("ann").await;
    ann.arrives(&house.at("/")).await;
    is_ann(&ann, &house).await;
    // With a session of her own she stays who she is.
    ann.go(callback.as_str()).await;
    is_ann(&ann, &house).await;
    // All the while it was worth something: with its own cookie Bob's login ends well.
    bob.script(&format!("document.cookie = '{name}={flow}; Path=/; Secure'; done(null)"), vec![]).await;
    bob.go(callback.as_str()).await;
    bob.arrives(&house.at("/home")).await;
    assert_eq!(bob.received().await.one("kubeflow-userid"), "bob@example.com");
}

#[tokio::test]
async fn a_jar_that_a_sibling_host_fills_costs_a_sign_in_and_makes_nobody_somebody_else() {
    let (house, evil) = (over_tls().await, Hostile::start().await);
    let bobs = the_one(&house.signed_in("bob").await).await.1;
    let toss = tosses(&evil, "", &bobs, &ROOT);
    evil.says("/empty", &[], "");
    let fill = "for (let at = 0; at < arguments[0]; at++)
                  document.cookie = `junk${at}=${'x'.repeat(arguments[1])}; Domain=example.test; Path=/; Secure`;
                done(document.cookie.split('; ').length);";

    let ann = house.signed_in("ann").await;
    ann.go(&evil.at(SIBLING, "/empty")).await;
    ann.script(fill, vec![json!(600), json!(8)]).await;
    ann.go(&house.at("/public/page")).await;
    assert_eq!(ours(&ann).await, Vec::<(String, String)>::new(), "hers was pushed out");
    ann.go(&toss).await;
    ann.go(&house.at("/home")).await;
    ann.sign_in_at_dex("ann").await;
    is_ann(&ann, &house).await;

    // More than a request may hold: Envoy refuses it, and whoever clears the cookies of the site is let in again.
    ann.go(&evil.at(SIBLING, "/empty")).await;
    ann.script(fill, vec![json!(100), json!(4000)]).await;
    ann.go(&house.at("/home")).await;
    ann.reads("Request Header Fields Too Large").await;
    ann.forget_cookies().await;
    ann.go(&house.at("/home")).await;
    ann.sign_in_at_dex("ann").await;
    is_ann(&ann, &house).await;
}

/// On plain http, where operators have said that they want it so, names have no prefix to go by.
#[tokio::test]
async fn two_sessions_that_cannot_be_told_apart_are_refused_with_a_way_out() {
    let insecure = |settings: &mut Value| settings["cookie"] = json!({"insecure": true});
    let house = House::build_at("http://auth.example.test", Variant::default(), insecure).await;
    let evil = Hostile::start().await;
    let bob = house.signed_in("bob").await.cookie_header().await;
    let bobs = bob.strip_prefix("countersign=").expect("his session alone");

    let ann = house.signed_in("ann").await;
    ann.go(&tosses(&evil, "", bobs, &PATHS)).await;
    for path in ["/home", "/oauth2/sessions", "/oauth2/start"] {
        ann.go(&house.at(path)).await;
        if path == "/oauth2/start" {
            ann.sign_in_at_dex("ann").await;
        }
        ann.reads("Two session cookies were sent").await;
        ann.reads("Clear this site's cookies in your browser, then sign in again.").await;
    }
    // Both that there are at this path and those of others.
    for path in PATHS {
        ann.go(&house.at(path)).await;
        ann.forget_cookies().await;
    }
    ann.go(&house.at("/home")).await;
    ann.sign_in_at_dex("ann").await;
    is_ann(&ann, &house).await;
}

async fn over_tls() -> House {
    House::build_at("https://auth.example.test", Variant::default(), |_| ()).await
}

/// A page of the sibling's that sets a cookie called as ours and `end`, in every way that there is. Its address.
fn tosses(evil: &Hostile, end: &str, value: &str, paths: &[&str]) -> String {
    let each = NAMES.iter().flat_map(|name| paths.iter().map(move |path| (name, path)));
    let cookies: Vec<String> = each
        .flat_map(|(name, path)| {
            ["; Secure", ""].map(|secure| format!("{name}{end}={value}; Domain=example.test; Path={path}{secure}"))
        })
        .collect();
    let script = format!("<script>for (const cookie of {}) document.cookie = cookie</script>", json!(cookies));
    evil.says("/toss", &cookies, &script);
    evil.at(SIBLING, "/toss")
}

/// The cookies of ours that would go to the current page.
async fn ours(browser: &Browser) -> Vec<(String, String)> {
    let header = browser.cookie_header().await;
    let pairs = header.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| name.starts_with(OURS)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The only one of them.
async fn the_one(browser: &Browser) -> (String, String) {
    let mut all = ours(browser).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Whoever the workload and we ourselves take her for.
async fn is_ann(browser: &Browser, house: &House) {
    browser.go(&house.at("/home")).await;
    browser.arrives(&house.at("/home")).await;
    let received = browser.received().await;
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    let told = browser.fetch("/oauth2/userinfo", json!({})).await;
    let told: Value = serde_json::from_str(told["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(told["user"], "ann@example.com");
}
