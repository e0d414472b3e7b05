//! What the gateway does to a request that passes: whatever is ours is set or taken away, on every path.

use http::Method;
use serde_json::json;

use crate::browser::{PAGE, SESSION};
use crate::house::{self, House};
use crate::rc_token;

/// What a client forges, in every spelling.
const FORGED: [(&str, &str); 8] = [
    PAGE,
    ("authorization", "Bearer mine"),
    ("kubeflow-userid", "eve@example.com"),
    ("kubeflow_userid", "eve@example.com"),
    ("kubeflow-groups", "admins"),
    ("KubeFlow_Groups", "admins"),
    ("txn-token", "mine"),
    ("txn_token", "mine"),
];
const UNDERSCORED: [&str; 3] = ["kubeflow_groups", "kubeflow_userid", "txn_token"];
const ALL: [&str; 7] = [
    "authorization",
    "kubeflow-groups",
    "kubeflow-userid",
    "txn-token",
    UNDERSCORED[0],
    UNDERSCORED[1],
    UNDERSCORED[2],
];
const WITHOUT_AUTHORIZATION: &[&str] = ALL.split_at(1).1;

#[tokio::test]
async fn a_session_is_who_the_mesh_sees_whatever_the_client_says() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    browser.plant("theme", "dark");
    for target in ["/", "/pipeline/runs?x=1"] {
        // Twice: made the first time, at hand the second.
        for _ in 0..2 {
            let answer = browser.check_with(Method::GET, target, &FORGED).await;
            assert_eq!((answer.status, &*answer.body), (200, ""));
            assert_eq!(answer.header("kubeflow-userid"), "ann@example.com");
            assert_eq!(answer.header("kubeflow-groups"), "ml,ops");
            assert_eq!(answer.header("cookie"), "theme=dark");
            assert_eq!(answer.removed(), [&["txn-token"], &UNDERSCORED[..]].concat());
            assert!(answer.cookies().is_empty());
        }
    }
    browser.forget("theme");
    let answer = browser.check("/").await;
    assert_eq!((answer.header("cookie"), answer.removed().last()), ("", Some(&"cookie")), "nothing is left of it");
}

#[tokio::test]
async fn its_token_says_who_and_for_whom_and_for_how_long() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let now = house::BEGINNING.as_secs();
    let answer = browser.check("/").await;
    let (header, claims) = rc_token::verify(&browser, answer.token(), "mesh").await;
    assert_eq!(header.typ.as_deref(), Some("rc+jwt"));
    for (name, value) in [
        ("iss", json!("https://mesh.example.com")),
        ("sub", json!("ann@example.com")),
        ("aud", json!(["mesh"])),
        ("iat", json!(now)),
        ("nbf", json!(now - 30)),
        ("exp", json!(now + 300)),
        ("email", json!("ann@example.com")),
        ("groups", json!(["ml", "ops"])),
        ("groups_csv", json!("ml,ops")),
        ("auth_time", json!(now)),
        ("idp", json!("corp")),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(claims.get("signed_in_at"), None, "the provider said when");
    let sid = claims["sid"].as_str().expect("a sid");
    assert!(sid.len() >= 16 && !browser.cookie(SESSION).expect("a session").contains(sid));

    let runs = browser.check("/pipeline/x").await;
    let (_, for_runs) = rc_token::verify(&browser, runs.token(), "pipelines").await;
    assert_eq!((&for_runs["aud"], &for_runs["sid"]), (&json!(["pipelines", "runs"]), &claims["sid"]));
    assert_ne!(for_runs["jti"], claims["jti"]);
    assert_eq!(browser.check("/").await.token(), answer.token(), "a rule's token is no other rule's");
}

#[tokio::test]
async fn a_token_is_handed_out_until_half_of_its_life_is_over_and_never_outlives_its_session() {
    let house = House::open_with(|settings| settings.session.renew_every = settings.session.max_age).await;
    house.idp.lie(|idp| idp.token_answer = Box::new(|answer| answer["expires_in"] = json!(100_000)));
    let browser = house.signed_in().await;
    let first = browser.check("/").await.token().to_owned();
    house.clock.advance(std::time::Duration::from_secs(149));
    assert_eq!(browser.check("/").await.token(), first);
    house.clock.advance(std::time::Duration::from_secs(1));
    let second = browser.check("/").await.token().to_owned();
    assert_ne!(second, first);
    assert_eq!(rc_token::claims(&second)["exp"], json!(house::BEGINNING.as_secs() + 450));

    // In steps that are shorter than `idle`, to a minute before the end.
    for _ in 0..6 {
        house.clock.advance(std::time::Duration::from_secs((86_400 - 150 - 60) / 6));
        assert_eq!(browser.check("/").await.status, 200);
    }
    let last = browser.check("/").await.token().to_owned();
    assert_eq!(rc_token::claims(&last)["exp"], json!(house::BEGINNING.as_secs() + 86_400));
    house.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(browser.check("/").await.status, 302);
}

#[tokio::test]
async fn without_an_identity_every_header_of_ours_goes() {
    let house = House::open().await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    somebody.plant("theme", "dark");
    for browser in [&somebody, &nobody] {
        let public = browser.check_with(Method::GET, "/public/logo.svg", &FORGED).await;
        assert_eq!((public.status, public.removed()), (200, ALL.to_vec()));
        let dex = browser.check_with(Method::GET, "/dex/token", &FORGED).await;
        assert_eq!((dex.status, dex.removed()), (200, WITHOUT_AUTHORIZATION.to_vec()), "authorization: keep");
        for answer in [public, dex] {
            assert_eq!(answer.headers.get("kubeflow-userid"), None);
            assert_eq!(answer.headers.get("authorization"), None);
            let cookie = if browser.cookie(SESSION).is_some() { "theme=dark" } else { "" };
            assert_eq!(answer.header("cookie"), cookie);
        }
    }
    let anonymous = nobody.check_with(Method::GET, "/maybe/x", &FORGED).await;
    assert_eq!((anonymous.status, anonymous.removed()), (200, ALL.to_vec()));
    let known = somebody.check_with(Method::GET, "/maybe/x", &FORGED).await;
    assert_eq!((known.status, known.header("kubeflow-userid")), (200, "ann@example.com"));
}

#[tokio::test]
async fn our_own_paths_pass_with_their_cookies_and_no_other_spelling_does() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    for path in ["/oauth2/start?rd=/", "/oauth2/callback?x=1", "/oauth2/sign_out", "/oauth2/userinfo"] {
        let answer = browser.check_with(Method::GET, path, &FORGED).await;
        assert_eq!((answer.status, answer.removed()), (200, ALL.to_vec()), "{path}");
        assert_eq!(answer.headers.get("cookie"), None, "as it was sent");
        assert_eq!(answer.headers.get("kubeflow-userid"), None);
    }
    for path in ["/oauth2/", "/oauth2/start/", "/oauth2/admin", "/OAuth2/start", "/oauth2/%73tart"] {
        assert_ne!(house.browser().check(path).await.status, 200, "{path}");
    }
    for path in ["/.well-known/", "/.well-known/jwks.json/", "/.well-known/jwks%2Ejson"] {
        assert_ne!(house.browser().check(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn nobody_needs_a_cookie_to_read_our_keys() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    browser.plant("theme", "dark");
    for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration?x=1"] {
        let answer = browser.check_with(Method::GET, path, &FORGED).await;
        assert_eq!((answer.status, answer.removed()), (200, ALL.to_vec()), "{path}");
        // Where the gateway leads the path to somebody else, they get no session.
        assert_eq!(answer.header("cookie"), "theme=dark", "{path}");
        assert_eq!(answer.headers.get("kubeflow-userid"), None);
    }
}

#[tokio::test]
async fn on_a_host_that_is_not_ours_no_path_is() {
    let lab = "https://lab.example.com:8443/";
    let house = House::open_with(|settings| settings.hosts = vec![lab.parse().expect("a URL")]).await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    for path in ["/oauth2/userinfo", "/oauth2/callback", "/.well-known/jwks.json", "/.well-known/openid-configuration"]
    {
        for host in ["nb.example.com", "lab.example.com", "mesh.example.com.evil.example"] {
            let stranger = nobody.check_with(Method::GET, path, &[PAGE, ("host", host)]).await;
            assert_eq!(stranger.status, 302, "{host}{path}");
            assert!(stranger.location().starts_with("https://mesh.example.com/oauth2/start?rd="), "{host}{path}");
            // The cookie that several hosts share stays away from it, and a rule decides.
            let ann = somebody.check_with(Method::GET, path, &[PAGE, ("host", host)]).await;
            assert_eq!((ann.status, ann.header("kubeflow-userid")), (200, "ann@example.com"), "{host}{path}");
            assert_eq!(ann.removed().last(), Some(&"cookie"), "{host}{path}");
        }
        for host in ["lab.example.com:8443", "MESH.example.com", "mesh.example.com:443"] {
            let ours = nobody.check_with(Method::GET, path, &[PAGE, ("host", host)]).await;
            assert_eq!((ours.status, ours.headers.get("kubeflow-userid")), (200, None), "{host}{path}");
        }
    }
}

#[tokio::test]
async fn a_rule_may_keep_the_token_from_a_workload_and_leave_it_the_clients_own_word() {
    let house = House::open().await;
    let answer = house.signed_in().await.check_with(Method::GET, "/notebook/ann/nb/lab", &FORGED).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"));
    assert_eq!(answer.headers.get("authorization"), None, "neither set");
    assert_eq!(answer.removed(), [&["txn-token"], &UNDERSCORED[..], &["cookie"]].concat(), "nor removed");
}

#[tokio::test]
async fn who_may_not_pass_is_told_why() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    assert_eq!(browser.check("/ml/models").await.status, 200);
    let page = browser.check("/admins/users").await;
    let text = page.page();
    assert_eq!(page.status, 403);
    assert!(text.contains("ann@example.com") && text.contains("Needs one of the groups: admins"), "{text}");
    assert!(text.contains("href=\"/oauth2/sign_out\""), "{text}");
    let script = browser.check_with(Method::GET, "/admins/users", &[("accept", "application/json")]).await;
    assert_eq!((script.status, script.json()["error"].clone()), (403, json!("forbidden")));
    assert_eq!(script.json()["message"], json!("needs one of the groups: admins"));
    for answer in [page, script] {
        assert_eq!(answer.headers.get("kubeflow-userid"), None);
        assert_eq!(answer.headers.get("authorization"), None);
    }
    assert_eq!(house.browser().check("/admins/users").await.status, 302, "nobody is asked to sign in first");
}

#[tokio::test]
async fn a_preflight_passes_without_an_identity_though_somebody_is_signed_in() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    // Also once a pass for this session and rule is at hand.
    for _ in 0..2 {
        let answer = browser.check_with(Method::OPTIONS, "/cors/x", &preflight).await;
        assert_eq!((answer.status, answer.headers.get("kubeflow-userid")), (200, None));
        assert_eq!(browser.check("/cors/x").await.header("kubeflow-userid"), "ann@example.com");
    }
}

#[tokio::test]
async fn the_host_of_a_rule_is_the_requests_own() {
    let house = House::open().await;
    let browser = house.browser();
    for (host, status) in [
        ("a.open.example.com", 200),
        ("A.Open.Example.com", 200),
        // A gateway that routes by the literal text takes these for another host.
        ("a.open.example.com:8443", 400),
        ("a.open.example.com.", 400),
        ("open.example.com", 302),
        ("evil-open.example.com", 302),
        ("a.open.example.com.evil.example", 302),
        ("mesh.example.com:443", 400),
        ("", 400),
        ("a.open.example.com:x", 400),
        ("user@a.open.example.com", 400),
    ] {
        let answer = browser.check_with(Method::GET, "/x", &[PAGE, ("host", host)]).await;
        assert_eq!(answer.status, status, "{host:?}");
        if status == 302 {
            assert_eq!(answer.location(), "https://mesh.example.com/oauth2/start?rd=/x", "{host:?}");
        }
    }
}

#[tokio::test]
async fn a_further_host_signs_in_at_the_public_one_and_comes_back() {
    let lab = "https://lab.example.com:8443/";
    let house = House::open_with(|settings| settings.hosts = vec![lab.parse().expect("a URL")]).await;
    let answer = house.browser().check_with(Method::GET, "/x?y=1", &[PAGE, ("host", "lab.example.com:8443")]).await;
    let location = "https://mesh.example.com/oauth2/start?rd=https%3A//lab.example.com%3A8443/x%3Fy%3D1";
    assert_eq!((answer.status, answer.location()), (302, location));
}

#[tokio::test]
async fn answers_at_hand_cross_neither_users_nor_rules() {
    let house = House::open().await;
    let mut browsers = Vec::new();
    for user in ["ann", "bob", "eve"] {
        let groups = if user == "eve" { json!([]) } else { json!(["ml"]) };
        let email = format!("{user}@example.com");
        let who = json!({"sub": user, "email": email, "email_verified": true, "groups": groups});
        house.idp.lie(|idp| idp.user = who);
        browsers.push((email, house.signed_in().await));
    }
    browsers.push((String::new(), house.browser()));
    // All at once, and then again from what is at hand.
    for _ in 0..2 {
        let asked = browsers.iter().flat_map(|(email, browser)| {
            [("/x", "mesh"), ("/pipeline/x", "pipelines"), ("/ml/x", "mesh"), ("/maybe/x", "mesh")]
                .map(|(path, audience)| async move { (email, path, audience, browser.check(path).await) })
        });
        for (email, path, audience, answer) in futures_util::future::join_all(asked).await {
            let (nobody, member) = (email.is_empty(), email != "eve@example.com");
            let expected = match path {
                "/maybe/x" => 200,
                _ if nobody => 302,
                "/ml/x" if !member => 403,
                _ => 200,
            };
            assert_eq!(
                (answer.status, answer.header("kubeflow-userid")),
                (expected, if expected == 200 { email } else { "" }),
                "{email} {path}"
            );
            if expected == 200 && !nobody {
                let claims = rc_token::claims(answer.token());
                let audiences = claims["aud"].as_array().map_or_else(|| vec![claims["aud"].clone()], Clone::clone);
                assert_eq!((&claims["sub"], audiences.contains(&json!(audience))), (&json!(email), true), "{path}");
                assert_eq!(audiences.contains(&json!("mesh")), audience == "mesh", "{path}: {claims}");
            }
        }
    }
}
