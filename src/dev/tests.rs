//! The demonstration from the outside: real sockets, a browser's habits, no parts replaced.

use std::collections::BTreeMap;

use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

/// As much of a browser as signing in takes: cookies by name (every port of a host shares them), no redirects followed.
struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
    at: Url,
}

struct Seen {
    status: StatusCode,
    location: Option<Url>,
    policy: String,
    body: String,
}

impl Browser {
    fn new(at: &Url) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { client: client.expect("a client"), cookies: BTreeMap::new(), at: at.clone() }
    }

    async fn open(&mut self, place: &str) -> Seen {
        self.send(Method::GET, place, &[]).await
    }

    async fn send(&mut self, method: Method, place: &str, form: &[(&str, &str)]) -> Seen {
        let url = self.at.join(place).expect("a URL");
        let mut request = self.client.request(method.clone(), url.clone());
        request = request.header(ACCEPT, "text/html").header("kubeflow-userid", "mallory@example.com");
        if method == Method::POST {
            request = request.form(form).header("sec-fetch-site", "same-origin");
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let response = request.send().await.expect("an answer");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie::Cookie::parse(cookie.to_str().expect("text").to_owned()).expect("a cookie");
            if cookie.max_age().is_some_and(cookie::time::SignedDuration::is_zero) {
                self.cookies.remove(cookie.name());
            } else {
                self.cookies.insert(cookie.name().into(), cookie.value().into());
            }
        }
        let location = response.headers().get(LOCATION);
        let location = location.map(|to| url.join(to.to_str().expect("text")).expect("a URL"));
        let policy = response.headers().get(CONTENT_SECURITY_POLICY);
        let policy = policy.map(|policy| policy.to_str().expect("text").to_owned()).unwrap_or_default();
        Seen { status: response.status(), location, policy, body: response.text().await.expect("text") }
    }

    /// Follows until a page is shown.
    async fn follow(&mut self, mut seen: Seen) -> Seen {
        while let Some(next) = seen.location.take() {
            seen = self.open(next.as_str()).await;
        }
        seen
    }

    /// Signs in by way of `place` and arrives wherever that leads.
    async fn sign_in(&mut self, place: &str, user: &str) -> Seen {
        let challenge = self.open(place).await;
        assert_eq!(challenge.status, StatusCode::FOUND, "{}", challenge.body);
        let start = challenge.location.expect("a way to the login");
        let to_idp = loop {
            // The provider is looked for in the background: until it is found, the login is away.
            let started = self.open(start.as_str()).await;
            if started.status != StatusCode::SERVICE_UNAVAILABLE {
                break started.location.expect("a way to the provider");
            }
        };
        assert!(self.open(to_idp.as_str()).await.body.contains("Development only"));
        let back = self.send(Method::POST, to_idp.as_str(), &[("user", user)]).await;
        self.follow(back).await
    }
}

/// Runs `visit` against a demonstration that is being served.
async fn with_demo<F: Future<Output = ()>>(visit: impl FnOnce(Url) -> F) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let demo = Demo::open(0).await.expect("it opens");
    let (url, data) = (demo.url().clone(), demo.data.path().to_path_buf());
    let (stop, stopped) = oneshot::channel::<()>();
    let visited = async {
        visit(url).await;
        drop(stop);
    };
    let served = demo.serve(async {
        let _ = stopped.await;
    });
    let (served, ()) = tokio::join!(served, visited);
    served.expect("it stops in order");
    assert!(!data.exists(), "nothing is kept");
}

#[tokio::test]
async fn bob_signs_in_looks_around_and_signs_out() {
    with_demo(|url| async move {
        let mut browser = Browser::new(&url);
        let home = browser.sign_in("/?deep=link", "bob").await;
        assert_eq!(home.status, StatusCode::OK, "{}", home.body);
        for part in ["You are signed in", "bob@example.com", "analysts", "rc+jwt", "&quot;demo&quot;"] {
            assert!(home.body.contains(part), "the page lacks {part}: {}", home.body);
        }
        for part in ["mallory", "countersign="] {
            assert!(!home.body.contains(part), "{part} got through");
        }

        let admins = browser.open("/admins/").await;
        assert_eq!(admins.status, StatusCode::FORBIDDEN);
        assert!(admins.body.contains("bob@example.com") && admins.body.contains("admins"), "{}", admins.body);
        let public = browser.open("/public/").await;
        assert_eq!(public.status, StatusCode::OK);
        assert!(public.body.contains("For everybody"));
        assert!(!public.body.contains("@example.com") && !public.body.contains("countersign="), "{}", public.body);

        let question = browser.open("/oauth2/sign_out").await;
        assert!(question.body.contains("bob@example.com"), "{}", question.body);
        let out = browser.send(Method::POST, "/oauth2/sign_out", &[]).await;
        assert_eq!(out.status, StatusCode::SEE_OTHER, "{}", out.body);
        // Browsers stop there unless the form's page allowed the redirect.
        let provider = out.location.as_ref().expect("a way to the provider").origin().ascii_serialization();
        assert!(question.policy.contains(&format!("form-action 'self' {provider};")), "{}", question.policy);
        let out = browser.follow(out).await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        assert_eq!(browser.open("/").await.status, StatusCode::FOUND);
    })
    .await;
}

#[tokio::test]
async fn ann_may_see_what_is_for_admins() {
    with_demo(|url| async move {
        let admins = Browser::new(&url).sign_in("/admins/", "ann").await;
        assert_eq!(admins.status, StatusCode::OK);
        assert!(admins.body.contains("Only for admins") && admins.body.contains("ann@example.com"), "{}", admins.body);
    })
    .await;
}

#[tokio::test]
async fn a_program_that_nobody_signed_in_gets_json() {
    with_demo(|url| async move {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(url).header(ACCEPT, "*/*").send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        assert!(!answer.headers().contains_key(SET_COOKIE));
        let body = answer.text().await.expect("text");
        assert!(body.contains("\"login_url\":\"/oauth2/start?rd=/\""), "{body}");
    })
    .await;
}

/// One request whose target no HTTP client would send, and the whole answer.
async fn raw(url: &Url, target: &str) -> String {
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let authority = url.authority();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nkubeflow-userid: mallory@example.com\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn a_path_that_would_be_asked_for_as_another_is_refused() {
    with_demo(|url| async move {
        assert!(raw(&url, "/public/").await.starts_with("HTTP/1.1 200 "));
        for target in [
            "/../.well-known/jwks.json",
            "/%2e%2e/.well-known/jwks.json",
            "/.%2E/oauth2/signed_out",
            "/x/../../.well-known/jwks.json?y",
            "/..\\.well-known/jwks.json",
            "/oauth2/../.well-known/jwks.json",
            "/.well-known/../oauth2/signed_out",
            "/public/./",
        ] {
            let answer = raw(&url, target).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
            assert!(!answer.contains("mallory"), "{target}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_taken_port_gives_way_to_a_free_one() {
    let taken = loopback(0).await.expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let other = front_listener(port).await.expect("another port").local_addr().expect("an address");
    assert!(other.ip().is_loopback());
    assert_ne!(other.port(), port);
}
