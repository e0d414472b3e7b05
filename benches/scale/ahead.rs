//! A gateway whose clock is ahead, so that sessions are over without anybody having waited for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::Gateway;
use countersign::clock::{Clock, SystemClock, UnixTime};
use countersign::entropy::SystemEntropy;

/// The system's clock, but so much later.
#[derive(Debug)]
pub(crate) struct Ahead(pub(crate) Duration);

impl Clock for Ahead {
    fn now(&self) -> UnixTime {
        SystemClock.now().plus(self.0)
    }
}

/// The process of such a gateway: by how many seconds, and its configuration.
pub(crate) fn serve(arguments: &[String]) {
    let [seconds, config] = arguments else { panic!("ahead: two arguments") };
    let ahead = Duration::from_secs(seconds.parse().expect("seconds"));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let loaded = countersign::config::load(Some(Path::new(config)), std::iter::empty());
    let settings = loaded.unwrap_or_else(|errors| panic!("{errors}")).settings;
    countersign::telemetry::init(&settings.log).expect("a log");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let gateway = Gateway::open_with(settings, Arc::new(Ahead(ahead)), Arc::new(SystemEntropy)).await;
        gateway.expect("it opens").run(std::future::pending()).await.expect("it runs");
    });
}
