//! Identities without a browser, as the file spells them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClientAuth, Identity, Secret};

/// One source of bearer identities. Which keys it has depends on its kind.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "BearerSource")]
pub(in crate::config) struct Bearer {
    /// `jwt` (tokens of an issuer, verified with its keys), `introspection` (opaque tokens, by asking their issuer),
    /// `kubernetes` (service accounts), `session` (the value of a session's cookie). Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) kind: Option<BearerKind>,
    /// Its name in logs, metrics and tokens, as a provider's. Default: the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) id: Option<String>,
    /// The `iss` of its tokens, to the letter. Required for `jwt`; for `introspection`, JWTs of this issuer are asked
    /// about too; for `kubernetes`, default: `https://kubernetes.default.svc.cluster.local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) issuer: Option<String>,
    /// The audiences of which a token must name at least one. Required for `jwt` and `kubernetes`, and for
    /// `introspection` without `scopes`; there, `['*']` lets every token in that the endpoint calls active.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::config) audiences: Vec<String>,
    /// The signature algorithms that its tokens may have: `RS256` to `RS512`, `PS256` to `PS512`, `ES256`, `ES384`,
    /// `EdDSA`. Required for `jwt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::config) algorithms: Vec<String>,
    /// For `jwt`: fetched instead of the discovered key set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) jwks_url: Option<String>,
    /// For `introspection`: the endpoint. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) introspection_url: Option<String>,
    /// For `introspection`: our client id there. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) client_id: Option<String>,
    /// For `introspection`: our client secret there. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) client_secret: Option<Secret>,
    /// For `introspection`: `basic` (the default) or `post`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) client_auth: Option<ClientAuth>,
    /// For `introspection`: the scopes of which a token must have all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::config) scopes: Vec<String>,
    /// For `kubernetes`: `token_review` (the default) asks the API server about each token, once a `cache_for`; `keys`
    /// verifies with the cluster's keys and learns of a deleted pod or service account when its token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) verify: Option<KubernetesVerify>,
    /// For `kubernetes`: the API server. Default: where the variables `KUBERNETES_SERVICE_HOST` and
    /// `KUBERNETES_SERVICE_PORT`, which every pod has, say that it is; else `https://kubernetes.default.svc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) api_url: Option<String>,
    /// For `kubernetes`: the PEM certificates by which the API server is known. Default: the pod's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) ca_file: Option<PathBuf>,
    /// For `kubernetes`: our own service account token. Default: the pod's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) token_file: Option<PathBuf>,
    /// For `session`: the header that carries the cookie's value; in `authorization`, the default, it follows `Bearer `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) header: Option<String>,
    /// How long what was found of a token is believed, at most; never past the token's end. Default: 5m for `jwt`, 1m
    /// for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) cache_for: Option<String>,
    /// How its claims become an identity and whom to admit, where that differs from the top-level `identity`;
    /// `kubernetes` has only `user.prefix` and `admit`, and takes nothing from the top level.
    pub(in crate::config) identity: Identity,
}

/// What kind of source it is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum BearerKind {
    /// JWTs of an issuer.
    Jwt,
    /// Opaque tokens (RFC 7662).
    Introspection,
    /// Kubernetes service accounts.
    Kubernetes,
    /// The value of a session's cookie.
    Session,
}

/// Who verifies a service account's token.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum KubernetesVerify {
    /// The API server.
    TokenReview,
    /// Countersign, with the cluster's keys.
    Keys,
}

/// A proxy in front of the gateway that signs who somebody is. Which keys it has depends on its kind.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct FrontProxy {
    /// `aws-alb`, `google-iap` or `cloudflare-access`. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) kind: Option<FrontProxyKind>,
    /// Its name in logs, metrics and tokens, as a provider's. Default: the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) id: Option<String>,
    /// For `aws-alb`: the load balancer's ARN. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) arn: Option<String>,
    /// For `aws-alb`: the issuer at which it signs people in; for `cloudflare-access`: the team's URL,
    /// `https://team.cloudflareaccess.com`. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) issuer: Option<String>,
    /// For `aws-alb`: its client id at that issuer. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) client_id: Option<String>,
    /// For `google-iap`: `/projects/NUMBER/global/backendServices/ID`; for `cloudflare-access`: the application's
    /// audience tag. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) audience: Option<String>,
    /// Where its keys are, if not at the usual place: a key set, or for `aws-alb` what stands before the key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) keys_url: Option<String>,
    /// How its claims become an identity and whom to admit, where that differs from the top-level `identity`.
    pub(in crate::config) identity: Identity,
}

/// Which proxy it is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum FrontProxyKind {
    /// An AWS Application Load Balancer.
    AwsAlb,
    /// Google's Identity-Aware Proxy.
    GoogleIap,
    /// Cloudflare Access.
    CloudflareAccess,
}
