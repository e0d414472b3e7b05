//! A browser as far as the gateway can tell: it keeps cookies as browsers do, follows nothing by itself, and asks checks
//! as its gateway would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cookie::Cookie;
use countersign::clock::{Clock, TestClock, UnixTime};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::canaries;
use crate::house;
use crate::lying_idp::{Callback, LyingIdp};

/// What a person's browser sends with a page.
pub(crate) const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
/// The session cookie's name.
pub(crate) const SESSION: &str = "__Host-countersign";
/// What the names of flow cookies begin with.
pub(crate) const FLOW: &str = "__Host-countersign-flow-";

pub(crate) struct Browser {
    gateway: SocketAddr,
    clock: Arc<TestClock>,
    jar: Mutex<Vec<Kept>>,
}

/// A cookie in the jar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: String,
    ends_at: UnixTime,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(gateway: SocketAddr, clock: Arc<TestClock>) -> Self {
        Self { gateway, clock, jar: Mutex::default() }
    }

    /// The same browser, after its gateway has moved.
    pub(crate) fn moved_to(self, gateway: SocketAddr) -> Self {
        Self { gateway, ..self }
    }

    /// Asks for a page.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask(Method::GET, target, &[PAGE]).await
    }

    /// Asks the check for a page.
    pub(crate) async fn check(&self, target: &str) -> Answer {
        self.check_with(Method::GET, target, &[PAGE]).await
    }

    /// Asks the check for anything.
    pub(crate) async fn check_with(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(method, &format!("/check{target}"), headers).await
    }

    /// Asks with the cookies of the jar, and keeps those that come.
    pub(crate) async fn ask(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut socket = self.send(&method, target, headers, "").await;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.expect("an answer");
        self.hear(&method, target, &bytes)
    }

    /// Posts a form.
    pub(crate) async fn post(&self, target: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        let length = form.len().to_string();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers: Vec<(&str, &str)> = [kind, ("content-length", &length)].iter().chain(headers).copied().collect();
        let mut socket = self.send(&Method::POST, target, &headers, form).await;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.expect("an answer");
        self.hear(&Method::POST, target, &bytes)
    }

    /// Sends a request, byte by byte as it is given, and does not wait for the answer.
    pub(crate) async fn send(&self, method: &Method, target: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        let (host, cookies) = (("host", house::HOST), self.cookie_header());
        let host = Some(host).filter(|_| !headers.iter().any(|(name, _)| *name == "host"));
        let cookies = Some(("cookie", &*cookies)).filter(|(_, cookies)| !cookies.is_empty());
        for (name, value) in host.into_iter().chain(cookies).chain(headers.iter().copied()) {
            text.extend([name, ": ", value, "\r\n"]);
        }
        let mut socket = TcpStream::connect(self.gateway).await.expect("a connection");
        socket.write_all(format!("{text}\r\n{body}").as_bytes()).await.expect("it is sent");
        socket
    }

    /// Signs in as whoever the provider says, and arrives at the front page.
    pub(crate) async fn sign_in(&self, idp: &LyingIdp) {
        let arrived = self.get(&target_of(&self.visit(idp, "/oauth2/start").await)).await;
        assert_eq!((arrived.status, arrived.location()), (303, "https://mesh.example.com/"), "{}", arrived.body);
        assert!(self.cookie(SESSION).is_some(), "signed in");
    }

    /// Starts a login, goes to the provider, and stands before the callback.
    pub(crate) async fn visit(&self, idp: &LyingIdp, start: &str) -> Callback {
        let started = self.get(start).await;
        assert_eq!(started.status, 302, "{}", started.body);
        idp.visit(started.location())
    }

    /// The value of a cookie in the jar.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies().into_iter().find(|kept| kept.name == name).map(|kept| kept.value)
    }

    /// The flow cookies in the jar, oldest first.
    pub(crate) fn flows(&self) -> Vec<Kept> {
        self.cookies().into_iter().filter(|kept| kept.name.starts_with(FLOW)).collect()
    }

    /// All cookies that have not run out.
    pub(crate) fn cookies(&self) -> Vec<Kept> {
        let now = self.clock.now();
        self.jar.lock().expect("a jar").iter().filter(|kept| now < kept.ends_at).cloned().collect()
    }

    /// Puts a cookie into the jar that nobody sent.
    pub(crate) fn plant(&self, name: &str, value: &str) {
        let kept = Kept { name: name.into(), value: value.into(), ends_at: UnixTime::MAX };
        self.jar.lock().expect("a jar").push(kept);
    }

    /// Takes all cookies out whose names begin so.
    pub(crate) fn forget(&self, prefix: &str) {
        self.jar.lock().expect("a jar").retain(|kept| !kept.name.starts_with(prefix));
    }

    fn hear(&self, method: &Method, target: &str, bytes: &[u8]) -> Answer {
        let answer = Answer::parse(bytes);
        answer.cookies().iter().for_each(|cookie| self.keep(cookie));
        if let Some(token) = answer.header("authorization").strip_prefix("Bearer eyJ") {
            canaries::seed("an RC token", &format!("eyJ{token}"));
        }
        canaries::hear(format!("{method} {target}"), answer.without_what_belongs_there());
        answer
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<String> = self.cookies().iter().map(|kept| format!("{}={}", kept.name, kept.value)).collect();
        pairs.join("; ")
    }

    fn keep(&self, cookie: &Cookie<'_>) {
        // A browser keeps nothing else under such a name (RFC 6265bis section 5.7).
        assert!(cookie.name().starts_with("__Host-"), "{cookie}");
        assert_eq!((cookie.secure(), cookie.path(), cookie.domain()), (Some(true), Some("/"), None), "{cookie}");
        assert_eq!(cookie.http_only(), Some(true), "{cookie}");
        assert_eq!(cookie.same_site(), Some(cookie::SameSite::Lax), "{cookie}");
        // Nor more of one, nor longer (sections 5.6 and 5.7.3).
        assert!(cookie.to_string().len() <= 4096, "{cookie}");
        assert!(cookie.max_age().is_some_and(|life| life <= cookie::time::Duration::days(400)), "{cookie}");
        canaries::seed(if cookie.name() == SESSION { "a session's cookie" } else { "a flow's cookie" }, cookie.value());
        let life = cookie.max_age().map(|life| u64::try_from(life.whole_seconds()).expect("no past"));
        let ends_at = UnixTime::from_secs(self.clock.now().as_secs() + life.expect("a life"));
        let mut jar = self.jar.lock().expect("a jar");
        match jar.iter_mut().find(|kept| kept.name == cookie.name()) {
            Some(kept) => (kept.value, kept.ends_at) = (cookie.value().to_owned(), ends_at),
            None => jar.push(Kept { name: cookie.name().into(), value: cookie.value().into(), ends_at }),
        }
        let now = self.clock.now();
        jar.retain(|kept| now < kept.ends_at);
    }
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("a text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"))
        });
        let headers = headers.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
        Self { status: status.parse().expect("a number"), headers, body: body.to_owned() }
    }

    /// All of it, but for the secrets that are told rightly: cookies to their browser, a token of ours to the gateway that asks
    /// for it and the cookies that it may hand on (which of them is another matter), and in addresses what goes by the browser
    /// to the provider, and from there to us.
    fn without_what_belongs_there(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for (name, value) in &self.headers {
            let value = value.to_str().unwrap_or_default();
            let shown = match name.as_str() {
                "set-cookie" => "",
                "authorization" | "txn-token" | "cookie" if self.status == 200 => "",
                "location" if value.contains("/callback?") || !value.starts_with(['/', '.']) => {
                    value.split('?').next().unwrap_or_default()
                }
                _ => value,
            };
            text.extend([name.as_str(), ": ", shown, "\n"]);
        }
        text + &self.body
    }

    /// A header's value; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    pub(crate) fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A page's text; slashes stand in it as they are read.
    pub(crate) fn page(&self) -> String {
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8", "{}", self.body);
        self.body.replace("&#x2f;", "/").replace("&#x27;", "'")
    }

    /// The cookies that it sets.
    pub(crate) fn cookies(&self) -> Vec<Cookie<'static>> {
        let texts = self.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("a text").to_owned());
        texts.map(|text| Cookie::parse(text).expect("a cookie")).collect()
    }

    /// The headers that the workload must not see, in order.
    pub(crate) fn removed(&self) -> Vec<&str> {
        self.header("x-envoy-auth-headers-to-remove").split(',').filter(|name| !name.is_empty()).collect()
    }

    /// The RC token.
    pub(crate) fn token(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").expect("a token")
    }
}

/// Where the provider sends the browser back to, as a request target.
pub(crate) fn target_of(callback: &Callback) -> String {
    let path = callback.place.strip_prefix(house::ORIGIN).expect("back to us");
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&callback.parameters).finish();
    format!("{path}?{query}")
}
