//! What each key of a rule does to a request, from a real socket to the answer that the gateway gets.

use http::Method;
use serde_json::json;

use crate::browser::{Answer, Browser, PAGE};
use crate::house::House;
use crate::lying_idp::registration;
use crate::rc_token;
use crate::settings::rule;

const PROGRAM: (&str, &str) = ("accept", "application/json");

/// A house with these rules and no others.
async fn house(rules: &[&str]) -> House {
    House::open_with(|settings| settings.rules = rules.iter().map(|text| rule(text)).collect()).await
}

#[tokio::test]
async fn where_signing_in_is_optional_whoever_is_signed_in_gets_a_token_of_the_rule() {
    let house = house(&["{path: /maybe/, access: optional, audience: [catalogue]}"]).await;
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    let known = somebody.check("/maybe/x").await;
    let (_, claims) = rc_token::verify(&somebody, known.token(), "catalogue").await;
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(["catalogue"]), &json!("ann@example.com")));
    assert_eq!(rc_token::claims(somebody.check("/").await.token())["aud"], json!(["mesh"]));
    for header in [PAGE, PROGRAM] {
        let unknown = nobody.check_with(Method::POST, "/maybe/x", &[header]).await;
        assert_eq!((unknown.status, unknown.headers.get("authorization")), (200, None));
        assert!(unknown.removed().contains(&"authorization"));
    }
    // A session that has ended is nobody's, and no reason to stop anybody.
    somebody.post("/oauth2/sign_out", "", &[("sec-fetch-site", "same-origin")]).await;
    let gone = somebody.check("/maybe/x").await;
    assert_eq!((gone.status, gone.headers.get("kubeflow-userid")), (200, None));
}

#[tokio::test]
async fn a_rule_covers_its_methods_and_no_others() {
    let house =
        house(&["{path: /api/, methods: [GET, HEAD], access: public}", "{path: /api/, access: {groups: [ml]}}"]).await;
    let nobody = house.browser();
    for (method, status) in [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 401), (Method::OPTIONS, 401)] {
        assert_eq!(nobody.check_with(method.clone(), "/api/x", &[PROGRAM]).await.status, status, "{method}");
    }
    // Not every server knows that methods are case-sensitive.
    let odd = Method::from_bytes(b"get").expect("a method");
    assert_eq!(nobody.check_with(odd, "/api/x", &[PROGRAM]).await.status, 400);
    let overridden = [PROGRAM, ("x-http-method-override", "GET")];
    assert_eq!(nobody.check_with(Method::DELETE, "/api/x", &overridden).await.status, 401);
    let somebody = house.signed_in().await;
    assert_eq!(somebody.check_with(Method::DELETE, "/api/x", &[PROGRAM]).await.header("kubeflow-groups"), "ml,ops");
}

#[tokio::test]
async fn a_rule_has_its_own_answer_for_whom_nobody_signed_in() {
    let house = house(&[
        "{path: /page/, unauthenticated: {navigation: page}}",
        "{path: /plain/, unauthenticated: {navigation: 401, other: 403}}",
        "{path: /gone/, unauthenticated: {navigation: 403, unknown: 401}}",
        "{path: /all/, unauthenticated: {other: redirect}}",
    ])
    .await;
    let nobody = house.browser();
    let page = nobody.check("/page/x?y=1").await;
    assert_eq!((page.status, page.location()), (401, ""));
    assert!(page.page().contains("href=\"/oauth2/start?rd=/page/x%3Fy%3D1\""), "{}", page.page());
    assert!(page.cookies().is_empty());
    let error = async |answer: Answer| (answer.status, answer.json()["error"].clone());
    let program = async |path: &str| nobody.check_with(Method::GET, path, &[PROGRAM]).await;
    let unknown = async |path: &str| nobody.check_with(Method::GET, path, &[]).await;
    let sign_in = json!("sign_in_required");
    assert_eq!(error(nobody.check("/plain/x").await).await, (401, sign_in.clone()));
    assert_eq!(error(program("/plain/x").await).await, (403, sign_in.clone()));
    assert_eq!(error(nobody.check("/gone/x").await).await, (403, sign_in.clone()));
    assert_eq!(error(unknown("/gone/x").await).await, (401, sign_in.clone()));
    assert_eq!(error(program("/gone/x").await).await, (401, sign_in), "what it leaves out is as everywhere");
    assert_eq!(program("/all/x").await.location(), "/oauth2/start?rd=/all/x");
    assert_eq!(unknown("/plain/x").await.status, 302, "as everywhere");
}

#[tokio::test]
async fn a_rule_covers_hosts_below_its_domain() {
    let house = house(&[
        "{hosts: ['*.nb.example.com'], token: none, authorization: keep}",
        "{hosts: [docs.example.com], access: public}",
        "{hosts: ['*.example.com'], path: /runs/, audience: [runs]}",
    ])
    .await;
    let somebody = house.signed_in().await;
    let at = async |browser: &Browser, host: &str, path: &str| {
        browser.check_with(Method::GET, path, &[PAGE, ("host", host), ("authorization", "token theirs")]).await
    };
    let notebook = at(&somebody, "ann.nb.example.com", "/runs/").await;
    assert_eq!((notebook.status, notebook.header("kubeflow-userid")), (200, "ann@example.com"));
    assert!(notebook.headers.get("authorization").is_none() && !notebook.removed().contains(&"authorization"));
    for host in ["mesh.example.com", "a.b.example.com"] {
        let runs = at(&somebody, host, "/runs/1").await;
        assert_eq!(rc_token::claims(runs.token())["aud"], json!(["runs"]), "{host}");
    }
    for (host, path) in [("nb.example.com", "/x"), ("example.com", "/runs/1"), ("mesh.example.com", "/x")] {
        assert_eq!(rc_token::claims(at(&somebody, host, path).await.token())["aud"], json!(["mesh"]), "{host}{path}");
    }
    assert_eq!(at(&house.browser(), "docs.example.com", "/x").await.status, 200);
    assert_eq!(at(&house.browser(), "docs.example.com.evil.example", "/x").await.status, 302);
}

#[tokio::test]
async fn users_and_domains_pass_by_name() {
    let house = house(&[
        "{path: /ann/, access: {users: [ann@example.com]}}",
        "{path: /corp/, access: {domains: [EXAMPLE.com]}}",
        "{path: /other/, access: {users: [Ann@example.com], domains: [example.org], groups: [admins]}}",
    ])
    .await;
    let ann = house.signed_in().await;
    house
        .idp
        .lie(|idp| idp.user = json!({"sub": "b", "email": "Bob@Example.COM", "email_verified": true, "groups": []}));
    let bob = house.signed_in().await;
    for (path, for_ann, for_bob) in [("/ann/", 200, 403), ("/corp/", 200, 200), ("/other/", 403, 403)] {
        assert_eq!((ann.check(path).await.status, bob.check(path).await.status), (for_ann, for_bob), "{path}");
    }
    assert_eq!(bob.check("/corp/").await.header("kubeflow-userid"), "Bob@Example.COM", "as the provider writes it");
}

#[tokio::test]
async fn a_preflight_passes_a_rule_that_nobody_else_does() {
    let house = house(&["{path: /cors/, access: {groups: [admins]}, preflight: pass, token: none}"]).await;
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    for browser in [house.browser(), house.signed_in().await] {
        let passed = browser.check_with(Method::OPTIONS, "/cors/x", &preflight).await;
        assert_eq!((passed.status, passed.headers.get("kubeflow-userid")), (200, None));
        for (method, headers) in
            [(Method::OPTIONS, &preflight[..1]), (Method::OPTIONS, &preflight[1..]), (Method::PUT, &preflight)]
        {
            let status = browser.check_with(method.clone(), "/cors/x", headers).await.status;
            assert!(matches!(status, 401 | 403), "{method} {headers:?}: {status}");
        }
        let elsewhere = browser.check_with(Method::OPTIONS, "/x", &preflight).await;
        assert_eq!(elsewhere.headers.get("kubeflow-userid").is_some(), elsewhere.status == 200);
    }
}

#[tokio::test]
async fn with_a_header_of_its_own_the_token_and_the_clients_word_both_arrive() {
    let house = House::open_with(|settings| {
        let rest = "token: {header: txn-token}
rules:
  - {path: /both/, token: mint, authorization: keep}
  - {path: /none/, token: none}
";
        let corp = registration("corp", &settings.providers[0].issuer);
        *settings = crate::settings::settings(&settings.data_dir.clone(), &corp, rest);
    })
    .await;
    let browser = house.signed_in().await;
    let theirs = [PAGE, ("authorization", "token theirs"), ("txn-token", "forged")];
    let both = browser.check_with(Method::GET, "/both/", &theirs).await;
    assert_eq!(rc_token::claims(both.header("txn-token"))["sub"], json!("ann@example.com"));
    assert!(both.headers.get("authorization").is_none() && !both.removed().contains(&"authorization"));
    let none = browser.check_with(Method::GET, "/none/", &theirs).await;
    assert_eq!((none.status, none.header("kubeflow-userid")), (200, "ann@example.com"));
    assert!(["authorization", "txn-token"].iter().all(|name| none.removed().contains(name)), "{:?}", none.removed());
}
