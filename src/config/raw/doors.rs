//! The doors of the check, as the file opens and shuts them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The doors that gateways ask at, on the main port. Shut those that nobody uses.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Doors {
    /// Envoy's `ext_authz` over HTTP: `paths.check` and the original path.
    pub(in crate::config) http: bool,
    /// Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`.
    pub(in crate::config) grpc: bool,
}

impl Default for Doors {
    fn default() -> Self {
        Self { http: true, grpc: true }
    }
}
