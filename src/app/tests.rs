//! The house with a store that fails when a test wants it to.

#[path = "../../tests/support/grpc_check.rs"]
mod grpc_check;

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::DeniedHttpResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use grpc_check::Encoding;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::clock::{TestClock, UnixTime};
use crate::config::for_tests as settings;
use crate::entropy::SystemEntropy;
use crate::identity::{Groups, Identity, ProviderId, ProviderTokens, Subject, UserId};
use crate::secret::SecretText;
use crate::session::NewSession;
use crate::session::faulty::Faulty;

const PAGE: &str = "accept: text/html\r\n";
const SAME_ORIGIN: &str = "sec-fetch-site: same-origin\r\n";
const ADMIN: &str = "0123456789abcdef0123456789abcdef";
const SIGN_OUT: &str = "/oauth2/sign_out";

struct House {
    store: Arc<Faulty>,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
    address: SocketAddr,
    admin: SocketAddr,
    running: tokio::task::JoinHandle<Result<(), StartError>>,
    // Held for as long as the house stands.
    _stop: oneshot::Sender<()>,
    _data: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

#[tokio::test]
async fn people_are_sent_to_a_page_and_programs_get_401_while_the_store_is_away() {
    let house = House::open().await;
    let stranger_to_memory = house.other_sessions_cookie().await;
    house.store.set_broken(true);
    let cookie = cookie(&stranger_to_memory);

    let page = house.ask("GET", "/check/x?y=1", &format!("{PAGE}{cookie}")).await;
    assert_eq!((page.status, page.header("location")), (302, "/oauth2/unavailable?rd=/x%3Fy%3D1"));
    assert_eq!(page.header("set-cookie"), "", "it may still live");
    let unavailable = house.ask("GET", page.header("location"), &format!("{PAGE}{cookie}")).await;
    assert_eq!((unavailable.status, unavailable.header("retry-after")), (503, "5"));
    assert!(unavailable.body.contains("cannot decide at the moment"), "{}", unavailable.body);
    assert!(unavailable.body.replace("&#x2f;", "/").contains("https://mesh.example.com/x?y=1"), "{}", unavailable.body);

    for (method, headers) in [("GET", "accept: application/json\r\n"), ("POST", PAGE)] {
        let program = house.ask(method, "/check/x", &format!("{headers}{cookie}")).await;
        assert_eq!((program.status, program.header("retry-after")), (401, "5"), "Envoy makes a blank 403 of a 503");
        let json: Value = serde_json::from_str(&program.body).expect("JSON");
        assert_eq!((json["error"].as_str(), json["retry_after"].as_u64()), (Some("store_unavailable"), Some(5)));
        assert_eq!(json.get("login_url"), None, "signing in again does not help");
    }
    // Who needs no session is not held up, and neither is who is known already, nor verifiers.
    assert_eq!(house.ask("GET", "/check/x", PAGE).await.header("location"), "/oauth2/start?rd=/x");
    assert_eq!(house.ask("GET", "/check/oauth2/unavailable", &cookie).await.status, 200);
    assert_eq!(house.ask("GET", "/.well-known/jwks.json", "").await.status, 200);
    assert_eq!(house.ask("GET", "/oauth2/userinfo", &cookie).await.status, 503);

    house.store.set_broken(false);
    assert_eq!(house.ask("GET", "/check/x", &format!("{PAGE}{cookie}")).await.status, 200);
}

#[tokio::test]
async fn proxies_that_hand_on_a_503_get_one_while_the_store_is_away() {
    let house = House::open().await;
    let cookie = cookie(&house.other_sessions_cookie().await);
    house.store.set_broken(true);
    let told = "x-forwarded-method: GET\r\nx-forwarded-host: mesh.example.com\r\nx-forwarded-uri: /x\r\n";
    for (door, status) in
        [("/forward-auth", 503), ("/forward-auth?answer=401", 401), ("/forward-auth?answer=refusal", 503)]
    {
        let page = house.ask("GET", door, &format!("{told}{PAGE}{cookie}")).await;
        assert_eq!((page.status, page.header("retry-after"), page.header("location")), (status, "5", ""), "{door}");
        assert!(page.body.contains("Sessions are out of reach"), "{}", page.body);
        let program = house.ask("GET", door, &format!("{told}accept: */*\r\n{cookie}")).await;
        assert_eq!((program.status, program.header("retry-after")), (status, "5"), "{door}");
    }
    // A link that a browser would follow to another host is none to try again by.
    for (target, link) in [("/x", true), ("//evil.example/", false), ("/\\evil.example/", false)] {
        let told = told.replace("uri: /x", &format!("uri: {target}"));
        let page = house.ask("GET", "/forward-auth", &format!("{told}{PAGE}{cookie}")).await;
        assert_eq!((page.status, page.body.contains("Try again</a>")), (503, link), "{target}");
    }
    house.store.set_broken(false);
    assert_eq!(house.ask("GET", "/forward-auth", &format!("{told}{PAGE}{cookie}")).await.status, 200);
}

#[tokio::test]
async fn over_grpc_a_503_is_a_503_while_the_store_is_away() {
    let house = House::open().await;
    let (in_memory, only_in_store) = (house.cookie().await, house.other_sessions_cookie().await);
    house.store.set_broken(true);

    let page = house.denied_over_grpc("GET", "text/html", Some(&only_in_store)).await;
    let headers = grpc_check::headers(&page.headers);
    assert_eq!((page.status.unwrap().code, &*headers["retry-after"]), (503, "5"));
    assert_eq!((&*headers["content-type"], headers.get("location")), ("text/html; charset=utf-8", None));
    assert!(page.body.contains("Sessions are out of reach"), "{}", page.body);
    assert!(page.body.replace("&#x2f;", "/").contains("href=\"/x?y=1\""), "the way back: {}", page.body);

    for (method, accept) in [("GET", "application/json"), ("POST", "text/html")] {
        let program = house.denied_over_grpc(method, accept, Some(&only_in_store)).await;
        let headers = grpc_check::headers(&program.headers);
        assert_eq!((program.status.unwrap().code, &*headers["retry-after"]), (503, "5"));
        let json: Value = serde_json::from_str(&program.body).expect("JSON");
        assert_eq!((json["error"].as_str(), json["retry_after"].as_u64()), (Some("store_unavailable"), Some(5)));
    }
    // Who needs no session is not held up, and neither is who is known already.
    let stranger = house.denied_over_grpc("GET", "text/html", None).await;
    assert_eq!(grpc_check::headers(&stranger.headers)["location"], "/oauth2/start?rd=/x%3Fy%3D1");
    let known = house.ask_over_grpc("GET", "text/html", Some(&in_memory)).await;
    assert!(matches!(known, HttpResponse::OkResponse(_)), "{known:?}");
    let counted = house.metrics.encode();
    for series in [r#"verdict="error",reason="store_unavailable""#, r#"verdict="allow",reason="session""#] {
        assert!(counted.contains(&format!("countersign_checks_total{{door=\"grpc\",{series}}}")), "{counted}");
    }
    house.store.set_broken(false);
    let again = house.ask_over_grpc("GET", "text/html", Some(&only_in_store)).await;
    assert!(matches!(again, HttpResponse::OkResponse(_)), "{again:?}");
}

#[tokio::test]
async fn a_sign_out_that_cannot_be_kept_says_so() {
    let house = House::open().await;
    let in_memory = house.cookie().await;
    let only_in_store = house.other_sessions_cookie().await;
    house.store.set_broken(true);
    for value in [&in_memory, &only_in_store] {
        let page = house.ask("POST", SIGN_OUT, &format!("{PAGE}{SAME_ORIGIN}{}", cookie(value))).await;
        assert_eq!((page.status, page.header("retry-after")), (503, "5"));
        assert!(page.body.contains("You are not signed out"), "{}", page.body);
        assert_eq!(page.header("set-cookie"), "", "the cookie is needed to try again");
    }
    house.store.set_broken(false);
    for value in [&in_memory, &only_in_store] {
        let page = house.ask("POST", SIGN_OUT, &format!("{PAGE}{SAME_ORIGIN}{}", cookie(value))).await;
        assert_eq!((page.status, page.header("location")), (303, "/oauth2/signed_out"));
        assert_eq!(house.ask("GET", "/check/x", &format!("{PAGE}{}", cookie(value))).await.status, 302);
    }
}

#[tokio::test]
async fn a_stale_callback_knows_not_whether_somebody_is_signed_in() {
    let house = House::open().await;
    let cookie = cookie(&house.other_sessions_cookie().await);
    house.store.set_broken(true);
    let page = house.ask("GET", "/oauth2/callback?state=aaaaaaaaaaaaaaaa&code=x", &format!("{PAGE}{cookie}")).await;
    assert_eq!((page.status, page.header("set-cookie")), (503, ""));
    assert!(page.body.contains("Sessions are out of reach"), "{}", page.body);
}

#[tokio::test]
async fn sessions_whose_end_cannot_be_kept_are_not_said_to_be_over() {
    let house = House::open().await;
    let (here, there) = (cookie(&house.cookie().await), cookie(&house.cookie().await));
    let token = format!("authorization: Bearer {ADMIN}\r\n");
    house.store.set_broken(true);
    let list = house.ask("GET", "/oauth2/sessions", &format!("{PAGE}{here}")).await;
    assert!(list.status == 503 && list.body.contains("Sessions are out of reach"), "{}", list.body);
    let page = house.post(house.address, "/oauth2/sessions", &format!("{SAME_ORIGIN}{here}"), "end_others=1").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert!(page.body.contains("Not every session was ended"), "{}", page.body);
    for (method, target) in [
        ("GET", "/sessions"),
        ("GET", "/sessions?user=ann"),
        ("DELETE", "/sessions?user=ann"),
        ("DELETE", "/sessions?all=true"),
        ("DELETE", "/sessions/x"),
    ] {
        let answer = house.ask_at(house.admin, method, target, &token, "").await;
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status, json["error"].as_str()), (503, Some("store_unavailable")), "{method} {target}");
    }
    let frame = "/oauth2/frontchannel_logout?iss=http%3A%2F%2F127.0.0.1%3A1&sid=x";
    let answer = house.ask("GET", frame, "").await;
    let json: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((answer.status, json["error"].as_str()), (400, Some("temporarily_unavailable")));
    assert!(
        house.metrics.encode().contains(r#"countersign_provider_logouts_total{provider="corp",outcome="failed"} 1"#)
    );

    house.store.set_broken(false);
    assert_eq!(house.ask("GET", "/check/x", &format!("{PAGE}{there}")).await.status, 200);
    let ended = house.ask_at(house.admin, "DELETE", "/sessions?user=ann", &token, "").await;
    assert_eq!((ended.status, &*ended.body), (200, r#"{"ended":2}"#));
    for cookie in [here, there] {
        assert_eq!(house.ask("GET", "/check/x", &format!("{PAGE}{cookie}")).await.status, 302);
    }
}

#[tokio::test]
async fn a_large_file_of_sessions_is_opened_while_the_admin_port_answers() {
    let (opened, opening) = oneshot::channel();
    let house = House::open_with(Some(Opening::of(opening))).await;
    house.store.set_broken(true);
    let ask = async |path| house.ask_at(house.admin, "GET", path, "", "").await;
    assert_eq!(ask("/livez").await.status, 200);
    let ready = ask("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("\"store\": \"missing"), "{}", ready.body);
    opened.send(Ok(())).expect("it is awaited");
    house.store.set_broken(false);
    while ask("/readyz").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_of_sessions_that_turns_out_damaged_ends_the_gateway() {
    let (opened, opening) = oneshot::channel();
    let mut house = House::open_with(Some(Opening::of(opening))).await;
    let damaged = StoreError::Damaged { path: "sessions.redb".into(), reason: "a page".into() };
    opened.send(Err(damaged)).expect("it is awaited");
    let ended = (&mut house.running).await.expect("no panic").expect_err("it cannot go on").to_string();
    assert!(ended.contains("sessions.redb is damaged"), "{ended}");
}

impl House {
    async fn open() -> Self {
        Self::open_with(None).await
    }

    #[expect(clippy::disallowed_methods, reason = "the gateway runs beside the test")]
    async fn open_with(opening: Option<Opening>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let data = tempfile::tempdir().unwrap();
        let embedded = Embedded::open(data.path().join("sessions.redb")).unwrap();
        let store = Faulty::over(Arc::new(embedded));
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let rest = format!("trusted_proxies: [127.0.0.1]\nadmin: {{token: '{ADMIN}'}}\n");
        let settings = settings::settings(data.path(), settings::NOBODY, &rest);
        let metrics = Arc::new(Metrics::new());
        let opened =
            Box::pin(Gateway::open_on(store.clone(), settings, None, clock, Arc::new(SystemEntropy), metrics.clone()))
                .await;
        let gateway = Gateway { opening, ..opened.unwrap() };
        let (sessions, address) = (Arc::clone(&gateway.sessions), gateway.main_address());
        let admin = gateway.admin_address();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(gateway.run(async {
            let _ = stopped.await;
        }));
        Self { store, sessions, metrics, address, admin, running, _stop: stop, _data: data }
    }

    /// The cookie of a session that is in memory.
    async fn cookie(&self) -> String {
        let value = self.sessions.create(new_session()).await.unwrap().0;
        let cookie = self.sessions.prove(&value).unwrap();
        // The gateway has only just begun: memory counts from when the store tells of changes.
        while self.sessions.cached(cookie.key, UnixTime::from_secs(1_800_000_000)).is_none() {
            self.sessions.find(&cookie).await.unwrap();
            tokio::task::yield_now().await;
        }
        value
    }

    /// The cookie of a session that this gateway has not met yet: memory has lost it, as after a restart.
    async fn other_sessions_cookie(&self) -> String {
        let value = self.cookie().await;
        let cookie = self.sessions.prove(&value).unwrap();
        let live = self.sessions.find(&cookie).await.unwrap().unwrap();
        self.sessions.renew(&cookie, &live, new_session()).await.unwrap();
        value
    }

    async fn ask_over_grpc(&self, method: &str, accept: &str, session: Option<&str>) -> HttpResponse {
        let session = session.map(|value| ("cookie".to_owned(), format!("__Host-countersign={value}").into_bytes()));
        let headers: Vec<(String, Vec<u8>)> =
            [("accept".to_owned(), accept.into())].into_iter().chain(session).collect();
        let asked = grpc_check::request(method, "mesh.example.com", "/x?y=1", &headers, Encoding::Joined);
        let answer = grpc_check::connect(self.address).await.check(asked).await.unwrap().into_inner();
        grpc_check::parts(&answer).1
    }

    async fn denied_over_grpc(&self, method: &str, accept: &str, session: Option<&str>) -> DeniedHttpResponse {
        match self.ask_over_grpc(method, accept, session).await {
            HttpResponse::DeniedResponse(denied) => denied,
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        self.ask_at(self.address, method, target, headers, "").await
    }

    async fn post(&self, address: SocketAddr, target: &str, headers: &str, form: &str) -> Answer {
        let headers = format!("content-type: application/x-www-form-urlencoded\r\n{headers}");
        self.ask_at(address, "POST", target, &headers, form).await
    }

    async fn ask_at(&self, address: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nhost: mesh.example.com\r\nconnection: close\r\n");
        let length = body.len();
        let request = format!("{head}{headers}content-length: {length}\r\n\r\n{body}");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&*start)).unwrap_or_default()
    }
}

fn cookie(value: &str) -> String {
    format!("cookie: __Host-countersign={value}\r\n")
}

fn new_session() -> NewSession {
    let secret = |text: &str| SecretText::new(text.into());
    NewSession {
        identity: Identity {
            provider: ProviderId::parse("corp").unwrap(),
            subject: Subject::parse("ann-1").unwrap(),
            user: UserId::parse("ann").unwrap(),
            email: None,
            groups: Groups::default(),
            auth_time: None,
            acr: None,
            amr: Vec::new(),
        },
        tokens: ProviderTokens { id_token: secret("i"), access_token: secret("a"), refresh_token: None },
        provider_sid: None,
        renew_at: UnixTime::MAX,
    }
}
