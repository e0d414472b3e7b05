//! authservice's variables, one by one: each becomes a key of ours or a comment.

pub(super) mod bearers;
mod people;
mod places;
mod transformers;

use std::net::SocketAddr;

use http::HeaderName;

use super::super::variables::Environment;
use super::draft::{Block, DATA_DIR, Draft};
use super::env_file::unquoted;
use super::{Migrated, MigrationError};
use bearers::bearers;
use people::{headers, identity, provider};
use places::{addresses, contract, left_to_requests, prefix};

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
    /// Where people land who have signed in, instead of where they wanted to go.
    pub after_login: Option<AfterLogin>,
    /// Where a browser is sent that comes back with nothing: `HOMEPAGE_URL`.
    pub homepage: String,
    /// What only authservice set, and workloads may believe.
    pub former_headers: Vec<HeaderName>,
    /// Where the site listens.
    pub site: SocketAddr,
    /// What the paths of the site begin with: `/authservice/site`.
    pub site_prefix: String,
}

/// Where people land who have signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterLogin {
    /// `AFTER_LOGIN_URL`, or in older images `STATIC_DESTINATION_URL`.
    pub url: String,
    /// Whether the address that they wanted follows as the parameter `next`, as it did behind the former.
    pub with_next: bool,
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
        left_to_requests(variables, &mut draft, &contract);
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
    if variables.in_its_place {
        let path = std::path::Path::new(path.map_or(STORE, |(_, path)| path));
        let home = path.parent().unwrap_or_else(|| std::path::Path::new("/var/lib/authservice"));
        draft.root.text("data_dir", home.join("countersign").to_string_lossy());
    } else {
        draft.root.text("data_dir", DATA_DIR).note(
            "A volume of its own, as the examples and the chart mount it. Sessions are not taken over: everybody signs in \
             once more.",
        );
        if let Some((name, path)) = path {
            draft.leave(name, format!("authservice's sessions stay in {path}, unread, for the way back"));
        }
    }
    if store == Some("redis") {
        let instead = if variables.in_its_place {
            "Run one replica with a volume, and write SESSION_STORE_TYPE=boltdb and SESSION_STORE_PATH on that volume"
        } else {
            "Run one replica, and give `data_dir` a volume"
        };
        let why = format!("sessions are in a file here; a store that replicas share is not there yet. {instead}");
        draft.leave_to_do("SESSION_STORE_TYPE=redis", why);
    }
    for name in ["SESSION_STORE_REDIS_ADDR", "SESSION_STORE_REDIS_DB", "SESSION_STORE_REDIS_PWD"] {
        if variables.take(name).is_some() {
            draft.leave(name, "where authservice's sessions were; nothing reads it, and nobody connects there");
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
}
