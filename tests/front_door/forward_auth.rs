//! The check as reverse proxies ask it: what they say of the request counts if they are trusted, and nothing else does.

use std::time::Duration;

use http::Method;
use regex::Regex;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser, PAGE, SESSION};
use crate::house::{HOST, House, ORIGIN};
use crate::{journal, rc_token};

const DOOR: &str = "/forward-auth";
const NGINX: &str = "/forward-auth?answer=401";
/// How nginx fetches what to tell a client that it has refused.
const FETCH: &str = "/forward-auth?answer=refusal";

const OWNED: [&str; 5] = ["authorization", "cookie", "kubeflow-groups", "kubeflow-userid", "txn-token"];

#[tokio::test]
async fn who_is_signed_in_passes_with_our_word_for_it() {
    let house = open().await;
    let browser = house.signed_in().await;
    browser.plant("theme", "dark");
    // Twice: made the first time, at hand the second.
    for door in [DOOR, NGINX, DOOR, NGINX] {
        let answer = ask(&browser, door, "GET", "/runs?x=1", &[PAGE, ("authorization", "Bearer mine")]).await;
        assert_eq!((answer.status, &*answer.body), (200, ""));
        assert_eq!(answer.header("kubeflow-userid"), "ann@example.com");
        assert_eq!(answer.header("kubeflow-groups"), "ml,ops");
        assert_eq!(answer.header("cookie"), "theme=dark");
        let (_, claims) = rc_token::verify(&browser, answer.token(), "mesh").await;
        assert_eq!(claims["sub"], "ann@example.com");
        assert_eq!(answer.headers.get("txn-token").map(http::HeaderValue::as_bytes), Some(&b""[..]));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.cookies().is_empty());
    }
    browser.forget("theme");
    let answer = ask(&browser, DOOR, "GET", "/", &[PAGE]).await;
    assert_eq!((answer.status, settled(&answer, "cookie")), (200, vec![""]), "nothing is left of it");
}

#[tokio::test]
async fn every_header_of_ours_is_settled_on_every_path() {
    let house = open().await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    somebody.plant("theme", "dark");
    let forged = [PAGE, ("authorization", "token abc"), ("kubeflow-userid", "eve"), ("kubeflow_userid", "eve")];
    for (browser, cookie) in [(&somebody, "theme=dark"), (&nobody, "")] {
        for path in ["/public/x", "/dex/token", "/maybe/x", "/notebook/x"] {
            let answer = ask(browser, DOOR, "GET", path, &forged).await;
            if path == "/notebook/x" && cookie.is_empty() {
                assert_eq!(answer.status, 302);
                continue;
            }
            assert_eq!(answer.status, 200, "{path}");
            for name in OWNED {
                assert_eq!(settled(&answer, name).len(), 1, "{path}: {name} in {:?}", answer.headers);
            }
            assert_eq!(answer.header("cookie"), cookie, "{path}");
            let kept = path == "/dex/token" || path == "/notebook/x";
            if kept {
                assert_eq!(answer.header("authorization"), "token abc", "{path}");
            } else {
                assert!(!answer.header("authorization").contains("abc"), "{path}");
            }
            let known = !cookie.is_empty() && (path == "/maybe/x" || path == "/notebook/x");
            assert_eq!(answer.header("kubeflow-userid"), if known { "ann@example.com" } else { "" }, "{path}");
            assert!(!answer.headers.keys().any(|name| name.as_str().contains('_')), "{:?}", answer.headers);
        }
    }
    let without = ask(&nobody, DOOR, "GET", "/dex/token", &[PAGE]).await;
    assert_eq!(settled(&without, "authorization"), [""], "there was none to keep");

    // Our own pages, should a proxy ask about them, keep their cookies.
    let own = ask(&somebody, DOOR, "GET", "/oauth2/userinfo", &[PAGE, ("cookie", "b=2")]).await;
    let sent = format!("{SESSION}={}; theme=dark; b=2", somebody.cookie(SESSION).expect("a session"));
    assert_eq!((own.status, own.header("cookie")), (200, &*sent));
    assert_eq!(own.header("kubeflow-userid"), "");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let strangers = [vec![], vec!["10.0.0.0/8", "127.0.0.2/32", "::/1"]];
    for trusted in strangers {
        let house = open_with(&trusted).await;
        let browser = house.signed_in().await;
        let id = format!("untrusted-{}", trusted.len());
        for door in [DOOR, NGINX, FETCH] {
            for path in ["/", "/public/x", "/oauth2/start", "/admins/x", "/%"] {
                let forged =
                    [PAGE, ("x-request-id", &*id), ("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1")];
                let answer = ask(&browser, door, "GET", path, &forged).await;
                assert_eq!((answer.status, answer.json()["error"].clone()), (403, json!("untrusted_proxy")), "{path}");
                assert!(answer.json()["message"].as_str().expect("words").contains("trusted_proxies"));
                nothing_is_told(&answer);
            }
        }
        // Once, with what to set and whom.
        let told = journal::said("add its address to trusted_proxies", &id);
        assert_eq!(told.iter().map(|line| line["peer"].clone()).collect::<Vec<_>>(), ["127.0.0.1"]);
        house.clock.advance(Duration::from_secs(59));
        ask(&browser, DOOR, "GET", "/", &[("x-request-id", &id)]).await;
        assert_eq!(journal::said("trusted_proxies", &id).len(), 1);
        house.clock.advance(Duration::from_secs(1));
        ask(&browser, DOOR, "GET", "/", &[("x-request-id", &id)]).await;
        assert_eq!(journal::said("trusted_proxies", &id).len(), 2);
    }
}

#[tokio::test]
async fn what_is_not_told_exactly_once_is_not_guessed() {
    let house = open().await;
    let browser = house.signed_in().await;
    let told = [("x-forwarded-method", "GET"), ("x-forwarded-host", HOST), ("x-forwarded-uri", "/public/x")];
    for (index, (name, value)) in told.into_iter().enumerate() {
        let (mut missing, mut twice, mut empty, mut two) = (told.to_vec(), told.to_vec(), told.to_vec(), told.to_vec());
        missing.remove(index);
        twice.push((name, value));
        empty[index].1 = "";
        two.push((name, "/public/y"));
        for (what, headers) in [("missing", missing), ("twice", twice), ("empty", empty), ("two", two)] {
            for (door, status) in [(DOOR, 400), (NGINX, 401), (FETCH, 400)] {
                let answer = browser.ask(Method::GET, door, &headers).await;
                assert_eq!(
                    (answer.status, answer.json()["error"].clone()),
                    (status, json!("badly_asked")),
                    "{name} {what}"
                );
                assert!(answer.json()["message"].as_str().expect("words").contains(name), "{}", answer.body);
                nothing_is_told(&answer);
            }
        }
    }
    for query in ["?answer=402", "?answer=401&answer=200", "?Answer=401", "?x", "?answer=401&"] {
        let answer = ask(&browser, &format!("{DOOR}{query}"), "GET", "/public/x", &[]).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("badly_asked")), "{query}");
    }
    for path in ["/forward-auth/", "/forward-auth/public/x", "/Forward-Auth"] {
        assert_eq!(ask(&browser, path, "GET", "/public/x", &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_request_is_what_the_proxy_says_it_is() {
    let house = open().await;
    let (nobody, ann) = (house.browser(), house.signed_in().await);
    // The door's own path, host and method are nobody's.
    for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
        let headers = [PAGE, ("host", "a.open.example.com"), ("content-length", "0")];
        let told = [("x-forwarded-method", "GET"), ("x-forwarded-host", HOST), ("x-forwarded-uri", "/x")];
        let answer = nobody.ask(method, DOOR, &[&headers[..], &told].concat()).await;
        assert_eq!((answer.status, answer.location()), (302, "https://mesh.example.com/oauth2/start?rd=/x"));
    }
    // Which method, by the rule and by what can be redirected.
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    for (method, path, headers, status) in [
        ("OPTIONS", "/cors/x", &preflight[..], 200),
        ("GET", "/cors/x", &preflight, 302),
        ("POST", "/x", &[PAGE], 401),
        ("get", "/x", &[PAGE], 400),
        ("G\u{e9}T", "/x", &[PAGE], 400),
    ] {
        assert_eq!(ask(&nobody, DOOR, method, path, headers).await.status, status, "{method} {path}");
    }
    for (host, status) in [
        ("a.open.example.com", 200),
        ("a.open.example.com:8443", 400),
        ("a.open.example.com.", 400),
        ("a.open.example.com, mesh.example.com", 400),
        ("user@a.open.example.com", 400),
        ("open.example.com", 302),
    ] {
        let told = [PAGE, ("x-forwarded-method", "GET"), ("x-forwarded-host", host), ("x-forwarded-uri", "/x?y=1")];
        let answer = nobody.ask(Method::GET, DOOR, &told).await;
        assert_eq!(answer.status, status, "{host}");
        if status == 302 {
            assert_eq!(answer.location(), "https://mesh.example.com/oauth2/start?rd=/x%3Fy%3D1");
        }
    }
    for path in [
        "/public/../admins/x",
        "/public/..%2fadmins/x",
        "/public/..;/admins/x",
        "//public/../admins/",
        "/public/%",
        "http://mesh.example.com/public/x",
        "public/x",
        "*",
        "/public/x#y",
        "/public/x y",
    ] {
        for browser in [&nobody, &ann] {
            let page = ask(browser, DOOR, "GET", path, &[PAGE]).await;
            assert_eq!(page.status, 400, "{path}");
            assert!(page.page().contains("read in more than one way"), "{path}");
            nothing_is_told(&page);
            let script = ask(browser, NGINX, "POST", path, &[]).await;
            assert_eq!((script.status, script.json()["error"].clone()), (401, json!("ambiguous_path")), "{path}");
        }
    }
}

#[tokio::test]
async fn who_may_not_pass_gets_the_real_answer() {
    let house = open().await;
    let (nobody, ann) = (house.browser(), house.signed_in().await);
    let page = ask(&nobody, DOOR, "GET", "/a%20b?q=%22&r=1", &[PAGE]).await;
    let start = format!("{ORIGIN}/oauth2/start?rd=/a%2520b%3Fq%3D%2522%26r%3D1");
    assert_eq!((page.status, page.location()), (302, &*start), "absolute: Traefik resolves it against our own address");
    let script = ask(&nobody, DOOR, "GET", "/api", &[("accept", "application/json")]).await;
    assert_eq!((script.status, script.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(script.json()["login_url"], "/oauth2/start?rd=/api");
    let framed = [PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let framed = ask(&nobody, DOOR, "GET", "/x", &framed).await;
    assert!(framed.status == 401 && framed.page().contains("target=\"_blank\""), "{}", framed.body);
    let denied = ask(&ann, DOOR, "GET", "/admins/x", &[PAGE]).await;
    assert!(denied.status == 403 && denied.page().contains("Needs one of the groups: admins"), "{}", denied.body);
    ann.plant(SESSION, "tossed");
    let two = ask(&ann, DOOR, "GET", "/x", &[PAGE]).await;
    assert_eq!(two.status, 400);
    for answer in [page, script, framed, denied, two] {
        nothing_is_told(&answer);
        assert!(answer.cookies().is_empty());
    }
}

#[tokio::test]
async fn nginx_is_answered_in_the_two_refusals_that_it_knows() {
    let house = open().await;
    let (nobody, ann) = (house.browser(), house.signed_in().await);
    let start = "https://mesh.example.com/oauth2/start?rd=/x";
    for (browser, method, path, headers, status, location) in [
        (&nobody, "GET", "/x", &[PAGE][..], 401, start),
        (&nobody, "GET", "/x", &[("accept", "*/*")], 401, ""),
        (&nobody, "POST", "/x", &[PAGE], 401, ""),
        (&nobody, "GET", "/x%", &[PAGE], 401, ""),
        (&nobody, "GET", "/admins/x", &[PAGE], 401, "https://mesh.example.com/oauth2/start?rd=/admins/x"),
        (&ann, "GET", "/admins/x", &[PAGE], 403, ""),
        (&ann, "POST", "/admins/x", &[], 403, ""),
        (&ann, "GET", "/x", &[PAGE], 200, ""),
        (&nobody, "GET", "/public/x", &[], 200, ""),
    ] {
        let answer = ask(browser, NGINX, method, path, headers).await;
        assert_eq!((answer.status, answer.location()), (status, location), "{method} {path}");
        if status != 200 {
            nothing_is_told(&answer);
        }

        // And then it fetches what to tell the client: the real answer, and never an allow.
        let (fetched, real) =
            (ask(browser, FETCH, method, path, headers).await, ask(browser, DOOR, method, path, headers).await);
        nothing_is_told(&fetched);
        if real.status == 200 {
            assert_eq!((fetched.status, fetched.header("retry-after")), (503, "5"), "{method} {path}");
        } else {
            assert_eq!((fetched.status, fetched.location()), (real.status, real.location()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_token_that_a_workload_received_is_worth_nothing_here_either() {
    let house = open().await;
    let ann = house.signed_in().await;
    let bearer = format!("Bearer {}", ask(&ann, DOOR, "GET", "/", &[PAGE]).await.token());
    let nobody = house.browser();
    assert_eq!(ask(&nobody, DOOR, "GET", "/", &[PAGE, ("authorization", &bearer)]).await.status, 302);
    for browser in [&nobody, &ann] {
        let answer = ask(browser, DOOR, "GET", "/dex/token", &[("accept", "*/*"), ("authorization", &bearer)]).await;
        assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("own_token")));
    }
}

/// What Traefik makes of an answer: each header of the request that the example's pattern matches goes, and each of the
/// answer's comes in its place.
#[tokio::test]
async fn nothing_forged_passes_traefik_as_the_example_sets_it_up() {
    let example: Value = serde_saphyr::from_str(include_str!("../../examples/traefik/dynamic.yaml")).expect("YAML");
    let forward_auth = &example["http"]["middlewares"]["countersign"]["forwardAuth"];
    let pattern = forward_auth["authResponseHeadersRegex"].as_str().expect("a pattern");
    let owned = Regex::new(pattern).expect("a pattern");
    assert_eq!(forward_auth["address"], format!("http://127.0.0.1:9000{DOOR}"));
    assert_eq!(forward_auth["trustForwardHeader"], false);
    let router = &example["http"]["routers"]["workload"];
    assert_eq!(router["middlewares"], json!(["no-forged-request", "countersign"]));

    let house = open().await;
    let (ann, nobody) = (house.signed_in().await, house.browser());
    for (browser, path, user) in [(&ann, "/x", "ann@example.com"), (&ann, "/public/x", ""), (&nobody, "/public/x", "")]
    {
        // As Go's server spells names.
        let cookie = browser.cookie(SESSION).map(|value| format!("{SESSION}={value}")).unwrap_or_default();
        let request: Vec<(&str, &str)> = vec![
            ("Accept", PAGE.1),
            ("Authorization", "Bearer evil"),
            ("Cookie", &cookie),
            ("Kubeflow-Userid", "evil"),
            ("Kubeflow_userid", "evil"),
            ("Kubeflow-Groups", "evil"),
            ("Kubeflow_groups", "evil"),
            ("Kubeflow.userid", "evil"),
            ("Kubeflow~groups", "evil"),
            ("Txn-Token", "evil"),
            ("Txn_token", "evil"),
            ("X-Forwarded_user", "evil"),
            ("X_forwarded_user", "evil"),
            ("X.forwarded.user", "evil"),
            ("X_original-Url", "evil"),
            ("X_rewrite_url", "evil"),
        ];
        // Traefik's own, as it writes them.
        let told = [
            ("X-Forwarded-For", "192.0.2.7"),
            ("X-Forwarded-Host", HOST),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Server", "traefik"),
            ("X-Forwarded-Uri", path),
            ("X-Real-Ip", "192.0.2.7"),
        ];
        let headers: Vec<(&str, &str)> =
            request.iter().filter(|(name, _)| *name != "Cookie").copied().chain(told).collect();
        let answer = browser.ask(Method::GET, DOOR, &headers).await;
        assert_eq!(answer.status, 200, "{path}");
        let mut upstream: Vec<(String, String)> = request
            .iter()
            .filter(|(name, _)| !owned.is_match(name))
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for (name, value) in answer.headers.iter().filter(|(name, _)| owned.is_match(name.as_str())) {
            upstream.push((name.as_str().to_owned(), value.to_str().expect("a text").to_owned()));
        }
        let all = format!("{upstream:?}");
        assert!(!all.contains("evil") && !all.contains(SESSION), "{all}");
        let users: Vec<&str> =
            upstream.iter().filter(|(name, _)| name == "kubeflow-userid").map(|(_, value)| &**value).collect();
        assert_eq!(users, [user], "{all}");
    }
}

async fn open() -> House {
    open_with(&["127.0.0.0/8"]).await
}

async fn open_with(trusted: &[&str]) -> House {
    let trusted = trusted.iter().map(|network| network.parse().expect("a network")).collect();
    House::open_with(|settings| settings.trusted_proxies = trusted).await
}

/// Asks as a proxy does, about a request with these headers.
async fn ask(browser: &Browser, door: &str, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let told = [("x-forwarded-method", method), ("x-forwarded-host", HOST), ("x-forwarded-uri", uri)];
    browser.ask(Method::GET, door, &[&told, &[("host", "countersign.internal:9000")][..], headers].concat()).await
}

fn settled<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().expect("a text")).collect()
}

/// No header of an allow, which would let a proxy or a client take something from a refusal.
fn nothing_is_told(answer: &Answer) {
    assert_ne!(answer.status, 200);
    for name in OWNED {
        assert_eq!(answer.headers.get(name), None, "{name} in a refusal");
    }
}
