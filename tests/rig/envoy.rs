//! Envoy with one of the configs that ship in `examples/envoy`, on other ports.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::part::{Part, accepts, empty_folder, eventually, tool};

/// The example whose checks are over HTTP.
pub(crate) const EXAMPLE: &str = include_str!("../../examples/envoy/envoy.yaml");
/// The example whose checks are over gRPC.
pub(crate) const GRPC_EXAMPLE: &str = include_str!("../../examples/envoy/envoy-grpc.yaml");

const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";

/// What the example's ports become.
pub(crate) struct Ports {
    /// Envoy itself.
    pub(crate) envoy: u16,
    /// Countersign's main port.
    pub(crate) countersign: u16,
    /// The workload.
    pub(crate) backend: u16,
}

/// Which example, and how an Envoy differs from it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a difference of its own")]
pub(crate) struct Variant {
    /// The example whose checks are over gRPC.
    pub(crate) grpc: bool,
    /// Nobody told it to `encode_raw_headers`.
    pub(crate) headers_joined: bool,
    /// Checks travel over HTTP/2 with prior knowledge.
    pub(crate) checks_over_http2: bool,
    /// The bound on a stream's life, instead of the hour.
    pub(crate) max_stream_duration: Option<&'static str>,
    /// Somebody forgot to list these in `allowed_upstream_headers`.
    pub(crate) not_allowed_upstream: &'static [&'static str],
    /// Nobody is asked: `jwt_authn` stands alone.
    pub(crate) without_checks: bool,
}

/// A running Envoy.
pub(crate) struct Envoy {
    part: Option<Part>,
}

impl Envoy {
    /// Starts one. Countersign is to be up: the listener waits for the keys.
    pub(crate) async fn start(ports: &Ports, variant: Variant) -> Self {
        Self::start_altered(ports, variant, |_| ()).await
    }

    /// The same; `alter` may change what it is told.
    pub(crate) async fn start_altered(ports: &Ports, variant: Variant, alter: impl FnOnce(&mut Value)) -> Self {
        let folder = empty_folder();
        let mut settings = example_on(ports, if variant.grpc { GRPC_EXAMPLE } else { EXAMPLE });
        if variant.checks_over_http2 {
            let cluster = named(&mut settings["static_resources"]["clusters"], "countersign_check");
            let options = &mut cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
                ["explicit_http_config"];
            assert!(options["http_protocol_options"].is_object(), "the example's checks are over HTTP/1.1");
            *options = json!({"http2_protocol_options": {}});
        }
        if variant.headers_joined {
            let raw = filter(&mut settings, EXT_AUTHZ).as_object_mut().and_then(|all| all.remove("encode_raw_headers"));
            assert_eq!(raw, Some(json!(true)), "the example tells each header by itself");
        }
        if let Some(bound) = variant.max_stream_duration {
            let host = &mut manager(&mut settings)["route_config"]["virtual_hosts"][0];
            let all = host["routes"].as_array_mut().and_then(|routes| routes.last_mut()).expect("routes");
            let found = &mut all["route"]["max_stream_duration"]["max_stream_duration"];
            assert!(found.is_string(), "the example bounds streams");
            *found = json!(bound);
        }
        for forgotten in variant.not_allowed_upstream {
            let allowed = &mut filter(&mut settings, EXT_AUTHZ)["http_service"]["authorization_response"]["allowed_upstream_headers"]
                ["patterns"];
            let patterns = allowed.as_array_mut().expect("patterns");
            let position = patterns.iter().position(|pattern| pattern["exact"] == *forgotten);
            patterns.remove(position.unwrap_or_else(|| panic!("the example does not allow {forgotten}")));
        }
        if variant.without_checks {
            let filters = &mut manager(&mut settings)["http_filters"];
            let filters = filters.as_array_mut().expect("filters");
            let before = filters.len();
            filters.retain(|filter| filter["name"] != EXT_AUTHZ);
            assert_eq!(filters.len(), before - 1, "the example has one {EXT_AUTHZ}");
        }
        alter(&mut settings);
        Self::run(folder, &settings, ports.envoy).await
    }

    /// Starts one as Kubeflow 1.3 to 1.8 set it up for authservice: what its `EnvoyFilter` makes of a gateway.
    pub(crate) async fn start_for_authservice(ports: &Ports) -> Self {
        let exact = |names: &[&str]| {
            let patterns: Vec<Value> = names.iter().map(|name| json!({"exact": name})).collect();
            json!({"patterns": patterns})
        };
        let cluster = |name: &str, port: u16| {
            let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
            json!({"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}})
        };
        let authz = json!({
            "name": EXT_AUTHZ,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                "transport_api_version": "V3",
                "http_service": {
                    "server_uri": {"uri": "http://authservice", "cluster": "authservice", "timeout": "10s"},
                    "authorization_request": {"allowed_headers": exact(&["authorization", "cookie", "x-auth-token"])},
                    "authorization_response": {"allowed_upstream_headers": exact(&["kubeflow-userid"])},
                },
            },
        });
        let router = json!({"name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "http_filters": [authz, router],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "workload"}}]}]},
        });
        let settings = json!({"static_resources": {
            "listeners": [{
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": ports.envoy}},
                "filter_chains": [{"filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
                ]}],
            }],
            "clusters": [cluster("authservice", ports.countersign), cluster("workload", ports.backend)],
        }});
        Self::run(empty_folder(), &settings, ports.envoy).await
    }

    /// Starts one with these settings and waits for this port.
    pub(crate) async fn run(folder: TempDir, settings: &Value, listener: u16) -> Self {
        let config = folder.path().join("envoy.json");
        fs::write(&config, settings.to_string()).expect("a config");
        let mut command = Command::new(tool("ENVOY", "envoy", "bin/envoy"));
        command.arg("-c").arg(&config).args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]);
        // Its access log is otherwise held back for ten seconds.
        command.args(["--file-flush-interval-msec", "50"]);
        let mut part = Part::start("envoy", folder, &mut command);
        part.await_ready(|| accepts(listener)).await;
        Self { part: Some(part) }
    }

    /// Ends it. Its port is free then.
    pub(crate) fn stop(&mut self) {
        self.part = None;
    }

    /// How many lines of the access log begin so.
    pub(crate) fn logged(&self, line: &str) -> usize {
        let log = self.part.as_ref().expect("it runs").log();
        log.lines().filter(|found| found.starts_with(line)).count()
    }

    /// Waits until the access log has a line that begins so.
    pub(crate) async fn logs(&self, line: &str) {
        eventually(&format!("{line:?} in Envoy's log"), || async {
            let part = self.part.as_ref().expect("it runs");
            if part.log().lines().any(|found| found.starts_with(line)) { Ok(()) } else { Err(part.log_tail()) }
        })
        .await;
    }
}

/// An example with other ports.
pub(crate) fn example_on(ports: &Ports, example: &str) -> Value {
    let mut text = example.to_owned();
    for (old, new) in [
        ("port_value: 8080", format!("port_value: {}", ports.envoy)),
        ("http://localhost:8080", format!("http://localhost:{}", ports.envoy)),
        ("port_value: 8081", format!("port_value: {}", ports.backend)),
        ("port_value: 9000", format!("port_value: {}", ports.countersign)),
        ("http://127.0.0.1:9000", format!("http://127.0.0.1:{}", ports.countersign)),
    ] {
        assert!(text.contains(old), "the example in examples/envoy no longer has {old}");
        text = text.replace(old, &new);
    }
    serde_saphyr::from_str(&text).expect("the example is YAML")
}

fn manager(settings: &mut Value) -> &mut Value {
    &mut settings["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn filter<'v>(settings: &'v mut Value, name: &str) -> &'v mut Value {
    &mut named(&mut manager(settings)["http_filters"], name)["typed_config"]
}

/// The one of this name.
pub(crate) fn named<'v>(list: &'v mut Value, name: &str) -> &'v mut Value {
    let mut items = list.as_array_mut().expect("a list").iter_mut();
    items.find(|item| item["name"] == name).unwrap_or_else(|| panic!("the example has no {name}"))
}
