//! Who may ask for more than health and metrics on the admin port, as the file spells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Who may look at sessions and end them, on the admin port.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Admin {
    /// The token that opens `/sessions` on the admin port, at least 32 characters; `countersign sessions` sends it.
    /// Without one it stays shut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) token: Option<Secret>,
}
