//! The doors: each turns bytes into a core call and the answer into bytes, and decides nothing. This file hangs them
//! into one frame, the service of the main port.

pub mod admin;
pub mod authservice;
pub mod browser;
pub mod ext_authz_http;
pub mod keys;
pub mod pages;
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
use ext_authz_http::CheckDoor;

/// The service of the main port. Checks are told apart before any routing: they are nearly all there is.
#[derive(Clone)]
pub struct Doors {
    check: Arc<CheckDoor>,
    others: Router,
    authservice: Option<AuthserviceDoor>,
}

impl Doors {
    /// `check` answers what the gateway asks, `others` everything else.
    #[must_use]
    pub fn new(check: CheckDoor, others: Router) -> Self {
        Self { check: Arc::new(check), others, authservice: None }
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
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = match &self.authservice {
            None => request,
            Some(door) => match door.sort(request) {
                Asked::Check(request) => request,
                Asked::Page(request) => {
                    return Either::Right(Box::pin(self.others.clone().oneshot(request.map(Body::new))));
                }
                Asked::Verify(request) => {
                    let (request, check) = (request.map(|_| ()), Arc::clone(&self.check));
                    let verified = async move { Ok(AuthserviceDoor::verified(check.answer(request).await)) };
                    return Either::Right(Box::pin(verified));
                }
            },
        };
        if !self.check.is_for(&request) {
            return Either::Right(Box::pin(self.others.clone().oneshot(request.map(Body::new))));
        }
        if let Some(response) = self.check.answer_at_once(&request) {
            return Either::Left(ready(Ok(response)));
        }
        // A check has no body of its own; what a gateway may have sent along is not read.
        let request = request.map(|_| ());
        let check = Arc::clone(&self.check);
        Either::Right(Box::pin(async move { Ok(check.answer(request).await) }))
    }
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}
