//! Servers to put load on, each on a runtime of its own, and the empty handler.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use countersign::config::LogSettings;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;

use super::grpc_check;

/// Serves for ever.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Becomes a server: its address, and what to do.
pub(crate) type Opening = Pin<Box<dyn Future<Output = (SocketAddr, Serving)> + Send>>;

/// Logs at the level that one runs with, to nobody.
pub(crate) fn log_to_nowhere() {
    let settings = LogSettings { json: true, filter: "info".into() };
    let log = countersign::telemetry::log_to(&settings, std::io::sink).expect("a log");
    tracing::dispatcher::set_global_default(log).expect("the first log");
}

/// The handler that does nothing, served as axum serves.
pub(crate) fn empty(headers: HeaderMap) -> Opening {
    Box::pin(async {
        let router = Router::new().fallback(async move || headers.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.tap_io(|socket| {
            let _ = socket.set_nodelay(true);
        });
        let serving: Serving = Box::pin(async { axum::serve(listener, router).await.expect("it serves") });
        (address, serving)
    })
}

/// The handler that does nothing over gRPC, as tonic generates and serves it.
pub(crate) fn empty_grpc(answer: CheckResponse) -> Opening {
    Box::pin(async {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port").with_nodelay(Some(true));
        let address = incoming.local_addr().expect("an address");
        let service = AuthorizationServer::new(Empty(answer));
        let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        let serving: Serving = Box::pin(async { serving.await.expect("it serves") });
        (address, serving)
    })
}

struct Empty(CheckResponse);

#[tonic::async_trait]
impl Authorization for Empty {
    async fn check(&self, _: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        Ok(tonic::Response::new(self.0.clone()))
    }
}

/// What the kernel says of a server's threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) ran: Duration,
    pub(crate) waited: Duration,
}

/// A server with a runtime of one worker thread.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    name: &'static str,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start(name: &'static str, opening: Opening) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name(name).enable_all().build().expect("a runtime");
        let (address, serving) = runtime.block_on(opening);
        runtime.spawn(serving);
        Self { address, name, runtime: Some(runtime) }
    }

    /// Asks once; how many bytes are answered.
    pub(crate) fn probe(&self, request: &str) -> usize {
        ask(self.address, request).len()
    }

    /// What it answers over gRPC.
    pub(crate) fn answer_over_grpc(&self, asked: &CheckRequest) -> CheckResponse {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(async { grpc_check::connect(self.address).await.check(asked.clone()).await });
        let answer = answer.expect("an answer").into_inner();
        assert_eq!(grpc_check::parts(&answer).0, 0, "the check is not allowed: {answer:?}");
        answer
    }

    /// How long its threads have been on a core, and how long they have waited for one.
    pub(crate) fn times(&self) -> Times {
        let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
        let times = tasks.filter_map(|task| self.times_of(&task.ok()?.path()));
        times.fold(Times::default(), |sum, times| Times { ran: sum.ran + times.ran, waited: sum.waited + times.waited })
    }

    /// A thread's times, if it is one of ours (the kernel's sched-stats.rst: nanoseconds on a core and in its queue).
    fn times_of(&self, task: &std::path::Path) -> Option<Times> {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
        let mut times = text.split_whitespace().map_while(|time| time.parse().ok().map(Duration::from_nanos));
        (name.trim_end() == self.name).then_some(Times { ran: times.next()?, waited: times.next()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// What a server answers, but for what hyper writes by itself.
pub(crate) fn answer_headers(address: SocketAddr, request: &str) -> HeaderMap {
    let answer = ask(address, request);
    assert!(answer.starts_with("HTTP/1.1 200 "), "the check is not allowed: {answer}");
    assert!(answer.ends_with("\r\n\r\n"), "the load looks for the end of the headers: {answer}");
    let pairs = answer.lines().skip(1).filter_map(|line| line.split_once(": "));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.filter(|(name, _)| !["date", "content-length", "connection"].contains(name)) {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

/// Asks once, on a connection of its own.
pub(crate) fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("a connection");
    let request = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
    socket.write_all(request.as_bytes()).expect("it is sent");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("it can be read");
    text
}
