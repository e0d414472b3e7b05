//! A proxy in front of the gateway that says, signed, who somebody is.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::browser::{Answer, Browser, PAGE};
use crate::house::{self, BEGINNING, House, eventually};
use crate::lying_idp::{Answer as Instead, KEYS, LyingIdp, Signing};
use crate::rc_token;

const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/mesh/50dc6c495c0c9188";
const DATA: &str = "x-amzn-oidc-data";
const KID: &str = "a1b2c3d4-5555-6666-7777-888888888888";
const KEY: &str = "/keys/a1b2c3d4-5555-6666-7777-888888888888";

static BALANCER: LazyLock<EcdsaKeyPair> = LazyLock::new(new_key);
static STRANGER: LazyLock<EcdsaKeyPair> = LazyLock::new(new_key);

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")
}

/// The public half, as AWS publishes it.
fn pem(key: &EcdsaKeyPair) -> String {
    // SubjectPublicKeyInfo of a P-256 key (RFC 5480), up to the point.
    let mut der = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    der.extend_from_slice(key.public_key().as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
}

/// What the load balancer sends; changed as a test says.
fn signed(key: &EcdsaKeyPair, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let mut header = json!({
        "typ": "JWT", "kid": KID, "alg": "ES256", "iss": "https://login.example.com", "client": "balancer",
        "signer": ARN, "exp": BEGINNING.as_secs() + 120,
    });
    let mut claims = json!({
        "sub": "eve-1", "email": "eva@example.com", "email_verified": true, "groups": ["ml"],
        "exp": BEGINNING.as_secs() + 120, "iss": "https://login.example.com",
    });
    change(&mut header, &mut claims);
    let encoded = |part: &Value| BASE64_URL_SAFE.encode(part.to_string());
    let input = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = key.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
    format!("{input}.{}", BASE64_URL_SAFE.encode(signature.as_ref()))
}

async fn behind_a_balancer() -> House {
    let publish = |idp: &LyingIdp| {
        let key = Instead::Plain(200, "text/plain", pem(&BALANCER));
        idp.lie(|idp| drop(idp.answers.insert(KEY, key)));
    };
    let house = House::open_at_once(publish, |settings| {
        let issuer = settings.providers[0].issuer.clone();
        let text = format!(
            "front_proxy: {{kind: aws-alb, arn: '{ARN}', issuer: https://login.example.com, client_id: balancer, \
             keys_url: '{issuer}/keys', identity: {{admit: {{email_domains: [example.com]}}}}}}"
        );
        settings.bearer = house::bearer_beside("{admit: {email_domains: [example.org]}}", &issuer, &text);
    })
    .await;
    house.provider_is_found().await;
    house
}

async fn say(browser: &Browser, header: &str, value: &str) -> Answer {
    browser.check_with(Method::GET, "/", &[("accept", "*/*"), (header, value)]).await
}

#[tokio::test]
async fn what_the_load_balancer_signed_is_believed() {
    let house = behind_a_balancer().await;
    let browser = house.browser();
    let token = signed(&BALANCER, |_, _| ());
    assert!(token.contains('='), "padded, as the balancer's are");
    let forged = [
        PAGE,
        (DATA, &*token),
        ("x-amzn-oidc-identity", "admin"),
        ("x-amzn-oidc-accesstoken", "secret"),
        ("x_amzn_oidc_data", "mine"),
    ];
    let answer = browser.check_with(Method::GET, "/ml/x", &forged).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "eva@example.com"), "{}", answer.body);
    for name in [DATA, "x-amzn-oidc-identity", "x-amzn-oidc-accesstoken", "x_amzn_oidc_data"] {
        assert!(answer.removed().contains(&name), "{name} reaches the workload");
    }
    let claims = rc_token::claims(answer.token());
    assert_eq!((&claims["idp"], &claims["exp"]), (&json!("aws-alb"), &json!(BEGINNING.as_secs() + 120)));
    assert_eq!(browser.check_with(Method::GET, "/admins/x", &forged).await.status, 403);
    assert_eq!(say(&browser, DATA, &signed(&BALANCER, |_, claims| claims["sub"] = json!("eve-2"))).await.status, 200);
    assert_eq!(house.idp.hits(KEY), 1, "a key is fetched once");
    assert_eq!(browser.check("/").await.status, 302, "without the header nobody is signed in");
    house.clock.advance(std::time::Duration::from_mins(2));
    assert_eq!(browser.check_with(Method::GET, "/ml/x", &forged).await.status, 401, "it has ended");
}

#[tokio::test]
async fn what_it_did_not_sign_is_refused_whatever_cookie_comes_with_it() {
    let house = house_signed_in().await;
    let (house, somebody) = (&house.0, &house.1);
    let header = |name: &'static str, value: Value| signed(&BALANCER, |header, _| header[name] = value);
    let other_arn = ARN.replace("mesh", "evil");
    let none = signed(&BALANCER, |header, _| header["alg"] = json!("none"));
    for (what, token) in [
        ("a stranger's key", signed(&STRANGER, |_, _| ())),
        ("another balancer", header("signer", json!(other_arn))),
        ("no signer", header("signer", json!(null))),
        ("another client", header("client", json!("other"))),
        ("another issuer", header("iss", json!("https://evil.example"))),
        ("over", header("exp", json!(BEGINNING.as_secs()))),
        ("endless", header("exp", json!(null))),
        ("an unknown key", header("kid", json!("00000000-0000-0000-0000-000000000000"))),
        ("a key elsewhere", header("kid", json!("../jwks"))),
        ("a key at an address", header("kid", json!("https://evil.example/key"))),
        ("no key", header("kid", json!(null))),
        ("an extension", header("crit", json!(["exp"]))),
        ("HS256", header("alg", json!("HS256"))),
        ("no signature", format!("{}.", none.rsplit_once('.').expect("a signature").0)),
        ("no subject", signed(&BALANCER, |_, claims| claims["sub"] = json!(""))),
        ("no token", "eva@example.com".to_owned()),
        ("nothing", String::new()),
    ] {
        for browser in [somebody, &house.browser()] {
            let answer = say(browser, DATA, &token).await;
            assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("invalid_token")), "{what}");
        }
    }
    let seen = house.idp.hits("/keys/00000000-0000-0000-0000-000000000000");
    assert_eq!(seen, 1, "and not again for a moment");
    let token = signed(&BALANCER, |_, _| ());
    let two = [("accept", "*/*"), (DATA, &*token), (DATA, &*token)];
    let answer = somebody.check_with(Method::GET, "/", &two).await;
    assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("two_credentials")));
    let unsigned = [PAGE, ("x-amzn-oidc-identity", "eva@example.com")];
    assert_eq!(house.browser().check_with(Method::GET, "/", &unsigned).await.status, 302);
}

#[tokio::test]
async fn readiness_names_it_while_its_keys_are_away() {
    let house = behind_a_balancer().await;
    let browser = house.browser();
    let told = async || house.admin("/readyz").await.json()["sources"]["aws-alb"].clone();
    house.idp.lie(|idp| drop(idp.answers.insert(KEY, Instead::Plain(503, "text/plain", "away".into()))));
    assert_eq!(say(&browser, DATA, &signed(&BALANCER, |_, _| ())).await.status, 401);
    assert!(told().await.to_string().contains("missing: "), "{}", told().await);
    let forged = signed(&BALANCER, |header, _| header["signer"] = json!("another"));
    assert_eq!(say(&browser, DATA, &forged).await.status, 401);
    assert!(told().await.to_string().contains("missing: "), "what costs no call shows nothing");
    house.idp.lie(|idp| drop(idp.answers.insert(KEY, Instead::Plain(200, "text/plain", pem(&BALANCER)))));
    house.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(say(&browser, DATA, &signed(&BALANCER, |_, _| ())).await.status, 200);
    assert_eq!(told().await, json!("ready"));
}

#[tokio::test]
async fn keys_that_nobody_has_keep_nobody_waiting() {
    let house = behind_a_balancer().await;
    let (browser, stranger) = (house.browser(), house.browser());
    let naming = |key: &EcdsaKeyPair, kid: &str| {
        signed(key, |header, claims| {
            header["kid"] = json!(kid);
            claims["sub"] = json!(kid);
        })
    };
    assert_eq!(say(&browser, DATA, &signed(&BALANCER, |_, _| ())).await.status, 200);

    // While one key does not come, tokens of a known one are good. The browser brings one that was not seen before.
    let slow = "/keys/aaaaaaaa-0000-0000-0000-000000000000";
    let gate = Arc::new(Semaphore::new(0));
    house.idp.lie(|idp| drop(idp.held.insert(slow, Arc::clone(&gate))));
    let waits = naming(&STRANGER, "aaaaaaaa-0000-0000-0000-000000000000");
    let other = signed(&BALANCER, |_, claims| claims["sub"] = json!("eve-2"));
    let known = async {
        eventually("it is asked for", async || (house.idp.hits(slow) == 1).then_some(())).await;
        let answer = say(&browser, DATA, &other).await;
        gate.add_permits(1);
        answer
    };
    let (_, known) = tokio::join!(say(&stranger, DATA, &waits), known);
    assert_eq!(known.status, 200, "{}", known.body);

    // Nor does a name that nobody has keep a new key from being fetched in the same second.
    let new = Instead::Plain(200, "text/plain", pem(&STRANGER));
    house.idp.lie(|idp| drop(idp.answers.insert("/keys/bbbbbbbb-0000-0000-0000-000000000000", new)));
    let nobodys = naming(&BALANCER, "cccccccc-0000-0000-0000-000000000000");
    assert_eq!(say(&stranger, DATA, &nobodys).await.json()["error"], json!("invalid_token"));
    let rotated = naming(&STRANGER, "bbbbbbbb-0000-0000-0000-000000000000");
    assert_eq!(say(&browser, DATA, &rotated).await.status, 200);

    // It is remembered for a while that there is no such key, however many tokens name it.
    for n in 0..30 {
        let another = signed(&BALANCER, |header, claims| {
            header["kid"] = json!("cccccccc-0000-0000-0000-000000000000");
            claims["sub"] = json!(n);
        });
        assert_eq!(say(&stranger, DATA, &another).await.json()["error"], json!("invalid_token"));
    }
    let asked = || house.idp.hits("/keys/cccccccc-0000-0000-0000-000000000000");
    assert_eq!(asked(), 1);
    house.clock.advance(std::time::Duration::from_secs(30));
    assert_eq!(say(&stranger, DATA, &nobodys).await.json()["error"], json!("invalid_token"));
    assert_eq!(asked(), 2, "it may be there by now");

    // All names together are not more than a trickle.
    for n in 0..60 {
        let status = say(&stranger, DATA, &naming(&BALANCER, &format!("dddddddd-{n}"))).await.status;
        assert_eq!(status, 401);
    }
    let fetched: usize = (0..60).map(|n| house.idp.hits(&format!("/keys/dddddddd-{n}"))).sum();
    assert!((1..=20).contains(&fetched), "{fetched} were fetched");
}

async fn house_signed_in() -> (House, Browser) {
    let house = behind_a_balancer().await;
    let somebody = house.signed_in().await;
    (house, somebody)
}

/// Behind a proxy whose keys are the provider's.
async fn behind(proxy: &str) -> House {
    let house = House::open_with(|settings| {
        let issuer = settings.providers[0].issuer.clone();
        let text =
            format!("front_proxy: {{{proxy}, keys_url: '{issuer}/keys', identity: {{user: {{prefix: 'front:'}}}}}}");
        settings.bearer = house::bearer_beside("{user: {prefix: 'corp:'}}", &issuer, &text);
    })
    .await;
    eventually("the keys are there", async || (house.idp.hits(KEYS) == 1).then_some(())).await;
    house
}

#[tokio::test]
async fn googles_proxy_is_believed_for_its_own_backend() {
    let house = behind("kind: google-iap, audience: /projects/1/global/backendServices/2").await;
    house.idp.lie(|idp| idp.signing = Signing::Es256);
    let (browser, name) = (house.browser(), "x-goog-iap-jwt-assertion");
    let token = |audience: &str, issuer: &str| {
        house.idp.access_token(|claims| {
            claims["aud"] = json!(audience);
            claims["iss"] = json!(issuer);
        })
    };
    let google = "https://cloud.google.com/iap";
    let answer = say(&browser, name, &token("/projects/1/global/backendServices/2", google)).await;
    assert_eq!((answer.status, answer.header("kubeflow-userid")), (200, "front:robot@example.com"), "{}", answer.body);
    assert!(answer.removed().contains(&"x-goog-authenticated-user-email"));
    for (audience, issuer) in
        [("/projects/1/global/backendServices/3", google), ("/projects/1/global/backendServices/2", "https://evil")]
    {
        assert_eq!(say(&browser, name, &token(audience, issuer)).await.status, 401, "{audience} {issuer}");
    }
    house.idp.lie(|idp| idp.signing = Signing::Rs256);
    let other_algorithm = token("/projects/1/global/backendServices/2", google);
    assert_eq!(say(&browser, name, &other_algorithm).await.status, 401);
}

#[tokio::test]
async fn cloudflares_service_tokens_are_users_too() {
    let house = behind("kind: cloudflare-access, issuer: 'https://team.cloudflareaccess.com/', audience: tag").await;
    let (browser, name) = (house.browser(), "cf-access-jwt-assertion");
    let token = |change: &dyn Fn(&mut Value)| {
        house.idp.access_token(|claims| {
            claims["aud"] = json!(["tag"]);
            claims["iss"] = json!("https://team.cloudflareaccess.com");
            change(claims);
        })
    };
    let person = say(&browser, name, &token(&|_| ())).await;
    assert_eq!((person.status, person.header("kubeflow-userid")), (200, "front:robot@example.com"), "{}", person.body);
    let service = token(&|claims| {
        claims["sub"] = json!("");
        claims["common_name"] = json!("e367826f93b8d71185e03fe518aff3b4.access");
        claims.as_object_mut().expect("an object").remove("email");
    });
    let service = say(&browser, name, &service).await;
    let user = "front:e367826f93b8d71185e03fe518aff3b4.access";
    assert_eq!((service.status, service.header("kubeflow-userid")), (200, user), "{}", service.body);
    let nobody = say(&browser, name, &token(&|claims| claims["sub"] = json!(""))).await;
    assert_eq!(nobody.status, 401);
}

/// What a workload gets of the `Cookie` header.
fn left_of_it(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.body);
    if answer.removed().contains(&"cookie") { "" } else { answer.header("cookie") }
}

#[tokio::test]
async fn what_the_proxy_knows_its_visitors_by_is_no_workloads_to_see() {
    let cloudflare = "kind: cloudflare-access, issuer: 'https://team.cloudflareaccess.com/', audience: tag";
    let house = behind(cloudflare).await;
    let token = house.idp.access_token(|claims| {
        claims["aud"] = json!(["tag"]);
        claims["iss"] = json!("https://team.cloudflareaccess.com");
    });
    let cookies = format!("CF_Authorization={token}; theme=dark; CF_AppSession=n1; CF_Binding=x");
    let visitor = [PAGE, ("cf-access-jwt-assertion", &*token), ("cookie", &*cookies), ("cf-access-token", "x")];
    let browser = house.browser();
    for path in ["/", "/notebook/ann/nb/", "/public/x", "/maybe/x", "/dex/auth", "/oauth2/userinfo"] {
        // Twice: made the first time, at hand the second.
        for _ in 0..2 {
            let answer = browser.check_with(Method::GET, path, &visitor).await;
            assert_eq!(left_of_it(&answer), "theme=dark", "{path}");
            assert!(answer.removed().contains(&"cf-access-token"), "{path}");
        }
    }
    let with_its_own = [visitor[0], visitor[1], ("authorization", "token abc")];
    let answer = browser.check_with(Method::GET, "/notebook/ann/nb/", &with_its_own).await;
    assert!(answer.status == 200 && !answer.removed().contains(&"authorization"), "that is the workload's");
    let only_theirs = [PAGE, visitor[1], ("cookie", "CF_Authorization=x")];
    let answer = browser.check_with(Method::GET, "/public/x", &only_theirs).await;
    assert!(answer.removed().contains(&"cookie"), "nothing is left of it");
    // Our own page still knows our own session.
    let ann = house.signed_in().await;
    let own = ann.check_with(Method::GET, "/oauth2/userinfo", &[PAGE, ("cookie", &cookies)]).await;
    assert!(left_of_it(&own).contains("__Host-countersign=") && !left_of_it(&own).contains("CF_"), "{own:?}");
}

#[tokio::test]
async fn each_proxy_has_cookies_of_its_own() {
    let cookies = "AWSELBAuthSessionCookie-0=a; AWSELBAuthSessionCookie-1=b; GCP_IAAP_AUTH_TOKEN_1A=c; \
                   __Host-GCP_IAP_AUTH_TOKEN_1A=d; GCP_IAP_UID=e; CF_Authorization=f; corp-0=g";
    let on_public = async |house: &House| {
        let answer = house.browser().check_with(Method::GET, "/public/x", &[PAGE, ("cookie", cookies)]).await;
        left_of_it(&answer).to_owned()
    };
    let balancer = behind_a_balancer().await;
    let google = "GCP_IAAP_AUTH_TOKEN_1A=c; __Host-GCP_IAP_AUTH_TOKEN_1A=d; GCP_IAP_UID=e";
    assert_eq!(on_public(&balancer).await, format!("{google}; CF_Authorization=f; corp-0=g"));
    let iap = behind("kind: google-iap, audience: /projects/1/global/backendServices/2").await;
    let amazon = "AWSELBAuthSessionCookie-0=a; AWSELBAuthSessionCookie-1=b";
    assert_eq!(on_public(&iap).await, format!("{amazon}; CF_Authorization=f; corp-0=g"));
    // A load balancer's may be called otherwise.
    let named = House::open_with(|settings| settings.cookie.hide = vec!["corp".to_owned()]).await;
    assert_eq!(on_public(&named).await, format!("{amazon}; {google}; CF_Authorization=f"));
}
