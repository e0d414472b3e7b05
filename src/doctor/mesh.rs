//! The mesh config, and the providers that it knows.

use serde_json::Value;

use super::asks::{Asks, Form, OverHttp, istio_names};
use super::manifests::{Manifests, Object, list, text};
use super::workload::Ours;

static FORM: Form = Form {
    timeout: ("timeout", "timeout: 2s"),
    without_timeout: "Istio's default is 600 s: if Countersign hangs, every request hangs with it for ten minutes.",
    fails_open: ("failOpen", "failOpen: false"),
    port: "port",
    path_prefix: ("pathPrefix", "pathPrefix"),
    status: ("statusOnError", "statusOnError: \"503\""),
    asked: "includeRequestHeadersInCheck",
    taken: "headersToUpstreamOnAllow",
    told: "headersToDownstreamOnDeny",
    name: str::to_owned,
};

/// A mesh config, and where in its object it stands.
pub(super) struct Mesh<'m> {
    object: &'m Object,
    config: Value,
}

/// An entry of `extensionProviders`.
pub(super) struct Provider<'p> {
    pub(super) name: &'p str,
    object: &'p Object,
    service: &'p str,
    http: bool,
    entry: &'p Value,
}

impl<'m> Mesh<'m> {
    /// The mesh configs among the manifests: ConfigMaps called `istio`, IstioOperators, and bare ones.
    pub(super) fn all(manifests: &'m Manifests) -> Vec<Self> {
        let mut found = Vec::new();
        for object in &manifests.objects {
            let config = match object.kind.as_str() {
                "ConfigMap" => serde_saphyr::from_str(text(&object.value, "/data/mesh")).ok(),
                "IstioOperator" => object.value.pointer("/spec/meshConfig").cloned(),
                "" => object.value.get("meshConfig").or(Some(&object.value)).cloned(),
                _ => None,
            };
            let config = config.filter(|config: &Value| config.get("extensionProviders").is_some());
            found.extend(config.map(|config| Self { object, config }));
        }
        found
    }

    pub(super) fn providers(&self) -> impl Iterator<Item = Provider<'_>> {
        list(&self.config["extensionProviders"]).iter().filter_map(|provider| {
            let (http, entry) = match (provider.get("envoyExtAuthzHttp"), provider.get("envoyExtAuthzGrpc")) {
                (Some(entry), _) => (true, entry),
                (None, Some(entry)) => (false, entry),
                (None, None) => return None,
            };
            let (name, service) = (text(provider, "/name"), text(entry, "/service"));
            Some(Provider { name, object: self.object, service, http, entry })
        })
    }

    /// A field of it, for people.
    pub(super) fn place(&self, field: &str) -> String {
        self.object.place(field)
    }
}

impl Provider<'_> {
    /// Whether checks go to us.
    pub(super) fn is_ours(&self, ours: &Ours<'_>) -> bool {
        ours.is_host(self.host())
    }

    /// What is asked, and how.
    pub(super) fn asks(&self) -> Asks {
        let entry = self.entry;
        Asks {
            place: self.object.place(&format!("extensionProviders `{}` ", self.name)),
            form: &FORM,
            host: self.host().to_owned(),
            port: entry["port"].as_u64(),
            has_timeout: entry.get("timeout").is_some(),
            fails_open: entry["failOpen"] == true,
            http: self.http.then(|| OverHttp {
                path_prefix: text(entry, "/pathPrefix").to_owned(),
                tells_unavailable: entry["statusOnError"] == "503",
                asked: istio_names(&entry["includeRequestHeadersInCheck"]),
                taken: istio_names(&entry["headersToUpstreamOnAllow"]),
                told: Some(istio_names(&entry["headersToDownstreamOnDeny"])),
            }),
        }
    }

    fn host(&self) -> &str {
        // `namespace/host` is how Istio tells Services of one name apart.
        self.service.rsplit('/').next().unwrap_or_default()
    }
}
