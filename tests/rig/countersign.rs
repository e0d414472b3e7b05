//! The program under test, as its users run it: the binary, and the config that ships in `examples/envoy`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::canaries::Scanner;
use crate::dex::CLIENT_SECRET;
use crate::part::{Part, empty_folder, free_port};
use crate::wire;

const EXAMPLE: &str = include_str!("../../examples/envoy/countersign.yaml");

/// A running Countersign.
pub(crate) struct Countersign {
    main: u16,
    admin: u16,
    environment: Vec<(&'static str, String)>,
    part: Option<Part>,
}

impl Countersign {
    /// Starts one for browsers at `public_url` and this provider; `alter` may change its config.
    pub(crate) async fn start(public_url: &str, issuer: &str, alter: impl FnOnce(&mut Value)) -> Self {
        Self::start_from(EXAMPLE, public_url, issuer, alter).await
    }

    /// The same, with the config of another example.
    pub(crate) async fn start_from(
        example: &str,
        public_url: &str,
        issuer: &str,
        alter: impl FnOnce(&mut Value),
    ) -> Self {
        let (main, admin) = (free_port(), free_port());
        let folder = empty_folder();
        let mut settings: Value = serde_saphyr::from_str(example).expect("the example is YAML");
        settings["public_url"] = json!(public_url);
        settings["listen"] = json!({"main": format!("127.0.0.1:{main}"), "admin": format!("127.0.0.1:{admin}")});
        settings["data_dir"] = json!(folder.path().join("data"));
        settings["providers"][0]["issuer"] = json!(issuer);
        settings["shutdown"] = json!({"lame_duck": "0s"});
        alter(&mut settings);
        fs::write(config_in(folder.path()), settings.to_string()).expect("a config");
        let environment = vec![("DEX_CLIENT_SECRET", CLIENT_SECRET.to_owned())];
        let mut countersign = Self { main, admin, environment, part: None };
        countersign.run(folder).await;
        countersign
    }

    /// Starts one with this very config file at this port; variables say what is different here.
    pub(crate) async fn with_config(config: &str, main: u16, variables: &[(&'static str, String)]) -> Self {
        let (admin, folder) = (free_port(), empty_folder());
        fs::write(config_in(folder.path()), config).expect("a config");
        let secret = folder.path().join("client-secret");
        fs::write(&secret, CLIENT_SECRET).expect("a secret");
        let mut environment = vec![
            ("COUNTERSIGN_LISTEN__MAIN", format!("127.0.0.1:{main}")),
            ("COUNTERSIGN_LISTEN__ADMIN", format!("127.0.0.1:{admin}")),
            ("COUNTERSIGN_DATA_DIR", folder.path().join("data").display().to_string()),
            ("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", json!({"file": secret}).to_string()),
            ("COUNTERSIGN_SHUTDOWN__LAME_DUCK", "0s".to_owned()),
        ];
        environment.extend_from_slice(variables);
        let mut countersign = Self { main, admin, environment, part: None };
        countersign.run(folder).await;
        countersign
    }

    /// Starts one in authservice's place: with its variables, and no configuration file.
    pub(crate) async fn start_in_authservices_place(callback: &str, issuer: &str) -> Self {
        let (main, admin) = (free_port(), free_port());
        let folder = empty_folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("serve").env_clear().envs([
            // As Kubeflow 1.8's params.env has them.
            ("OIDC_SCOPES", "profile email groups"),
            ("AUTHSERVICE_URL_PREFIX", "/authservice/"),
            ("SKIP_AUTH_URLS", "/dex"),
            ("AFTER_LOGOUT_URL", "/"),
            ("USERID_HEADER", "kubeflow-userid"),
            ("USERID_PREFIX", ""),
            ("USERID_CLAIM", "email"),
            // Of its Secret.
            ("CLIENT_ID", "countersign"),
            ("CLIENT_SECRET", CLIENT_SECRET),
            // Of this rig.
            ("OIDC_PROVIDER", issuer),
            ("REDIRECT_URL", callback),
            ("SERVER_HOSTNAME", "127.0.0.1"),
            ("COUNTERSIGN_SHUTDOWN__LAME_DUCK", "0s"),
        ]);
        let ports = [("PORT", main), ("READINESS_PROBE_PORT", admin), ("WEB_SERVER_PORT", free_port())];
        command.envs(ports.map(|(name, port)| (name, port.to_string())));
        command.env("STORE_PATH", folder.path().join("data.db"));
        let mut part = Part::start("countersign", folder, &mut command);
        let ready = format!("http://127.0.0.1:{admin}/");
        part.await_ready(|| async { wire::status(&ready).await == Some(200) }).await;
        Self { main, admin, environment: Vec::new(), part: Some(part) }
    }

    /// The first line of the log.
    pub(crate) fn first_line(&self) -> String {
        let log = self.part.as_ref().expect("it runs").log();
        log.lines().find(|line| line.starts_with('{')).unwrap_or_default().to_owned()
    }

    /// The main port.
    pub(crate) fn port(&self) -> u16 {
        self.main
    }

    /// The answer of `/readyz`, and what it says.
    pub(crate) async fn readiness(&self) -> wire::Answer {
        wire::get(self.admin, "/readyz", &[]).await
    }

    /// Everything it has printed since it was last started.
    pub(crate) fn log(&self) -> String {
        self.part.as_ref().expect("it runs").log()
    }

    /// Panics if these, or the client's secret, are in what it has printed. Nothing else prints them for it.
    pub(crate) fn keeps_to_itself(&self, secrets: &[(&'static str, &str)]) {
        let Some(part) = &self.part else { return };
        let log = part.log();
        for (what, secret) in secrets.iter().copied().chain([("the client secret", CLIENT_SECRET)]) {
            let found = Scanner::for_one(what, secret).scan("the log", log.as_bytes());
            assert!(found.is_empty(), "{:?}", found.first());
        }
    }

    /// `kill -9`, then a new process with the same data and address.
    pub(crate) async fn kill_and_restart(&mut self) {
        let folder = self.part.take().expect("it runs").kill();
        self.run(folder).await;
    }

    /// Ends it. Its address stays.
    pub(crate) fn stop(&mut self) {
        self.part = None;
    }

    async fn run(&mut self, folder: TempDir) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .arg("serve")
            .arg("--config")
            .arg(config_in(folder.path()))
            // Nothing of the tester's own surroundings: a proxy, or a variable that is taken for a setting.
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut part = Part::start("countersign", folder, &mut command);
        let ready = format!("http://127.0.0.1:{}/readyz", self.admin);
        part.await_ready(|| async { wire::status(&ready).await == Some(200) }).await;
        self.part = Some(part);
    }
}

impl Drop for Countersign {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.keeps_to_itself(&[]);
        }
    }
}

fn config_in(folder: &Path) -> std::path::PathBuf {
    // JSON is YAML.
    folder.join("countersign.yaml")
}
