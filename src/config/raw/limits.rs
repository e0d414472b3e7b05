//! How much people may ask for, as the file spells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many people may sign in, at one replica: a number and a time, as `4000/5m`. So many at once, and in each such time.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Limits {
    /// Sign-ins that may end, and ten times as many that may begin, from all addresses together.
    #[schemars(regex(pattern = "^[0-9]+/.+$"))]
    pub(in crate::config) sign_ins: String,
    /// The same from one address (IPv6: one /56), where it is known: behind a proxy, if that is one of `trusted_proxies`.
    #[schemars(regex(pattern = "^[0-9]+/.+$"))]
    pub(in crate::config) sign_ins_per_address: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sign_ins: "60000/5m".into(), sign_ins_per_address: "4000/5m".into() }
    }
}
