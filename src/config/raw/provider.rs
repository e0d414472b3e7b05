//! One identity provider, as the file spells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Identity, Secret};

/// One identity provider.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Provider {
    /// Its name in URLs, logs and tokens: 1 to 64 characters of `a-z 0-9 - _ .`. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) id: Option<String>,
    /// What the page to choose a provider calls it. Default: the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) name: Option<String>,
    /// The issuer URL, exactly as its tokens and its discovery document say it. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) issuer: Option<String>,
    /// Our client id there. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) client_id: Option<String>,
    /// Our client secret there. Required unless `client_auth` is `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) client_secret: Option<Secret>,
    /// How we authenticate at its token endpoint: `client_secret_basic`, `client_secret_post`, or not at all.
    pub(in crate::config) client_auth: ClientAuth,
    /// The scopes to ask for; `openid` must be among them, `offline_access` lets most providers renew a session.
    pub(in crate::config) scopes: Vec<String>,
    /// Where browsers are sent instead of the discovered endpoint; may be relative (`/dex/auth`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) authorization_url: Option<String>,
    /// Called instead of the discovered token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) token_url: Option<String>,
    /// Called instead of the discovered userinfo endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) userinfo_url: Option<String>,
    /// Fetched instead of the discovered key set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) jwks_url: Option<String>,
    /// Sent exactly so as redirect URI; may be relative (`/oauth2/callback`). Default: our callback under the public
    /// URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) redirect_uri: Option<String>,
    /// How the answer comes back: in the query, or by a POST that is asked for (`form_post`).
    pub(in crate::config) response_mode: ResponseMode,
    /// The signature algorithms that its ID tokens may have: `RS256` to `RS512`, `PS256` to `PS512`, `ES256`,
    /// `ES384`, `EdDSA`.
    pub(in crate::config) algorithms: Vec<String>,
    /// How its claims become an identity and whom to admit, where that differs from the top-level `identity`.
    pub(in crate::config) identity: Identity,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            issuer: None,
            client_id: None,
            client_secret: None,
            client_auth: ClientAuth::Basic,
            scopes: ["openid", "profile", "email"].map(Into::into).into(),
            authorization_url: None,
            token_url: None,
            userinfo_url: None,
            jwks_url: None,
            redirect_uri: None,
            response_mode: ResponseMode::Query,
            algorithms: ["RS256", "ES256", "PS256", "EdDSA"].map(Into::into).into(),
            identity: Identity::default(),
        }
    }
}

/// How we authenticate at a token endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ClientAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// A public client: PKCE alone.
    None,
}

/// How a provider's answer comes back.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ResponseMode {
    /// In the query of the callback.
    Query,
    /// In the body of a POST.
    FormPost,
}
