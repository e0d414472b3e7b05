//! What a valid configuration is, once it has been read: every value of a type that cannot be wrong.

mod bearer;
mod kubernetes;
mod limits;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use regex::Regex;
use url::Url;

use super::Replacement;
use crate::identity::ProviderId;
use crate::secret::{SecretBytes, SecretText};

pub use bearer::*;
pub use kubernetes::KubernetesApi;
pub use limits::{LimitSettings, Rate};

/// The whole configuration of a gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origin that browsers see: scheme, host and port, path `/`.
    pub public_url: Url,
    /// Further origins that sign-in may return to (same scheme; all under `cookie.domain`).
    pub hosts: Vec<Url>,
    /// Where to listen.
    pub listen: Listen,
    /// Who may do more than ask for health and metrics on the admin port.
    pub admin: AdminSettings,
    /// Which doors of the check are open, at least one.
    pub doors: DoorSettings,
    /// Where keys and sessions of a single node are kept.
    pub data_dir: PathBuf,
    /// The identity providers, at least one; their ids and callback paths differ.
    pub providers: Vec<ProviderSettings>,
    /// Identities without a browser.
    pub bearer: BearerSettings,
    /// Sessions.
    pub session: SessionSettings,
    /// A directory of session keys to follow, instead of those in [`SessionSettings::keys`].
    pub session_keys_dir: Option<PathBuf>,
    /// RC tokens.
    pub token: TokenSettings,
    /// The identity headers that an allow sets, in order.
    pub headers: Vec<(HeaderName, IdentityField)>,
    /// Further headers in which workloads believe nobody but the gateway, and which none sets any more: what a client
    /// sends in them is removed. Only in authservice's place there are some.
    pub withheld: Vec<HeaderName>,
    /// The rules, first match wins.
    pub rules: Vec<RuleSettings>,
    /// What a request gets that nobody is signed in for.
    pub unauthenticated: Unauthenticated,
    /// Our cookies.
    pub cookie: CookieSettings,
    /// The path prefix of the browser doors: `/oauth2`, without a slash at its end.
    pub path_prefix: String,
    /// What the gateway puts before the path in HTTP checks: `/check`, without a slash at its end.
    pub check_prefix: String,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many people may sign in.
    pub limits: LimitSettings,
    /// The way out to the identity providers.
    pub egress: EgressSettings,
    /// The pages that people see.
    pub pages: PageSettings,
    /// Logs.
    pub log: LogSettings,
    /// How the process ends.
    pub shutdown: ShutdownSettings,
}

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Checks, browsers and keys.
    pub main: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Certificate chain and key (PEM) of the main port; cleartext without.
    pub tls: Option<TlsFiles>,
}

/// Who may do more than ask for health and metrics on the admin port.
#[derive(Clone, Debug, Default)]
pub struct AdminSettings {
    /// What they send as a bearer token; without one, nobody.
    pub token: Option<SecretText>,
}

/// Which doors of the check are open.
#[derive(Clone, Copy, Debug)]
pub struct DoorSettings {
    /// Envoy's `ext_authz` over HTTP.
    pub http: bool,
    /// Envoy's `ext_authz` over gRPC.
    pub grpc: bool,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self { http: true, grpc: true }
    }
}

/// The PEM files of a TLS listener.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One identity provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name in URLs, logs and tokens.
    pub id: ProviderId,
    /// What the page to choose one calls it.
    pub name: String,
    /// The issuer, exactly as its tokens say it (OIDC Discovery section 3: compared as a string).
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// How we authenticate at its token endpoint.
    pub client_auth: ClientAuth,
    /// The scopes to ask for; `openid` is among them.
    pub scopes: Vec<String>,
    /// Sent to browsers instead of the discovered endpoint; may be relative (`/dex/auth`).
    pub authorization_url: Option<String>,
    /// Called instead of the discovered endpoint.
    pub token_url: Option<Url>,
    /// Called instead of the discovered endpoint.
    pub userinfo_url: Option<Url>,
    /// Fetched instead of the discovered address.
    pub jwks_url: Option<Url>,
    /// Sent exactly so instead of the public URL's callback; may be relative (`/oauth2/callback`).
    pub redirect_uri: Option<String>,
    /// Whether a POST callback is answered (`response_mode=form_post` is then asked for).
    pub form_post: bool,
    /// The signature algorithms that ID tokens may have; never `none`, never symmetric.
    pub algorithms: Vec<String>,
    /// How its claims become an identity.
    pub identity: IdentitySettings,
}

impl ProviderSettings {
    /// The path of `redirect_uri`, wherever it is; browsers come back to it. None if there is none.
    #[must_use]
    pub fn redirect_path(&self) -> Option<String> {
        let base = Url::parse("https://relative.invalid").ok();
        let url = Url::options().base_url(base.as_ref()).parse(self.redirect_uri.as_deref()?).ok()?;
        Some(url.path().to_owned())
    }
}

/// How we authenticate at a token endpoint (OIDC Core section 9).
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// A public client: PKCE alone.
    None,
    /// `client_secret_basic`.
    Basic(SecretText),
    /// `client_secret_post`.
    Post(SecretText),
}

/// How claims become an identity, and whom to admit.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// The claim that names the user.
    pub user_claim: String,
    /// Whether it is put into lower case (ASCII) first.
    pub user_lower_case: bool,
    /// What becomes of it then: the first that matches.
    pub user_transform: Vec<Replacement>,
    /// Put before it at last.
    pub user_prefix: String,
    /// The claim that lists the groups; a dot descends into an object (`realm_access.roles`).
    pub groups_claim: String,
    /// Which of them count, by the provider's names; empty: all.
    pub groups_only: Vec<Regex>,
    /// What becomes of each: the first that matches; nothing: it is left out.
    pub groups_rename: Vec<Replacement>,
    /// Put before each at last.
    pub groups_prefix: String,
    /// What to do where the provider says that they are too many to say.
    pub groups_overage: Overage,
    /// Whether an address may be used though the provider does not say `email_verified: true`.
    pub allow_unverified_email: bool,
    /// Whom to admit, by the groups as they are after all that.
    pub admit: Admit,
}

/// What to do where the provider leaves the groups out because they are too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overage {
    /// Nobody is signed in.
    Refuse,
    /// Microsoft Graph is asked, at this origin and nowhere else.
    Graph(Url),
    /// There are none.
    Ignore,
}

/// Who of a provider's users may enter at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admit {
    /// Members of any of these; `*` is everyone.
    pub groups: Vec<String>,
    /// Addresses in any of these domains (lower case); `*` is every address, and none.
    pub email_domains: Vec<String>,
}

/// Sessions.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// The longest life of a session, from sign-in on.
    pub max_age: Duration,
    /// The longest time without a request.
    pub idle: Duration,
    /// How often the identity is read anew at the provider.
    pub renew_every: Duration,
    /// The session keys, newest first; none: one is generated in `data_dir`.
    pub keys: Vec<SecretBytes<32>>,
    /// Where they are kept; none: in a file in `data_dir`.
    pub redis: Option<RedisSettings>,
}

/// A Redis or Valkey that keeps the sessions of several replicas.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// How its servers belong together.
    pub mode: RedisMode,
    /// The server, the sentinels, or some nodes of the cluster: `redis://host:port`, or `rediss://` for TLS; at least one.
    pub urls: Vec<Url>,
    /// The ACL user; none is `default`.
    pub username: Option<String>,
    /// Their password.
    pub password: Option<SecretText>,
    /// The authorities that vouch for the servers' certificates, in PEM; none: the system's.
    pub ca: Option<Vec<u8>>,
    /// How long sessions in memory go on while none of the servers can be asked; zero: not at all.
    pub grace: Duration,
}

/// How the servers of a Redis belong together.
#[derive(Clone, Debug)]
pub enum RedisMode {
    /// One server.
    Standalone,
    /// One primary at a time, whose address sentinels know.
    Sentinel {
        /// What they call it.
        master: String,
        /// The ACL user at the sentinels; none is `default`.
        username: Option<String>,
        /// Their password there.
        password: Option<SecretText>,
    },
    /// Several primaries, each with a part of the sessions.
    Cluster,
}

/// RC tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim where a rule sets no other; at least one.
    pub audience: Vec<String>,
    /// From `iat` to `exp`, at most.
    pub lifetime: Duration,
    /// The header that carries it upstream; in `authorization` it follows `Bearer `.
    pub header: HeaderName,
    /// The `typ` header parameter: `rc+jwt` or `JWT`.
    pub typ: String,
    /// A keyring directory to read instead of the one in `data_dir`; it is never written to.
    pub keys_dir: Option<PathBuf>,
}

/// What an identity header carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityField {
    /// The user, with prefix.
    User,
    /// The groups, comma-separated.
    Groups,
    /// The address, if there is one.
    Email,
    /// The provider's `sub`.
    Subject,
    /// The provider's id.
    Provider,
}

/// One rule: which requests it covers, and what they need.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// Hosts without port (lower case; `*.example.com` covers all below it); empty: every host.
    pub hosts: Vec<String>,
    /// Which paths.
    pub path: PathMatch,
    /// Methods (upper case); empty: every method.
    pub methods: Vec<String>,
    /// Who may pass.
    pub access: Access,
    /// The `aud` of its RC tokens instead of `token.audience`.
    pub audience: Option<Vec<String>>,
    /// Whether the workload gets an RC token.
    pub mint_token: bool,
    /// Whether the client's own `Authorization` is left for the workload.
    pub keep_authorization: bool,
    /// Instead of the general answer to whoever is not signed in.
    pub unauthenticated: Option<Unauthenticated>,
    /// Whether CORS preflights pass, without an identity.
    pub preflight_pass: bool,
}

/// Which paths a rule covers.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// Every path.
    Any,
    /// `/a` covers `/a` and all below `/a/`, not `/ab`; `/a/` covers all below it.
    Prefix(String),
    /// The whole path matches.
    Regex(Regex),
}

/// Who may pass a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone, without an identity.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Everyone; with an identity where there is one.
    Optional,
    /// Whoever is signed in and in one of the lists.
    Only {
        /// Members of any of these groups.
        groups: Vec<String>,
        /// These users.
        users: Vec<String>,
        /// Addresses in these domains (lower case).
        domains: Vec<String>,
    },
}

/// What a request gets that nobody is signed in for, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthenticated {
    /// A page that a person asked for.
    pub navigation: Challenge,
    /// Scripts, sockets, everything else.
    pub other: Challenge,
    /// The gateway did not forward what tells the two apart.
    pub unknown: Challenge,
}

/// One such answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// 302 to the login.
    Redirect,
    /// 401 with a page that links to the login.
    Page,
    /// 401 and JSON.
    Unauthorized,
    /// 403 and JSON.
    Forbidden,
}

/// Our cookies, and others that are no workload's to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSettings {
    /// Their common name, without prefix.
    pub name: String,
    /// The domain that several hosts share.
    pub domain: Option<String>,
    /// Whether they are `Secure`: yes on https, no on plain http.
    pub secure: bool,
    /// What the names of the others begin with, beside those of the proxy in front.
    pub hide: Vec<String>,
}

/// The way out to the identity providers.
#[derive(Clone, Default)]
pub struct EgressSettings {
    /// PEM certificates to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// A proxy for https and http (`HTTPS_PROXY`, unless set here).
    pub proxy: Option<Url>,
    /// Hosts and suffixes that are called directly (`NO_PROXY`, unless set here).
    pub no_proxy: Option<String>,
}

impl fmt::Debug for EgressSettings {
    /// Without the proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressSettings")
            .field("ca_bundle", &self.ca_bundle)
            .field("proxy", &self.proxy.as_ref().map(|url| url.origin().ascii_serialization()))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// The pages that people see.
#[derive(Clone, Debug, Default)]
pub struct PageSettings {
    /// Templates that replace the built-in ones of the same file name.
    pub templates: Option<PathBuf>,
    /// The name of the place, for titles.
    pub title: Option<String>,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// JSON lines or text for people.
    pub json: bool,
    /// What to log, as `tracing_subscriber::EnvFilter` reads it: `info`, `countersign=debug`.
    pub filter: String,
}

/// How the process ends.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownSettings {
    /// How long requests are still taken after readiness has gone.
    pub lame_duck: Duration,
    /// How long open requests may still take after that.
    pub deadline: Duration,
}
