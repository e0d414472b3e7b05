//! Programs: bearer tokens of each kind, and the doors besides Envoy's over HTTP.

use std::sync::Arc;

use countersign::clock::TestClock;
use countersign::config::KubernetesApi;
use http::Method;
use serde_json::json;

use crate::browser::{Browser, PAGE, SESSION};
use crate::canaries::{hear, seed};
use crate::grpc_check::{self, Encoding};
use crate::house::{self, BEGINNING, HOST, House, eventually};
use crate::lying_idp::{Answer as Instead, KEYS};
use crate::token_review::{AUDIENCE, Answer, Cluster, KEY_SET, TOKEN_REVIEWS};

const OWN: &str = "the-token-of-our-own-service-account-k7Yq2Vd9Xw3";
const CLIENT: &str = "our-secret-at-the-introspection-endpoint-5Jt8";
const OPAQUE: &str = "an-opaque-token-of-a-build-robot-Rr6Pz1Lw0c";

pub(crate) async fn all() {
    for (what, secret) in [
        ("our ServiceAccount's token", OWN),
        ("the introspection client's secret", CLIENT),
        ("an opaque token", OPAQUE),
    ] {
        seed(what, secret);
    }
    seed("the introspection client", &crate::canaries::basic("c", CLIENT));
    for verify in ["token_review", "keys"] {
        let mut cluster = Cluster::start(Arc::new(TestClock::at(BEGINNING))).await;
        cluster.write_own_token(OWN);
        cluster.behave(|cluster| assert!(cluster.accepted.insert(OWN.to_owned())));
        let house = house(&cluster, verify).await;
        eventually("the keys are there", async || {
            (cluster.count(KEY_SET) > 0 && house.idp.hits(KEYS) > 0).then_some(())
        })
        .await;
        by_tokens(&house, &cluster).await;
        by_opaque_tokens(&house).await;
        by_proxies(&house).await;
        by_grpc(&house).await;
        without_the_cluster(&house, &mut cluster).await;
        house.admin("/metrics").await;
        house.admin("/readyz").await;
    }
}

async fn house(cluster: &Cluster, verify: &str) -> House {
    let KubernetesApi { address, ca, token_file } = cluster.api();
    let (ca, token_file) = (ca.display(), token_file.display());
    House::open_with(|settings| {
        let issuer = settings.providers[0].issuer.clone();
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.bearer = house::bearer_beside(
            "{user: {prefix: 'corp:'}}",
            &issuer,
            &format!(
                "bearer:
  - {{kind: jwt, id: robots, issuer: '{issuer}', audiences: [countersign], algorithms: [RS256, ES256],
     jwks_url: '{issuer}/keys', identity: {{user: {{prefix: 'robot:'}}}}}}
  - {{kind: session}}
  - {{kind: kubernetes, verify: {verify}, audiences: [{AUDIENCE}], api_url: '{address}', ca_file: '{ca}',
     token_file: '{token_file}'}}
  - {{kind: introspection, introspection_url: '{issuer}/introspect', client_id: c, client_secret: \"{CLIENT}\",
     audiences: ['*'], identity: {{user: {{claim: username, prefix: 'opaque:'}}}}}}
"
            ),
        );
    })
    .await
}

async fn by_tokens(house: &House, cluster: &Cluster) {
    let pod = || {
        let token = cluster.token();
        seed("a ServiceAccount's token", &token);
        token
    };
    let session = house.signed_in().await.cookie(SESSION).expect("a session");
    let revoked = pod();
    cluster.revoke(&revoked);
    let strange = cluster.token_with(|claims| claims["aud"] = json!(["elsewhere"]));
    let nobodys = cluster.token_with(|claims| claims["iss"] = json!("https://elsewhere.example.com"));
    let forged = cluster.forged();
    for token in [&strange, &nobodys, &forged] {
        seed("a token of somebody else's", token);
    }
    let good = house.idp.access_token(|_| ());
    let cut = good[..good.len() - 9].to_owned();
    for token in [
        house.idp.access_token(|_| ()),
        house.idp.access_token(|claims| claims["exp"] = json!(1)),
        house.idp.access_token(|claims| claims["aud"] = json!("elsewhere")),
        house.idp.access_token(|claims| claims["email"] = json!("no address")),
        cut,
        good,
        pod(),
        revoked,
        strange,
        nobodys,
        forged,
        session,
    ] {
        ask_everywhere(house, &token).await;
    }
    // The way to the keys and to the reviewer is odd.
    house.idp.lie(|idp| idp.header = Box::new(|header| header["kid"] = json!("unknown")));
    ask_everywhere(house, &house.idp.access_token(|_| ())).await;
    house.idp.repent();
    for answer in
        [Answer::Body("{}".into()), Answer::Status(500, "etcd is away"), Answer::Redirect("https://x/".into())]
    {
        cluster.behave(|cluster| drop(cluster.answers.insert(TOKEN_REVIEWS, answer)));
        ask_everywhere(house, &pod()).await;
    }
    // It repeats what it was sent.
    let token = pod();
    let repeated = json!({"kind": "Status", "message": format!("is {token} not {OWN}?")}).to_string();
    cluster.behave(|cluster| drop(cluster.answers.insert(TOKEN_REVIEWS, Answer::Body(repeated))));
    ask_everywhere(house, &token).await;
    let repeated = json!({"status": {"error": format!("[invalid bearer token {token}]")}}).to_string();
    cluster.behave(|cluster| drop(cluster.answers.insert(TOKEN_REVIEWS, Answer::Body(repeated))));
    ask_everywhere(house, &token).await;
    cluster.behave(|cluster| cluster.answers.clear());
    cluster.behave(|cluster| cluster.may_review = false);
    ask_everywhere(house, &pod()).await;
    cluster.behave(|cluster| cluster.may_review = true);
}

async fn ask_everywhere(house: &House, token: &str) {
    let browser = house.browser();
    for headers in [
        vec![("authorization", format!("Bearer {token}"))],
        vec![("authorization", format!("Basic {token}"))],
        vec![("authorization", token.to_owned())],
        vec![("authorization", format!("Bearer {token}")), ("authorization", format!("Bearer {token}"))],
        vec![("txn-token", token.to_owned()), ("accept", PAGE.1.to_owned())],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        for path in ["/", "/admins/x", "/notebook/x"] {
            browser.check_with(Method::GET, path, &headers).await;
        }
    }
}

async fn by_opaque_tokens(house: &House) {
    let answers = [
        (200, json!({"active": true, "sub": "build-1", "username": "build-1"}).to_string()),
        (200, json!({"active": false}).to_string()),
        (200, json!({"active": OPAQUE, "error": OPAQUE}).to_string()),
        (200, format!("{{\"active\": {OPAQUE}")),
        (401, json!({"error": "invalid_client", "error_description": format!("{CLIENT} is not it")}).to_string()),
        (400, json!({"error": "invalid_request", "error_description": format!("{OPAQUE} is none")}).to_string()),
        (503, format!("away with {OPAQUE}")),
    ];
    for (status, body) in answers {
        house.idp.lie(|idp| drop(idp.answers.insert("/introspect", Instead::Plain(status, "application/json", body))));
        house.clock.advance(std::time::Duration::from_mins(2));
        ask_everywhere(house, OPAQUE).await;
        house.admin("/readyz").await;
    }
    house.idp.repent();
}

/// nginx and its like.
async fn by_proxies(house: &House) {
    let (somebody, nobody) = (house.signed_in().await, house.browser());
    for browser in [&somebody, &nobody] {
        for path in ["/", "/admins/x", "/public/x", "/%", "no path"] {
            for door in ["/forward-auth", "/forward-auth?answer=401", "/forward-auth?answer=refusal", "/forward-auth?x"]
            {
                let headers = [
                    PAGE,
                    ("x-forwarded-method", "GET"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", HOST),
                    ("x-forwarded-uri", path),
                ];
                browser.ask(Method::GET, door, &headers).await;
            }
        }
    }
}

async fn by_grpc(house: &House) {
    let session = house.signed_in().await.cookie(SESSION).expect("a session");
    let token = house.idp.access_token(|_| ());
    let mut line = grpc_check::connect(house.gateway.address).await;
    for encoding in [Encoding::Joined, Encoding::Raw] {
        for path in ["/", "/admins/x", "/public/x", "/%", "/public/ x", "none"] {
            for (name, value) in [
                ("cookie", format!("{SESSION}={session}")),
                ("cookie", format!("{SESSION}={session}x")),
                ("cookie", format!("{SESSION}={session}; {SESSION}={session}x")),
                ("authorization", format!("Bearer {token}")),
                ("authorization", format!("Bearer {token}x")),
                ("authorization", format!("Bearer {token}\r\n")),
            ] {
                let headers = [(PAGE.0.to_owned(), PAGE.1.into()), (name.to_owned(), value.into_bytes())];
                let asked = grpc_check::request("GET", HOST, path, &headers, encoding);
                let answer = line.check(asked).await.expect("an answer").into_inner();
                // Who may pass gets our token and the cookies that are left; the rest is for everybody to read.
                if answer.status.as_ref().is_some_and(|status| status.code != 0) {
                    hear(format!("gRPC {path}"), format!("{answer:?}"));
                }
                hear("the notes of a check", format!("{:?}", answer.dynamic_metadata));
            }
        }
    }
}

async fn without_the_cluster(house: &House, cluster: &mut Cluster) {
    // Our own token is none, and then there is nobody to show it to.
    cluster.write_own_token(&format!("{OWN}\r\nX-Remote-User: admin"));
    let token = cluster.token();
    seed("a ServiceAccount's token", &token);
    ask_everywhere(house, &token).await;
    cluster.write_own_token(&format!("{OWN}-2"));
    ask_everywhere(house, &token).await;
    cluster.stop().await;
    ask_everywhere(house, &token).await;
    house.admin("/readyz").await;
    let operator = Browser::new(house.gateway.admin, house.clock.clone());
    operator.ask(Method::GET, "/sessions", &[("authorization", &format!("Bearer {token}"))]).await;
}
