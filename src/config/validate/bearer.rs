//! Sources of identities without a browser: which keys each kind has, and whether their users can be told apart.

mod front_proxy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;
use url::Url;

use super::super::problem::Report;
use super::super::raw::{self, BearerKind, Raw};
use super::super::tree::{Node, Spot};
use super::super::variables::Environment;
use super::super::{
    Access, Admit, BearerSettings, BearerSource, ClientAuth, IdentityField, IdentitySettings, IntrospectionSettings,
    JwtSettings, KubernetesApi, KubernetesSettings, KubernetesVerify, ProviderSettings, RuleSettings,
    SessionBearerSettings, TokenSettings,
};
use super::{address, header, identity, lifetime, missing, provider, readable, secret};
use crate::identity::ProviderId;

/// What the issuer of a cluster is called unless it is told otherwise.
const CLUSTER_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Where a pod finds the API server, the certificates of it, and its own token.
const API_SERVER: &str = "https://kubernetes.default.svc";
const POD_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// What the names of all service accounts begin with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Whoever revokes a token must not wait for longer.
const LONGEST_CACHE: Duration = Duration::from_hours(1);

/// Somebody who vouches for users, and what their users are called.
#[derive(Clone)]
struct Voucher {
    id: ProviderId,
    issuer: Option<String>,
    identity: IdentitySettings,
}

/// The sources and the front proxy.
pub(super) fn all(
    raw: &Raw,
    providers: &[ProviderSettings],
    token: &TokenSettings,
    headers: &[(HeaderName, IdentityField)],
    root: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> BearerSettings {
    let mut vouchers: Vec<Voucher> = providers.iter().map(Voucher::from).collect();
    let at_all = root.field("bearer");
    let mut sources: Vec<BearerSource> = Vec::new();
    for (index, raw) in raw.bearer.iter().enumerate() {
        let at = at_all.index(index);
        let Some(kind) = raw.kind else {
            missing(&at.field("kind"), "Write `jwt`, `introspection`, `kubernetes` or `session`.", report);
            continue;
        };
        keep_to_the_kind(kind, &at, report);
        let source = match kind {
            BearerKind::Jwt => jwt(raw, &at, report).map(BearerSource::Jwt),
            BearerKind::Introspection => introspection(raw, &at, environment, report).map(BearerSource::Introspection),
            BearerKind::Kubernetes => kubernetes(raw, &at, environment, report).map(BearerSource::Kubernetes),
            BearerKind::Session => session(raw, token, headers, &at.field("header"), report).map(BearerSource::Session),
        };
        let Some(source) = source else { continue };
        for issuer in issuers(&source) {
            refuse_our_own(issuer, token, &at.field("issuer"), report);
            if sources.iter().any(|other| issuers(other).contains(&issuer)) {
                let what = format!("another source is for the tokens of `{issuer}`, too");
                report.refuse(at.field("issuer").problem(what, "Write one source for an issuer, with all audiences."));
            }
        }
        let once = |one: fn(&BearerSource) -> bool| one(&source) && sources.iter().any(one);
        if once(|source| matches!(source, BearerSource::Introspection(_))) {
            let what = "another source is for opaque tokens, too, and would be shown those of this one";
            report.refuse(at.field("kind").problem(what, "Write one source of kind `introspection`."));
        }
        if once(|source| matches!(source, BearerSource::Session(_))) {
            report.refuse(at.field("kind").problem("sessions are a source already", "Take one of the two out."));
        }
        if let Some(voucher) = Voucher::of(&source) {
            tell_apart(&vouchers, &voucher, &at, report);
            tell_whom_it_admits(providers, &voucher, &at, report);
            vouchers.push(voucher);
        }
        sources.push(source);
    }
    let front_proxy = raw.front_proxy.as_ref().and_then(|raw| {
        let at = root.field("front_proxy");
        let proxy = front_proxy::one(raw, &at, report)?;
        tell_apart(&vouchers, &Voucher::from(&proxy), &at, report);
        tell_whom_it_admits(providers, &Voucher::from(&proxy), &at, report);
        Some(proxy)
    });
    BearerSettings { sources, front_proxy }
}

/// Warns of what a source could say of its users as somebody else does of theirs, or the other way round.
pub(super) fn spoken_for(
    bearer: &BearerSettings,
    providers: &[ProviderSettings],
    headers: &[(HeaderName, IdentityField)],
    rules: &[RuleSettings],
    root: &Spot<'_>,
    report: &mut Report,
) {
    let used = provider::believed_of_everybody(headers, rules);
    let mut vouchers: Vec<Voucher> = providers.iter().map(Voucher::from).collect();
    let sources = bearer.sources.iter().filter_map(|source| Some((Voucher::of(source)?, "bearer")));
    let by_proxy = bearer.front_proxy.iter().map(|proxy| (Voucher::from(proxy), "front_proxy"));
    for (voucher, place) in sources.chain(by_proxy) {
        let other = vouchers.iter().find(|other| voucher.could_speak_for(other));
        if let Some(other) = other.filter(|_| !used.is_empty()) {
            let what = format!(
                "{} of providers and sources are not kept apart: whoever runs `{}` can give its users those of `{}`",
                used.join(", "),
                voucher.id,
                other.id
            );
            report.warn(root.field(place).problem(what, provider::SPEAK_FOR_ALL));
            return;
        }
        vouchers.push(voucher);
    }
    let claims_them = vouchers.iter().find(|voucher| !voucher.is_a_cluster());
    let by_their_groups = rules.iter().any(|rule| {
        matches!(&rule.access, Access::Only { groups, .. } if groups.iter().any(|group| group.starts_with("system:")))
    });
    let cluster = vouchers.iter().find(|voucher| voucher.is_a_cluster());
    if let (Some(voucher), Some(cluster), true) = (claims_them, cluster, by_their_groups) {
        let what = format!(
            "rules name groups of service accounts, and whoever runs `{}` can give its users those of `{}`",
            voucher.id, cluster.id
        );
        report.warn(root.field("rules").problem(what, provider::SPEAK_FOR_ALL));
    }
}

/// Refuses keys that the kind does not have: what is written must count.
fn keep_to_the_kind(kind: BearerKind, at: &Spot<'_>, report: &mut Report) {
    let (word, keys): (_, &[&str]) = match kind {
        BearerKind::Jwt => ("jwt", &["id", "issuer", "audiences", "algorithms", "jwks_url", "cache_for", "identity"]),
        BearerKind::Introspection => (
            "introspection",
            &[
                "id",
                "issuer",
                "audiences",
                "introspection_url",
                "client_id",
                "client_secret",
                "client_auth",
                "scopes",
                "cache_for",
                "identity",
            ],
        ),
        BearerKind::Kubernetes => (
            "kubernetes",
            &["id", "issuer", "audiences", "verify", "api_url", "ca_file", "token_file", "cache_for", "identity"],
        ),
        BearerKind::Session => ("session", &["header"]),
    };
    refuse_others(word, keys, at, report);
}

fn refuse_others(kind: &str, keys: &[&str], at: &Spot<'_>, report: &mut Report) {
    let entries = at.node().map(Node::entries).unwrap_or_default();
    for entry in entries.iter().filter(|entry| entry.name != "kind" && !keys.contains(&entry.name.as_str())) {
        // What is no key at all is refused already.
        if !entry.node.pruned {
            let what = format!("it means nothing for the kind `{kind}`");
            let listed: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            let instead = format!("Leave it out; the keys of this kind are {}.", listed.join(", "));
            report.refuse(at.field(&entry.name).key_problem(what, instead));
        }
    }
}

fn jwt(raw: &raw::Bearer, at: &Spot<'_>, report: &mut Report) -> Option<JwtSettings> {
    let issuer = provider::issuer(raw.issuer.as_deref(), &at.field("issuer"), report);
    let audiences = audiences(&raw.audiences, &at.field("audiences"), report);
    let at_algorithms = at.field("algorithms");
    if raw.algorithms.is_empty() && !at_algorithms.is_written() {
        missing(&at_algorithms, "Write how its tokens are signed: `[RS256]`.", report);
    } else {
        provider::algorithms(&raw.algorithms, &at_algorithms, report);
    }
    Some(JwtSettings {
        issuer,
        audiences,
        algorithms: raw.algorithms.clone(),
        jwks_url: url_of_keys(raw.jwks_url.as_deref(), &at.field("jwks_url"), report),
        identity: identity::settings(&raw.identity, &at.field("identity"), report),
        cache_for: cache_for(raw, "5m", at, report),
        id: id(raw.id.as_deref(), "jwt", &at.field("id"), report)?,
    })
}

fn introspection(
    raw: &raw::Bearer,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<IntrospectionSettings> {
    let at_url = at.field("introspection_url");
    if raw.introspection_url.is_none() {
        missing(&at_url, "Write the endpoint that says whose a token is: `https://…/introspect`.", report);
    }
    let url = url(raw.introspection_url.as_deref(), &at_url, report);
    if let Some(url) = &url {
        address::refuse_plain_http(url, "tokens and our client secret would travel there", &at_url, report);
    }
    let at_client = at.field("client_id");
    match raw.client_id.as_deref().map(str::trim) {
        None => missing(&at_client, "Write our client id there.", report),
        Some("") => report.refuse(at_client.problem("it is empty", "Write our client id there.")),
        Some(_) => {}
    }
    let at_secret = at.field("client_secret");
    let found = raw.client_secret.as_ref().map(|raw| secret::text(raw, &at_secret, environment, report));
    if found.is_none() {
        missing(&at_secret, "Write `client_secret: {file: /path/to/it}`.", report);
    }
    let found = found.flatten();
    let client_auth = match raw.client_auth {
        None | Some(raw::ClientAuth::Basic) => found.map(ClientAuth::Basic),
        Some(raw::ClientAuth::Post) => found.map(ClientAuth::Post),
        Some(raw::ClientAuth::None) => {
            let what = "whoever may ask without a secret may try tokens out";
            report.refuse(at.field("client_auth").problem(what, "Write `basic` or `post`."));
            None
        }
    };
    let issuer = raw.issuer.as_ref().map(|issuer| provider::issuer(Some(issuer), &at.field("issuer"), report));
    let audiences = audiences_asked_about(raw, &at.field("audiences"), report);
    let identity = identity::settings(&raw.identity, &at.field("identity"), report);
    let cache_for = cache_for(raw, "1m", at, report);
    Some(IntrospectionSettings {
        id: id(raw.id.as_deref(), "introspection", &at.field("id"), report)?,
        url: url?,
        issuer,
        client_id: raw.client_id.clone()?,
        client_auth: client_auth?,
        audiences,
        scopes: scopes(&raw.scopes, &at.field("scopes"), report),
        identity,
        cache_for,
    })
}

fn kubernetes(
    raw: &raw::Bearer,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<KubernetesSettings> {
    let issuer = provider::issuer(Some(raw.issuer.as_deref().unwrap_or(CLUSTER_ISSUER)), &at.field("issuer"), report);
    let audiences = audiences(&raw.audiences, &at.field("audiences"), report);
    let at_api = at.field("api_url");
    let address = match &raw.api_url {
        Some(text) => url(Some(text), &at_api, report),
        None => Some(api_server(environment, &at_api, report)?),
    };
    if address.as_ref().is_some_and(|url| url.scheme() != "https" || url.path() != "/") {
        report
            .refuse(at_api.problem("it is not https:// with a host alone", "Write `https://kubernetes.default.svc`."));
    }
    let mut file = |path: &Option<PathBuf>, name: &str, default: &str| match path {
        None => Path::new(default).to_owned(),
        Some(path) => {
            readable(path, &at.field(name), report);
            path.clone()
        }
    };
    let (ca, token_file) = (file(&raw.ca_file, "ca_file", POD_CA), file(&raw.token_file, "token_file", POD_TOKEN));
    Some(KubernetesSettings {
        id: id(raw.id.as_deref(), "kubernetes", &at.field("id"), report)?,
        issuer,
        audiences,
        verify: match raw.verify {
            None | Some(raw::KubernetesVerify::TokenReview) => KubernetesVerify::TokenReview,
            Some(raw::KubernetesVerify::Keys) => KubernetesVerify::Keys,
        },
        identity: identity::settings(&raw.identity, &at.field("identity"), report),
        cache_for: cache_for(raw, "1m", at, report),
        api: KubernetesApi { address: address?, ca, token_file },
    })
}

/// Where the kubelet says that the API server is: every pod is told.
fn api_server(environment: &Environment, at: &Spot<'_>, report: &mut Report) -> Option<Url> {
    let told = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let text = match (told("KUBERNETES_SERVICE_HOST"), told("KUBERNETES_SERVICE_PORT")) {
        (Some(host), port) => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("https://{host}:{}", port.map_or("443", String::as_str))
        }
        (None, _) => API_SERVER.to_owned(),
    };
    let url = provider::http_url(&text).filter(|url| url.path() == "/");
    if url.is_none() {
        let what = format!("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no URL: `{text}`");
        report.refuse(at.problem(what, "Write `https://kubernetes.default.svc`, or mend the variables."));
    }
    url
}

fn session(
    raw: &raw::Bearer,
    token: &TokenSettings,
    headers: &[(HeaderName, IdentityField)],
    at: &Spot<'_>,
    report: &mut Report,
) -> Option<SessionBearerSettings> {
    let Some(text) = &raw.header else {
        return Some(SessionBearerSettings { header: AUTHORIZATION, as_authservice: false });
    };
    let name = header::usable(text).map_err(|(what, instead)| report.refuse(at.problem(what, instead))).ok()?;
    let is_ours = name == token.header || headers.iter().any(|(other, _)| *other == name);
    if name != AUTHORIZATION && (is_ours || header::TAKEN.contains(&name.as_str())) {
        let what = "this header has a meaning of its own";
        report.refuse(at.problem(what, "Write `authorization`, or a name such as `x-auth-token`."));
        return None;
    }
    Some(SessionBearerSettings { header: name, as_authservice: false })
}

fn id(text: Option<&str>, default: &str, at: &Spot<'_>, report: &mut Report) -> Option<ProviderId> {
    let text = text.unwrap_or(default);
    let parsed = ProviderId::parse(text).map_err(|error| {
        let what = format!("`{text}` is no id: {error}");
        report.refuse(at.problem(what, "Write a short name: `robots`."));
    });
    parsed.ok()
}

const STRANGERS_TOKENS: &str = "tokens that others were given would be good here";
const FOR_US: &str = "Write what its tokens for us name in `aud`: `[countersign]`.";

fn audiences(raw: &[String], at: &Spot<'_>, report: &mut Report) -> Vec<String> {
    if raw.is_empty() {
        report.refuse(at.problem(format!("without an audience, {STRANGERS_TOKENS}"), FOR_US));
    }
    for (index, name) in raw.iter().enumerate() {
        match name.trim() {
            "" => report.refuse(at.index(index).problem("it is empty", "Write what its tokens for us name in `aud`.")),
            "*" => {
                let what = format!("`*` is no audience, and if it were all of them, {STRANGERS_TOKENS}");
                report.refuse(at.index(index).problem(what, FOR_US));
            }
            _ => {}
        }
    }
    raw.to_vec()
}

/// The audiences of opaque tokens; none if `*` says that any will do, or if the scopes tell which tokens are for us.
fn audiences_asked_about(raw: &raw::Bearer, at: &Spot<'_>, report: &mut Report) -> Vec<String> {
    match &raw.audiences[..] {
        [any] if any == "*" => Vec::new(),
        [] if at.is_written() => audiences(&[], at, report),
        [] => {
            if raw.scopes.is_empty() {
                let instead = "Write what its tokens for us name in `aud` or `scope`: `audiences: [countersign]`; or \
                               `audiences: ['*']`, if all that the endpoint calls active are for us.";
                report.refuse(at.problem(format!("without `audiences` or `scopes`, {STRANGERS_TOKENS}"), instead));
            }
            Vec::new()
        }
        many => audiences(many, at, report),
    }
}

/// Of an access token (RFC 6749 section 3.3).
fn scopes(raw: &[String], at: &Spot<'_>, report: &mut Report) -> Vec<String> {
    for (index, scope) in raw.iter().enumerate() {
        if scope.is_empty() || !scope.chars().all(|c| matches!(c, '!' | '#'..='[' | ']'..='~')) {
            let what = format!("`{scope}` is no scope");
            report.refuse(at.index(index).problem(what, "Write one scope an element: `[mesh, mesh.read]`."));
        }
    }
    raw.to_vec()
}

fn url(text: Option<&str>, at: &Spot<'_>, report: &mut Report) -> Option<Url> {
    let text = text?;
    let url = provider::http_url(text);
    if url.is_none() {
        report.refuse(at.problem(format!("`{text}` is no URL"), "Write `https://…`."));
    }
    url
}

/// Of keys that vouch for tokens.
fn url_of_keys(text: Option<&str>, at: &Spot<'_>, report: &mut Report) -> Option<Url> {
    let url = url(text, at, report)?;
    address::refuse_plain_http(&url, address::KEYS_IN_DANGER, at, report);
    Some(url)
}

fn cache_for(raw: &raw::Bearer, default: &str, at: &Spot<'_>, report: &mut Report) -> Duration {
    let at = at.field("cache_for");
    let span = lifetime::span(raw.cache_for.as_deref().unwrap_or(default), &at, report).unwrap_or_default();
    if span > LONGEST_CACHE {
        let what = "it is longer than 1h, and what is revoked meanwhile would still be believed";
        report.refuse(at.problem(what, "Write 1h or less."));
    }
    span
}

fn issuers(source: &BearerSource) -> Vec<&str> {
    match source {
        BearerSource::Jwt(jwt) => vec![&jwt.issuer],
        BearerSource::Introspection(introspection) => introspection.issuer.iter().map(String::as_str).collect(),
        BearerSource::Kubernetes(kubernetes) => vec![&kubernetes.issuer],
        BearerSource::Session(_) => Vec::new(),
    }
}

/// What a workload received for one request must open no door.
fn refuse_our_own(issuer: &str, token: &TokenSettings, at: &Spot<'_>, report: &mut Report) {
    if issuer == token.issuer {
        let what = "it is token.issuer: tokens of ours are no credentials, for every workload holds some";
        report
            .refuse(at.problem(what, "Write the issuer of the tokens that come from outside, or take the source out."));
    }
}

/// Refuses a source that could name a user as somebody else does.
fn tell_apart(earlier: &[Voucher], voucher: &Voucher, at: &Spot<'_>, report: &mut Report) {
    if earlier.iter().any(|other| other.id == voucher.id) {
        let what = format!("a provider or another source is called `{}`, too", voucher.id);
        report.refuse(at.field("id").problem(what, "Give each its own id."));
    }
    for other in earlier.iter().filter(|other| voucher.could_be_taken_for(other)) {
        let what = format!(
            "`{}` could name a user exactly as `{}` does, and let one be taken for the other",
            voucher.id, other.id
        );
        let (own, others) = (&voucher.identity.user_prefix, &other.identity.user_prefix);
        let instead = if own.len() > others.len() && own.starts_with(others.as_str()) {
            let before = if others.is_empty() { "nothing".to_owned() } else { format!("`{others}`") };
            format!(
                "`{}` puts {before} before its users' names, so that one of them may be called `{own}…`: give it a \
                 `prefix` with another beginning (its users then have new names); or name users by `email` on both sides, each with its own \
                 `identity: {{admit: {{email_domains: […]}}}}`, without prefixes.",
                other.id
            )
        } else {
            "Give it its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by \
             `email`, its own `identity: {admit: {email_domains: […]}}`."
                .to_owned()
        };
        report.refuse(at.problem(what, instead));
    }
}

/// Warns where whom a provider turns away may come with a token of the same issuer, and nobody wrote that he may.
fn tell_whom_it_admits(providers: &[ProviderSettings], voucher: &Voucher, at: &Spot<'_>, report: &mut Report) {
    let at_admit = at.field("identity").field("admit");
    // What is inherited keeps the key under which it was written.
    if at_admit.is_written() && at_admit.key().starts_with(at.key()) {
        return;
    }
    let is_everybody =
        |admit: &Admit| [&admit.groups, &admit.email_domains].iter().all(|names| names.iter().any(|name| name == "*"));
    for provider in providers.iter().filter(|provider| voucher.issuer.as_ref() == Some(&provider.issuer)) {
        let theirs = &provider.identity.admit;
        if *theirs != voucher.identity.admit && !is_everybody(theirs) {
            let what = format!(
                "it does not ask whom `{}` admits, which has the same issuer: whoever may not sign in there may bring \
                 a token",
                provider.id
            );
            let instead = "Write its own `identity: {admit: {…}}`, with what the provider has or whom else you mean.";
            report.warn(at.problem(what, instead));
        }
    }
}

impl Voucher {
    fn of(source: &BearerSource) -> Option<Self> {
        let (id, issuer, identity) = match source {
            BearerSource::Jwt(jwt) => (&jwt.id, Some(&jwt.issuer), jwt.identity.clone()),
            BearerSource::Introspection(asked) => (&asked.id, asked.issuer.as_ref(), asked.identity.clone()),
            BearerSource::Kubernetes(cluster) => {
                let user_prefix = format!("{}{SERVICE_ACCOUNT}", cluster.identity.user_prefix);
                let identity =
                    IdentitySettings { user_prefix, user_claim: "sub".to_owned(), ..cluster.identity.clone() };
                (&cluster.id, Some(&cluster.issuer), identity)
            }
            BearerSource::Session(_) => return None,
        };
        Some(Self { id: id.clone(), issuer: issuer.cloned(), identity })
    }

    /// Whether it says of its users what it likes, and so as the other one does. A cluster says of service accounts only
    /// what it made them.
    fn could_speak_for(&self, other: &Self) -> bool {
        let same_house = self.issuer.is_some() && self.issuer == other.issuer;
        let by_itself = self.is_a_cluster() || other.is_a_cluster();
        !same_house && !by_itself && !provider::domains_differ(&self.identity, &other.identity)
    }

    fn is_a_cluster(&self) -> bool {
        self.identity.user_prefix.ends_with(SERVICE_ACCOUNT) && self.identity.user_claim == "sub"
    }

    fn could_be_taken_for(&self, other: &Self) -> bool {
        let (one, two) = (&self.identity, &other.identity);
        // What one issuer calls one person, however they come.
        let naming = |settings: &IdentitySettings| {
            let IdentitySettings { user_claim, user_transform, user_lower_case, user_prefix, .. } = settings;
            let unverified = settings.allow_unverified_email;
            format!("{user_claim:?} {user_transform:?} {user_lower_case} {user_prefix:?} {unverified}")
        };
        let same_people = self.issuer.is_some() && self.issuer == other.issuer && naming(one) == naming(two);
        // No ServiceAccount has an `@` in its name, and every address has one.
        let by_address = |people: &Self, service: &Self| {
            let has_address = people.identity.user_claim == "email" && people.identity.user_transform.is_empty();
            service.is_a_cluster() && !service.identity.user_prefix.contains('@') && has_address
        };
        // Nobody but a cluster makes names that Kubernetes keeps for itself.
        let by_reserve = |people: &Self, service: &Self| {
            let is_reserved = |prefix: &str| prefix.to_ascii_lowercase().starts_with("system:");
            service.is_a_cluster()
                && is_reserved(&service.identity.user_prefix)
                && !people.is_a_cluster()
                && !is_reserved(&people.identity.user_prefix)
        };
        let apart = |people: &Self, service: &Self| by_address(people, service) || by_reserve(people, service);
        !same_people && !apart(self, other) && !apart(other, self) && provider::could_collide(one, two)
    }
}

impl From<&ProviderSettings> for Voucher {
    fn from(provider: &ProviderSettings) -> Self {
        let ProviderSettings { id, issuer, identity, .. } = provider.clone();
        Self { id, issuer: Some(issuer), identity }
    }
}
