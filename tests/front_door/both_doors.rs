//! One table of requests, asked at both doors of Envoy's: over HTTP, and over gRPC in both ways that it tells headers in.
//! Whatever the door, the answer is the same: verdict, headers, removals, cookie, page.

mod tokens;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::browser::{Answer, PAGE, SESSION};
use crate::grpc_check::{self, Encoding, Line};
use crate::house::{HOST, House};

type Headers<'a> = &'a [(&'a str, &'a str)];

/// What somebody gets: `ann`, let pass as her; `open`, let pass as nobody; or a status, with `page` where a person sees it.
type Expected = &'static str;

const JSON: (&str, &str) = ("accept", "application/json");
const XHR: (&str, &str) = ("x-requested-with", "XMLHttpRequest");
const SOCKET: Headers<'static> =
    &[("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-fetch-mode", "websocket")];
const PREFLIGHT: Headers<'static> = &[("origin", "https://a.example"), ("access-control-request-method", "PUT")];
const FRAMED: Headers<'static> = &[PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
const TOP: Headers<'static> = &[PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
const FORGED: Headers<'static> = &[
    PAGE,
    ("authorization", "Bearer mine"),
    ("kubeflow-userid", "eve@example.com"),
    ("kubeflow_userid", "eve@example.com"),
    ("KubeFlow_Groups", "admins"),
    ("kubeflow-groups", "admins"),
    ("txn-token", "mine"),
    ("txn_token", "mine"),
];

/// Method and target, headers, what strangers get, what Ann gets (of `ml` and `ops`).
const TABLE: &[(&str, Headers<'static>, Expected, Expected)] = &[
    // Who needs to be signed in, and how they are told.
    ("GET /", &[PAGE], "302", "ann"),
    ("GET /?ns=a&x=1%2F2", TOP, "302", "ann"),
    ("HEAD /x", TOP, "302", "ann"),
    ("GET /x", &[], "302", "ann"),
    ("GET /x", &[JSON], "401", "ann"),
    ("GET /x", &[("accept", "*/*")], "401", "ann"),
    ("GET /x", &[PAGE, XHR], "401", "ann"),
    ("GET /x", &[PAGE, ("sec-fetch-mode", "cors")], "401", "ann"),
    ("POST /api/runs", &[PAGE], "401", "ann"),
    ("PUT /api/runs", &[JSON], "401", "ann"),
    ("DELETE /api/runs/1", &[], "401", "ann"),
    ("PROPFIND /dav/x", &[], "401", "ann"),
    ("GET /terminals/ws", SOCKET, "401", "ann"),
    ("GET /jupyter/?ns=a", FRAMED, "401 page", "ann"),
    ("OPTIONS /api/x", PREFLIGHT, "401", "ann"),
    ("OPTIONS /cors/x", PREFLIGHT, "open", "open"),
    ("GET /cors/x", PREFLIGHT, "302", "ann"),
    ("OPTIONS /cors/x", &[], "401", "ann"),
    ("OPTIONS *", &[], "401", "ann"),
    // Rules.
    ("GET /public/logo.svg", &[], "open", "open"),
    ("GET /public/logo.svg", FORGED, "open", "open"),
    ("GET /public", &[PAGE], "302", "ann"),
    ("GET /publicity", &[PAGE], "302", "ann"),
    ("GET /Public/x", &[PAGE], "302", "ann"),
    ("GET /dex/token", FORGED, "open", "open"),
    ("GET /maybe/x", FORGED, "open", "ann"),
    ("GET /maybe/x", SOCKET, "open", "ann"),
    ("GET /ml/x", &[PAGE], "302", "ann"),
    ("GET /ml/x", FORGED, "302", "ann"),
    ("GET /admins/x", &[PAGE], "302", "403 page"),
    ("GET /admins/x", &[JSON], "401", "403"),
    ("GET /admins/x", FRAMED, "401 page", "403 page"),
    ("GET /admins/ws", SOCKET, "401", "403"),
    ("GET /notebook/ann/nb/", FORGED, "302", "ann"),
    ("GET /pipeline/runs", FORGED, "302", "ann"),
    ("GET /x", FORGED, "302", "ann"),
    // Paths that servers read in more than one way.
    ("GET /public/../admins/x", &[PAGE], "400 page", "400 page"),
    ("GET /public/..%2fadmins/x", &[PAGE], "400 page", "400 page"),
    ("GET /public/%2e%2e/admins/x", &[JSON], "400", "400"),
    ("GET /public/..;/admins/x", &[PAGE], "400 page", "400 page"),
    ("GET /public/..\\admins/x", &[PAGE], "400 page", "400 page"),
    ("GET /public/%5c../admins", &[PAGE], "400 page", "400 page"),
    ("GET //public/../admins/", FRAMED, "400 page", "400 page"),
    ("GET /public/%", &[PAGE], "400 page", "400 page"),
    ("GET /public/%00", &[PAGE], "400 page", "400 page"),
    ("GET /public/%252e%252e/admins", SOCKET, "400", "400"),
    ("GET /public/a%2Fb//c", &[PAGE], "open", "open"),
    ("GET /x%2Fy", &[PAGE], "302", "ann"),
    ("GET ?x=/public/", &[PAGE], "400 page", "400 page"),
    ("GET /public/x?next=/../admins", &[PAGE], "open", "open"),
    // Paths of ours.
    ("GET /oauth2/start?rd=/x", FORGED, "open", "open"),
    ("GET /oauth2/callback?code=x&state=y", &[PAGE], "open", "open"),
    ("POST /oauth2/sign_out", &[PAGE], "open", "open"),
    ("GET /.well-known/jwks.json", &[], "open", "open"),
    ("GET /oauth2/", &[PAGE], "302", "ann"),
    ("GET /oauth2/start/", &[PAGE], "302", "ann"),
    ("GET /oauth2/%73tart", &[PAGE], "302", "ann"),
    // Hosts.
    ("GET /x", &[PAGE, ("host", "docs.open.example.com")], "open", "open"),
    ("GET /x", &[PAGE, ("host", "open.example.com")], "302", "ann"),
    ("GET /x", &[PAGE, ("host", "mesh.example.com:443")], "400 page", "400 page"),
    ("GET /oauth2/userinfo", &[PAGE, ("host", "nb.example.com")], "302", "ann"),
    // What the client says of the request.
    ("GET /admins/x", &[PAGE, ("x-forwarded-uri", "/public/x")], "302", "403 page"),
    ("GET /admins/x", &[PAGE, ("x-envoy-original-path", "/public/x")], "302", "403 page"),
    ("GET /admins/x", &[PAGE, ("x-forwarded-host", "a.open.example.com")], "302", "403 page"),
    ("POST /admins/x", &[JSON, ("x-http-method-override", "OPTIONS")], "401", "403"),
    // Cookies of others.
    ("GET /x", &[PAGE, ("cookie", "theme=dark; _xsrf=2|a")], "302", "ann"),
    ("GET /public/x", &[PAGE, ("cookie", "countersign=z; theme=dark")], "open", "open"),
    ("GET /x", &[PAGE, ("cookie", "__Host-countersign-flow-a=1; b=\"q\"")], "302", "ann"),
    ("GET /x", &[PAGE, ("cookie", "__HOST-Countersign=x; a=1")], "302", "ann"),
];

#[tokio::test]
async fn both_doors_say_the_same() {
    let house = House::open().await;
    let good = house.signed_in().await.cookie(SESSION).expect("a session");
    let ended = house.ended_session().await;
    let tampered = format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'B' } else { 'A' });
    let mut doors = Doors::open(house.gateway.address).await;
    let people: [(&str, Option<&str>, bool); 4] = [
        ("nobody", None, false),
        ("ann", Some(&good), true),
        ("whose session has ended", Some(&ended), false),
        ("whose cookie is broken", Some(&tampered), false),
    ];
    let mut wrong = Vec::new();
    for (what, headers, stranger, ann) in TABLE {
        for (who, session, signed_in) in people {
            let expected = if signed_in { ann } else { stranger };
            let (method, target) = what.split_once(' ').expect("a method and a target");
            let said = doors.ask(method, target, &with_session(headers, session)).await;
            if said.in_short() != *expected {
                wrong.push(format!("{who}: {what} {headers:?}: {said:?}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(doors.asked >= 100, "{} requests", doors.asked);
}

#[tokio::test]
async fn both_doors_take_two_cookies_for_none() {
    let house = House::open().await;
    let good = house.signed_in().await.cookie(SESSION).expect("a session");
    let mut doors = Doors::open(house.gateway.address).await;
    let (ours, tossed) = (format!("{SESSION}={good}"), format!("{SESSION}=tossed"));
    for (cookies, expected) in [
        (vec![format!("{ours}; {tossed}")], "400 page"),
        (vec![format!("{tossed}; {ours}")], "400 page"),
        (vec![format!("{ours}; {ours}")], "400 page"),
        (vec![ours.clone(), tossed.clone()], "400 page"),
        (vec![tossed.clone(), ours.clone()], "400 page"),
        (vec![ours.clone(), "a=1".into(), tossed.clone()], "400 page"),
        (vec![tossed.clone(), "b=2".into()], "302"),
        (vec![format!("a=1,{tossed}; {ours}")], "ann"),
        (vec![format!("a=1,{ours}")], "302"),
    ] {
        let cookies = cookies.iter().map(|cookie| ("cookie", &**cookie));
        let headers: Vec<(&str, &str)> = [PAGE].into_iter().chain(cookies).collect();
        let said = doors.ask_without_cookie_check("GET", "/x", &headers).await;
        assert_eq!(said.in_short(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn two_cookie_headers_that_a_gateway_has_joined_make_nobody_else_of_anybody() {
    let house = House::open().await;
    let ours = format!("{SESSION}={}", house.signed_in().await.cookie(SESSION).expect("a session"));
    let mut doors = Doors::open(house.gateway.address).await;
    for (first, second, joined) in [
        // What stands before ours is taken for one cookie with it: others may set such a one.
        ("a=1", &*ours, "302"),
        (&*ours, "a=1", "ann"),
        (&*format!("a=1; {ours}"), "b=2", "ann"),
    ] {
        let apart = [PAGE, ("cookie", first), ("cookie", second)];
        let over_http = doors.over_http("GET", "/x", &apart).await;
        assert_eq!(over_http.in_short(), "ann");
        assert_eq!(over_http, doors.over_grpc("GET", "/x", &apart, Encoding::Raw).await);
        let said = doors.over_grpc("GET", "/x", &apart, Encoding::Joined).await;
        assert_eq!(said.in_short(), joined, "{first} and {second}");
        let seen_by_workload = said.headers.get("cookie").map_or("", |cookie| cookie);
        assert!(!seen_by_workload.contains("ountersign"), "{seen_by_workload}");
    }
}

#[tokio::test]
async fn both_doors_refuse_a_token_of_ours() {
    let house = House::open().await;
    let good = house.signed_in().await.cookie(SESSION).expect("a session");
    let mut doors = Doors::open(house.gateway.address).await;
    let passed = doors.ask("GET", "/", &with_session(&[PAGE], Some(&good))).await;
    let bearer = passed.headers["authorization"].clone();
    let token = bearer.strip_prefix("Bearer ").expect("a token");
    for (target, headers) in [
        ("/notebook/ann/nb/", [JSON, ("authorization", &*bearer)]),
        ("/dex/token", [JSON, ("authorization", &bearer)]),
        (&*format!("/public/x?access_token={token}"), [JSON, XHR]),
    ] {
        let said = doors.ask("GET", target, &with_session(&headers, Some(&good))).await;
        assert_eq!(said.in_short(), "400", "{target}");
        assert!(said.body.contains("own_token"), "{}", said.body);
    }
}

#[tokio::test]
async fn the_cookies_of_other_sign_ins_are_hidden_at_each_door() {
    let house = House::open_with(|settings| settings.cookie.hide = vec!["corp".to_owned()]).await;
    let mut doors = Doors::open(house.gateway.address).await;
    for target in ["/public/x", "/maybe/x", "/dex/auth", "/oauth2/start"] {
        let said = doors.ask("GET", target, &[PAGE, ("cookie", "corp-0=a; theme=dark; __Host-corp=b")]).await;
        assert_eq!((said.status, said.headers["cookie"].as_str()), (200, "theme=dark"), "{target}");
    }
}

fn with_session<'a>(headers: &[(&'a str, &'a str)], session: Option<&str>) -> Vec<(&'a str, String)> {
    let mut all: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    if let Some(session) = session {
        let ours = format!("{SESSION}={session}");
        match all.iter_mut().find(|(name, _)| *name == "cookie") {
            Some((_, cookies)) => *cookies = format!("{ours}; {cookies}"),
            None => all.push(("cookie", ours)),
        }
    }
    all
}

/// What a door said, in the terms that all doors share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) removed: Vec<String>,
    pub(crate) body: String,
}

impl Said {
    fn in_short(&self) -> String {
        let page = self.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        match (self.status, self.headers.get("kubeflow-userid")) {
            (200, Some(user)) => user.strip_suffix("@example.com").unwrap_or(user).to_owned(),
            (200, None) => "open".to_owned(),
            (status, _) if page => format!("{status} page"),
            (status, _) => status.to_string(),
        }
    }
}

/// Both doors of a gateway.
struct Doors {
    gateway: SocketAddr,
    line: Line,
    asked: usize,
}

impl Doors {
    async fn open(gateway: SocketAddr) -> Self {
        Self { gateway, line: grpc_check::connect(gateway).await, asked: 0 }
    }

    /// Asks at both, in each way; they must agree.
    async fn ask<V: AsRef<str>>(&mut self, method: &str, target: &str, headers: &[(&str, V)]) -> Said {
        let said = self.ask_without_cookie_check(method, target, headers).await;
        let sent = headers.iter().find(|(name, _)| *name == "cookie").map(|(_, value)| value.as_ref());
        let held_ours = sent.is_some_and(|sent| sent.contains("ountersign"));
        if said.status == 200 && held_ours && !target.starts_with("/oauth2/") {
            let kept = said.headers.get("cookie").map_or("", |cookie| cookie);
            assert!(!kept.contains("ountersign"), "{kept}");
            assert_eq!(said.removed.iter().any(|name| name == "cookie"), kept.is_empty());
        }
        said
    }

    async fn ask_without_cookie_check<V: AsRef<str>>(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, V)],
    ) -> Said {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let over_http = self.over_http(method, target, &headers).await;
        for encoding in [Encoding::Joined, Encoding::Raw] {
            let over_grpc = self.over_grpc(method, target, &headers, encoding).await;
            assert_eq!(over_http, over_grpc, "{method} {target} {headers:?} {encoding:?}");
        }
        over_http
    }

    async fn over_http(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Said {
        let mut text = format!("{method} /check{target} HTTP/1.1\r\nconnection: close\r\nx-request-id: r-1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.extend(["host: ", HOST, "\r\n"]);
        }
        for (name, value) in headers {
            text.extend([*name, ": ", value, "\r\n"]);
        }
        let mut socket = TcpStream::connect(self.gateway).await.expect("a connection");
        socket.write_all(format!("{text}\r\n").as_bytes()).await.expect("it is sent");
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.expect("an answer");
        let mut answer = Answer::parse(&bytes);
        for hypers_own in [CONNECTION, CONTENT_LENGTH, DATE] {
            answer.headers.remove(hypers_own);
        }
        let removed = answer.removed().into_iter().map(str::to_owned).collect();
        answer.headers.remove("x-envoy-auth-headers-to-remove");
        let text = |value: &http::HeaderValue| value.to_str().expect("a text").to_owned();
        let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        self.asked += 1;
        without_nonce(Said { status: answer.status, headers, removed, body: answer.body })
    }

    async fn over_grpc(&mut self, method: &str, target: &str, headers: &[(&str, &str)], encoding: Encoding) -> Said {
        let host = headers.iter().find(|(name, _)| *name == "host").map_or(HOST, |(_, host)| *host);
        let others = [("x-request-id", "r-1")].into_iter().chain(headers.iter().copied());
        let others = others.filter(|(name, _)| *name != "host");
        // Envoy's names are in lower case.
        let others = others.map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()));
        let asked = grpc_check::request(method, host, target, &others.collect::<Vec<_>>(), encoding);
        let response = self.line.check(asked).await.expect("an answer").into_inner();
        self.asked += 1;
        let head = method == "HEAD";
        without_nonce(match grpc_check::parts(&response).1 {
            HttpResponse::OkResponse(ok) => {
                let headers = grpc_check::headers(&ok.headers);
                let known = headers.contains_key("kubeflow-userid");
                assert_eq!(response.dynamic_metadata.is_some(), known, "whom it is for, and nothing else");
                Said { status: 200, headers, removed: ok.headers_to_remove, body: String::new() }
            }
            HttpResponse::DeniedResponse(denied) => {
                let status = u16::try_from(denied.status.expect("a status").code).expect("a status");
                let body = if head { String::new() } else { denied.body };
                Said { status, headers: grpc_check::headers(&denied.headers), removed: Vec::new(), body }
            }
            HttpResponse::ErrorResponse(_) => panic!("it would be open where a gateway fails open"),
        })
    }
}

/// Nonces are the one thing in which two answers differ.
fn without_nonce(said: Said) -> Said {
    let nonce = Regex::new("nonce(=\"|-)[A-Za-z0-9+/&#x;=]+").expect("an expression");
    let blank = |text: &str| nonce.replace_all(text, "nonce").into_owned();
    let headers = said.headers.iter().map(|(name, value)| (name.clone(), blank(value))).collect();
    Said { headers, body: blank(&said.body), ..said }
}

impl House {
    /// The cookie of a session that has been signed out of.
    async fn ended_session(&self) -> String {
        let browser = self.signed_in().await;
        let value = browser.cookie(SESSION).expect("a session");
        let out = browser.post("/oauth2/sign_out", "", &[PAGE, ("sec-fetch-site", "same-origin")]).await;
        assert_eq!(out.status, 303, "{}", out.body);
        value
    }
}
