//! Where the session keys are, as the file spells it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Secret;

/// The session keys: a list of them, newest first, or `{dir: …}`, a directory with a file for each.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum SessionKeys {
    /// Each by itself, newest first.
    List(Vec<Secret>),
    /// All of a directory.
    Directory(SessionKeyDirectory),
}

/// A directory of session keys.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct SessionKeyDirectory {
    /// The directory, with a file for each key, as a Secret is mounted. It is read again and again, so that a new key needs
    /// no restart.
    pub(in crate::config) dir: Option<PathBuf>,
}

impl SessionKeys {
    /// Whether none is named.
    pub(in crate::config) fn is_empty(&self) -> bool {
        match self {
            Self::List(keys) => keys.is_empty(),
            Self::Directory(directory) => directory.dir.is_none(),
        }
    }
}

impl Default for SessionKeys {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<'de> Deserialize<'de> for SessionKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrDirectory;
        impl<'de> Visitor<'de> for ListOrDirectory {
            type Value = SessionKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys, or {dir: …}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<SessionKeys, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(access)).map(SessionKeys::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<SessionKeys, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(access)).map(SessionKeys::Directory)
            }
        }
        deserializer.deserialize_any(ListOrDirectory)
    }
}
