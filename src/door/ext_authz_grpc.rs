//! The check over gRPC, as Envoy's `ext_authz` asks it (`envoy.service.auth.v3.Authorization/Check`). What is said by
//! this door is said by the HTTP one, too; here a 503 can be a 503.

mod codec;
mod messages;
mod question;
mod reply;

use std::sync::Arc;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use tonic::server::Grpc;
use tower::service_fn;

use super::answer::{Answer, Answers};
use crate::metrics::CheckDoor as Door;

use codec::{CheckCodec, Sent};
use messages::CheckResponse;

/// The path of the one method.
const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The longest message. Gateways let requests of some 60 KiB of headers through.
const MAX_BYTES: usize = 256 * 1024;

/// The door that gateways ask over gRPC.
#[derive(Clone, Debug)]
pub struct GrpcDoor {
    answers: Arc<Answers>,
}

impl GrpcDoor {
    /// A door to `answers`.
    #[must_use]
    pub const fn new(answers: Arc<Answers>) -> Self {
        Self { answers }
    }

    /// Whether a request is a check.
    #[must_use]
    pub fn is_for<B>(&self, request: &Request<B>) -> bool {
        request.uri().path() == METHOD
    }

    /// Answers.
    pub async fn answer<B>(self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let answers = &*self.answers;
        let check = service_fn(async |sent: tonic::Request<Sent>| {
            Ok::<_, tonic::Status>(tonic::Response::new(reply_to(answers, sent.into_inner()).await))
        });
        Grpc::new(CheckCodec).max_decoding_message_size(MAX_BYTES).unary(check, request).await.map(Body::new)
    }
}

/// Every message gets a reply that says yes or no: an error of gRPC's own would pass where a gateway fails open.
async fn reply_to(answers: &Answers, sent: Sent) -> CheckResponse {
    let Some(asked) = sent else {
        return reply::denied(answers.unreadable(Door::Grpc)).await;
    };
    let question = asked.question();
    if let Some(allow) = answers.answer_at_once(Door::Grpc, &question) {
        return reply::allowed(&allow);
    }
    match answers.answer(Door::Grpc, &question).await {
        Answer::Allow(allow) => reply::allowed(&allow),
        Answer::Instead(response) => reply::denied(response).await,
    }
}
