//! A workload with a sidecar of its own: what Kubernetes and the injector would have told istiod of it.

use serde_json::{Value, json};

use crate::istiod::Istiod;
use crate::mesh::{labelled, service};
use crate::part::free_port;
use crate::proxy::Proxy;

/// A workload behind a sidecar.
pub(crate) struct Workload {
    app: &'static str,
    namespace: &'static str,
    address: &'static str,
    /// Where its sidecar listens.
    pub(crate) port: u16,
}

impl Workload {
    /// One with this label and namespace, its pod at this loopback address.
    pub(crate) fn new(app: &'static str, namespace: &'static str, address: &'static str) -> Self {
        Self { app, namespace, address, port: free_port() }
    }

    /// What istiod is to know of it; the sidecar hands requests on to the port `behind`.
    pub(crate) fn objects(&self, behind: u16) -> [Value; 3] {
        let (app, namespace, port) = (self.app, self.namespace, self.port);
        let metadata = json!({"name": app, "namespace": namespace});
        let ports = [("http", 80, port)];
        [
            labelled(service(app, namespace, self.address, &ports), &json!({"app": app})),
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": metadata,
                "spec": {
                    "workloadSelector": {"labels": {"app": app}},
                    "ingress": [{"port": {"number": port, "protocol": "HTTP", "name": "http"}, "bind": "0.0.0.0",
                        "captureMode": "NONE", "defaultEndpoint": format!("127.0.0.1:{behind}")}],
                    "egress": [{"hosts": ["~/*"]}],
                },
            }),
            // There are no certificates here.
            json!({
                "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": metadata,
                "spec": {"selector": {"matchLabels": {"app": app}}, "mtls": {"mode": "DISABLE"}},
            }),
        ]
    }

    /// Starts its sidecar.
    pub(crate) async fn start(&self, istiod: &Istiod) -> Proxy {
        Proxy::sidecar(istiod, self.namespace, self.app, self.address, self.port).await
    }
}
