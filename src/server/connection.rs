//! One connection, from its socket to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tower::Service;

use super::activity::{Activity, Overdue, Watched};
use super::guard::{self, Connected, RequestBody};
use super::room::Room;
use super::{Drain, Limits, Phase};

/// The protocols as the limits want them; made once a listener.
pub(super) fn protocols(limits: &Limits) -> Builder<TokioExecutor> {
    let mut protocols = Builder::new(TokioExecutor::new());
    // hyper closes an HTTP/1 connection with 431 when its buffer is full and the headers have not ended.
    let mut http1 = protocols.http1();
    http1.header_read_timeout(None).max_buf_size(limits.max_header_bytes.max(8192));
    if limits.max_headers != Limits::PARSER_HEADERS {
        http1.max_headers(limits.max_headers);
    }
    protocols
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_pending_accept_reset_streams(limits.max_pending_reset_streams)
        .max_local_error_reset_streams(limits.max_local_reset_streams);
    protocols
}

/// Serves until the peer has gone, its time is over, or the drain is done with it.
pub(super) async fn converse<I, S, B>(
    socket: I,
    peer: SocketAddr,
    service: S,
    protocols: &Builder<TokioExecutor>,
    limits: Limits,
    room: Room,
    drain: Drain,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let activity = Activity::begin();
    let socket = TokioIo::new(Watched { socket, activity: Arc::clone(&activity) });
    let connected = Arc::new(Connected { peer, activity: Arc::clone(&activity), limits, room, drain: drain.clone() });
    let service =
        service_fn(move |request: Request<Incoming>| guard::answer(service.clone(), request, Arc::clone(&connected)));
    let mut connection = pin!(protocols.serve_connection(socket, service));
    let idle = tokio::select! {
        biased;
        ended = connection.as_mut() => return log_end(peer, ended),
        overdue = activity.overdue(&limits) => overdue,
        () = goes(&drain, &activity) => Overdue::Idle,
    };
    if let Overdue::Stalled(reason) = idle {
        tracing::debug!(%peer, reason, "connection cut");
        return;
    }
    // HTTP/1 closes after the answer that it owes, HTTP/2 says GOAWAY and ends the open streams. Neither waits for a
    // peer that has stopped moving.
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(limits.request * 2, connection).await {
        log_end(peer, ended);
    }
}

/// Until it is to end. HTTP/1 connections are asked to by their answers first: to close one that is idle might cut off a
/// request that is on its way.
async fn goes(drain: &Drain, activity: &Activity) {
    // Whoever comes at the parting has a request, and is not sent away before it is answered.
    if drain.phase() < Phase::Parting {
        drain.reached(Phase::Parting).await;
        if activity.is_http2() {
            return;
        }
    }
    drain.reached(Phase::Closing).await;
}

fn log_end(peer: SocketAddr, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
