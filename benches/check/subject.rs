//! The gateway under load: the whole of it, with an embedded store, and a request of somebody who is signed in.

use std::sync::Arc;

use countersign::app::Gateway;
use countersign::clock::SystemClock;
use countersign::config::Settings;
use countersign::cookie::CookieNames;
use countersign::entropy::SystemEntropy;
use countersign::seal::SessionKeys;
use countersign::session::{Embedded, Sessions};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use tempfile::TempDir;

use super::grpc_check::{self, Encoding};
use super::house::{Opening, Serving};
use super::settings::{NOBODY, settings};
use super::visitor::{self, RULES};

/// A directory with one session in it, and the request that the gateway is asked about it.
pub(crate) struct Subject {
    pub(crate) request: String,
    /// The same request, as Envoy tells of it over gRPC.
    pub(crate) over_grpc: CheckRequest,
    data: TempDir,
}

impl Subject {
    pub(crate) fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let settings = settings(data.path(), NOBODY, RULES);
        let value = sign_in(&settings);
        let cookie = CookieNames::new(&settings.cookie).session().to_owned();
        let request = visitor::request(&cookie, &value);
        let over_grpc = over_grpc(&format!("_xsrf=2|6e8f3c1a|d0b7; {cookie}={value}; theme=dark"));
        Self { request, over_grpc, data }
    }

    /// The gateway as `serve` runs it.
    pub(crate) fn gateway(&self) -> Opening {
        let settings = settings(self.data.path(), NOBODY, RULES);
        Box::pin(async {
            let gateway = Gateway::open(settings).await.expect("the gateway opens");
            let address = gateway.main_address();
            let serving: Serving = Box::pin(async { gateway.run(std::future::pending()).await.expect("it runs") });
            (address, serving)
        })
    }
}

/// Over gRPC Envoy tells of every header unless it is told to choose: here of the same.
fn over_grpc(cookies: &str) -> CheckRequest {
    let headers = [
        ("cookie", cookies),
        ("accept", "application/json, text/plain, */*"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-site", "same-origin"),
        ("x-request-id", "4cf3c0f2-7d4a-9e1c-8d0e-0a1b2c3d4e5f"),
        ("x-forwarded-for", "10.0.0.7"),
        ("x-forwarded-proto", "https"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let target = "/pipeline/apis/v2beta1/runs?page_size=10&sort_by=created_at%20desc";
    grpc_check::request("GET", "mesh.example.com", target, &headers, Encoding::Joined)
}

/// Makes a session, as the login door does; the value of its cookie.
fn sign_in(settings: &Settings) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = Embedded::open(settings.data_dir.join("sessions.redb")).expect("a store");
    let keys = SessionKeys::load_or_generate(&settings.data_dir.join("session-keys"), &SystemEntropy).expect("keys");
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let sessions = Sessions::new(Arc::new(store), Arc::new(keys), clock, entropy, &settings.session);
    let tokens = visitor::tokens("id", "access", Some("again"));
    let subject = "CiQwOGE4Njg0Yi1kYjg4LTRiNzMtOTBhOS0zY2QxNjYxZjU0NjYSBWxvY2Fs";
    let new = visitor::session(settings.providers[0].id.clone(), "ann@example.com", subject, tokens);
    let (value, _) = runtime.block_on(sessions.create(new)).expect("a session");
    value
}
