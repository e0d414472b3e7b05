//! How the development pages look: the layout and the style of the real ones, with texts of their own.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use minijinja::{Environment, Value, context};
use tracing::error;

use crate::entropy::{Entropy, random};

const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../../templates/base.html")),
    ("style.css", include_str!("../../templates/style.css")),
    ("idp.html", include_str!("../../templates/dev/idp.html")),
    ("site.html", include_str!("../../templates/dev/site.html")),
];

/// Renders the development pages.
#[derive(Clone)]
pub(super) struct Look {
    environment: Arc<Environment<'static>>,
    entropy: Arc<dyn Entropy>,
    place: &'static str,
}

impl Look {
    pub(super) fn new(place: &'static str, entropy: Arc<dyn Entropy>) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        Ok(Self { environment: Arc::new(environment), entropy, place })
    }

    /// The page; forms on it may lead to our own origin and to `form_action`.
    pub(super) fn page(&self, status: StatusCode, template: &str, variables: Value, form_action: &str) -> Response {
        let nonce = BASE64_STANDARD.encode(random::<16>(&*self.entropy));
        let rendered = self
            .environment
            .get_template(template)
            .and_then(|template| template.render(context! { place => self.place, nonce => &*nonce, ..variables }));
        let html = rendered.unwrap_or_else(|failure| {
            error!(template, error = %failure, "a development page failed");
            failure.to_string()
        });
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self' {form_action}; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(HeaderValue::try_from(policy).map(|policy| (CONTENT_SECURITY_POLICY, policy)));
        response
    }
}
