//! The configuration as the file spells it: typed, with every default, not yet judged. The comments here are the
//! reference that `config schema` prints and `docs/configuration.md` lists.

mod admin;
mod bearer;
mod doors;
mod identity;
mod limits;
mod provider;
mod redis;
mod rule;
mod secret;
mod session_keys;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::redis::{Redis, RedisMode};
pub(super) use admin::Admin;
pub(super) use bearer::{Bearer, BearerKind, FrontProxy, FrontProxyKind, KubernetesVerify};
pub(super) use doors::Doors;
pub(super) use identity::{GroupsSource, Identity, Overage, Replacement};
pub(super) use limits::Limits;
pub(super) use provider::{ClientAuth, Provider, ResponseMode};
pub(super) use rule::{Access, Authorization, NamedAccess, Preflight, Rule, Token as RuleToken};
pub(super) use secret::Secret;
pub(super) use session_keys::SessionKeys;

/// The configuration of Countersign.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Countersign configuration", rename = "Configuration")]
pub(super) struct Raw {
    /// The origin that browsers see: `https://` and a host, without a path. Required.
    #[schemars(regex(pattern = "^https?://[^/?#@]+/?$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public_url: Option<String>,
    /// Further origins that sign-in may return to, as `https://lab.example.com` or `lab.example.com`. They need
    /// `cookie.domain`.
    pub(super) hosts: Vec<String>,
    /// Where to listen.
    pub(super) listen: Listen,
    /// The doors that gateways ask at, on the main port. Shut those that nobody uses.
    pub(super) doors: Doors,
    /// Who may look at sessions and end them, on the admin port.
    pub(super) admin: Admin,
    /// The directory where keys and sessions of a single node are kept. Made at the first start.
    pub(super) data_dir: DataDir,
    /// The identity providers, at least one. Required.
    #[schemars(length(min = 1))]
    pub(super) providers: Vec<Provider>,
    /// How claims become an identity and whom to admit, for every provider; a provider's own `identity` overrides it
    /// key by key.
    pub(super) identity: Identity,
    /// Who may come without a browser, by a bearer token: the sources that are asked, in this order.
    pub(super) bearer: Vec<Bearer>,
    /// The proxy in front of the gateway whose signed header says who somebody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) front_proxy: Option<FrontProxy>,
    /// How long a sign-in lasts, and where it is kept.
    pub(super) session: Session,
    /// The RC tokens that workloads get.
    pub(super) token: Token,
    /// The identity headers that an allow sets, each with what it carries: `user`, `groups`, `email`, `subject` or
    /// `provider`.
    pub(super) headers: Headers,
    /// The rules; the first that matches decides, and what none matches needs a signed-in user.
    pub(super) rules: Vec<Rule>,
    /// What a request gets that nobody is signed in for. A rule's own `unauthenticated` overrides it key by key.
    pub(super) unauthenticated: Unauthenticated,
    /// Our cookies.
    pub(super) cookie: Cookie,
    /// The paths that are ours.
    pub(super) paths: Paths,
    /// Addresses and networks of the proxies that may ask for forward auth: their `X-Forwarded-*` headers are believed, and
    /// what they say in `X-Forwarded-For` is where a session was signed in from, and whose `limits.sign_ins_per_address`
    /// counts. Without any, that door is shut.
    pub(super) trusted_proxies: Vec<String>,
    /// How many people may sign in, so that no flood of others costs the identity providers or keeps them out.
    pub(super) limits: Limits,
    /// The way out to the identity providers.
    pub(super) egress: Egress,
    /// The pages that people see.
    pub(super) pages: Pages,
    /// Logs.
    pub(super) log: Log,
    /// How the process ends.
    pub(super) shutdown: Shutdown,
}

/// A directory with a default.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct DataDir(pub(super) PathBuf);

impl Default for DataDir {
    fn default() -> Self {
        Self("/var/lib/countersign".into())
    }
}

/// Where to listen.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    /// Address and port of checks, browsers and keys (HTTP/1.1 and HTTP/2).
    pub(super) main: String,
    /// Address and port of health and metrics.
    pub(super) admin: String,
    /// TLS on the main port; cleartext without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { main: "0.0.0.0:9000".into(), admin: "0.0.0.0:9001".into(), tls: None }
    }
}

/// The PEM files of a TLS listener.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    /// The file of the certificate chain (PEM), leaf first. Required with `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<PathBuf>,
    /// The file of the private key (PEM). Required with `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<PathBuf>,
}

/// Sessions.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Session {
    /// Where sessions are kept: `embedded`, a file in `data_dir` for one node, or `redis`, for several.
    pub(super) store: Store,
    /// The longest life of a session, from sign-in on.
    pub(super) max_age: String,
    /// The longest time without a request.
    pub(super) idle: String,
    /// How often the identity is read anew at the provider.
    pub(super) renew_every: String,
    /// The session keys, newest first (`countersign session-keys init` prints one), or `{dir: …}`: a directory with a file
    /// for each, which is read again and again. Without any, one is made in `data_dir`. Required with `redis`.
    pub(super) keys: SessionKeys,
    /// The Redis or Valkey that keeps the sessions of several replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redis: Option<Redis>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            store: Store::Embedded,
            max_age: "24h".into(),
            idle: "8h".into(),
            renew_every: "15m".into(),
            keys: SessionKeys::default(),
            redis: None,
        }
    }
}

/// Where sessions are kept.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Store {
    /// One node, one file.
    Embedded,
    /// Several replicas, one Redis or Valkey.
    Redis,
}

/// RC tokens.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Token {
    /// The `iss` claim. Default: the public URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    /// The `aud` claim where a rule sets no other.
    pub(super) audience: Vec<String>,
    /// How long a token is good for, 30s to 1h; never longer than its session.
    pub(super) lifetime: String,
    /// The header that carries the token to the workload; in `authorization` it follows `Bearer `.
    pub(super) header: String,
    /// The token's `typ`.
    pub(super) typ: TokenType,
    /// The keys that sign.
    pub(super) keys: TokenKeys,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: vec!["mesh".into()],
            lifetime: "5m".into(),
            header: "authorization".into(),
            typ: TokenType::RequestContext,
            keys: TokenKeys::default(),
        }
    }
}

/// The `typ` header parameter of RC tokens.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(super) enum TokenType {
    /// A kind of its own (RFC 8725 section 3.11).
    #[serde(rename = "rc+jwt")]
    RequestContext,
    /// For verifiers that insist on it.
    #[serde(rename = "JWT")]
    Jwt,
}

/// The keys that sign RC tokens.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TokenKeys {
    /// A keyring directory to read (`countersign keys init` makes one); it is never written to. Default: one is made
    /// in `data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dir: Option<PathBuf>,
}

/// Header names, each with what it carries, in the order written.
#[derive(JsonSchema)]
#[schemars(with = "std::collections::BTreeMap<String, Field>", inline)]
pub(super) struct Headers(pub(super) Vec<(String, Field)>);

impl Default for Headers {
    fn default() -> Self {
        Self(vec![("kubeflow-userid".into(), Field::User), ("kubeflow-groups".into(), Field::Groups)])
    }
}

impl Serialize for Headers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, field)| (name, field)))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Headers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from header names to what they carry")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(header) = access.next_entry()? {
                    headers.push(header);
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What an identity header carries.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// The user, with prefix.
    User,
    /// The groups, comma-separated.
    Groups,
    /// The e-mail address, if there is one.
    Email,
    /// The provider's `sub`.
    Subject,
    /// The provider's id.
    Provider,
}

/// What a request gets that nobody is signed in for.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Unauthenticated {
    /// For a page that a person asked for.
    pub(super) navigation: Challenge,
    /// For scripts, sockets and everything else.
    pub(super) other: Challenge,
    /// Where the gateway forwards nothing that tells the two apart.
    pub(super) unknown: Challenge,
}

impl Default for Unauthenticated {
    fn default() -> Self {
        Self { navigation: Challenge::Redirect, other: Challenge::Unauthorized, unknown: Challenge::Redirect }
    }
}

/// One such answer.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(super) enum Challenge {
    /// 302 to the sign-in.
    #[serde(rename = "redirect")]
    Redirect,
    /// 401 with a page that links to the sign-in.
    #[serde(rename = "page")]
    Page,
    /// 401 and JSON.
    #[serde(rename = "401")]
    Unauthorized,
    /// 403 and JSON.
    #[serde(rename = "403")]
    Forbidden,
}

/// Our cookies.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cookie {
    /// Their common name; `__Host-` or `__Secure-` is put before it where browsers honour that.
    pub(super) name: String,
    /// The domain that `public_url` and all `hosts` share. Every host below it receives the cookies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<String>,
    /// Whether cookies may travel over plain http beyond loopback, where anybody on the way can take them.
    pub(super) insecure: bool,
    /// What the names of further cookies begin with that no workload is to see, beside ours and those of `front_proxy`:
    /// those of other sign-ins on the same host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hide: Vec<String>,
}

impl Default for Cookie {
    fn default() -> Self {
        Self { name: "countersign".into(), domain: None, insecure: false, hide: Vec::new() }
    }
}

/// The paths that are ours.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Paths {
    /// The prefix of the pages that browsers see: `/oauth2/start`, `/oauth2/callback`, …
    pub(super) prefix: String,
    /// What the gateway puts before the path in HTTP checks (Istio: `pathPrefix`).
    pub(super) check: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self { prefix: "/oauth2".into(), check: "/check".into() }
    }
}

/// The way out to the identity providers.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Egress {
    /// A file of PEM certificates to trust besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ca_bundle: Option<PathBuf>,
    /// A proxy for http and https. Default: the variable `HTTPS_PROXY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proxy: Option<String>,
    /// Hosts and suffixes that are called directly, with commas between. Default: the variable `NO_PROXY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_proxy: Option<String>,
}

/// The pages that people see.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pages {
    /// A directory of templates that replace the built-in ones of the same file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) templates: Option<PathBuf>,
    /// The name of the place, for titles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
}

/// Logs.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// Lines of JSON for machines, or text for people.
    pub(super) format: LogFormat,
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or by part: `info,countersign::check=debug`.
    pub(super) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".into() }
    }
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Human,
}

/// How the process ends.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shutdown {
    /// How long requests are still taken after readiness has gone, until the gateways have noticed. In the last fifth of
    /// it connections are asked to close.
    pub(super) lame_duck: String,
    /// How long open requests may still take after that.
    pub(super) deadline: String,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { lame_duck: "10s".into(), deadline: "25s".into() }
    }
}
