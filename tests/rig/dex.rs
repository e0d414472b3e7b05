//! Dex with two people, Ann and Bob, whose groups differ.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

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
    issuer: String,
    client: Value,
    part: Option<Part>,
}

impl Dex {
    /// Starts one that knows this callback.
    pub(crate) async fn start(callback: &str) -> Self {
        let port = free_port();
        let client = json!({"id": "countersign", "name": "Countersign", "redirectURIs": [callback]});
        Self::start_as(port, format!("http://127.0.0.1:{port}/dex"), client).await
    }

    /// Starts one as Kubeflow has it: by this `config.yaml` of its config map `dex`, except that its people are ours.
    pub(crate) async fn of_kubeflow(config: &Value) -> Self {
        let issuer = config["issuer"].as_str().expect("an issuer").to_owned();
        let mut client = config["staticClients"][0].clone();
        // Its pod has them by variables, from the Secret `auth/dex-oidc-client`.
        client["id"] = json!("kubeflow-oidc-authservice");
        for variable in ["idEnv", "secretEnv"] {
            client.as_object_mut().and_then(|client| client.remove(variable)).expect("as Kubeflow has it");
        }
        Self::start_as(free_port(), issuer, client).await
    }

    async fn start_as(port: u16, issuer: String, mut client: Value) -> Self {
        client["secret"] = json!(CLIENT_SECRET);
        let mut dex = Self { port, issuer, client, part: None };
        dex.start_again().await;
        dex
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its issuer. Unless it is Kubeflow's: another host name than the gateway's, so that the way back is a cross-site one.
    pub(crate) fn issuer(&self) -> String {
        self.issuer.clone()
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
            "staticClients": [self.client],
            "staticPasswords": [person("ann", &["authors", "staff"]), person("bob", &["staff"])],
        });
        fs::write(&config, settings.to_string()).expect("a config");
        let mut part = Part::start("dex", folder, Command::new(tool("DEX", "dex", "dex")).arg("serve").arg(&config));
        let discovery = format!("http://127.0.0.1:{}/dex/.well-known/openid-configuration", self.port);
        part.await_ready(|| async { wire::status(&discovery).await == Some(200) }).await;
        self.part = Some(part);
    }
}
