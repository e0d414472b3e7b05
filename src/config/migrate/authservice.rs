//! authservice's variables, one by one: each becomes a key of ours or a comment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderName;

use super::super::variables::Environment;
use super::draft::{Block, Draft, Value};
use super::env_file::unquoted;
use super::{Migrated, MigrationError, list, origin};

/// What `TEMPLATE_CONTEXT_…` variables begin with.
const TEMPLATE_CONTEXT: &str = "TEMPLATE_CONTEXT_";

/// Where authservice keeps its sessions, unless told otherwise.
const STORE: &str = "/var/lib/authservice/data.db";

/// The variables, as far as they are not asked for yet.
struct Variables<'a> {
    environment: &'a Environment,
    asked: Vec<&'static str>,
    /// Whether authservice's own contract is kept (its paths and ports, checks without a prefix), which is done where
    /// there is no configuration file. A file of ours has our own paths.
    in_its_place: bool,
}

/// What authservice does besides answering checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthserviceContract {
    /// The header in which a session may come as a bearer: `AUTH_HEADER`.
    pub session_header: HeaderName,
    /// Where sessions are ended: `/authservice/logout`.
    pub logout: String,
    /// What stands before a path to be verified: `/authservice/verify`, without a slash at its end.
    pub verify: String,
    /// Where people go afterwards: `AFTER_LOGOUT_URL`.
    pub after_logout: String,
    /// Where the site listens.
    pub site: SocketAddr,
    /// What the paths of the site begin with: `/authservice/site`.
    pub site_prefix: String,
}

impl<'a> Variables<'a> {
    /// The value of `name`, if there is one that is not empty.
    fn take(&mut self, name: &'static str) -> Option<&'a str> {
        self.asked.push(name);
        self.environment.get(name).map(|value| unquoted(value)).filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set, and its name.
    fn first(&mut self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        let found: Vec<_> = names.iter().filter_map(|name| Some((*name, self.take(name)?))).collect();
        found.first().copied()
    }

    /// Whether a flag is on; authservice reads it as Go does.
    fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.take(name).map_or(default, |value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }
}

pub(super) fn draft(
    environment: &Environment,
    from_files: bool,
    public_url: Option<&str>,
) -> Result<Migrated, MigrationError> {
    let mut variables = Variables { environment, asked: Vec::new(), in_its_place: false };
    let (mut draft, _) = fill(&mut variables, public_url)?;
    if from_files {
        let known = |name: &str| variables.asked.contains(&name) || name.starts_with(TEMPLATE_CONTEXT);
        environment.keys().filter(|name| !known(name)).for_each(|name| draft.unknown(name));
    }
    Ok(draft.finish())
}

/// The draft of a gateway that stands in authservice's place, and what it does besides.
pub(in crate::config) fn in_its_place(
    environment: &Environment,
) -> Result<(Draft, AuthserviceContract), MigrationError> {
    fill(&mut Variables { environment, asked: Vec::new(), in_its_place: true }, None)
}

fn fill(
    variables: &mut Variables<'_>,
    public_url: Option<&str>,
) -> Result<(Draft, AuthserviceContract), MigrationError> {
    let issuer = variables.take("OIDC_PROVIDER").ok_or(MigrationError::Missing { name: "OIDC_PROVIDER" })?;
    let mut draft = Draft::of("authservice");
    let prefix = prefix(variables, &mut draft);
    let callback = variables.take("REDIRECT_URL").map_or_else(|| format!("{prefix}/oidc/callback"), str::to_owned);
    let contract = contract(variables, &mut draft, &prefix);
    addresses(variables, &mut draft, &callback, &prefix, public_url);
    if !variables.in_its_place {
        left_to_requests(variables, &mut draft, &contract, &prefix);
    }
    provider(variables, &mut draft, issuer, &callback);
    identity(variables, &mut draft);
    sessions(variables, &mut draft);
    headers(variables, &mut draft);
    rules(variables, &mut draft, &prefix);
    rest(variables, &mut draft);
    bearers(variables, &mut draft, issuer);
    pages(variables, &mut draft);
    Ok((draft, contract))
}

fn contract(variables: &mut Variables<'_>, draft: &mut Draft, prefix: &str) -> AuthserviceContract {
    let header = variables.take("AUTH_HEADER").unwrap_or("Authorization");
    let session_header = HeaderName::try_from(header).unwrap_or_else(|_| {
        draft.leave_to_do("AUTH_HEADER", format!("`{header}` is no header name; write `Authorization`"));
        http::header::AUTHORIZATION
    });
    let verify = variables.take("VERIFY_AUTH_URL").map_or_else(|| format!("{prefix}/verify"), path_of);
    AuthserviceContract {
        session_header,
        logout: format!("{prefix}/logout"),
        verify: verify.trim_end_matches('/').to_owned(),
        after_logout: variables
            .take("AFTER_LOGOUT_URL")
            .map_or_else(|| format!("{prefix}/site/after_logout"), str::to_owned),
        site: SocketAddr::from((host(variables, draft), port(variables, draft, &["WEB_SERVER_PORT"], 8082))),
        site_prefix: format!("{prefix}/site"),
    }
}

/// The path of a URL that may be relative.
fn path_of(text: &str) -> String {
    let base = url::Url::parse("https://relative.invalid").ok();
    url::Url::options().base_url(base.as_ref()).parse(text).map(|url| url.path().to_owned()).unwrap_or_default()
}

fn host(variables: &mut Variables<'_>, draft: &mut Draft) -> IpAddr {
    let everywhere = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    variables.take("SERVER_HOSTNAME").map_or(Ok(everywhere), str::parse).unwrap_or_else(|_| {
        draft.leave("SERVER_HOSTNAME", "only an IP address can be listened on; all of them are");
        everywhere
    })
}

fn port(variables: &mut Variables<'_>, draft: &mut Draft, names: &[&'static str], default: u16) -> u16 {
    let Some((name, text)) = variables.first(names) else { return default };
    text.parse().unwrap_or_else(|_| {
        draft.leave(name, format!("it is no port; {default} is listened on"));
        default
    })
}

/// `AUTHSERVICE_URL_PREFIX` as a path without a slash at its end; empty for the root.
fn prefix(variables: &mut Variables<'_>, draft: &mut Draft) -> String {
    let Some(text) = variables.take("AUTHSERVICE_URL_PREFIX") else { return "/authservice".to_owned() };
    let path = path_of(text).trim_matches('/').to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    if path.is_empty() || !path.split('/').all(|part| !part.is_empty() && part.chars().all(plain)) {
        if variables.in_its_place {
            let why =
                "everything below it is open to everybody, and this is no plain path: write one such as /authservice/";
            draft.leave_to_do("AUTHSERVICE_URL_PREFIX", why);
        } else {
            draft.leave("AUTHSERVICE_URL_PREFIX", "our own pages need a plain path, and have `/oauth2`");
        }
        return String::new();
    }
    format!("/{path}")
}

fn addresses(variables: &mut Variables<'_>, draft: &mut Draft, callback: &str, prefix: &str, public_url: Option<&str>) {
    let told = variables.environment.contains_key("COUNTERSIGN_PUBLIC_URL");
    let mut elsewhere = ["AFTER_LOGOUT_URL", "HOMEPAGE_URL"].into_iter().filter_map(|name| variables.take(name));
    // An address that people are sent to afterwards may be another site's: good for a draft, not to be run with.
    let elsewhere = elsewhere.find_map(origin).filter(|_| !variables.in_its_place);
    match public_url.and_then(origin).or_else(|| origin(callback)).or(elsewhere) {
        Some(url) => {
            draft.root.text("public_url", url).note("What people type.");
        }
        None if variables.in_its_place && told => {}
        None if variables.in_its_place => {
            let why = "nothing says what people type, and so which address sign-ins return to, and whether cookies can be \
                       Secure. Set COUNTERSIGN_PUBLIC_URL=https://kubeflow.example.com beside authservice's variables";
            draft.leave_to_do("REDIRECT_URL", why);
            draft.root.text("public_url", "https://kubeflow.example.com");
        }
        None => {
            draft.leave_to_do("public_url", "authservice never knew it; write the address that people type");
            draft.root.text("public_url", "https://kubeflow.example.com").note("TO DO: the address that people type.");
        }
    }
    let address = host(variables, draft);
    let main = port(variables, draft, &["SERVER_PORT", "PORT"], 8080);
    let mut admin = port(variables, draft, &["READINESS_PROBE_PORT"], 8081);
    if main == admin && main != 0 {
        admin = main.checked_add(1).unwrap_or(main - 1);
        draft.leave("READINESS_PROBE_PORT", format!("it was the main port too; health has {admin}"));
    }
    let mut listen = Block::default();
    listen.text("main", SocketAddr::from((address, main)).to_string());
    listen
        .text("admin", SocketAddr::from((address, admin)).to_string())
        .note("Readiness is at /readyz here, health at /livez, metrics at /metrics.");
    draft.root.block("listen", listen).note("As before, so that the Service may stay.");
    if !prefix.is_empty() {
        let mut paths = Block::default();
        paths.text("prefix", prefix);
        let note = format!(
            "{prefix}/start, {prefix}/sign_out and so on. Route this prefix, and the callback, to the main port: we do \
             not answer them as part of a check, as authservice did. Checks have `pathPrefix: /check` at the gateway."
        );
        draft.root.block("paths", paths).note(note);
    }
    if let Some(url) = variables.take("HOMEPAGE_URL") {
        draft.leave(
            "HOMEPAGE_URL",
            format!("whoever came back without a code was sent to {url}; now to the front page"),
        );
    }
    if let Some((name, url)) = variables.first(&["AFTER_LOGIN_URL", "STATIC_DESTINATION_URL"]) {
        draft.leave(name, format!("everybody landed at {url} after signing in; now where they wanted to go"));
    }
}

/// What authservice answered as part of a check, and a file of ours does not.
fn left_to_requests(variables: &mut Variables<'_>, draft: &mut Draft, contract: &AuthserviceContract, prefix: &str) {
    if let Some(url) = variables.take("AFTER_LOGOUT_URL") {
        draft.leave(
            "AFTER_LOGOUT_URL",
            format!(
                "people were sent to {url} after a sign-out; now to a page that says so and links to the front page"
            ),
        );
    }
    draft.leave(
        "VERIFY_AUTH_URL",
        format!("{}/… said 204, 401 or 403 of the path behind it. Ask /check/… instead: 200 allows", contract.verify),
    );
    draft.leave(
        format!("POST {}", contract.logout),
        format!(
            "it ended the session that came as a bearer token. Send people to {prefix}/sign_out instead (Kubeflow's \
             dashboard: the variable LOGOUT_URL of `centraldashboard`)"
        ),
    );
}

fn provider(variables: &mut Variables<'_>, draft: &mut Draft, issuer: &str, callback: &str) {
    let mut provider = Block::default();
    provider.text("id", if issuer.contains("dex") { "dex" } else { "idp" });
    provider.text("issuer", issuer).note("To the letter as its tokens say it.");
    if let Some(id) = variables.take("CLIENT_ID") {
        provider.text("client_id", id);
    } else {
        draft.leave_to_do(
            "CLIENT_ID",
            "it was not among the settings (Kubeflow: Secret oidc-authservice-client); write it",
        );
        provider.text("client_id", "authservice-oidc").note("TO DO: the CLIENT_ID of the Secret.");
    }
    // Named, so that it counts as known; never looked at.
    variables.asked.push("CLIENT_SECRET");
    provider
        .set("client_secret", Value::Variable("CLIENT_SECRET"))
        .note("From the variable that authservice read too. A mounted file is better: {file: /path/to/it}.");
    if let Some(url) = variables.take("OIDC_AUTH_URL") {
        provider.text("authorization_url", url);
    }
    provider.text("redirect_uri", callback).note("As it is registered at the provider.");
    let scopes = variables.take("OIDC_SCOPES").map_or_else(|| vec!["openid".to_owned(), "email".to_owned()], list);
    let scopes = with_openid(scopes);
    provider
        .list("scopes", scopes)
        .note("With offline_access (where the provider knows it) groups are read anew during a session.");
    draft.root.blocks("providers", vec![provider]);
    if let Some(path) = variables.take("CA_BUNDLE") {
        let mut egress = Block::default();
        egress.text("ca_bundle", path);
        draft.root.block("egress", egress);
    }
}

fn with_openid(mut scopes: Vec<String>) -> Vec<String> {
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

fn identity(variables: &mut Variables<'_>, draft: &mut Draft) {
    let mut user = Block::default();
    user.text("claim", variables.take("USERID_CLAIM").unwrap_or("email"));
    if let Some(prefix) = variables.take("USERID_PREFIX") {
        user.text("prefix", prefix);
    }
    let mut groups = Block::default();
    groups.text("claim", variables.take("GROUPS_CLAIM").unwrap_or("groups"));
    let mut identity = Block::default();
    identity
        .block("user", user)
        .note(
            "authservice never looked whether an address is verified. We refuse one that is not: `email_verified: true` \
             must be in the token, or write `allow_unverified_email: true` here.",
        )
        .block("groups", groups);
    // A group's name may hold a space.
    let groups_of = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect()
    };
    let allowed =
        variables.take("GROUPS_ALLOWLIST").map(groups_of).filter(|groups| groups.iter().all(|group| group != "*"));
    if let Some(groups) = allowed.filter(|groups| !groups.is_empty()) {
        let mut admit = Block::default();
        admit.list("groups", groups);
        identity.block("admit", admit);
    }
    draft.root.block("identity", identity);
    if let Some(transformers) = variables.take("USERID_TRANSFORMERS").filter(|text| *text != "[]") {
        draft.leave_to_do(
            "USERID_TRANSFORMERS",
            format!(
                "they rewrote the user by {transformers}. Write the same as transforms of the user \
                 (docs/configuration.md), or people will have other names, and not reach what is theirs"
            ),
        );
    }
}

fn sessions(variables: &mut Variables<'_>, draft: &mut Draft) {
    let max_age = variables
        .take("SESSION_MAX_AGE")
        .map_or(Some(86400), |text| text.parse::<u64>().ok().filter(|seconds| (1..=400 * 86400).contains(seconds)));
    let max_age = max_age.unwrap_or_else(|| {
        draft.leave("SESSION_MAX_AGE", "it is no number of seconds between one and 400 days; it is one day now");
        86400
    });
    let strict = variables.flag("STRICT_SESSION_VALIDATION", false);
    let mut session = Block::default();
    lifetimes(&mut session, max_age, strict.then_some(60));
    session.note(if strict {
        "STRICT_SESSION_VALIDATION asked the provider at each request. We do once a minute, beside the requests; that \
         needs the scope offline_access."
    } else {
        "How often the provider is asked anew, where it lets us (offline_access)."
    });
    draft.root.block("session", session);
    if max_age < 300 {
        let mut token = Block::default();
        token.word("lifetime", format!("{}s", max_age.max(30)));
        draft.root.block("token", token);
    }
    let (store, path) = (variables.take("SESSION_STORE_TYPE"), variables.first(&["SESSION_STORE_PATH", "STORE_PATH"]));
    let path = path.map_or(STORE, |(_, path)| path);
    let home = std::path::Path::new(path).parent().unwrap_or_else(|| std::path::Path::new("/var/lib/authservice"));
    draft.root.text("data_dir", home.join("countersign").to_string_lossy()).note(
        "On the volume that was authservice's, which it leaves as it is. Sessions are not taken over: everybody signs \
         in once more.",
    );
    if store == Some("redis") {
        draft.leave_to_do(
            "SESSION_STORE_TYPE=redis",
            "sessions are in a file in `data_dir` here: give it a volume, and run one replica",
        );
    }
    for name in ["SESSION_STORE_REDIS_ADDR", "SESSION_STORE_REDIS_DB", "SESSION_STORE_REDIS_PWD"] {
        if variables.take(name).is_some() {
            draft.leave(name, "where authservice's sessions were; nothing reads it");
        }
    }
    if variables.take("OIDC_STATE_STORE_PATH").is_some() {
        draft.leave("OIDC_STATE_STORE_PATH", "logins under way are kept in the browser, sealed; there is no file");
    }
    if let Some(site) = variables.take("SESSION_SAME_SITE").filter(|site| !site.eq_ignore_ascii_case("lax")) {
        draft.leave("SESSION_SAME_SITE", format!("cookies were SameSite={site}; ours are Lax, Secure and HttpOnly"));
    }
}

/// `max_age`, no idle limit below it (there was none), and the renewal within it.
pub(super) fn lifetimes(session: &mut Block, max_age: u64, renew_every: Option<u64>) {
    let written = |seconds: u64| match seconds {
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    session.word("max_age", written(max_age));
    session.word("idle", written(max_age)).note("There was no limit to idleness. Shorter is safer: 8h.");
    session.word("renew_every", written(renew_every.unwrap_or(900).clamp(1, max_age)));
}

fn headers(variables: &mut Variables<'_>, draft: &mut Draft) {
    let user = variables.take("USERID_HEADER").unwrap_or("kubeflow-userid");
    let groups = variables.take("GROUPS_HEADER").unwrap_or("kubeflow-groups");
    let mut headers = Block::default();
    for (name, field) in [(user, "user"), (groups, "groups")] {
        // A header that we could not own must not make the whole file worthless.
        if name.contains('_') || http::HeaderName::try_from(name).is_err() {
            draft.leave_to_do(
                format!("the header {name}"),
                format!(
                    "it carried the {field}. A name with `_` is read as one with `-` by many servers: take another"
                ),
            );
        } else {
            headers.word(&name.to_ascii_lowercase(), field);
        }
    }
    draft.root.block("headers", headers).note(
        "List them in headersToUpstreamOnAllow (EnvoyFilter: allowed_upstream_headers), and `authorization`, which \
         carries our own token.",
    );
    if let Some(name) = variables.take("USERID_TOKEN_HEADER") {
        draft.leave(
            "USERID_TOKEN_HEADER",
            format!(
                "{name} carried the provider's ID token. No provider's token leaves us; `token: {{header: …}}` names \
                 the header for our own"
            ),
        );
    }
    if let Some(name) = variables.take("AUTH_METHOD_HEADER") {
        draft.leave(
            "AUTH_METHOD_HEADER",
            format!("{name} told how somebody had signed in; the token's `idp` tells by whom"),
        );
    }
}

fn rules(variables: &mut Variables<'_>, draft: &mut Draft, prefix: &str) {
    let mut skipped: Vec<&str> = Vec::new();
    for name in ["SKIP_AUTH_URLS", "SKIP_AUTH_URI"] {
        let paths = variables.take(name).unwrap_or_default();
        skipped.extend(paths.split(|c: char| c == ',' || c.is_whitespace()).filter(|path| !path.is_empty()));
    }
    let mut rules: Vec<Block> = Vec::new();
    let mut covered: Vec<&str> = Vec::new();
    if variables.in_its_place && !prefix.is_empty() {
        covered.push(prefix);
        rules.push(open(prefix));
    }
    for path in skipped {
        if path.trim_end_matches('/') == prefix {
            // Always among them, and our own paths pass anyway.
            continue;
        }
        let is_plain = path.starts_with('/')
            && !path.contains("//")
            && !path.chars().any(|c| "%?#;\\*".contains(c) || c.is_control())
            && !path.split('/').any(|part| matches!(part, "." | ".."));
        if !is_plain {
            draft.leave_to_do(
                format!("SKIP_AUTH_URLS: {path}"),
                "it was open to everybody. No path prefix can be written so; write a rule for it with `path_regex`",
            );
            continue;
        }
        if covered.iter().any(|other| covers(other, path)) {
            continue;
        }
        covered.push(path);
        rules.push(open(path));
    }
    draft.root.blocks("rules", rules).note(
        "Open to everybody, and without identity headers: what a client sends in their place is removed, which \
         authservice let through. `/dex` covers /dex and all below /dex/; authservice let /dexter pass as well.",
    );
}

fn open(path: &str) -> Block {
    let mut rule = Block::default();
    rule.text("path", path).word("access", "public").word("authorization", "keep");
    rule
}

/// Whether the prefix `one` covers all that `other` covers.
fn covers(one: &str, other: &str) -> bool {
    other.strip_prefix(one).is_some_and(|rest| one.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

fn rest(variables: &mut Variables<'_>, draft: &mut Draft) {
    if let Some(level) = variables.take("LOG_LEVEL") {
        let level = match level.to_ascii_lowercase().as_str() {
            "fatal" => "error".to_owned(),
            level @ ("error" | "warn" | "info" | "debug") => level.to_owned(),
            _ => "info".to_owned(),
        };
        let mut log = Block::default();
        log.word("level", level);
        draft.root.block("log", log);
    }
    if let Some(url) = variables.take("EXTERNAL_AUTHZ_URL") {
        let url = super::super::validate::without_password(url);
        draft.leave_to_do(
            "EXTERNAL_AUTHZ_URL",
            format!(
                "{url} was asked about each request, and could deny it. Nobody asks it any more, so that MORE IS \
                 ALLOWED than was. Write its decisions as `rules` or as an AuthorizationPolicy on our token's claims, \
                 or put it behind us as a second ext_authz provider"
            ),
        );
    }
    if variables.flag("CACHE_ENABLED", false) || variables.take("CACHE_EXPIRATION_MINUTES").is_some() {
        draft.leave("CACHE_ENABLED", "what a bearer token meant was kept; a source's `cache_for` says how long");
    }
    // Asked above only where the first was off.
    variables.asked.push("CACHE_EXPIRATION_MINUTES");
}

/// The ways in without a browser. authservice had them on unless told otherwise.
fn bearers(variables: &mut Variables<'_>, draft: &mut Draft, issuer: &str) {
    let audiences = variables
        .take("AUDIENCES")
        .map_or_else(|| vec!["istio-ingressgateway.istio-system.svc.cluster.local".to_owned()], list);
    let audiences = audiences.join(", ");
    let header = variables.take("AUTH_HEADER").unwrap_or("Authorization");
    let id_token_header = variables.take("ID_TOKEN_HEADER").unwrap_or("Authorization");
    let client = variables.take("CLIENT_ID").unwrap_or("the client id");
    let access_token = variables.take("ACCESS_TOKEN_AUTHN").unwrap_or("jwt");
    let mut say = |name: &'static str, on: bool, what: &str, line: String| {
        if on {
            let why = format!("{what} could enter without a browser. Where that is used, configure: {line}");
            draft.leave(name, why);
        }
    };
    say(
        "KUBERNETES_AUTHN_ENABLED, AUDIENCES",
        variables.flag("KUBERNETES_AUTHN_ENABLED", true),
        "Kubernetes ServiceAccount tokens",
        format!("bearer: [{{kind: kubernetes, audiences: [{audiences}]}}]"),
    );
    let with_access_token = variables.flag("ACCESS_TOKEN_AUTHN_ENABLED", true);
    say(
        "ACCESS_TOKEN_AUTHN_ENABLED, ACCESS_TOKEN_AUTHN",
        with_access_token && access_token == "jwt",
        "JWT access tokens of the provider",
        format!("bearer: [{{kind: jwt, issuer: {issuer}, audiences: [{audiences}], algorithms: [RS256]}}]"),
    );
    say(
        "ACCESS_TOKEN_AUTHN_ENABLED, ACCESS_TOKEN_AUTHN=opaque",
        with_access_token && access_token != "jwt",
        "opaque access tokens, by the provider's userinfo endpoint,",
        "bearer: [{kind: introspection, …}], which asks the introspection endpoint (RFC 7662)".to_owned(),
    );
    say(
        "IDTOKEN_AUTHN_ENABLED, ID_TOKEN_HEADER",
        variables.flag("IDTOKEN_AUTHN_ENABLED", true),
        &format!("ID tokens in {id_token_header}"),
        format!("bearer: [{{kind: jwt, issuer: {issuer}, audiences: [{client}], algorithms: [RS256]}}]"),
    );
    say(
        "AUTH_HEADER",
        true,
        &format!("a session's value in {header}"),
        format!("bearer: [{{kind: session, header: {}}}]", header.to_ascii_lowercase()),
    );
}

fn pages(variables: &mut Variables<'_>, draft: &mut Draft) {
    if let Some(name) = variables.take("CLIENT_NAME") {
        let mut pages = Block::default();
        pages.text("title", name);
        draft.root.block("pages", pages);
    }
    let looks: Vec<&str> =
        ["THEMES_URL", "THEME", "TEMPLATE_PATH"].into_iter().filter(|name| variables.take(name).is_some()).collect();
    let context = variables.environment.keys().filter(|name| name.starts_with(TEMPLATE_CONTEXT)).map(String::as_str);
    let looks: Vec<&str> = looks.into_iter().chain(context).collect();
    if !looks.is_empty() {
        let why = "templates and themes have another form; `pages: {templates: DIRECTORY}` replaces ours one by one";
        draft.leave(looks.join(", "), why);
    }
    if let Some(port) = variables.take("WEB_SERVER_PORT").filter(|_| !variables.in_its_place) {
        draft.leave("WEB_SERVER_PORT", format!("pages had port {port} of their own; ours are on the main port"));
    }
}
