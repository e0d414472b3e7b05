//! A server to talk to, and a peer that says exactly what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use countersign::config::ShutdownSettings;
use countersign::server::{Drain, Limits, Shutdown, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a test that gets there has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const GREETING: &str = "GET /hello HTTP/1.1\r\nhost: here\r\n\r\n";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) drain: Drain,
    pub(crate) task: JoinHandle<()>,
    /// Counts the requests to `/slow` that have begun.
    pub(crate) begun: Arc<Semaphore>,
    /// Lets one request to `/slow` end.
    pub(crate) release: Arc<Notify>,
}

pub(crate) async fn start(limits: Limits) -> Server {
    start_with(limits, None).await
}

pub(crate) async fn start_with(limits: Limits, tls: Option<Arc<rustls::ServerConfig>>) -> Server {
    let (begun, release) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let (begun_here, release_here) = (Arc::clone(&begun), Arc::clone(&release));
    let slow = move || async move {
        begun_here.add_permits(1);
        release_here.notified().await;
        "done"
    };
    let router = Router::new()
        .route("/hello", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| format!("hello {}", peer.ip())))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/large", get(async || vec![b'.'; 64 << 20]))
        .route("/slow", get(slow));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (shutdown, drain) = Shutdown::new();
    let task = tokio::spawn(serve(listener, tls, router, limits, drain.clone()));
    Server { address, shutdown, drain, task, begun, release }
}

impl Server {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends one request on a connection of its own and reads to the end.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.expect("it is sent");
        answer(&mut socket).await
    }

    /// Begins a request that lasts until it is released.
    pub(crate) async fn begin_slow(&self) -> TcpStream {
        let mut socket = self.connect().await;
        socket.write_all(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await.expect("it is sent");
        timeout(PATIENCE, self.begun.acquire()).await.expect("it begins").expect("open").forget();
        socket
    }
}

/// One answer: headers and as much body as they promise.
pub(crate) async fn answer<S: AsyncRead + Unpin>(socket: &mut S) -> String {
    let mut text = Vec::new();
    let whole = async { while !is_whole(&text) && socket.read_buf(&mut text).await.expect("it can be read") > 0 {} };
    timeout(PATIENCE, whole).await.expect("an answer");
    String::from_utf8(text).expect("text")
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().expect("a length"))
}

/// Whatever comes until the peer hangs up.
pub(crate) async fn until_closed<S: AsyncRead + Unpin>(socket: &mut S) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Being reset is being closed, too.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("the server hangs up");
    bytes
}

/// The preface and empty SETTINGS (RFC 9113 section 3.4).
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Why a GOAWAY is sent (RFC 9113 section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Reads frames until a GOAWAY comes; the reason that it gives (RFC 9113 sections 4.1 and 6.8).
pub(crate) async fn goaway<S: AsyncRead + Unpin>(socket: &mut S) -> u32 {
    const GOAWAY: u8 = 7;
    let read = async {
        loop {
            let (kind, payload) = frame(socket).await;
            if kind == GOAWAY {
                return payload[4..8].iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
            }
        }
    };
    timeout(PATIENCE, read).await.expect("a GOAWAY")
}

/// The next HTTP/2 frame: its type and what is in it.
pub(crate) async fn frame<S: AsyncRead + Unpin>(socket: &mut S) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.expect("a frame");
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload).await.expect("a whole frame");
    (head[3], payload)
}

pub(crate) async fn say<S: AsyncWrite + Unpin>(socket: &mut S, text: &str) {
    socket.write_all(text.as_bytes()).await.expect("it is sent");
}

pub(crate) const fn way_out(lame_duck: Duration, deadline: Duration) -> ShutdownSettings {
    ShutdownSettings { lame_duck, deadline }
}
