//! The accept loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::connection::{converse, protocols};
use super::guard::RequestBody;
use super::room::Room;
use super::{Drain, Limits, Phase};

/// Serves `service` on `listener`, HTTP/1.1 and HTTP/2 (by prior knowledge, or by ALPN under TLS), until `drain` is
/// [closing](Phase::Closing); returns when the last connection has ended, or at [the cut](Phase::Cut). Requests carry
/// the peer's address as an [`axum::extract::ConnectInfo<SocketAddr>`].
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    service: S,
    limits: Limits,
    drain: Drain,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let protocols = Arc::new(protocols(&limits));
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let room = Room::of(limits.max_bytes_of_bodies);
    let mut connections = JoinSet::new();
    loop {
        let (socket, peer, place) = tokio::select! {
            biased;
            () = drain.reached(Phase::Closing) => break,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (service, protocols) = (service.clone(), Arc::clone(&protocols));
        let (acceptor, room, drain) = (acceptor.clone(), room.clone(), drain.clone());
        connections.spawn(async move {
            let _place = place;
            let Some(acceptor) = acceptor else {
                return converse(socket, peer, service, &protocols, limits, room, drain).await;
            };
            match timeout(limits.first_byte, acceptor.accept(socket)).await {
                Ok(Ok(socket)) => converse(socket, peer, service, &protocols, limits, room, drain).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = drain.reached(Phase::Cut) => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let Ok(place) = Arc::clone(places).acquire_owned().await else {
        // Nobody closes the semaphore.
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Answers are small and written whole: nothing is won by waiting for more.
                let _ = socket.set_nodelay(true);
                return (socket, peer, place);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: the next call would fail at once, and again.
                tracing::warn!(%error, "no connection can be accepted");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
