//! PLACEHOLDER until `app::Gateway` exists: delete this file and use that one in `dev.rs`.

use std::net::SocketAddr;

use crate::config::Settings;

pub(super) struct Gateway;

#[expect(clippy::unused_async, reason = "as the real one")]
impl Gateway {
    pub(super) async fn open(_settings: Settings) -> anyhow::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as the real one")]
    pub(super) fn main_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    pub(super) async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        shutdown.await;
        Ok(())
    }
}
