//! One rule, as the file spells it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Unauthenticated;

/// One rule: which requests it covers, and what they need.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rule {
    /// The hosts it covers, without port; `*.example.com` covers all below it. Empty: every host.
    pub(in crate::config) hosts: Vec<String>,
    /// The path it covers: `/a` covers `/a` and all below `/a/`, not `/ab`; `/a/` covers all below it. Without `path`
    /// and `path_regex`: every path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) path: Option<String>,
    /// The paths it covers, as a regular expression for the whole path: `/api/v[12]/.*` covers `/api/v1/x`, not
    /// `/my/api/v1/x`. The query takes no part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) path_regex: Option<String>,
    /// The methods it covers. Empty: every method.
    pub(in crate::config) methods: Vec<String>,
    /// Who may pass: `public` (everyone, without an identity), `signed-in`, `optional` (everyone, with an identity
    /// where there is one), or those in one of `{groups: […], users: […], domains: […]}`.
    pub(in crate::config) access: Access,
    /// The audience of its RC tokens instead of `token.audience`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) audience: Option<Vec<String>>,
    /// Whether the workload gets an RC token. Default: `mint`, unless `authorization` is `keep` and the token would
    /// take its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) token: Option<Token>,
    /// Whether the client's own `Authorization` header is left for the workload (`keep`), unless it says here who they
    /// are.
    pub(in crate::config) authorization: Authorization,
    /// What a request of this rule gets that nobody is signed in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) unauthenticated: Option<Unauthenticated>,
    /// Whether CORS preflights pass, without an identity (`pass`), or get 401 like everything else (`refuse`).
    pub(in crate::config) preflight: Preflight,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            hosts: vec![],
            path: None,
            path_regex: None,
            methods: vec![],
            access: Access::Named(NamedAccess::SignedIn),
            audience: None,
            token: None,
            authorization: Authorization::Replace,
            unauthenticated: None,
            preflight: Preflight::Refuse,
        }
    }
}

/// Who may pass.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Access {
    /// By one word.
    Named(NamedAccess),
    /// By lists.
    Only(Only),
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrLists;
        impl<'de> Visitor<'de> for WordOrLists {
            type Value = Access;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`public`, `signed-in`, `optional` or {groups: […], users: […], domains: […]}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Access, E> {
                NamedAccess::deserialize(StrDeserializer::new(text)).map(Access::Named)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Access, A::Error> {
                Only::deserialize(MapAccessDeserializer::new(access)).map(Access::Only)
            }
        }
        deserializer.deserialize_any(WordOrLists)
    }
}

/// Who may pass, by one word.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum NamedAccess {
    /// Everyone, without an identity.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Everyone; with an identity where there is one.
    Optional,
}

/// Whoever is signed in and in one of the lists.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Only {
    /// Members of any of these groups.
    pub(in crate::config) groups: Vec<String>,
    /// These users.
    pub(in crate::config) users: Vec<String>,
    /// E-mail addresses in these domains.
    pub(in crate::config) domains: Vec<String>,
}

/// Whether the workload gets an RC token.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RuleToken")]
pub(in crate::config) enum Token {
    /// It does.
    Mint,
    /// It does not; the identity headers are set all the same.
    None,
}

/// What becomes of the client's own `Authorization`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Authorization {
    /// It is taken out, or replaced by the RC token.
    Replace,
    /// It is left.
    Keep,
}

/// What becomes of CORS preflights.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Preflight {
    /// They pass, without an identity.
    Pass,
    /// They get 401.
    Refuse,
}
