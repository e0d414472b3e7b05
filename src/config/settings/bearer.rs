//! Who somebody is though no browser signed in: bearer tokens, and the signed word of a proxy in front of the gateway.

use std::time::Duration;

use http::HeaderName;
use url::Url;

use super::{ClientAuth, IdentitySettings, KubernetesApi};
use crate::identity::ProviderId;

/// Identities without a browser.
#[derive(Clone, Debug, Default)]
pub struct BearerSettings {
    /// Where bearer tokens are asked about, in this order; their ids and issuers differ.
    pub sources: Vec<BearerSource>,
    /// The proxy in front of the gateway whose signed header says who somebody is.
    pub front_proxy: Option<FrontProxySettings>,
}

/// One source of bearer identities.
#[derive(Clone, Debug)]
pub enum BearerSource {
    /// JWTs of an issuer, verified with its published keys.
    Jwt(JwtSettings),
    /// Opaque tokens, by asking their issuer (RFC 7662). At most one: no issuer is shown another one's tokens.
    Introspection(IntrospectionSettings),
    /// Kubernetes service accounts.
    Kubernetes(KubernetesSettings),
    /// The value of a session's cookie.
    Session(SessionBearerSettings),
}

/// An issuer of JWTs.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// Its name in logs, metrics and RC tokens.
    pub id: ProviderId,
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// The audiences of which a token must name at least one; never empty.
    pub audiences: Vec<String>,
    /// The signature algorithms that its tokens may have; never `none`, never symmetric, never empty.
    pub algorithms: Vec<String>,
    /// Fetched instead of the discovered key set.
    pub jwks_url: Option<Url>,
    /// How its claims become an identity.
    pub identity: IdentitySettings,
    /// How long what was found of a token is believed, at most; never past the token's end.
    pub cache_for: Duration,
}

/// An introspection endpoint.
#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// Its name in logs, metrics and RC tokens.
    pub id: ProviderId,
    /// The endpoint (RFC 7662 section 2).
    pub url: Url,
    /// The `iss` of JWTs that are asked about here, too, and which the answer must not contradict.
    pub issuer: Option<String>,
    /// Our client id there.
    pub client_id: String,
    /// How we authenticate there; never as a public client.
    pub client_auth: ClientAuth,
    /// The audiences of which the answer must name at least one; empty: the endpoint's own judgement is enough.
    pub audiences: Vec<String>,
    /// The scopes that the answer must name, all of them.
    pub scopes: Vec<String>,
    /// How the members of the answer become an identity.
    pub identity: IdentitySettings,
    /// How long an answer is believed, at most; never past the token's end.
    pub cache_for: Duration,
}

/// A cluster whose service accounts may come.
#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    /// Its name in logs, metrics and RC tokens.
    pub id: ProviderId,
    /// The `iss` of its service account tokens, to the letter.
    pub issuer: String,
    /// The audiences of which a token must name at least one; never empty.
    pub audiences: Vec<String>,
    /// Who verifies.
    pub verify: KubernetesVerify,
    /// The API server.
    pub api: KubernetesApi,
    /// `user_prefix` stands before `system:serviceaccount:…`; `admit` applies. The claims' names mean nothing.
    pub identity: IdentitySettings,
    /// How long an answer is believed, at most; never past the token's end.
    pub cache_for: Duration,
}

/// Who verifies a service account's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubernetesVerify {
    /// The API server: it knows of tokens whose pod or service account is gone.
    TokenReview,
    /// Countersign, with the cluster's keys: no call for each token.
    Keys,
}

/// Sessions as bearers.
#[derive(Clone, Debug)]
pub struct SessionBearerSettings {
    /// Where the cookie's value is sent; in `authorization` it follows `Bearer `, elsewhere it may.
    pub header: HeaderName,
    /// Whether the gateway was set up for authservice, which is only so in its place. What is no live session then counts
    /// as nothing at all, so that the cookie decides, instead of being refused; and as such gateways do not let us replace
    /// `authorization`, the value is taken out of it, and no RC token put there.
    pub as_authservice: bool,
}

/// A proxy in front of the gateway that signs who somebody is.
#[derive(Clone, Debug)]
pub struct FrontProxySettings {
    /// Its name in logs, metrics and RC tokens.
    pub id: ProviderId,
    /// Which one.
    pub kind: FrontProxy,
    /// Where its keys are: a key set, or for `aws-alb` what stands before the key's id, with a slash at its end.
    pub keys_url: Url,
    /// How its claims become an identity.
    pub identity: IdentitySettings,
}

/// The proxies that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontProxy {
    /// An AWS Application Load Balancer: `x-amzn-oidc-data`.
    AwsAlb {
        /// The load balancer's ARN, which its tokens name as their `signer`.
        arn: String,
        /// The issuer at which it signs people in.
        issuer: String,
        /// Its client id there.
        client_id: String,
    },
    /// Google's Identity-Aware Proxy: `x-goog-iap-jwt-assertion`.
    GoogleIap {
        /// `/projects/NUMBER/global/backendServices/ID`.
        audience: String,
    },
    /// Cloudflare Access: `cf-access-jwt-assertion`.
    CloudflareAccess {
        /// The team's URL, without a slash at its end: `https://team.cloudflareaccess.com`.
        issuer: String,
        /// The application's audience tag.
        audience: String,
    },
}

impl BearerSettings {
    /// Whether nobody comes without a browser.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.front_proxy.is_none()
    }
}

impl BearerSettings {
    /// The headers besides `Authorization` in which a credential comes: a check needs them.
    #[must_use]
    pub fn credential_headers(&self) -> Vec<HeaderName> {
        let sessions = self.sources.iter().filter_map(|source| match source {
            BearerSource::Session(session) => Some(session.header.clone()),
            _ => None,
        });
        sessions.chain(self.front_proxy.iter().map(|proxy| proxy.kind.header())).collect()
    }

    /// All headers in which a credential or a proxy's word comes: no workload's to see.
    #[must_use]
    pub fn headers(&self) -> Vec<HeaderName> {
        let unsigned = self.front_proxy.iter().flat_map(|proxy| proxy.kind.unsigned_headers());
        let unsigned = unsigned.map(|name| HeaderName::from_static(name));
        self.credential_headers().into_iter().chain(unsigned).collect()
    }
}

impl FrontProxy {
    /// The header in which the signed identity comes.
    #[must_use]
    pub const fn header(&self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::AwsAlb { .. } => "x-amzn-oidc-data",
            Self::GoogleIap { .. } => "x-goog-iap-jwt-assertion",
            Self::CloudflareAccess { .. } => "cf-access-jwt-assertion",
        })
    }

    /// What else comes of the user through it, unsigned: never believed, and no workload's to see.
    #[must_use]
    pub const fn unsigned_headers(&self) -> &'static [&'static str] {
        match self {
            Self::AwsAlb { .. } => &["x-amzn-oidc-identity", "x-amzn-oidc-accesstoken"],
            Self::GoogleIap { .. } => &["x-goog-authenticated-user-email", "x-goog-authenticated-user-id"],
            Self::CloudflareAccess { .. } => &[
                "cf-access-authenticated-user-email",
                // What the client itself came with: its token, or the secret of a service token.
                "cf-access-token",
                "cf-access-client-id",
                "cf-access-client-secret",
            ],
        }
    }

    /// What the names of the cookies begin with by which it knows whom it has signed in: whoever is sent one can be that
    /// person. A load balancer's and IAP's have numbers or ids behind that.
    #[must_use]
    pub const fn cookies(&self) -> &'static [&'static str] {
        match self {
            Self::AwsAlb { .. } => &["AWSELBAuthSessionCookie", "AWSALBAuthNonce"],
            Self::GoogleIap { .. } => &["GCP_IAAP_AUTH_TOKEN", "GCP_IAP_"],
            Self::CloudflareAccess { .. } => &["CF_Authorization", "CF_AppSession", "CF_Session", "CF_Binding"],
        }
    }
}
