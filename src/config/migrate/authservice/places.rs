//! Where authservice was found: addresses, ports, paths.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderName;

use super::super::draft::{Block, Draft};
use super::super::origin;
use super::{AfterLogin, AuthserviceContract, Variables};

/// `AUTHSERVICE_URL_PREFIX` as a path without a slash at its end; empty for the root.
pub(super) fn prefix(variables: &mut Variables<'_>, draft: &mut Draft) -> String {
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

pub(super) fn contract(variables: &mut Variables<'_>, draft: &mut Draft, prefix: &str) -> AuthserviceContract {
    let header = variables.take("AUTH_HEADER").unwrap_or("Authorization");
    let session_header = HeaderName::try_from(header).unwrap_or_else(|_| {
        draft.leave_to_do("AUTH_HEADER", format!("`{header}` is no header name; write `Authorization`"));
        http::header::AUTHORIZATION
    });
    let verify = variables.take("VERIFY_AUTH_URL").map_or_else(|| format!("{prefix}/verify"), path_of);
    let after_login = destination(variables, draft, "AFTER_LOGIN_URL").map(|url| AfterLogin { url, with_next: true });
    let before_that = destination(variables, draft, "STATIC_DESTINATION_URL");
    AuthserviceContract {
        session_header,
        logout: format!("{prefix}/logout"),
        verify: verify.trim_end_matches('/').to_owned(),
        after_logout: destination(variables, draft, "AFTER_LOGOUT_URL")
            .unwrap_or_else(|| format!("{prefix}/site/after_logout")),
        after_login: after_login.or_else(|| Some(AfterLogin { url: before_that?, with_next: false })),
        homepage: destination(variables, draft, "HOMEPAGE_URL").unwrap_or_else(|| format!("{prefix}/site/homepage")),
        former_headers: former_headers(variables),
        site: SocketAddr::from((host(variables, draft), port(variables, draft, &["WEB_SERVER_PORT"], 8082))),
        site_prefix: format!("{prefix}/site"),
    }
}

fn former_headers(variables: &mut Variables<'_>) -> Vec<HeaderName> {
    let names =
        [Some(variables.take("AUTH_METHOD_HEADER").unwrap_or("Auth-Method")), variables.take("USERID_TOKEN_HEADER")];
    let names = names.into_iter().flatten().filter_map(|name| HeaderName::try_from(name).ok());
    names.filter(|name| !super::super::super::validate::is_taken(name)).collect()
}

/// Where browsers are sent: an address, or a path.
fn destination(variables: &mut Variables<'_>, draft: &mut Draft, name: &'static str) -> Option<String> {
    let text = variables.take(name)?;
    let base = url::Url::parse("https://relative.invalid").ok();
    let url = url::Url::options().base_url(base.as_ref()).parse(text).ok();
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    let is_good = is_plain && url.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_good && variables.in_its_place {
        draft.leave_to_do(name, "browsers cannot be sent there: write `https://…`, or a path such as `/`");
    }
    is_good.then(|| text.to_owned())
}

pub(super) fn addresses(
    variables: &mut Variables<'_>,
    draft: &mut Draft,
    callback: &str,
    prefix: &str,
    public_url: Option<&str>,
) {
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
    if variables.in_its_place {
        former_places(variables, draft, prefix);
    } else {
        places_left(variables, draft);
    }
}

fn former_places(variables: &mut Variables<'_>, draft: &mut Draft, prefix: &str) {
    let address = host(variables, draft);
    let main = port(variables, draft, &["SERVER_PORT", "PORT"], 8080);
    let mut admin = port(variables, draft, &["READINESS_PROBE_PORT"], 8081);
    if main == admin && main != 0 {
        admin = main.checked_add(1).unwrap_or(main - 1);
        draft.leave("READINESS_PROBE_PORT", format!("it was the main port too; health has {admin}"));
    }
    let mut listen = Block::default();
    listen.text("main", SocketAddr::from((address, main)).to_string());
    listen.text("admin", SocketAddr::from((address, admin)).to_string());
    draft.root.block("listen", listen);
    if !prefix.is_empty() {
        let mut paths = Block::default();
        paths.text("prefix", prefix);
        draft.root.block("paths", paths);
    }
}

/// A file of ours is for pods of ours: ports, Service, probes and routes are those of the examples and of the chart.
fn places_left(variables: &mut Variables<'_>, draft: &mut Draft) {
    let names = ["SERVER_HOSTNAME", "SERVER_PORT", "PORT", "READINESS_PROBE_PORT", "WEB_SERVER_PORT"];
    let set: Vec<&str> = names.into_iter().filter(|name| variables.take(name).is_some()).collect();
    if !set.is_empty() {
        let why = "where authservice listened. We listen on 9000 (checks, browsers, keys) and 9001 (health, metrics), as the \
                   examples and the chart have it; `listen` says otherwise";
        draft.leave(set.join(", "), why);
    }
    if variables.take("AUTHSERVICE_URL_PREFIX").is_some() {
        let why = "our pages are below /oauth2/, as the examples and the chart route them; `paths: {prefix: …}` says otherwise";
        draft.leave("AUTHSERVICE_URL_PREFIX", why);
    }
}

/// What authservice answered as part of a check, and a file of ours does not.
pub(super) fn left_to_requests(variables: &mut Variables<'_>, draft: &mut Draft, contract: &AuthserviceContract) {
    if let Some(url) = variables.take("AFTER_LOGOUT_URL") {
        draft.leave(
            "AFTER_LOGOUT_URL",
            format!(
                "people were sent to {url} after a sign-out; now to a page that says so and links to the front page"
            ),
        );
    }
    if let Some(url) = variables.take("HOMEPAGE_URL") {
        draft.leave(
            "HOMEPAGE_URL",
            format!("whoever came back without a code was sent to {url}; now a page says so, and leads to a sign-in"),
        );
    }
    if let Some((name, url)) = variables.first(&["AFTER_LOGIN_URL", "STATIC_DESTINATION_URL"]) {
        let why = format!(
            "everybody landed at {url} after signing in, and now does where they wanted to go. Have the start page of the \
             place lead there, if it must be seen first"
        );
        draft.leave(name, why);
    }
    draft.leave(
        "VERIFY_AUTH_URL",
        format!("{}/… said 204, 401 or 403 of the path behind it. Ask /check/… instead: 200 allows", contract.verify),
    );
    draft.leave(
        format!("POST {}", contract.logout),
        "it ended the session that came as a bearer token. `POST /oauth2/sign_out` ends that of the cookie, and answers \
         scripts as it did (Kubeflow's dashboard: the variable LOGOUT_URL of `centraldashboard`)",
    );
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

/// The path of a URL that may be relative.
fn path_of(text: &str) -> String {
    let base = url::Url::parse("https://relative.invalid").ok();
    url::Url::options().base_url(base.as_ref()).parse(text).map(|url| url.path().to_owned()).unwrap_or_default()
}
