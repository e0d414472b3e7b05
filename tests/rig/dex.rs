//! Dex with two people, Ann and Bob, whose groups differ.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::part::{Part, empty_folder, free_port, tool};
use crate::wire;

/// The client's secret at either provider.
pub(crate) const CLIENT_SECRET: &str = "the-rigs-own-client-secret";
/// What both people type.
pub(crate) const PASSWORD: &str = "password";
/// bcrypt of it.
const PASSWORD_HASH: &str = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W";

/// A running Dex.
pub(crate) struct Dex {
    port: u16,
    callback: String,
    part: Option<Part>,
}

impl Dex {
    /// Starts one that knows this callback.
    pub(crate) async fn start(callback: &str) -> Self {
        let mut dex = Self { port: free_port(), callback: callback.to_owned(), part: None };
        dex.start_again().await;
        dex
    }

    /// Its issuer. Another host name than the gateway's, so that the way back is a cross-site one.
    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}/dex", self.port)
    }

    /// Ends it. Its address stays.
    pub(crate) fn stop(&mut self) {
        self.part = None;
    }

    /// Starts it at the same address. It keeps everything in memory: new keys, old grants forgotten.
    pub(crate) async fn start_again(&mut self) {
        let folder = empty_folder();
        let config = folder.path().join("dex.json");
        let person = |name: &str, groups: &[&str]| {
            json!({"email": format!("{name}@example.com"), "username": name, "userID": format!("id-of-{name}"),
                "groups": groups, "hash": PASSWORD_HASH})
        };
        let settings = json!({
            "issuer": self.issuer(),
            "storage": {"type": "memory"},
            "web": {"http": format!("127.0.0.1:{}", self.port)},
            "oauth2": {"skipApprovalScreen": true},
            "enablePasswordDB": true,
            "staticClients": [{"id": "countersign", "name": "Countersign", "secret": CLIENT_SECRET,
                "redirectURIs": [self.callback]}],
            "staticPasswords": [person("ann", &["authors", "staff"]), person("bob", &["staff"])],
        });
        fs::write(&config, settings.to_string()).expect("a config");
        let mut part = Part::start("dex", folder, Command::new(tool("DEX", "dex", "dex")).arg("serve").arg(&config));
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer());
        part.await_ready(|| async { wire::status(&discovery).await == Some(200) }).await;
        self.part = Some(part);
    }
}
