//! Around each request: its body's limit, its deadline, and its entry in the connection's account.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;
use tower::{Service, ServiceExt};

use super::activity::{Activity, OpenRequest};
use super::room::{Held, Room};
use super::{Drain, Limits, Phase};

/// A request's body, which ends in an error where it grows beyond its limit, or where all together take too much.
pub type RequestBody = Limited<Held<Incoming>>;

/// What all requests of a connection share.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) peer: SocketAddr,
    pub(super) activity: Arc<Activity>,
    pub(super) limits: Limits,
    pub(super) room: Room,
    pub(super) drain: Drain,
}

/// Asks the service, within the limits.
pub(super) async fn answer<S, B>(
    service: S,
    request: Request<Incoming>,
    connected: Arc<Connected>,
) -> Result<Response<Answer<B>>, Infallible>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let limits = &connected.limits;
    let version = request.version();
    let open = connected.activity.request(version);
    let mut response = if request.body().size_hint().lower() > limits.max_body_bytes as u64 {
        // The rest of the body is not read, so nothing more can be asked on an HTTP/1 connection.
        let mut response = refusal(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large\n");
        ask_to_close(version, &mut response);
        response
    } else {
        let mut request = request.map(|body| Limited::new(connected.room.hold(body), limits.max_body_bytes));
        request.extensions_mut().insert(ConnectInfo(connected.peer));
        match timeout(limits.request, service.oneshot(request)).await {
            Ok(Ok(response)) => response.map(Either::Left),
            Err(_) => refusal(StatusCode::GATEWAY_TIMEOUT, "this took too long\n"),
        }
    };
    if connected.drain.phase() >= Phase::Parting {
        ask_to_close(version, &mut response);
    }
    Ok(response.map(|body| Answer { body, _open: open }))
}

/// An answer's body; the request is over when it has been sent or dropped.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: Either<B, Full<Bytes>>,
    _open: OpenRequest,
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn refusal<B>(status: StatusCode, text: &'static str) -> Response<Either<B, Full<Bytes>>> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// `Connection` has no place in HTTP/2 (RFC 9113 section 8.2.2), where a GOAWAY does this.
fn ask_to_close<B>(version: Version, response: &mut Response<B>) {
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
