//! oauth2-proxy's settings: each becomes a key of ours or a comment.

mod flags;
mod routes;
mod sources;

use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;
use url::Url;

use super::super::variables::Environment;
use super::authservice::lifetimes;
use super::draft::{Block, Draft, Value};
use super::{Migrated, MigrationError, list, origin};
use flags::{Fate, SETTINGS, Takes};
use sources::Given;

/// Stands where an issuer is to be written.
const PLACEHOLDER: &str = "https://idp.example.com";

/// Switches of which something is said where they are off.
const SPOKEN_OF: [&str; 3] = ["cookie-secure", "skip-provider-button", "skip-jwt-bearer-tokens"];

pub(super) fn draft(
    cfg: Option<&Path>,
    variables: &Environment,
    arguments: &[String],
    public_url: Option<&str>,
) -> Result<Migrated, MigrationError> {
    let given = Given::gather(cfg, variables, arguments)?;
    let mut draft = Draft::of("oauth2-proxy");
    let issuer = issuer(&given, &mut draft);
    let home = public_url.and_then(origin).or_else(|| given.text("redirect-url").and_then(origin));
    addresses(&given, &mut draft, home.as_deref());
    provider(&given, &mut draft, &issuer);
    identity(&given, &mut draft);
    sessions(&given, &mut draft);
    headers(&given, &mut draft);
    routes::rules(&given, &mut draft);
    answers(&given, &mut draft);
    bearers(&given, &mut draft, &issuer);
    for setting in SETTINGS.iter().filter(|setting| given.is_set(setting.flag)) {
        let off = setting.takes == Takes::Switch && given.switch(setting.flag) == Some(false);
        match setting.fate {
            Fate::Mapped if off && !SPOKEN_OF.contains(&setting.flag) => {
                draft.leave(setting.flag, "it was off, and is here");
            }
            Fate::Mapped => {}
            Fate::ToDo(_) if off => draft.leave(setting.flag, "it was off"),
            Fate::ToDo(why) => draft.leave_to_do(setting.flag, why),
            Fate::Gone(why) => draft.leave(setting.flag, why),
        }
    }
    given.unknown.iter().for_each(|name| draft.unknown(name));
    Ok(draft.finish())
}

fn addresses(given: &Given, draft: &mut Draft, home: Option<&str>) {
    if let Some(url) = home {
        draft.root.text("public_url", url).note("What people type.");
    } else {
        draft.leave_to_do("public_url", "oauth2-proxy was not told it; write the address that people type");
        draft.root.text("public_url", "https://kubeflow.example.com").note("TO DO: the address that people type.");
    }
    let url = home.and_then(|home| Url::parse(home).ok());
    shared_cookies(given, draft, url.as_ref());
    for flag in ["tls-cert-file", "tls-key-file"] {
        if given.is_set("tls-cert-file") != given.is_set("tls-key-file") && given.is_set(flag) {
            draft.leave(flag, "the other half of the pair was not there: no TLS");
        }
    }
    let tls = given.text("tls-cert-file").zip(given.text("tls-key-file"));
    let (flag, default) = if tls.is_some() { ("https-address", ":443") } else { ("http-address", "127.0.0.1:4180") };
    let mut listen = Block::default();
    let main = address(given.text(flag).unwrap_or(default)).unwrap_or_else(|| {
        draft.leave_to_do(flag, "only `ADDRESS:PORT` can be listened on: no socket file, no inherited one, no name");
        SocketAddr::from(([0, 0, 0, 0], 4180))
    });
    listen.text("main", main.to_string());
    let metrics = given.text("metrics-address").map(|text| {
        address(text).unwrap_or_else(|| {
            draft.leave("metrics-address", "it is no `ADDRESS:PORT`; metrics are at 0.0.0.0:9001");
            SocketAddr::from(([0, 0, 0, 0], 9001))
        })
    });
    let admin = metrics.filter(|admin| *admin != main).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 9001)));
    listen.text("admin", admin.to_string()).note("/livez, /readyz and /metrics.");
    if let Some((certificate, key)) = tls {
        let mut files = Block::default();
        files.text("certificate", certificate).text("key", key);
        listen.block("tls", files);
        if given.is_set("http-address") {
            draft.leave("http-address", "one main port is listened on, the one with TLS");
        }
    } else if given.is_set("https-address") {
        draft.leave("https-address", "there was no certificate for it");
    }
    draft.root.block("listen", listen).note("As before, so that the Service may stay.");
    if let Some(prefix) = given.text("proxy-prefix").filter(|prefix| *prefix != "/oauth2") {
        let mut paths = Block::default();
        paths.text("prefix", prefix.trim_end_matches('/'));
        draft.root.block("paths", paths);
    }
    let trusted = given.list("trusted-proxy-ip");
    let is_network = |text: &&String| {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        network.is_some_and(|network| network.prefix_len() > 0)
    };
    let networks: Vec<String> = trusted.iter().filter(is_network).cloned().collect();
    if networks.len() < trusted.len() {
        draft.leave_to_do("trusted-proxy-ip", "what means everybody, or is no network, was left out: name the proxies");
    }
    if given.switch("reverse-proxy") == Some(true) && trusted.is_empty() {
        draft.leave(
            "reverse-proxy",
            "X-Forwarded-* headers were believed from everybody; list the proxies under `trusted_proxies`, where they are \
             needed at all (nginx, Traefik, Caddy)",
        );
    }
    if !networks.is_empty() {
        draft.root.list("trusted_proxies", networks);
    }
    for upstream in given.list("upstream").iter().filter(|upstream| !upstream.starts_with("static://")) {
        draft.leave_to_do(
            format!("upstream {}", super::super::validate::without_password(upstream)),
            "requests are not proxied through us: put a gateway before it, which asks us",
        );
    }
}

/// `cookie.domain` and `hosts`, as far as they agree with the public URL.
fn shared_cookies(given: &Given, draft: &mut Draft, home: Option<&Url>) {
    let host = home.and_then(Url::host_str);
    let domains = given.list("cookie-domain").iter().map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
    let is_below =
        |host: &str, domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let (shared, others): (Vec<String>, Vec<String>) =
        domains.partition(|domain| domain.contains('.') && host.is_some_and(|host| is_below(host, domain)));
    let domain = shared.first();
    for other in others.iter().chain(shared.iter().skip(1)) {
        draft.leave_to_do(
            format!("cookie-domain {other}"),
            "cookies have one domain, which the public URL's host is below: `cookie: {domain: …}`",
        );
    }
    let mut hosts = Vec::new();
    for name in given.list("whitelist-domain") {
        let bare = name.split(':').next().unwrap_or_default();
        let is_host =
            bare.contains('.') && !bare.starts_with(['.', '*']) && Url::parse(&format!("http://{name}")).is_ok();
        if host == Some(bare) {
            continue;
        }
        if is_host && domain.is_some_and(|domain| is_below(bare, domain)) {
            hosts.push(name.clone());
        } else {
            draft.leave_to_do(
                format!("whitelist-domain {name}"),
                "sign-ins return to hosts that are named one by one under `hosts`, all below `cookie.domain`",
            );
        }
    }
    if !hosts.is_empty() {
        draft.root.list("hosts", hosts);
    }
    let mut cookie = Block::default();
    if let Some(domain) = domain {
        cookie.text("domain", domain.as_str());
    }
    let is_http = home.is_some_and(|url| url.scheme() == "http" && !super::super::validate::is_loopback(url));
    if is_http {
        cookie.word("insecure", "true").note("Plain http: whoever is on the way can take a session.");
        draft.leave_to_do("cookie.insecure", "people sign in over plain http; serve https as soon as you can");
    } else if given.is_set("cookie-secure") {
        let was = if given.switch("cookie-secure") == Some(true) { "on" } else { "off" };
        let why = format!("it was {was}. Ours are Secure on https; on plain http, write `cookie: {{insecure: true}}`");
        draft.leave("cookie-secure", why);
    }
    if let Some(name) = given.text("cookie-name") {
        let note = format!("It was {name}. A name of our own leaves the old cookie alone, for the way back.");
        draft.leave("cookie-name", note);
    }
    draft.root.block("cookie", cookie);
}

fn address(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let text = match text.split_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    text.parse().ok()
}

/// The issuer, which for some providers goes without saying.
fn issuer(given: &Given, draft: &mut Draft) -> String {
    let kind = given.text("provider").unwrap_or("google");
    if !matches!(
        kind,
        "oidc" | "keycloak-oidc" | "adfs" | "azure" | "entra-id" | "gitlab" | "google" | "cidaas" | "login.gov"
    ) {
        draft.leave_to_do(
            format!("provider {kind}"),
            "only OpenID Connect is spoken here. Put Dex, which has a connector for it, between, and write its issuer",
        );
    }
    if let Some(issuer) = given.text("oidc-issuer-url") {
        return issuer.to_owned();
    }
    if given.is_set("azure-tenant") {
        draft.leave("azure-tenant", "it is part of the issuer: `https://login.microsoftonline.com/TENANT/v2.0`");
    }
    let tenant =
        given.text("azure-tenant").filter(|tenant| !matches!(*tenant, "common" | "organizations" | "consumers"));
    match (kind, tenant) {
        ("google", _) => "https://accounts.google.com".to_owned(),
        ("gitlab", _) => "https://gitlab.com".to_owned(),
        ("azure" | "entra-id", Some(tenant)) => format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        _ => {
            draft.leave_to_do(
                "oidc-issuer-url",
                "it was not among the settings; write it as the provider's tokens say it",
            );
            PLACEHOLDER.to_owned()
        }
    }
}

fn provider(given: &Given, draft: &mut Draft, issuer: &str) {
    let kind = given.text("provider").unwrap_or("google");
    let mut provider = Block::default();
    let id: String = kind.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
    provider.text("id", if issuer.contains("dex") { "dex".to_owned() } else { id.to_ascii_lowercase() });
    if let Some(name) = given.text("provider-display-name") {
        provider.text("name", name);
    }
    provider.text("issuer", issuer).note("To the letter as its tokens say it.");
    if let Some(id) = given.text("client-id") {
        provider.text("client_id", id);
    } else {
        draft.leave_to_do("client-id", "it was not among the settings (Kubeflow: Secret oauth2-proxy); write it");
        provider.text("client_id", "oauth2-proxy").note("TO DO: the client id of the Secret.");
    }
    match given.text("client-secret-file") {
        Some(path) => provider.set("client_secret", Value::File(path.to_owned())),
        None => provider
            .set("client_secret", Value::Variable("OAUTH2_PROXY_CLIENT_SECRET"))
            .note("From the variable that oauth2-proxy reads too. A mounted file is better: {file: /path/to/it}."),
    };
    for (flag, key) in
        [("login-url", "authorization_url"), ("redeem-url", "token_url"), ("profile-url", "userinfo_url")]
    {
        if let Some(url) = given.text(flag) {
            provider.text(key, url);
        }
    }
    if let Some(url) = given.text("oidc-jwks-url") {
        provider.text("jwks_url", url);
    }
    match given.text("redirect-url") {
        // Told as a path, it was completed with the request's host unless it was to be relative.
        Some(url) if given.switch("relative-redirect-url") == Some(true) => {
            let path = Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.path().to_owned());
            provider.text("redirect_uri", path).note("Sent just so, as it is registered at the provider.");
        }
        Some(url) if origin(url).is_some() => {
            provider.text("redirect_uri", url).note("As it is registered at the provider.");
        }
        Some(path) => draft.leave(
            format!("redirect-url {path}"),
            "the request's host was put before it; ours is the public URL and our callback path",
        ),
        None => {}
    }
    if let Some(mode) = given.text("auth-request-response-mode") {
        match mode {
            "query" | "form_post" => {
                provider.word("response_mode", mode);
            }
            _ => draft.leave("auth-request-response-mode", "answers come in the query, or by `form_post`"),
        }
    }
    let groups = given.is_set("allowed-group") || given.is_set("keycloak-group");
    let usual = if groups { "openid email profile groups" } else { "openid email profile" };
    let mut scopes = list(given.text("scope").unwrap_or(usual));
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    provider
        .list("scopes", scopes)
        .note("With offline_access (where the provider knows it) groups are read anew during a session.");
    algorithms(given, &mut provider, draft);
    draft.root.blocks("providers", vec![provider]);
    let bundles = given.list("provider-ca-file");
    if let Some(path) = bundles.first() {
        let mut egress = Block::default();
        egress.text("ca_bundle", path.as_str());
        draft.root.block("egress", egress);
    }
    if bundles.len() > 1 {
        draft.leave_to_do("provider-ca-file", "one file can be named; put the certificates of all into it");
    }
}

fn algorithms(given: &Given, provider: &mut Block, draft: &mut Draft) {
    let known = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    let asked = given.list("oidc-enabled-signing-alg");
    let (good, bad): (Vec<String>, Vec<String>) =
        asked.iter().cloned().partition(|name| known.contains(&name.as_str()));
    if !bad.is_empty() {
        draft.leave_to_do(format!("oidc-enabled-signing-alg {}", bad.join(", ")), "it is not known here");
    }
    if !good.is_empty() {
        provider.list("algorithms", good);
    }
}

fn identity(given: &Given, draft: &mut Draft) {
    let mut user = Block::default();
    user.text("claim", given.text("oidc-email-claim").or(given.text("user-id-claim")).unwrap_or("email"));
    let mut admitted: Vec<String> = given.list("allowed-group").to_vec();
    admitted.extend(given.list("keycloak-group").iter().cloned());
    let roles = given.list("allowed-role");
    let mut claim = given.text("oidc-groups-claim").unwrap_or("groups");
    if !roles.is_empty() {
        if admitted.is_empty() && !given.is_set("oidc-groups-claim") {
            claim = "realm_access.roles";
            admitted = roles.to_vec();
            draft.leave("allowed-role", "roles take the place of groups; `groups.claim` says where they are");
        } else {
            let why = "one claim lists the groups: have Keycloak put these roles into it, and admit them";
            draft.leave_to_do("allowed-role", why);
        }
    }
    let mut groups = Block::default();
    groups.text("claim", claim);
    let mut identity = Block::default();
    identity.block("user", user).block("groups", groups);
    let mut admit = Block::default();
    if !admitted.is_empty() {
        admit.list("groups", admitted);
    }
    let domains = given.list("email-domain");
    if !domains.is_empty() && !domains.iter().any(|domain| domain == "*") {
        admit.list("email_domains", domains.iter().map(|domain| email_domain(domain, draft)).collect());
    }
    identity.block("admit", admit);
    if given.switch("insecure-oidc-allow-unverified-email") == Some(true) {
        identity
            .word("allow_unverified_email", "true")
            .note("Whoever can have an account at the provider with an address of somebody else's is taken for them.");
    }
    draft.root.block("identity", identity);
}

/// A domain as we write it. What cannot be one admits nobody, rather than everybody.
fn email_domain(text: &str, draft: &mut Draft) -> String {
    let domain = text.trim_start_matches("*.").trim_start_matches(['.', '@']).to_ascii_lowercase();
    if domain.len() + 1 < text.len() || text.starts_with('.') {
        draft.leave_to_do(format!("email-domain {text}"), "it meant all domains below it, too: name each of those");
    }
    let label = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !part.starts_with('-')
    };
    if domain.split('.').all(label) && domain.parse::<std::net::IpAddr>().is_err() && !domain.ends_with('-') {
        return domain;
    }
    draft.leave_to_do(format!("email-domain {text}"), "it is no domain here, and admits nobody");
    "nobody.invalid".to_owned()
}

fn sessions(given: &Given, draft: &mut Draft) {
    let mut seconds = |flag: &'static str, default: u64| match given.text(flag).map(humantime_seconds) {
        None => default,
        Some(Some(seconds)) => seconds,
        Some(None) => {
            draft.leave(flag, format!("it is no duration here; {default} seconds are"));
            default
        }
    };
    let (mut max_age, refresh) = (seconds("cookie-expire", 168 * 3600), seconds("cookie-refresh", 0));
    if max_age == 0 {
        draft.leave("cookie-expire", "sessions ended with the browser; a session has an end of its own here");
        max_age = 24 * 3600;
    }
    max_age = max_age.min(400 * 86400);
    let mut session = Block::default();
    lifetimes(&mut session, max_age, (refresh > 0).then_some(refresh));
    session.note("How often the provider is asked anew, where it lets us (offline_access).");
    draft.root.block("session", session);
    if max_age < 300 {
        let mut token = Block::default();
        token.word("lifetime", format!("{}s", max_age.max(30)));
        draft.root.block("token", token);
    }
    draft.root.text("data_dir", "/var/lib/countersign").note(
        "Sessions and keys: give it a volume that lasts, and run one replica. Sessions are not taken over: everybody \
         signs in once more.",
    );
    let kept = given.text("session-store-type").unwrap_or("cookie");
    draft.leave_to_do(
        format!("session-store-type {kept}"),
        "sessions are in a file in `data_dir`, so that a sign-out ends them at once: one replica, with a volume",
    );
    if given.is_set("cookie-secret") || given.is_set("cookie-secret-file") {
        draft.leave(
            "cookie-secret",
            "session keys have another form: one is made in `data_dir`, or `countersign session-keys init` prints one \
             for `session: {keys: [{file: …}]}`",
        );
    }
}

fn humantime_seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    humantime::parse_duration(text).ok().map(|duration| duration.as_secs())
}

fn headers(given: &Given, draft: &mut Draft) {
    let mut headers = Block::default();
    headers.word("kubeflow-userid", "user").word("kubeflow-groups", "groups");
    let user = if given.switch("prefer-email-to-user") == Some(true) { "user" } else { "subject" };
    if given.switch("set-xauthrequest") == Some(true) {
        headers.word("x-auth-request-user", user);
        headers.word("x-auth-request-email", "email").word("x-auth-request-groups", "groups");
        draft.leave(
            "set-xauthrequest",
            "X-Auth-Request-Preferred-Username has no equivalent; the other three are there",
        );
    }
    if given.switch("prefer-email-to-user") == Some(true) {
        draft.leave(
            "prefer-email-to-user",
            "headers of the user's carry `user`, which is named by `identity.user.claim`",
        );
    }
    let proxied = given.list("upstream").iter().any(|upstream| !upstream.starts_with("static://"));
    if given.switch("pass-user-headers").unwrap_or(proxied) {
        headers.word("x-forwarded-user", user);
        headers.word("x-forwarded-email", "email").word("x-forwarded-groups", "groups");
    }
    draft.root.block("headers", headers).note(
        "List them in headersToUpstreamOnAllow, and `authorization`, which carries our own token. Kubeflow's two came \
         from RequestAuthentication (outputClaimToHeaders), which may go on.",
    );
    if given.switch("set-authorization-header") == Some(true) || given.switch("pass-authorization-header") == Some(true)
    {
        draft.leave_to_do(
            "set-authorization-header",
            "the mesh got the provider's ID token, and now gets ours: RequestAuthentication needs `issuer` (the public \
             URL), `jwksUri` (/.well-known/jwks.json of our Service), and audience `mesh` if it lists any",
        );
    }
}

fn answers(given: &Given, draft: &mut Draft) {
    if given.switch("force-json-errors") == Some(true) {
        let mut answers = Block::default();
        answers.word("navigation", "401").word("other", "401").word("unknown", "401");
        draft.root.block("unauthenticated", answers);
    }
    if given.switch("skip-provider-button") == Some(false) {
        draft.leave(
            "skip-provider-button",
            "a page with a button came before each sign-in, so that background requests began none. Here only a page that \
             a person asked for leads to a sign-in; `unauthenticated: {navigation: page}` shows a page all the same",
        );
    }
    if given.is_set("relative-redirect-url") && !given.is_set("redirect-url") {
        draft.leave("relative-redirect-url", "there was no redirect-url");
    }
}

fn bearers(given: &Given, draft: &mut Draft, issuer: &str) {
    if given.switch("skip-jwt-bearer-tokens") != Some(true) {
        if given.is_set("skip-jwt-bearer-tokens") {
            draft.leave("skip-jwt-bearer-tokens", "it was off: bearer tokens do not sign anybody in here either");
        }
        if given.is_set("extra-jwt-issuers") {
            draft.leave("extra-jwt-issuers", "bearer tokens were off");
        }
        return;
    }
    let client = given.text("client-id").unwrap_or("the client id");
    let audiences: Vec<&str> =
        std::iter::once(client).chain(given.list("oidc-extra-audience").iter().map(String::as_str)).collect();
    let source = |issuer: &str, audiences: &str| {
        format!("{{kind: jwt, issuer: {issuer}, audiences: [{audiences}], algorithms: [RS256]}}")
    };
    let own = source(issuer, &audiences.join(", "));
    draft
        .leave_to_do("skip-jwt-bearer-tokens", format!("JWTs of the provider could enter. Configure: bearer: [{own}]"));
    for pair in given.list("extra-jwt-issuers") {
        let (issuer, audience) = pair.split_once('=').unwrap_or((pair, "…"));
        let line = source(issuer, audience);
        draft.leave_to_do("extra-jwt-issuers", format!("JWTs of {issuer} could enter. Configure: bearer: [{line}]"));
    }
}
