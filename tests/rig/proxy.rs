//! Envoy as istiod configures it: all that is written here is where to ask, and who is asking.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::istiod::{Istiod, ROOT};
use crate::part::{Part, accepts, empty_folder, tool};

/// A running Envoy, an ingress gateway or a workload's sidecar.
pub(crate) struct Proxy {
    part: Part,
}

impl Proxy {
    /// A gateway whose pod is at `address` and has these labels, in the namespace of the mesh's own objects. Ready when it listens at `port`.
    pub(crate) async fn gateway(istiod: &Istiod, address: &str, labels: &Value, port: u16) -> Self {
        let metadata = json!({"NAMESPACE": ROOT, "LABELS": labels});
        Self::start(istiod, &format!("router~{address}~gateway.{ROOT}"), ROOT, metadata, port).await
    }

    /// The sidecar of a pod at `address` with the label `app`. Ready when it listens at `port`.
    pub(crate) async fn sidecar(istiod: &Istiod, namespace: &str, app: &str, address: &str, port: u16) -> Self {
        let metadata = json!({"NAMESPACE": namespace, "LABELS": {"app": app},
            // Traffic is sent to its port; there are no iptables rules here that would bring it there.
            "INTERCEPTION_MODE": "NONE"});
        Self::start(istiod, &format!("sidecar~{address}~{app}.{namespace}"), namespace, metadata, port).await
    }

    async fn start(istiod: &Istiod, node: &str, namespace: &str, mut metadata: Value, port: u16) -> Self {
        let folder = empty_folder();
        let config = folder.path().join("bootstrap.json");
        metadata["ISTIO_VERSION"] = json!("1.29.1");
        metadata["CLUSTER_ID"] = json!("Kubernetes");
        let ads = json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"});
        let settings = json!({
            "node": {"id": format!("{node}~{namespace}.svc.cluster.local"), "cluster": "rig", "metadata": metadata},
            "dynamic_resources": {
                "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]},
                "cds_config": ads, "lds_config": ads,
            },
            "static_resources": {"clusters": [{
                "name": "xds-grpc", "type": "STATIC", "connect_timeout": "5s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
                "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [{"endpoint":
                    {"address": {"socket_address": {"address": "127.0.0.1", "port_value": istiod.port()}}}}]}]},
            }]},
        });
        fs::write(&config, settings.to_string()).expect("a config");
        let mut command = Command::new(tool("ENVOY", "envoy", "bin/envoy"));
        command.arg("-c").arg(&config).args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]);
        command.args(["--file-flush-interval-msec", "50"]).env_clear();
        let mut envoy = Part::start("envoy by istiod", folder, &mut command);
        envoy.await_ready(|| accepts(port)).await;
        Self { part: envoy }
    }

    /// Everything it has printed: its access log, and what it warns of.
    pub(crate) fn log(&self) -> String {
        self.part.log()
    }
}
