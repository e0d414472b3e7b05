//! The doors: each turns bytes into a core call and the answer into bytes, and decides nothing. This file hangs them
//! into one frame, the service of the main port.

pub mod admin;
pub mod answer;
pub mod authservice;
pub mod browser;
pub mod ext_authz_grpc;
pub mod ext_authz_http;
pub mod forward_auth;
pub mod keys;
pub mod pages;
mod peer;
pub mod problem;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::Request;
use tower::{Service, ServiceExt};

use authservice::{Asked, AuthserviceDoor};
use ext_authz_grpc::GrpcDoor;
use ext_authz_http::CheckDoor;

/// The service of the main port. Checks are told apart before any routing: they are nearly all there is.
#[derive(Clone)]
pub struct Doors {
    http: Option<Arc<CheckDoor>>,
    grpc: Option<GrpcDoor>,
    others: Router,
    authservice: Option<AuthserviceDoor>,
}

impl Doors {
    /// `http` and `grpc`, where they are open, answer what gateways ask, `others` everything else.
    #[must_use]
    pub fn new(http: Option<CheckDoor>, grpc: Option<GrpcDoor>, others: Router) -> Self {
        Self { http: http.map(Arc::new), grpc, others, authservice: None }
    }

    /// The same in authservice's place: `door` tells what is asked apart.
    #[must_use]
    pub fn in_authservices_place(self, door: Option<AuthserviceDoor>) -> Self {
        Self { authservice: door, ..self }
    }
}

impl<B> Service<Request<B>> for Doors
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = match (&self.authservice, &self.http) {
            (Some(door), Some(check)) => match door.sort(request) {
                Asked::Check(request) => request,
                Asked::Page(request) => {
                    return Either::Right(Box::pin(self.others.clone().oneshot(request.map(Body::new))));
                }
                Asked::Verify(request) => {
                    let (request, check, door) = (request.map(|_| ()), Arc::clone(check), door.clone());
                    let verified = async move { Ok(door.verified(check.answer(request).await)) };
                    return Either::Right(Box::pin(verified));
                }
            },
            _ => request,
        };
        if let Some(check) = self.http.as_ref().filter(|check| check.is_for(&request)) {
            if let Some(response) = check.answer_at_once(&request) {
                return Either::Left(ready(Ok(response)));
            }
            // A check over HTTP has no body of its own; what a gateway may have sent along is not read.
            let request = request.map(|_| ());
            let check = Arc::clone(check);
            return Either::Right(Box::pin(async move { Ok(check.answer(request).await) }));
        }
        if let Some(check) = self.grpc.as_ref().filter(|check| check.is_for(&request)) {
            let check = check.clone();
            return Either::Right(Box::pin(async move { Ok(check.answer(request).await) }));
        }
        Either::Right(Box::pin(self.others.clone().oneshot(request.map(Body::new))))
    }
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}
