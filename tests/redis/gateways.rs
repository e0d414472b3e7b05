//! Envoys with the configs that ship, except that a file tells them where the replicas are, and requests through them.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, COOKIE, HOST};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::envoy::{EXAMPLE, Envoy, GRPC_EXAMPLE, Ports, example_on, named};
use crate::part::{PATIENCE, empty_folder, eventually, free_port};
use crate::processes::{PUBLIC_HOST, Replica, reqwest_get};

/// The clusters through which an example asks Countersign.
const CLUSTERS: [&str; 2] = ["countersign", "countersign_check"];

/// One Envoy, whose checks go through one door.
pub(crate) struct Gateway {
    /// As metrics name it.
    pub(crate) door: &'static str,
    front: u16,
    admin: u16,
    _envoy: Envoy,
}

/// Where gateways are told that the replicas are.
pub(crate) struct Endpoints {
    folder: TempDir,
}

impl Endpoints {
    /// Nowhere, at first.
    pub(crate) fn new() -> Self {
        Self { folder: empty_folder() }
    }

    /// From now on they are here. The file is put in the place of the old one whole, as Envoy wants it.
    pub(crate) fn set<'r>(&self, replicas: impl IntoIterator<Item = &'r Replica>) {
        let endpoint = |replica: &Replica| {
            let address = json!({"address": "127.0.0.1", "port_value": replica.main});
            json!({"endpoint": {"address": {"socket_address": address}}})
        };
        let all: Vec<Value> = replicas.into_iter().map(endpoint).collect();
        let told = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "replicas",
            "endpoints": [{"lb_endpoints": all}],
        }]});
        let new = self.folder.path().join("new");
        fs::write(&new, told.to_string()).expect("a file");
        fs::rename(new, self.file()).expect("in its place");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("endpoints.json")
    }
}

impl Gateway {
    /// Asks over HTTP/1.1.
    pub(crate) async fn over_http(front: u16, backend: u16, endpoints: &Endpoints) -> Self {
        Self::start("http", EXAMPLE, front, front, backend, endpoints).await
    }

    /// Asks over gRPC; `public` is the port of the one that browsers come through, which issues tokens.
    pub(crate) async fn over_grpc(public: u16, backend: u16, endpoints: &Endpoints) -> Self {
        Self::start("grpc", GRPC_EXAMPLE, public, free_port(), backend, endpoints).await
    }

    async fn start(
        door: &'static str,
        example: &str,
        public: u16,
        front: u16,
        backend: u16,
        endpoints: &Endpoints,
    ) -> Self {
        let admin = free_port();
        // Where Countersign is, is told by the file.
        let mut settings = example_on(&Ports { envoy: public, countersign: 1, backend }, example);
        for forbidden in ["retry_policy", "outlier_detection", "health_checks"] {
            assert!(
                !settings.to_string().contains(forbidden),
                "the example has {forbidden}, which would hide failures"
            );
        }
        settings["node"] = json!({"id": door, "cluster": "front"});
        settings["admin"] = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}});
        settings["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = front.into();
        for name in CLUSTERS {
            let cluster = named(&mut settings["static_resources"]["clusters"], name);
            let cluster = cluster.as_object_mut().expect("a cluster");
            cluster.remove("load_assignment").expect("the example says where it is");
            cluster.insert("type".into(), "EDS".into());
            cluster.insert("eds_cluster_config".into(), told_by(&endpoints.file()));
        }
        let envoy = Envoy::run(empty_folder(), &settings, front).await;
        Self { door, front, admin, _envoy: envoy }
    }

    /// Until it knows of exactly these.
    pub(crate) async fn knows<'r>(&self, replicas: impl IntoIterator<Item = &'r Replica>) {
        let mut wanted: Vec<String> =
            replicas.into_iter().map(|replica| format!("127.0.0.1:{}", replica.main)).collect();
        wanted.sort();
        eventually("the gateway knows where the replicas are", || async {
            let text = reqwest_get(self.admin, "/clusters").await?;
            for cluster in CLUSTERS {
                let mut known: Vec<&str> = text
                    .lines()
                    .filter_map(|line| {
                        line.strip_prefix(cluster)?.strip_prefix("::")?.strip_suffix("::health_flags::healthy")
                    })
                    .collect();
                known.sort_unstable();
                if known != wanted {
                    return Err(format!("{cluster}: {known:?}"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// How many checks it waits for at this replica.
    pub(crate) async fn asking(&self, replica: &Replica) -> u64 {
        let text = reqwest_get(self.admin, "/clusters").await.expect("an answer");
        let series = format!("countersign_check::127.0.0.1:{}::rq_active::", replica.main);
        let count = text.lines().find_map(|line| line.strip_prefix(&series)).expect("it knows it");
        count.parse().expect("a number")
    }

    /// How many of its checks were cut off by the end of a connection, or had none to go by.
    pub(crate) async fn cut_off(&self) -> u64 {
        // One of HTTP/1 that is under way is counted with its connection, those of HTTP/2 among those without one.
        let counts = match self.door {
            "http" => &["upstream_cx_destroy_remote_with_active_rq", "upstream_rq_pending_failure_eject"][..],
            _ => &["upstream_rq_pending_failure_eject"],
        };
        let text = reqwest_get(self.admin, "/stats?filter=^cluster.countersign_check").await.expect("an answer");
        let count = |name: &&str| -> u64 {
            let series = format!("cluster.countersign_check.{name}: ");
            let count = text.lines().find_map(|line| line.strip_prefix(&series));
            count.unwrap_or_else(|| panic!("Envoy has no {series}")).parse().expect("a number")
        };
        counts.iter().map(count).sum()
    }

    /// A client of it that keeps its connections and tries nothing twice.
    pub(crate) fn client() -> Client {
        Client::builder().no_proxy().retry(reqwest::retry::never()).timeout(PATIENCE).build().expect("a client")
    }

    /// Asks the workload something, and whom its token says it was asked by.
    pub(crate) async fn asked_by(&self, client: &Client, cookie: &str) -> Result<String, String> {
        let request = client.get(format!("http://127.0.0.1:{}/app", self.front));
        let request = request.header(HOST, PUBLIC_HOST).header(COOKIE, cookie).header(ACCEPT, "application/json");
        let answer = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
        let (status, body) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
        if status != 200 {
            return Err(format!("{status}: {body}"));
        }
        subject(&body).ok_or_else(|| format!("no token reached the workload: {body}"))
    }
}

fn told_by(file: &Path) -> Value {
    json!({"service_name": "replicas", "eds_config": {
        "resource_api_version": "V3",
        "path_config_source": {"path": file},
    }})
}

/// The subject of the token that the workload got: Envoy has verified it.
fn subject(received: &str) -> Option<String> {
    let received: crate::backend::Received = serde_json::from_str(received).ok()?;
    let [authorization] = received.all("authorization")[..] else { return None };
    let claims = authorization.strip_prefix("Bearer ")?.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some(claims["sub"].as_str()?.to_owned())
}
