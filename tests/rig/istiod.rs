//! Istio's control plane without a cluster: it reads manifests from a directory, and makes Envoy's config of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::mesh::service;
use crate::part::{Part, empty_folder, free_port, tool};

/// Kubernetes' name for the namespace of the mesh's own objects.
pub(crate) const ROOT: &str = "istio-system";

/// A running istiod.
pub(crate) struct Istiod {
    discovery: u16,
    _part: Part,
}

impl Istiod {
    /// Starts one with these manifests and these extension providers. It fetches keys by way of the proxy at `names`.
    pub(crate) async fn start(manifests: &[String], providers: &Value, names: u16) -> Self {
        let (discovery, http, monitoring, introspection) = (free_port(), free_port(), free_port(), free_port());
        let folder = empty_folder();
        let mesh = folder.path().join("mesh.yaml");
        let settings = json!({
            "rootNamespace": ROOT,
            // There is no authority here to give proxies certificates.
            "enableAutoMtls": false,
            "enableTracing": false,
            "accessLogFile": "/dev/stdout",
            "extensionProviders": providers,
        });
        fs::write(&mesh, settings.to_string()).expect("a config");
        let directory = folder.path().join("manifests");
        fs::create_dir(&directory).expect("a folder");
        let mut command = Command::new(tool("ISTIO", "istiod", "istiod"));
        command.arg("discovery").args(["--registries=", "--networksConfig=/nonexistent", "--clusterID=Kubernetes"]);
        // Absolute paths: manifests from a relative one are read and never pushed.
        command.arg(format!("--configDir={}", directory.display())).arg(format!("--meshConfig={}", mesh.display()));
        command.args(["--secureGRPCAddr=", "--httpsAddr="]);
        command.arg(format!("--grpcAddr=127.0.0.1:{discovery}")).arg(format!("--httpAddr=127.0.0.1:{http}"));
        command.arg(format!("--monitoringAddr=127.0.0.1:{monitoring}")).arg(format!("--ctrlz_port={introspection}"));
        command
            .env_clear()
            .envs([
                ("ENABLE_CA_SERVER", "false"),
                ("PILOT_ENABLE_ALPN_FILTER", "false"),
                ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
                // A fetch that came too early is soon made again.
                ("PILOT_JWT_PUB_KEY_REFRESH_INTERVAL", "5s"),
                ("GOMAXPROCS", "2"),
            ])
            .env("HOME", folder.path())
            .env("HTTP_PROXY", format!("http://127.0.0.1:{names}"));
        let log = folder.path().join("log");
        let mut part = Part::start("istiod", folder, &mut command);
        // Its own /ready waits for an injector, which there is none of here.
        part.await_ready(|| async { part_log(&log).contains("starting gRPC discovery service") }).await;
        // Only now: of manifests that are there at the start it may tell nobody, not even itself. All of them at once, as
        // the directory is watched, and a Service that is last, by which it is seen that they have been read.
        let mark = service("mark", ROOT, "127.0.0.1", &[("http", 80, 1)]).to_string();
        let draft = directory.with_extension("draft");
        fs::write(&draft, format!("{}\n---\n{mark}", manifests.join("\n---\n"))).expect("manifests");
        fs::rename(&draft, directory.join("all.yaml")).expect("manifests");
        let pushed = || {
            let log = part_log(&log);
            log.split_once("new service istio-system/mark.").is_some_and(|(_, then)| then.contains("XDS: Pushing"))
        };
        part.await_ready(|| async { pushed() }).await;
        Self { discovery, _part: part }
    }

    /// Where proxies ask.
    pub(crate) fn port(&self) -> u16 {
        self.discovery
    }
}

fn part_log(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
