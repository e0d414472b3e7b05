//! Calls into rooms that are being built. Each line here goes when its room is there.

use std::path::Path;

use crate::clock::Clock;
use crate::config::Settings;
use crate::entropy::Entropy;

/// Becomes `app::Gateway::open(settings).await?` and `gateway.run(shutdown).await`.
#[expect(clippy::unused_async, reason = "what takes its place awaits")]
pub(super) async fn serve(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("`app` is not built yet")
}

/// Becomes `dev::run(port).await`.
#[cfg(feature = "dev")]
#[expect(clippy::unused_async, reason = "what takes its place awaits")]
pub(super) async fn dev(_port: u16) -> anyhow::Result<()> {
    anyhow::bail!("`dev` is not built yet")
}

/// Becomes `keyring::init_directory(dir, entropy, clock)`.
pub(super) fn init_keyring(_dir: &Path, _entropy: &dyn Entropy, _clock: &dyn Clock) -> anyhow::Result<()> {
    anyhow::bail!("`keyring` is not built yet")
}

/// Becomes `seal::generate_text(entropy)`.
pub(super) fn generate_session_key(_entropy: &dyn Entropy) -> anyhow::Result<String> {
    anyhow::bail!("`seal` is not built yet")
}
