//! The servers under load: the gateway with one session, and the empty handler.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use countersign::entropy::SystemEntropy;
use countersign::server::{Limits, Shutdown, serve};
use countersign::telemetry::RequestSpans;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Serves on a listener, for ever.
pub(crate) type Serve = Box<dyn FnOnce(TcpListener) -> Pin<Box<dyn Future<Output = ()> + Send>>>;

/// A server with a runtime of one worker thread.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    name: &'static str,
    _runtime: Runtime,
}

impl Server {
    pub(crate) fn start(name: &'static str, serve: impl FnOnce() -> Serve) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = {
            let _within = runtime.enter();
            serve()(listener)
        };
        runtime.spawn(server);
        Self { address, name, _runtime: runtime }
    }

    /// Asks once; how many bytes are answered.
    pub(crate) fn probe(&self, request: &str) -> usize {
        let (head, _) = ask(self.address, request);
        head.len()
    }

    /// How long its thread has been on a core.
    pub(crate) fn busy(&self) -> Duration {
        let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
        let ticks: u64 = tasks
            .filter_map(|task| {
                let directory = task.ok()?.path();
                let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
                let (head, numbers) = stat.rsplit_once(") ")?;
                let (_, name) = head.split_once('(')?;
                let mut times = numbers.split(' ').skip(11).map_while(|number| number.parse::<u64>().ok());
                (name == self.name).then(|| times.next().unwrap_or(0) + times.next().unwrap_or(0))
            })
            .sum();
        // The kernel counts in hundredths of a second for everyone it shows this to.
        Duration::from_millis(ticks * 10)
    }
}

/// The handler that does nothing, served as axum serves.
pub(crate) fn empty_server(headers: HeaderMap) -> Serve {
    let router = Router::new().fallback(async move || headers.clone());
    Box::new(|listener| {
        Box::pin(async {
            let listener = listener.tap_io(|socket| {
                let _ = socket.set_nodelay(true);
            });
            axum::serve(listener, router).await.expect("it serves");
        })
    })
}

/// The gateway, and a request of somebody who is signed in.
pub(crate) struct Subject {
    request: String,
}

impl Subject {
    pub(crate) fn open() -> Self {
        let request = "GET /check/pipeline/apis/v2beta1/runs?page_size=10 HTTP/1.1\r\nhost: mesh.example.com\r\n\
                       x-request-id: 4cf3c0f2-7d4a-9e1c-8d0e-0a1b2c3d4e5f\r\naccept: */*\r\ncontent-length: 0\r\n\r\n";
        Self { request: request.into() }
    }

    pub(crate) fn request(&self) -> &str {
        &self.request
    }

    /// As `app` serves it.
    #[expect(clippy::unused_self, reason = "the gateway is not there yet")]
    pub(crate) fn server(&self) -> Serve {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("authorization"),
            HeaderValue::from_str(&"x".repeat(900)).expect("a header value"),
        )]);
        let router = Router::new().fallback(async move || headers.clone());
        let named = router.layer(RequestSpans::new(Arc::new(SystemEntropy)));
        let (shutdown, drain) = Shutdown::new();
        Box::new(|listener| {
            Box::pin(async move {
                serve(listener, None, named, Limits::default(), drain).await;
                drop(shutdown);
            })
        })
    }

    /// What a check answers, for the empty handler to answer too.
    pub(crate) fn answer_headers(&self) -> HeaderMap {
        let server = Server::start("probe", || self.server());
        let (head, body) = ask(server.address, &self.request);
        assert!(head.starts_with("HTTP/1.1 200 "), "the check is not allowed: {head}");
        assert!(body.is_empty(), "the load looks for the end of the headers");
        let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        // These two hyper writes by itself.
        let pairs = pairs.filter(|(name, _)| !["date", "content-length"].contains(name));
        let parsed = |(name, value): (&str, &str)| (name.parse().expect("a name"), value.parse().expect("a value"));
        pairs.map(parsed).collect::<Vec<(HeaderName, HeaderValue)>>().into_iter().fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }
}

fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).expect("a connection");
    let request = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
    socket.write_all(request.as_bytes()).expect("it is sent");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("it can be read");
    let (head, body) = text.replace("\r\nconnection: close", "").split_once("\r\n\r\n").map(split).expect("headers");
    (head, body)
}

fn split((head, body): (&str, &str)) -> (String, String) {
    (format!("{head}\r\n\r\n"), body.to_owned())
}
