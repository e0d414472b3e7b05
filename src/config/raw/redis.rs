//! The Redis or Valkey of several replicas, as the file spells it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// The Redis or Valkey that keeps the sessions of several replicas.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Redis {
    /// How its servers belong together.
    pub(in crate::config) mode: RedisMode,
    /// The server, the sentinels, or some nodes of the cluster: `redis://host:port`, or `rediss://` for TLS. All of one
    /// kind. Required.
    pub(in crate::config) urls: Vec<String>,
    /// What the sentinels call the primary. Required with `sentinel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) master: Option<String>,
    /// The ACL user; none is `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) username: Option<String>,
    /// Their password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) password: Option<Secret>,
    /// The ACL user at the sentinels; none is `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) sentinel_username: Option<String>,
    /// Their password there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) sentinel_password: Option<Secret>,
    /// A file with the authorities that vouch for the servers' certificates, in PEM; without it, the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) ca: Option<PathBuf>,
    /// How long sessions that are in memory go on while none of the servers can be asked, `5m` at most. Who is signed out
    /// elsewhere meanwhile stays signed in here for as long. `0s`: not at all.
    pub(in crate::config) grace: String,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            mode: RedisMode::default(),
            urls: Vec::new(),
            master: None,
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            ca: None,
            grace: "0s".into(),
        }
    }
}

/// How the servers of a Redis belong together.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RedisMode {
    /// One server.
    #[default]
    Standalone,
    /// One primary at a time, whose address sentinels know.
    Sentinel,
    /// Several primaries, each with a part of the sessions.
    Cluster,
}
