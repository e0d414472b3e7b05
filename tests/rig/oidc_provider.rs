//! The npm package `oidc-provider`: for logout and revocation, which Dex lacks.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::dex::CLIENT_SECRET;
use crate::part::{Part, empty_folder, free_port, tool};
use crate::wire;

/// A running provider.
pub(crate) struct OidcProvider {
    port: u16,
    groups: PathBuf,
    part: Part,
}

/// A request to one of its endpoints.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) route: String,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) parameters: Vec<String>,
}

impl OidcProvider {
    /// Starts one that knows these addresses of ours.
    pub(crate) async fn start(callback: &str, after_logout: &str) -> Self {
        let port = free_port();
        let library = tool("OIDC_PROVIDER", "oidc-provider", "node_modules/oidc-provider/lib/index.js");
        let folder = empty_folder();
        let groups = folder.path().join("groups");
        fs::write(&groups, "staff\nauthors\n").expect("a file");
        let mut command = Command::new(tool("OIDC_PROVIDER", "oidc-provider", "bin/node"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/oidc-provider/server.mjs")).arg(library).args([
            &port.to_string(),
            callback,
            after_logout,
            CLIENT_SECRET,
        ]);
        command.arg(&groups);
        let mut provider = Self { port, groups, part: Part::start("oidc-provider", folder, &mut command) };
        let discovery = format!("http://127.0.0.1:{port}/.well-known/openid-configuration");
        provider.part.await_ready(|| async { wire::status(&discovery).await == Some(200) }).await;
        provider
    }

    /// Its issuer.
    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What everybody's groups are from now on; they begin as `staff` and `authors`.
    pub(crate) fn set_groups(&self, groups: &[&str]) {
        fs::write(&self.groups, groups.join("\n")).expect("a file");
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.part.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
