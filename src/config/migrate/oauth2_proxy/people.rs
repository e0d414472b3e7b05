//! Who oauth2-proxy let in, and under what name: the provider, claims, headers.

use url::Url;

use super::super::draft::{Block, CLIENT_SECRET_FILE, Draft, Value};
use super::super::{list, origin};
use super::sources::Given;

/// Stands where an issuer is to be written.
const PLACEHOLDER: &str = "https://idp.example.com";

/// Stands where the client's id is to be written.
pub(super) const CLIENT_ID: &str = "oauth2-proxy";

/// The signature algorithms that can be named here.
pub(super) const ALGORITHMS_KNOWN: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// The issuer, which for some providers goes without saying.
pub(super) fn issuer(given: &Given, draft: &mut Draft) -> String {
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

pub(super) fn provider(given: &Given, draft: &mut Draft, issuer: &str) {
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
        provider.text("client_id", CLIENT_ID).note("TO DO: the client id of the Secret.");
    }
    provider
        .set("client_secret", Value::File(CLIENT_SECRET_FILE.to_owned()))
        .note("What oauth2-proxy had as client-secret: the key `client-secret` of a Secret that the pod mounts.");
    if let Some(path) = given.text("client-secret-file") {
        draft.leave("client-secret-file", format!("the secret was in {path}; it is in {CLIENT_SECRET_FILE}"));
    }
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
        draft.leave_to_do("provider-ca-file", format!("have the pod mount the file as {path}, or it does not start"));
    }
    if bundles.len() > 1 {
        draft.leave_to_do("provider-ca-file", "one file can be named; put the certificates of all into it");
    }
}

pub(super) fn identity(given: &Given, draft: &mut Draft) {
    let mut user = Block::default();
    user.text("claim", given.text("oidc-email-claim").or(given.text("user-id-claim")).unwrap_or("email"));
    let (claim, admit) = admitted(given, draft);
    let mut groups = Block::default();
    groups.text("claim", claim);
    let mut identity = Block::default();
    identity.block("user", user).block("groups", groups);
    identity.block("admit", admit);
    if given.switch("insecure-oidc-allow-unverified-email") == Some(true) {
        identity
            .word("allow_unverified_email", "true")
            .note("Whoever can have an account at the provider with an address of somebody else's is taken for them.");
    }
    draft.root.block("identity", identity);
}

/// The claim that lists the groups, and whom to admit.
pub(super) fn admitted<'g>(given: &'g Given, draft: &mut Draft) -> (&'g str, Block) {
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
    let mut admit = Block::default();
    if !admitted.is_empty() {
        admit.list("groups", admitted);
    }
    let domains = given.list("email-domain");
    if !domains.is_empty() && !domains.iter().any(|domain| domain == "*") {
        admit.list("email_domains", domains.iter().map(|domain| email_domain(domain, draft)).collect());
    }
    (claim, admit)
}

pub(super) fn headers(given: &Given, draft: &mut Draft) {
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
        "Each of them is in headersToUpstreamOnAllow, or reaches workloads as the client wrote it; and `authorization`, which \
         carries our own token. Kubeflow's two came from RequestAuthentication (outputClaimToHeaders), which may go on.",
    );
    if given.switch("set-authorization-header") == Some(true) || given.switch("pass-authorization-header") == Some(true)
    {
        draft.leave_to_do(
            "set-authorization-header",
            "the mesh got the provider's ID token, and now gets ours: RequestAuthentication needs `issuer` \
             (`token.issuer`), `jwksUri` (/.well-known/jwks.json of our Service), and audience `mesh` if it lists any. \
             examples/kubeflow has it so",
        );
    }
}

fn algorithms(given: &Given, provider: &mut Block, draft: &mut Draft) {
    let asked = given.list("oidc-enabled-signing-alg");
    let (good, bad): (Vec<String>, Vec<String>) =
        asked.iter().cloned().partition(|name| ALGORITHMS_KNOWN.contains(&name.as_str()));
    if !bad.is_empty() {
        draft.leave_to_do(format!("oidc-enabled-signing-alg {}", bad.join(", ")), "it is not known here");
    }
    if !good.is_empty() {
        provider.list("algorithms", good);
    }
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
