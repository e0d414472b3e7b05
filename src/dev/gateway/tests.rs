use std::net::Ipv4Addr;
use std::sync::Mutex;

use axum::extract::Extension;
use axum::routing::any;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::entropy::TestEntropy;
use crate::jose::SigningKey;

const AUTHORITY: &str = "127.0.0.1:8080";
const ISSUER: &str = "http://127.0.0.1:8080";

/// What the check was asked, and what it is to answer: a real server in Countersign's place.
#[derive(Default)]
struct Check {
    answer: Mutex<(u16, Vec<(&'static str, String)>)>,
    asked: Mutex<Vec<(Method, String, HeaderMap)>>,
}

struct House {
    gateway: Router,
    check: Arc<Check>,
    key: Arc<SigningKey>,
}

impl House {
    async fn open() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let key = Arc::new(SigningKey::generate().expect("a key"));
        let check = Arc::new(Check::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let settings = GatewaySettings {
            authority: AUTHORITY.into(),
            countersign: listener.local_addr().expect("an address"),
            check_prefix: "/check".into(),
            path_prefix: "/oauth2".into(),
            identity_headers: vec![HeaderName::from_static("kubeflow-userid")],
            issuer: ISSUER.into(),
            audience: "demo".into(),
        };
        let countersign = Router::new()
            .route("/.well-known/jwks.json", any(jwks))
            .route("/oauth2/{*rest}", any(|| async { ([(SET_COOKIE, "a=1")], "from countersign") }))
            .fallback(answer)
            .with_state((Arc::clone(&check), Arc::clone(&key)));
        #[expect(clippy::disallowed_methods, reason = "a server beside the test")]
        tokio::spawn(async move { axum::serve(listener, countersign).await });
        let site = Router::new().fallback(show);
        let gateway = DevGateway::new(settings, site, Arc::new(TestEntropy::default())).expect("a gateway").router();
        Self { gateway, check, key }
    }

    fn answers(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).into())).collect();
        *self.check.answer.lock().expect("no panic") = (status, headers);
    }

    async fn send(&self, uri: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = http::Request::builder().method(Method::PUT).uri(uri);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(HOST, AUTHORITY);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let (parts, body) = self.gateway.clone().oneshot(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    fn token(&self, issuer: &str, audience: &str) -> String {
        let claims = json!({"iss": issuer, "aud": [audience], "sub": "ann", "exp": 4_000_000_000_u64});
        format!("Bearer {}", self.key.sign("rc+jwt", &claims).expect("signed"))
    }
}

type Shared = State<(Arc<Check>, Arc<SigningKey>)>;

async fn jwks(State((_, key)): Shared) -> String {
    json!({ "keys": [key.public_jwk()] }).to_string()
}

async fn answer(State((check, _)): Shared, request: Request) -> Response {
    let asked = (request.method().clone(), request.uri().to_string(), request.headers().clone());
    check.asked.lock().expect("no panic").push(asked);
    let (status, told) = check.answer.lock().expect("no panic").clone();
    let headers = told
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(value).expect("a header value")));
    response(StatusCode::from_u16(status).expect("a status"), headers.collect(), Bytes::from_static(b"the check says"))
}

/// A site that says what arrived.
async fn show(verified: Option<Extension<Verified>>, headers: HeaderMap) -> String {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?"))).collect();
    lines.retain(|line| !line.starts_with("x-request-id"));
    lines.push(format!(
        "verified: {}",
        verified.map_or_else(|| "nobody".into(), |token| token.claims["sub"].to_string())
    ));
    lines.sort();
    lines.join("\n")
}

#[tokio::test]
async fn an_allow_sets_removes_and_verifies() {
    let house = House::open().await;
    let token = house.token(ISSUER, "demo");
    house.answers(
        200,
        &[
            ("authorization", &token),
            ("kubeflow-userid", "ann@example.com"),
            ("cookie", "theirs=1"),
            ("not-listed", "1"),
            ("x-envoy-auth-headers-to-remove", "kubeflow-groups, kubeflow_userid,txn-token"),
        ],
    );
    let forged = [
        ("kubeflow-userid", "mallory"),
        ("kubeflow_userid", "mallory"),
        ("kubeflow-groups", "admins"),
        ("txn-token", "x"),
        ("cookie", "countersign=secret; theirs=1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "forged"),
    ];
    let (status, _, seen) = house.send("/a%2Fb?c=d", &forged).await;
    assert_eq!(status, StatusCode::OK);
    let seen = seen.replace(&token, "Bearer TOKEN");
    insta::assert_snapshot!(seen, @r#"
    authorization: Bearer TOKEN
    cookie: theirs=1
    host: 127.0.0.1:8080
    kubeflow-userid: ann@example.com
    verified: "ann"
    x-forwarded-for: 127.0.0.1
    x-forwarded-proto: http
    "#);
    let asked = house.check.asked.lock().expect("no panic");
    let (method, uri, headers) = &asked[0];
    assert_eq!((method, &**uri), (&Method::PUT, "/check/a%2Fb?c=d"));
    assert_eq!(headers[HOST], AUTHORITY);
    assert_eq!(headers[COOKIE], "countersign=secret; theirs=1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers.get_all(X_REQUEST_ID).iter().count(), 1);
    assert_ne!(headers[X_REQUEST_ID], "forged");
    assert!(!headers.contains_key("kubeflow-userid"), "the check is told only what it is meant to see");
}

#[tokio::test]
async fn a_token_that_is_not_good_does_not_pass() {
    let house = House::open().await;
    for token in [
        house.token("https://elsewhere.example", "demo"),
        house.token(ISSUER, "another"),
        format!("{}x", house.token(ISSUER, "demo")),
        "Bearer nonsense".into(),
    ] {
        house.answers(200, &[("authorization", &token)]);
        let (status, _, body) = house.send("/", &[]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token}");
        assert!(body.starts_with("Jwt verification fails: "), "{body}");
    }
}

#[tokio::test]
async fn a_refusal_is_passed_down_with_the_listed_headers() {
    let house = House::open().await;
    house.answers(302, &[("location", "/oauth2/start?rd=%2F"), ("set-cookie", "a=1"), ("x-internal", "1")]);
    let (status, headers, body) = house.send("/", &[]).await;
    assert_eq!((status, &*body), (StatusCode::FOUND, "the check says"));
    assert_eq!(headers[LOCATION], "/oauth2/start?rd=%2F");
    assert_eq!(headers[SET_COOKIE], "a=1");
    assert!(!headers.contains_key("x-internal"));
}

#[tokio::test]
async fn an_error_of_the_check_fails_closed() {
    let house = House::open().await;
    house.answers(500, &[("location", "/")]);
    let (status, headers, body) = house.send("/", &[]).await;
    assert_eq!((status, &*body), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert!(!headers.contains_key(LOCATION));
}

#[tokio::test]
async fn countersigns_own_pages_are_proxied_when_the_check_lets_them() {
    let house = House::open().await;
    house.answers(200, &[]);
    let (status, headers, body) = house.send("/oauth2/start", &[]).await;
    assert_eq!((status, &*body), (StatusCode::OK, "from countersign"));
    assert_eq!(headers[SET_COOKIE], "a=1");
    assert!(house.send("/oauth2extra", &[]).await.2.contains("verified: nobody"), "the site's own");
    house.answers(403, &[]);
    assert_eq!(house.send("/oauth2/start", &[]).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_its_own_name_is_served() {
    let house = House::open().await;
    house.answers(200, &[]);
    assert_eq!(house.send("/", &[("host", "rebound.example:8080")]).await.0, StatusCode::MISDIRECTED_REQUEST);
    let (status, headers, _) = house.send("/x?y", &[("host", "localhost:8080")]).await;
    assert_eq!(status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(headers[LOCATION], "http://127.0.0.1:8080/x?y");
}
