//! In authservice's place: its variables and no configuration file; its paths, verbs, ports and answers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::Gateway;
use countersign::clock::TestClock;
use countersign::config::{BearerSource, ConfigErrors, InAuthservicesPlace, KubernetesApi, load_in_authservices_place};
use countersign::entropy::SystemEntropy;
use http::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::authservice_variables::variables;
use crate::browser::{Answer, Browser, PAGE, SESSION, target_of};
use crate::house::{BEGINNING, HOST, House, eventually};
use crate::lying_idp::{CLIENT_ID, LyingIdp, REVOKE};
use crate::token_review::{AUDIENCE, Cluster, KEY_SET, USER};

struct Place {
    clock: Arc<TestClock>,
    idp: LyingIdp,
    main: SocketAddr,
    admin: SocketAddr,
    site: SocketAddr,
    _data: TempDir,
}

/// What old gateways forward: nothing by which to tell pages from scripts.
const NOTHING: [(&str, &str); 0] = [];

fn load(issuer: &str, data: impl AsRef<Path>, more: &[(&str, &str)]) -> Result<InAuthservicesPlace, ConfigErrors> {
    let mut all = variables(issuer, data.as_ref());
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all.retain(|(_, value)| value != "(unset)");
    load_in_authservices_place(all.into_iter())
}

impl Place {
    async fn take(more: &[(&str, &str)]) -> Self {
        // What a house sets up once for all tests.
        drop(House::open().await);
        let clock = Arc::new(TestClock::at(BEGINNING));
        let idp = LyingIdp::start(clock.clone()).await;
        let data = tempfile::tempdir().expect("a directory");
        let loaded = load(&idp.issuer, data.path(), more).unwrap_or_else(|errors| panic!("{errors}"));
        let InAuthservicesPlace { loaded, contract } = loaded;
        let opened =
            Gateway::open_in_authservices_place(loaded.settings, contract, clock.clone(), Arc::new(SystemEntropy));
        let gateway = opened.await.expect("it opens");
        let (main, admin) = (gateway.main_address(), gateway.admin_address());
        let site = gateway.site_address().expect("a site");
        run(gateway);
        let place = Self { clock, idp, main, admin, site, _data: data };
        let found = async || (place.browser().get("/authservice/start").await.status == 302).then_some(());
        eventually("the provider is found", found).await;
        place
    }

    fn browser(&self) -> Browser {
        Browser::new(self.main, self.clock.clone())
    }

    async fn signed_in(&self) -> Browser {
        let browser = self.browser();
        let callback = browser.visit(&self.idp, "/authservice/start").await;
        assert_eq!(browser.get(&target_of(&callback)).await.status, 303);
        browser
    }

    async fn at(&self, address: SocketAddr, path: &str) -> Answer {
        Browser::new(address, self.clock.clone()).get(path).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the gateway runs beside the test")]
fn run(gateway: Gateway) {
    tokio::spawn(gateway.run(std::future::pending()));
}

#[tokio::test]
async fn any_path_is_a_check_and_leads_through_a_sign_in() {
    let place = Place::take(&[("GROUPS_HEADER", "kubeflow-groups")]).await;
    let browser = place.browser();
    let sent = browser.ask(Method::GET, "/pipeline/?ns=a", &NOTHING).await;
    assert_eq!((sent.status, sent.location()), (302, "/authservice/start?rd=/pipeline/%3Fns%3Da"));
    assert!(sent.cookies().is_empty());
    let callback = browser.visit(&place.idp, sent.location()).await;
    assert_eq!(callback.place, "https://mesh.example.com/login/oidc");
    let arrived = browser.get(&target_of(&callback)).await;
    assert_eq!((arrived.status, arrived.location()), (303, "https://mesh.example.com/pipeline/?ns=a"));

    let allowed = browser.ask(Method::GET, "/pipeline/", &[("kubeflow-userid", "evil@example.com")]).await;
    assert_eq!((allowed.status, allowed.header("kubeflow-userid")), (200, "ann@example.com"));
    assert_eq!(allowed.header("kubeflow-groups"), "ml,ops");
    for name in ["kubeflow_userid", "cookie"] {
        assert!(allowed.removed().contains(&name), "{name}: {:?}", allowed.removed());
    }
    assert!(allowed.removed().contains(&"auth-method"), "authservice set it: {:?}", allowed.removed());
    for method in [Method::POST, Method::PUT] {
        assert_eq!(browser.ask(method.clone(), "/a", &NOTHING).await.status, 200);
        assert_eq!(place.browser().ask(method, "/a", &NOTHING).await.status, 401);
    }
    // Our own keys are not there: the path may be a workload's, which would be handed our cookie.
    for path in ["/.well-known/jwks.json", "/check/a", "/oauth2/start", "/authservice/oidc/callback%2F"] {
        let cookie = format!("{SESSION}={}; theirs=1", browser.cookie(SESSION).expect("a session"));
        let answer = place.browser().ask(Method::GET, path, &[("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.header("cookie")), (200, "theirs=1"), "{path}");
    }
}

#[tokio::test]
async fn groups_are_told_only_where_the_filter_is_said_to_take_them_over() {
    // Kubeflow's filters list `kubeflow-userid` alone: what they do not list stays as the client wrote it.
    let place = Place::take(&[]).await;
    let ann = place.signed_in().await;
    let allowed = ann.ask(Method::GET, "/x", &[("kubeflow-groups", "admins")]).await;
    assert_eq!((allowed.status, allowed.header("kubeflow-groups")), (200, ""));
    assert!(allowed.removed().contains(&"kubeflow-groups"), "{:?}", allowed.removed());
}

#[tokio::test]
async fn skipped_paths_are_open_and_lend_nobody_a_name() {
    let place = Place::take(&[("SKIP_AUTH_URLS", "/dex, /healthz")]).await;
    for path in ["/dex", "/dex/auth?x", "/healthz", "/authservice", "/authservice/site/homepage"] {
        let answer = place.browser().ask(Method::GET, path, &[("kubeflow-userid", "evil@example.com")]).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, ""), "{path}");
        for name in ["kubeflow-userid", "kubeflow_userid", "kubeflow-groups"] {
            assert!(answer.removed().contains(&name), "{path}: {:?}", answer.removed());
        }
        assert!(!answer.removed().contains(&"authorization"), "Dex's own tokens travel in it");
    }
    assert_eq!(place.browser().ask(Method::GET, "/dexter", &NOTHING).await.status, 302);
}

#[tokio::test]
async fn a_session_ends_by_its_value_as_a_bearer() {
    for (more, header) in [(&[][..], "authorization"), (&[("AUTH_HEADER", "X-Auth-Token")], "x-auth-token")] {
        let place = Place::take(more).await;
        let browser = place.signed_in().await;
        let value = browser.cookie(SESSION).expect("a session");
        for wrong in ["", "Bearer", "Bearer undefined", &format!("Basic {value}"), &format!("Bearer {value}x")] {
            let answer = place.browser().ask(Method::POST, "/authservice/logout", &[(header, wrong)]).await;
            assert_eq!((answer.status, answer.cookies().len()), (401, 0), "{wrong}");
        }
        let bearer = format!("Bearer {value}");
        let gone = place.browser().ask(Method::POST, "/authservice/logout", &[(header, &bearer)]).await;
        assert_eq!((gone.status, gone.json()), (201, json!({"afterLogoutURL": "/authservice/site/after_logout"})));
        assert_eq!((gone.header("content-type"), gone.header("cache-control")), ("application/json", "no-store"));
        assert_eq!(place.idp.hits(REVOKE), 2);
        assert_eq!(browser.ask(Method::GET, "/", &NOTHING).await.status, 302, "it is over");
        let again = place.browser().ask(Method::POST, "/authservice/logout", &[(header, &bearer)]).await;
        assert_eq!(again.status, 401);
    }
}

/// Scripts cannot read our cookie, as Kubeflow's dashboard read authservice's.
#[tokio::test]
async fn a_session_ends_by_its_cookie_and_not_at_another_sites_wish() {
    let place = Place::take(&[("AFTER_LOGOUT_URL", "https://www.example.com/bye")]).await;
    let browser = place.signed_in().await;
    for site in ["cross-site", "same-site"] {
        for method in [Method::GET, Method::POST] {
            let answer = browser.ask(method, "/authservice/logout", &[("sec-fetch-site", site)]).await;
            assert_eq!((answer.status, answer.cookies().len()), (403, 0), "{site}");
        }
    }
    assert_eq!(browser.ask(Method::GET, "/", &NOTHING).await.status, 200);
    let gone = browser.ask(Method::POST, "/authservice/logout", &[("authorization", "Bearer undefined")]).await;
    assert_eq!((gone.status, gone.json()), (201, json!({"afterLogoutURL": "https://www.example.com/bye"})));
    assert_eq!(browser.cookie(SESSION), None);

    let browser = place.signed_in().await;
    let value = browser.cookie(SESSION).expect("a session");
    for _ in 0..2 {
        let gone = browser.get("/authservice/logout").await;
        assert_eq!((gone.status, gone.location()), (302, "https://www.example.com/bye"));
        assert_eq!(browser.cookie(SESSION), None);
    }
    browser.plant(SESSION, &value);
    assert_eq!(browser.ask(Method::GET, "/", &NOTHING).await.status, 302, "it is over");
}

#[tokio::test]
async fn verify_says_204_401_or_403_of_the_path_behind_it() {
    let place = Place::take(&[("GROUPS_ALLOWLIST", "ml")]).await;
    let (nobody, ann) = (place.browser(), place.signed_in().await);
    let verify = |path: &str| format!("/authservice/verify{path}");
    for (path, of_nobody) in [("", 401), ("/", 401), ("/pipeline/?x=1", 401), ("?x", 401), ("/dex/auth", 204)] {
        let answer = nobody.ask(Method::GET, &verify(path), &[PAGE]).await;
        assert_eq!((answer.status, answer.location()), (of_nobody, ""), "{path}");
        let answer = ann.ask(Method::GET, &verify(path), &[PAGE]).await;
        let user = if of_nobody == 204 { "" } else { "ann@example.com" };
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (204, user), "{path}");
        // Gateways hand all of it to the browser, where any script may read it.
        for name in ["authorization", "cookie", "x-envoy-auth-headers-to-remove"] {
            assert_eq!(answer.header(name), "", "{path}: {name}");
        }
    }
    assert_eq!(ann.ask(Method::GET, &verify("/a/..%2f../dex/"), &NOTHING).await.status, 403, "two readings");
    // Its own prefix is open to everybody; whatever else looks so is no question about another path.
    assert_eq!(nobody.ask(Method::GET, "/authservice/verifyx", &NOTHING).await.status, 200);
    assert_eq!(nobody.ask(Method::POST, &verify("/"), &NOTHING).await.status, 200);
}

/// As authservice's clients copy it from the cookie; and as its dashboard's script sent what it could not read.
#[tokio::test]
async fn a_sessions_value_passes_as_a_bearer_and_what_is_none_leaves_it_to_the_cookie() {
    for (more, header) in [(&[][..], "authorization"), (&[("AUTH_HEADER", "X-Auth-Token")], "x-auth-token")] {
        let place = Place::take(more).await;
        let browser = place.signed_in().await;
        let value = browser.cookie(SESSION).expect("a session");
        let program = place.browser();
        let bearer = format!("Bearer {value}");
        let answer = program.ask(Method::GET, "/pipeline/", &[(header, &bearer)]).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "ann@example.com"), "{header}");
        // Gateways of old pass on only `kubeflow-userid` of what we set, and the client's own `Authorization`.
        let is_hidden = answer.removed().contains(&"authorization") && answer.header("authorization").is_empty();
        assert_eq!(is_hidden, header == "authorization", "{:?}", answer.removed());
        let replayed = format!("/?access_token={}", browser.ask(Method::GET, "/", &NOTHING).await.token());
        let status = program.ask(Method::GET, &replayed, &[(header, &bearer)]).await.status;
        assert_eq!(status, if is_hidden { 400 } else { 200 }, "the mesh would find that token, if no other");
        assert!(header == "authorization" || answer.removed().contains(&header), "it is no workload's to see");
        assert_eq!(program.ask(Method::GET, "/authservice/verify/x", &[(header, &bearer)]).await.status, 204);
        let bare = program.ask(Method::GET, "/", &[(header, &value)]).await.status;
        assert_eq!(bare, if header == "authorization" { 302 } else { 200 }, "{header} without `Bearer `");

        let another = place.signed_in().await;
        assert_eq!(program.ask(Method::POST, "/authservice/logout", &[(header, &bearer)]).await.status, 201);
        for nothing in ["Bearer undefined", "undefined", &bearer] {
            let by_cookie = another.ask(Method::GET, "/", &[(header, nothing)]).await;
            assert_eq!((by_cookie.status, by_cookie.header("kubeflow-userid")), (200, "ann@example.com"), "{nothing}");
            assert_eq!(program.ask(Method::GET, "/", &[(header, nothing)]).await.status, 302, "{nothing}");
        }
        let twice = [(header, &*bearer), (header, "Bearer undefined")];
        assert_eq!(another.ask(Method::GET, "/", &twice).await.status, 400, "{header}");
    }
}

#[tokio::test]
async fn the_providers_tokens_and_service_accounts_pass_as_they_did() {
    let cluster = Cluster::start(Arc::new(TestClock::at(BEGINNING))).await;
    let KubernetesApi { address, ca, token_file } = cluster.api();
    let place = Place::take(&[
        ("AUDIENCES", AUDIENCE),
        ("GROUPS_ALLOWLIST", "ml, system:serviceaccounts:team-a"),
        ("CACHE_ENABLED", "true"),
        ("CACHE_EXPIRATION_MINUTES", "2"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("COUNTERSIGN_BEARER__0__API_URL", address.as_str()),
        ("COUNTERSIGN_BEARER__0__CA_FILE", &ca.to_string_lossy()),
        ("COUNTERSIGN_BEARER__0__TOKEN_FILE", &token_file.to_string_lossy()),
    ])
    .await;
    eventually("the cluster's keys are there", async || (cluster.count(KEY_SET) > 0).then_some(())).await;
    let robot = place.browser();
    let ask = async |token: &str| robot.ask(Method::GET, "/x", &[("authorization", &format!("Bearer {token}"))]).await;
    let pod = cluster.token();
    let reviewed = ask(&pod).await;
    assert_eq!((reviewed.status, reviewed.header("kubeflow-userid")), (200, USER), "{}", reviewed.body);
    place.clock.advance(Duration::from_secs(119));
    assert_eq!((ask(&pod).await.status, cluster.reviews()), (200, 1), "it is known for two minutes");
    place.clock.advance(Duration::from_secs(1));
    assert_eq!((ask(&pod).await.status, cluster.reviews()), (200, 2));
    let stranger = cluster.token_with(|claims| {
        claims["sub"] = json!("system:serviceaccount:team-b:runner");
        claims["kubernetes.io"]["namespace"] = json!("team-b");
    });
    assert_eq!(ask(&stranger).await.status, 403, "the allow list is for them as well");

    for audience in [AUDIENCE, CLIENT_ID] {
        let token = place.idp.access_token(|claims| claims["aud"] = json!(audience));
        let answer = ask(&token).await;
        assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "robot@example.com"), "{audience}");
    }
    for wrong in [
        place.idp.access_token(|claims| claims["aud"] = json!("other")),
        place.idp.access_token(|claims| claims["exp"] = json!(BEGINNING.as_secs() - 1)),
        cluster.forged(),
    ] {
        assert_eq!(ask(&wrong).await.status, 401);
    }
    let outside = place.idp.access_token(|claims| claims["groups"] = json!(["ops"]));
    assert_eq!(ask(&outside).await.status, 403);
}

#[tokio::test]
async fn a_way_in_that_is_off_is_shut() {
    let place = Place::take(&[
        ("AUDIENCES", "countersign"),
        ("ACCESS_TOKEN_AUTHN_ENABLED", "false"),
        ("KUBERNETES_AUTHN_ENABLED", "false"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
    ])
    .await;
    let ask = async |audience: &str| {
        let token = place.idp.access_token(|claims| claims["aud"] = json!(audience));
        place.browser().ask(Method::GET, "/x", &[("authorization", &format!("Bearer {token}"))]).await.status
    };
    assert_eq!((ask("countersign").await, ask(CLIENT_ID).await), (401, 200), "ID tokens are on, access tokens are not");
    let place = Place::take(&[("ACCESS_TOKEN_AUTHN_ENABLED", "false"), ("IDTOKEN_AUTHN_ENABLED", "false")]).await;
    let token = place.idp.access_token(|claims| claims["aud"] = json!(CLIENT_ID));
    let answer = place.browser().ask(Method::GET, "/x", &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(answer.status, 302, "nobody knows such tokens");
}

/// What nobody asked for by name is not in the way of a start.
#[test]
fn a_cluster_that_was_on_by_default_alone_is_left_out_where_it_cannot_be() {
    let kinds = |more: &[(&str, &str)]| {
        let loaded = load("https://a.example.com", "/nowhere", more).map_err(|errors| errors.to_string())?.loaded;
        let warned = loaded.warnings.iter().any(|warning| warning.to_string().contains("KUBERNETES_AUTHN_ENABLED"));
        let cluster = loaded.settings.bearer.sources.iter().any(|source| matches!(source, BearerSource::Kubernetes(_)));
        Ok::<_, String>((cluster, warned))
    };
    let pod = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let asked = ("KUBERNETES_AUTHN_ENABLED", "true");
    let by_name = ("USERID_CLAIM", "preferred_username");
    assert_eq!(kinds(&[]), Ok((false, true)), "no pod");
    assert_eq!(kinds(&[pod]), Ok((true, false)));
    assert_eq!(kinds(&[asked]), Ok((true, false)));
    assert_eq!(kinds(&[pod, ("USERID_PREFIX", "corp:")]), Ok((true, false)));
    // Without a prefix nobody else bears a name that begins with `system:`.
    assert_eq!(kinds(&[pod, by_name]), Ok((true, false)));
    let prefix = ("USERID_PREFIX", "corp:");
    assert_eq!(kinds(&[pod, by_name, prefix]), Ok((false, true)));
    assert_eq!(kinds(&[pod, ("USERID_PREFIX", "a@b:")]), Ok((false, true)));
    assert_eq!(kinds(&[pod, ("KUBERNETES_AUTHN_ENABLED", "false"), by_name]), Ok((false, false)));
    let rewritten = ("USERID_TRANSFORMERS", r#"[{"matches": "@a\\.com$", "replaces": ""}]"#);
    for other in [by_name, rewritten] {
        let refused = kinds(&[asked, other, prefix]).expect_err("people could be called so");
        assert!(refused.contains("KUBERNETES_AUTHN_ENABLED=false says that none does"), "{refused}");
    }
}

#[tokio::test]
async fn users_are_rewritten_as_they_were() {
    let rules = r#"[{"matches": "^ann@", "replaces": "dr-$0"}, {"matches": "@example\\.com$", "replaces": ""}]"#;
    let place = Place::take(&[("USERID_TRANSFORMERS", rules), ("USERID_PREFIX", "corp:")]).await;
    let answer = place.signed_in().await.ask(Method::GET, "/", &NOTHING).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "corp:dr-ann@example.com"));
    let token = place.idp.access_token(|claims| claims["aud"] = json!(CLIENT_ID));
    let headers = [("authorization", &*format!("Bearer {token}"))];
    let answer = place.browser().ask(Method::GET, "/", &headers).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "corp:robot"));
}

/// What nobody sets any more no client may set.
#[tokio::test]
async fn headers_that_only_authservice_set_reach_no_workload() {
    let place = Place::take(&[("AUTH_METHOD_HEADER", "X-Auth-Method"), ("USERID_TOKEN_HEADER", "X-Id-Token")]).await;
    let ann = place.signed_in().await;
    for path in ["/", "/dex/keys"] {
        let answer = ann.ask(Method::GET, path, &[("x-auth-method", "cookie"), ("x-id-token", "evil")]).await;
        for name in ["x-auth-method", "x_auth_method", "x-id-token"] {
            assert!(answer.status == 200 && answer.removed().contains(&name), "{path}: {:?}", answer.removed());
        }
    }
}

#[tokio::test]
async fn people_land_where_they_landed() {
    for (more, landing) in [
        (&[][..], "https://mesh.example.com/pipeline/?ns=a&b"),
        (&[("AFTER_LOGIN_URL", "/welcome")], "/welcome?next=%2Fpipeline%2F%3Fns%3Da%26b"),
        (
            &[("AFTER_LOGIN_URL", "https://www.example.com/w?next=x&a=b#top")],
            "https://www.example.com/w?a=b&next=%2Fpipeline%2F%3Fns%3Da%26b#top",
        ),
        (&[("STATIC_DESTINATION_URL", "/welcome")], "/welcome"),
    ] {
        let place = Place::take(more).await;
        let browser = place.browser();
        let sent = browser.ask(Method::GET, "/pipeline/?ns=a&b", &NOTHING).await;
        let callback = browser.visit(&place.idp, sent.location()).await;
        let arrived = browser.get(&target_of(&callback)).await;
        assert_eq!((arrived.status, arrived.location()), (303, landing));
        assert!(browser.cookie(SESSION).is_some());
    }
    for (more, homepage) in [
        (&[][..], "/authservice/site/homepage"),
        (&[("HOMEPAGE_URL", "https://www.example.com/")], "https://www.example.com/"),
    ] {
        let place = Place::take(more).await;
        for query in ["", "?", "?state=x", "?rd=/x"] {
            let sent = place.browser().get(&format!("/login/oidc{query}")).await;
            assert_eq!((sent.status, sent.location(), sent.cookies().len()), (302, homepage, 0), "{query}");
        }
    }
}

/// A gateway takes 200 for an allow, and makes a blank 403 of 5xx.
#[tokio::test]
async fn no_page_is_taken_for_an_allow() {
    let place = Place::take(&[]).await;
    let browser = place.signed_in().await;
    for (path, status) in [
        ("/authservice/sign_out", 203),
        ("/authservice/signed_out", 203),
        ("/authservice/userinfo", 203),
        ("/authservice/unavailable", 424),
        ("/login/oidc", 302),
        ("/login/oidc?code=x", 400),
        ("/login/oidc?error=access_denied", 400),
        ("/authservice/start?provider=nobody", 404),
    ] {
        assert_eq!(browser.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn the_other_ports_answer_as_they_did() {
    let place = Place::take(&[]).await;
    for path in ["/", "/any/thing", "/readyz"] {
        assert_eq!(place.at(place.admin, path).await.status, 200, "{path}");
    }
    assert!(place.at(place.admin, "/metrics").await.body.contains("# EOF"));
    let after = place.at(place.site, "/authservice/site/after_logout").await;
    assert!(after.status == 200 && after.page().contains("You are signed out"), "{}", after.body);
    let before = place.at(place.site, "/authservice/site/homepage").await;
    assert!(before.status == 200 && before.page().contains("/authservice/start"), "{}", before.body);
    assert!(place.at(place.site, "/.well-known/jwks.json").await.body.contains("\"keys\""));
    assert_eq!(place.at(place.site, "/").await.status, 404);
}

#[test]
fn what_decides_about_access_and_cannot_be_done_is_refused() {
    let refused = |more: &[(&str, &str)]| match load("https://a.example.com", "/nowhere", more) {
        Ok(_) => "(nothing)".to_owned(),
        Err(errors) => errors.to_string(),
    };
    let instead = "Or write a configuration file: `countersign migrate authservice` drafts it.";
    for (name, value, what) in [
        ("EXTERNAL_AUTHZ_URL", "http://a", "MORE IS ALLOWED"),
        ("USERID_TRANSFORMERS", "[{\"matches\": \"a\", \"replaces\": \"b\"}]", "may be found more than once"),
        ("USERID_TRANSFORMERS", "{", "is no JSON list"),
        ("SESSION_STORE_TYPE", "redis", "write SESSION_STORE_TYPE=boltdb and SESSION_STORE_PATH on that volume"),
        ("ACCESS_TOKEN_AUTHN", "opaque", "ACCESS_TOKEN_AUTHN_ENABLED=false says that none does"),
        ("ACCESS_TOKEN_AUTHN", "paseto", "write ACCESS_TOKEN_AUTHN=jwt"),
        ("ID_TOKEN_HEADER", "X-Id-Token", "write ID_TOKEN_HEADER=Authorization"),
        ("AUTH_HEADER", "X_Auth_Token", "write one such as `x-auth-token`"),
        ("AUTH_HEADER", "kubeflow-userid", "write one such as `x-auth-token`"),
        ("AUTH_HEADER", "cookie", "write one such as `x-auth-token`"),
        ("AFTER_LOGIN_URL", "javascript:alert(1)", "browsers cannot be sent there"),
        ("AUTHSERVICE_URL_PREFIX", "/", "open to everybody"),
        ("SKIP_AUTH_URLS", "/a%20b", "`path_regex`"),
        ("USERID_HEADER", "x_user", "take another"),
        ("AUTH_HEADER", "x y", "is no header name"),
        ("CLIENT_ID", "(unset)", "it was not among the settings"),
        ("REDIRECT_URL", "/login/oidc", "Set COUNTERSIGN_PUBLIC_URL=https://kubeflow.example.com"),
    ] {
        let said = refused(&[(name, value)]);
        assert!(said.starts_with("the configuration has a mistake:\n"), "{name}: {said}");
        assert!(said.contains(what) && said.ends_with(instead), "{name}: {said}");
    }
    let missing = refused(&[("OIDC_PROVIDER", "(unset)")]);
    assert!(missing.contains("variable OIDC_PROVIDER\n   it is not set"), "{missing}");
    let secret = refused(&[("CLIENT_SECRET", "(unset)")]);
    assert!(secret.contains("there is no variable CLIENT_SECRET"), "{secret}");
    for told in [
        &[("REDIRECT_URL", "/login/oidc"), ("COUNTERSIGN_PUBLIC_URL", "https://mesh.example.com")][..],
        &[("USERID_TRANSFORMERS", "[]"), ("GROUPS_ALLOWLIST", "*")],
        &[("USERID_TRANSFORMERS", r#"[{"matches": "@a\\.com$", "replaces": ""}]"#)],
        &[("ACCESS_TOKEN_AUTHN", "opaque"), ("ACCESS_TOKEN_AUTHN_ENABLED", "false")],
        &[("ID_TOKEN_HEADER", "x"), ("ACCESS_TOKEN_AUTHN_ENABLED", "0"), ("IDTOKEN_AUTHN_ENABLED", "f")],
    ] {
        assert_eq!(refused(told), "(nothing)", "{told:?}");
    }
    // Of the rest something is said, and the gateway runs.
    let loaded = load("https://a.example.com", "/nowhere", &[("SESSION_SAME_SITE", "None")]).expect("it is good");
    let warnings: Vec<String> = loaded.loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|warning| warning.contains("ours are Lax")), "{warnings:?}");
    assert_eq!(HOST, loaded.loaded.settings.public_url.host_str().expect("a host"));
}
