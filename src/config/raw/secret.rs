//! A secret, or where to find it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::secret::SecretText;

/// A secret: `{file: …}` to read it from a file, `{env: …}` to read it from an environment variable, or the text
/// itself, which is for trying things out.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum Secret {
    /// The text itself.
    Text(#[schemars(with = "String")] SecretText),
    /// Where to find it.
    Reference(Reference),
}

/// Where to find a secret: exactly one of the two.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SecretReference")]
pub(in crate::config) struct Reference {
    /// A file whose content is the secret; line breaks at its end do not count.
    pub(in crate::config) file: Option<PathBuf>,
    /// The name of an environment variable.
    pub(in crate::config) env: Option<String>,
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self::Reference(reference) = self else { return serializer.serialize_str("[redacted]") };
        let mut map = serializer.serialize_map(None)?;
        if let Some(file) = &reference.file {
            map.serialize_entry("file", file)?;
        }
        if let Some(name) = &reference.env {
            map.serialize_entry("env", name)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrReference;
        impl<'de> Visitor<'de> for TextOrReference {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{file: …}, {env: …} or a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::Text(SecretText::new(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Secret, A::Error> {
                Reference::deserialize(MapAccessDeserializer::new(access)).map(Secret::Reference)
            }
        }
        deserializer.deserialize_any(TextOrReference)
    }
}
