use axum::extract::Request;
use http::header::AUTHORIZATION;
use http_body_util::BodyExt as _;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use tower::ServiceExt as _;
use url::form_urlencoded;

use super::*;
use crate::clock::{SystemClock, TestClock, UnixTime};
use crate::entropy::TestEntropy;

const ISSUER: &str = "http://127.0.0.1:5556";
const CALLBACK: &str = "http://127.0.0.1:8080/oauth2/callback";
// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn provider(clock: Arc<dyn Clock>) -> Router {
    let client = Client {
        id: "countersign".into(),
        secret: SecretText::new("s3cret/+".into()),
        redirect_uri: Url::parse(CALLBACK).expect("a URL"),
    };
    DevIdp::new(ISSUER.into(), client, crate::dev::users(), clock, Arc::new(TestEntropy::default()))
        .expect("a provider")
        .router()
}

fn request_for(changes: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("client_id", "countersign"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid groups offline_access"),
        ("state", "xyz"),
        ("nonce", "n-0S6"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    parameters.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    parameters.extend(changes);
    format!("/auth?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish())
}

async fn get(idp: &Router, uri: &str) -> Response {
    let request = Request::get(uri).body(Body::empty()).expect("a request");
    idp.clone().oneshot(request).await.expect("an answer")
}

async fn post(idp: &Router, uri: &str, authorization: &str, form: &[(&str, &str)]) -> Response {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(uri)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(AUTHORIZATION, authorization)
        .body(Body::from(body))
        .expect("a request");
    idp.clone().oneshot(request).await.expect("an answer")
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

fn basic() -> String {
    use base64::prelude::BASE64_STANDARD;
    // Both halves form-encoded first (RFC 6749 section 2.3.1).
    format!("Basic {}", BASE64_STANDARD.encode("countersign:s3cret%2F%2B"))
}

fn led_to(response: &Response) -> Url {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    Url::parse(response.headers()[LOCATION].to_str().expect("text")).expect("a URL")
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn code_for(idp: &Router, user: &str) -> String {
    let back = led_to(&post(idp, &request_for(&[]), "", &[("user", user)]).await);
    parameter(&back, "code").expect("a code")
}

async fn exchange(idp: &Router, code: &str, verifier: &str) -> Response {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", verifier)];
    post(idp, "/token", &basic(), &form).await
}

async fn renew(idp: &Router, refresh_token: &str) -> Response {
    post(idp, "/token", &basic(), &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

#[tokio::test]
async fn ann_signs_in_and_gets_tokens_that_verify() {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let idp = provider(Arc::new(SystemClock));

    let page = text(get(&idp, &request_for(&[])).await).await;
    for part in ["Development only", "Ann", "Bob", "ml, admins", "analysts"] {
        assert!(page.contains(part), "the page lacks {part}");
    }
    let back = led_to(&post(&idp, &request_for(&[]), "", &[("user", "ann")]).await);
    assert_eq!(parameter(&back, "state").as_deref(), Some("xyz"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some(ISSUER));

    let tokens = json_of(exchange(&idp, &parameter(&back, "code").expect("a code"), VERIFIER).await).await;
    let keys: JwkSet = serde_json::from_value(json_of(get(&idp, "/jwks").await).await).expect("keys");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&["countersign"]);
    let id_token = tokens["id_token"].as_str().expect("an ID token");
    let key = DecodingKey::from_jwk(&keys.keys[0]).expect("a key");
    let claims = decode::<Value>(id_token, &key, &validation).expect("a good signature").claims;
    assert_eq!(claims["sub"], "ann");
    assert_eq!(claims["nonce"], "n-0S6");
    assert_eq!(claims["groups"], json!(["ml", "admins"]));
    assert!(claims["auth_time"].is_u64() && claims["at_hash"].is_string());

    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
    let userinfo = json_of(post(&idp, "/userinfo", &bearer, &[]).await).await;
    assert_eq!(userinfo["email"], "ann@example.com");
    post(&idp, "/revoke", &basic(), &[("token", tokens["access_token"].as_str().expect("text"))]).await;
    assert_eq!(post(&idp, "/userinfo", &bearer, &[]).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_works_once_in_time_and_with_its_verifier() {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
    let idp = provider(Arc::clone(&clock) as Arc<dyn Clock>);
    let refused = |response: Response| async { json_of(response).await["error"] == "invalid_grant" };

    let code = code_for(&idp, "bob").await;
    assert_eq!(exchange(&idp, &code, VERIFIER).await.status(), StatusCode::OK);
    assert!(refused(exchange(&idp, &code, VERIFIER).await).await, "used twice");

    let code = code_for(&idp, "bob").await;
    assert!(refused(exchange(&idp, &code, "another-verifier").await).await, "another verifier");
    assert!(refused(exchange(&idp, &code, VERIFIER).await).await, "burnt by the wrong try");

    let code = code_for(&idp, "bob").await;
    clock.advance(std::time::Duration::from_mins(2));
    assert!(refused(exchange(&idp, &code, VERIFIER).await).await, "too late");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_may_be_revoked() {
    let idp = provider(Arc::new(SystemClock));
    let first = json_of(exchange(&idp, &code_for(&idp, "bob").await, VERIFIER).await).await;
    let first = first["refresh_token"].as_str().expect("a refresh token");

    let second = json_of(renew(&idp, first).await).await;
    let second = second["refresh_token"].as_str().expect("a refresh token");
    assert_eq!(renew(&idp, first).await.status(), StatusCode::BAD_REQUEST, "rotated");

    post(&idp, "/revoke", &basic(), &[("token", second)]).await;
    assert_eq!(renew(&idp, second).await.status(), StatusCode::BAD_REQUEST, "revoked");
}

#[tokio::test]
async fn a_request_that_does_not_hold_together_is_refused() {
    let idp = provider(Arc::new(SystemClock));
    for (name, value) in [("client_id", "other"), ("redirect_uri", "http://127.0.0.1:8080/elsewhere")] {
        let response = get(&idp, &request_for(&[(name, value)])).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name} must not be redirected");
    }
    let repeated = format!("{}&state=again", request_for(&[]));
    assert_eq!(get(&idp, &repeated).await.status(), StatusCode::BAD_REQUEST);
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("scope", "profile", "invalid_scope"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("prompt", "none", "login_required"),
    ] {
        let back = led_to(&get(&idp, &request_for(&[(name, value)])).await);
        assert_eq!(parameter(&back, "error").as_deref(), Some(error), "{name}={value}");
        assert_eq!(parameter(&back, "state").as_deref(), Some("xyz"));
    }
    let back = led_to(&post(&idp, &request_for(&[]), "", &[("user", "mallory")]).await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    for authorization in ["", "Basic Y291bnRlcnNpZ246d3Jvbmc="] {
        let response = post(&idp, "/token", authorization, &[("grant_type", "refresh_token")]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
    }
}

#[tokio::test]
async fn a_logout_leads_back_to_the_client_only() {
    let idp = provider(Arc::new(SystemClock));
    let to = |uri: &str| format!("/end_session?state=s&post_logout_redirect_uri={uri}");
    let back = led_to(&get(&idp, &to("http%3A%2F%2F127.0.0.1%3A8080%2Foauth2%2Fsigned_out")).await);
    assert_eq!(back.as_str(), "http://127.0.0.1:8080/oauth2/signed_out?state=s");
    let stays = get(&idp, &to("http%3A%2F%2Fevil.example%2F")).await;
    assert_eq!(stays.status(), StatusCode::OK);
    assert!(text(stays).await.contains("You are signed out"));
}

/// The demonstration's own settings, and the room that signs people in for real.
#[tokio::test]
async fn countersign_and_this_provider_agree() {
    use crate::idp::{AuthorizationRequest, Outbound, Provider};

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let client = Client {
        id: "countersign".into(),
        secret: SecretText::new("s3cret/+".into()),
        redirect_uri: Url::parse(CALLBACK).expect("a URL"),
    };
    let public_url = Url::parse("http://127.0.0.1:8080").expect("a URL");
    let settings =
        crate::dev::settings::demonstration(&public_url, &issuer, &client, "/nowhere".as_ref()).expect("settings");
    let entropy = Arc::new(TestEntropy::default());
    let idp =
        DevIdp::new(issuer.clone(), client, crate::dev::users(), Arc::clone(&clock), entropy).expect("a provider");
    #[expect(clippy::disallowed_methods, reason = "a server beside the test")]
    tokio::spawn(async move { axum::serve(listener, idp.router()).await });

    let outbound = Outbound::new(&settings.egress).expect("a way out");
    let provider = Provider::new(settings.providers[0].clone(), CALLBACK.into(), outbound, clock);
    provider.discover().await.expect("it is found");
    assert_eq!(provider.origins(), [&*issuer]);
    let request = AuthorizationRequest { state: "xyz", nonce: "n-0S6", code_challenge: CHALLENGE, prompt: None };
    let url = provider.authorization_url(&request).expect("it is found");
    let browser =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a browser");
    let back = browser.post(url).form(&[("user", "bob")]).send().await.expect("an answer");
    let back = Url::parse(back.headers()[LOCATION].to_str().expect("text")).expect("a URL");
    provider.check_callback_issuer(parameter(&back, "iss").as_deref()).expect("it names itself");

    let code = SecretText::new(parameter(&back, "code").expect("a code"));
    let first = provider.exchange(&code, &SecretText::new(VERIFIER.into()), "n-0S6").await.expect("Bob is in");
    assert_eq!(first.identity.user.as_str(), "bob@example.com");
    assert_eq!(first.identity.groups.to_csv(), "analysts");
    let second = provider.renew(&first.tokens, &first.identity).await.expect("Bob stays in");
    assert_eq!(second.identity.user, first.identity.user);
    provider.revoke(&second.tokens).await.expect("Bob is out");
    provider.renew(&second.tokens, &second.identity).await.expect_err("revoked");
    let end = provider.end_session_url(Some(&second.tokens.id_token), "http://127.0.0.1:8080/oauth2/signed_out", "s");
    assert!(end.expect("it takes part in logouts").starts_with(&format!("{issuer}/end_session?")));
}
