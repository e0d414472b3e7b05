//! The layer that names every request of a port: it reads or makes the ids, hands them to the doors as an extension,
//! and runs the request within their span.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower::{Layer, Service};
use tracing::Instrument;
use tracing::instrument::Instrumented;

use super::RequestIds;
use crate::entropy::Entropy;

/// Names requests. Doors find the [`RequestIds`] in the request's extensions.
#[derive(Clone)]
pub struct RequestSpans {
    entropy: Arc<dyn Entropy>,
}

impl RequestSpans {
    /// `entropy` makes the ids of requests that came without one.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy }
    }
}

impl fmt::Debug for RequestSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSpans")
    }
}

impl<S> Layer<S> for RequestSpans {
    type Service = InRequestSpan<S>;

    fn layer(&self, inner: S) -> InRequestSpan<S> {
        InRequestSpan { inner, spans: self.clone() }
    }
}

/// A service whose requests have names.
#[derive(Clone, Debug)]
pub struct InRequestSpan<S> {
    inner: S,
    spans: RequestSpans,
}

impl<S, B> Service<Request<B>> for InRequestSpan<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let ids = RequestIds::of(request.headers(), &*self.spans.entropy);
        let span = super::span(&ids);
        request.extensions_mut().insert(ids);
        let answer = span.in_scope(|| self.inner.call(request));
        answer.instrument(span)
    }
}
