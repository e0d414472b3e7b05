//! The identity providers, and whether their users can be told apart.

use http::HeaderName;
use url::Url;

use super::super::problem::Report;
use super::super::raw::{self, Raw};
use super::super::tree::Spot;
use super::super::variables::Environment;
use super::super::{Access, ClientAuth, IdentityField, IdentitySettings, ProviderSettings, RuleSettings};
use super::{address, identity, missing, secret};
use crate::identity::ProviderId;
use crate::secret::SecretText;

const ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

pub(super) fn all(
    raw: &Raw,
    path_prefix: &str,
    root: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Vec<ProviderSettings> {
    let at = root.field("providers");
    if raw.providers.is_empty() && at.node().is_none_or(|node| !node.pruned && node.list().is_empty()) {
        let instead =
            "Write at least one: `providers: [{id: dex, issuer: https://…, client_id: …, client_secret: …}]`.";
        report.refuse(at.problem("no identity provider is configured", instead));
    }
    // Judged even where no provider inherits it.
    identity::settings(&raw.identity, &root.field("identity"), report);
    let check = raw.paths.check.as_str();
    let mut providers: Vec<ProviderSettings> = Vec::new();
    for (index, raw) in raw.providers.iter().enumerate() {
        let at = at.index(index);
        if let Some(provider) = one(raw, &at, environment, report) {
            tell_from_our_paths(&provider, (path_prefix, check), &at, report);
            if providers.iter().any(|other| other.id == provider.id) {
                let what = format!("another provider is called `{}` too", provider.id);
                report.refuse(at.field("id").problem(what, "Give each its own id."));
            } else {
                tell_apart(&providers, &provider, &at, report);
                tell_callbacks_apart(&providers, &provider, path_prefix, &at, report);
            }
            providers.push(provider);
        }
    }
    providers
}

/// What to do where several may say the same of their users.
pub(super) const SPEAK_FOR_ALL: &str = "Name users instead (`users` in rules, `user` in headers), which no other \
                                        provider can; or let nobody run a provider who may not speak for all.";

/// Warns of what a provider could say of its users as another one does of its own.
pub(super) fn spoken_for(
    providers: &[ProviderSettings],
    headers: &[(HeaderName, IdentityField)],
    rules: &[RuleSettings],
    at: &Spot<'_>,
    report: &mut Report,
) {
    let shared = providers.iter().enumerate().find_map(|(index, one)| {
        let other = providers[index + 1..].iter().find(|other| !domains_differ(&one.identity, &other.identity))?;
        Some((one, other))
    });
    let Some((one, other)) = shared else { return };
    let used = believed_of_everybody(headers, rules);
    if !used.is_empty() {
        let what = format!(
            "{} of different providers are not kept apart: whoever runs `{}` can give its users those of `{}`",
            used.join(", "),
            other.id,
            one.id
        );
        report.warn(at.problem(what, SPEAK_FOR_ALL));
    }
}

/// What of an identity workloads or rules go by besides the user's name, which alone is told apart.
pub(super) fn believed_of_everybody(
    headers: &[(HeaderName, IdentityField)],
    rules: &[RuleSettings],
) -> Vec<&'static str> {
    let carries = |field| headers.iter().any(|(_, carried)| *carried == field);
    let asks = |asked: fn(&Access) -> bool| rules.iter().any(|rule| asked(&rule.access));
    let by_groups = asks(|access| matches!(access, Access::Only { groups, .. } if !groups.is_empty()));
    let by_domains = asks(|access| matches!(access, Access::Only { domains, .. } if !domains.is_empty()));
    let used = [
        ("groups", carries(IdentityField::Groups) || by_groups),
        ("e-mail addresses", carries(IdentityField::Email) || by_domains),
        ("subjects", carries(IdentityField::Subject)),
    ];
    used.into_iter().filter_map(|(what, is_used)| is_used.then_some(what)).collect()
}

fn one(raw: &raw::Provider, at: &Spot<'_>, environment: &Environment, report: &mut Report) -> Option<ProviderSettings> {
    let id = match &raw.id {
        None => {
            missing(&at.field("id"), "Write a short name for URLs and logs: `id: dex`.", report);
            None
        }
        Some(text) => ProviderId::parse(text.as_str())
            .map_err(|error| {
                let what = format!("`{text}` is no provider id: {error}");
                report.refuse(at.field("id").problem(what, "Write a short name: `dex`."));
            })
            .ok(),
    };
    let issuer = issuer(raw.issuer.as_deref(), &at.field("issuer"), report);
    if raw.client_id.as_ref().is_none_or(|id| id.trim().is_empty()) {
        let at = at.field("client_id");
        missing(&at, "Write the client id that the provider registered for us.", report);
        if raw.client_id.is_some() {
            report.refuse(at.problem("it is empty", "Write the client id that the provider registered for us."));
        }
    }
    let client_auth = client_auth(raw, at, environment, report);
    scopes(raw, at, report);
    algorithms(&raw.algorithms, &at.field("algorithms"), report);
    for (name, text) in [("authorization_url", &raw.authorization_url), ("redirect_uri", &raw.redirect_uri)] {
        if let Some(text) = text
            && (!text.starts_with('/') || text.starts_with("//"))
            && http_url(text).is_none()
        {
            let what = format!("`{text}` is neither a URL nor a path");
            report.refuse(at.field(name).problem(what, "Write `https://…`, or a path that begins with one slash."));
        }
    }
    let mut called = |name: &str, text: &Option<String>, danger: &str| {
        let text = text.as_ref()?;
        let (url, at) = (http_url(text), at.field(name));
        match &url {
            None => report.refuse(at.problem(format!("`{text}` is no URL"), "Write `https://…`.")),
            Some(url) => address::refuse_plain_http(url, danger, &at, report),
        }
        url
    };
    let token_url = called("token_url", &raw.token_url, "our client secret and users' codes would travel there");
    let userinfo_url = called("userinfo_url", &raw.userinfo_url, "users' access tokens would travel there");
    let jwks_url = called("jwks_url", &raw.jwks_url, address::KEYS_IN_DANGER);
    let identity = identity::settings(&raw.identity, &at.field("identity"), report);
    let id = id?;
    Some(ProviderSettings {
        name: raw.name.clone().unwrap_or_else(|| id.to_string()),
        id,
        issuer,
        client_id: raw.client_id.clone().unwrap_or_default(),
        client_auth,
        scopes: raw.scopes.clone(),
        authorization_url: raw.authorization_url.clone(),
        token_url,
        userinfo_url,
        jwks_url,
        redirect_uri: raw.redirect_uri.clone(),
        form_post: raw.response_mode == raw::ResponseMode::FormPost,
        algorithms: raw.algorithms.clone(),
        identity,
    })
}

pub(super) fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none()).then_some(url)
}

pub(super) fn issuer(text: Option<&str>, at: &Spot<'_>, report: &mut Report) -> String {
    let Some(text) = text else {
        let instead = "Write the issuer as the provider's discovery document says it: `https://dex.example.com`.";
        missing(at, instead, report);
        return String::new();
    };
    match http_url(text).filter(|url| url.query().is_none() && url.username().is_empty() && url.password().is_none()) {
        None => {
            let what = "it is no issuer: that is an https:// URL without user, query and fragment";
            report.refuse(at.problem(what, "Write it as the provider's discovery document says it."));
        }
        Some(url) if url.scheme() == "http" && !address::is_nearby(&url) => {
            let what =
                format!("{} is asked over plain http: whoever sits on the way decides who signs in", url.authority());
            report.warn(at.problem(what, "Write an https:// issuer."));
        }
        Some(_) => {}
    }
    text.to_owned()
}

fn client_auth(raw: &raw::Provider, at: &Spot<'_>, environment: &Environment, report: &mut Report) -> ClientAuth {
    let at_secret = at.field("client_secret");
    let secret = raw.client_secret.as_ref().map(|raw| secret::text(raw, &at_secret, environment, report));
    if raw.client_auth == raw::ClientAuth::None {
        if at_secret.is_written() {
            let what = "there is a client secret, though client_auth is `none`";
            report.refuse(at_secret.problem(what, "Take the secret out, or write `client_auth: basic`."));
        }
        return ClientAuth::None;
    }
    if secret.is_none() {
        let instead = "Write `client_secret: {file: /path/to/it}`, or `client_auth: none` for a public client.";
        missing(&at_secret, instead, report);
    }
    let secret = secret.flatten().unwrap_or_else(|| SecretText::new(String::new()));
    if raw.client_auth == raw::ClientAuth::Post { ClientAuth::Post(secret) } else { ClientAuth::Basic(secret) }
}

fn scopes(raw: &raw::Provider, at: &Spot<'_>, report: &mut Report) {
    let at = at.field("scopes");
    if !raw.scopes.iter().any(|scope| scope == "openid") {
        let what = "`openid` is not among them, and without it there is no ID token";
        report.refuse(at.problem(what, "Add `openid`."));
    }
    for (index, scope) in raw.scopes.iter().enumerate() {
        let token = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
        if scope.is_empty() || !scope.chars().all(token) {
            let what = format!("`{scope}` is no scope");
            report.refuse(at.index(index).problem(what, "Write one scope an element: `[openid, email]`."));
        }
    }
}

pub(super) fn algorithms(raw: &[String], at: &Spot<'_>, report: &mut Report) {
    if raw.is_empty() {
        report.refuse(at.problem("without any, no ID token could be good", "Write `[RS256]`, or leave the key out."));
    }
    for (index, name) in raw.iter().enumerate().filter(|(_, name)| !ALGORITHMS.contains(&name.as_str())) {
        let what = match name.to_ascii_lowercase().as_str() {
            "none" => "`none` is no signature: anybody could sign in as anybody".to_owned(),
            "hs256" | "hs384" | "hs512" => {
                format!("`{name}` is signed with the client secret, which more than one knows")
            }
            _ => format!("`{name}` is not known here"),
        };
        report.refuse(at.index(index).problem(what, format!("Write some of {}.", ALGORITHMS.join(", "))));
    }
}

/// Refuses a provider that could name a user as another one does.
fn tell_apart(earlier: &[ProviderSettings], provider: &ProviderSettings, at: &Spot<'_>, report: &mut Report) {
    for other in earlier.iter().filter(|other| could_collide(&other.identity, &provider.identity)) {
        let what = format!(
            "`{}` could name a user exactly as `{}` does, and let one be taken for the other",
            provider.id, other.id
        );
        let rewritten =
            [&other.identity, &provider.identity].iter().any(|settings| !settings.user_transform.is_empty());
        let instead = if rewritten {
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another: what `transform` makes of \
             users is not told apart by their `email_domains`."
        } else {
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named \
             by `email`, its own `identity: {admit: {email_domains: […]}}`."
        };
        report.refuse(at.problem(what, instead));
    }
}

pub(super) fn could_collide(one: &IdentitySettings, other: &IdentitySettings) -> bool {
    let (a, b) = (&one.user_prefix, &other.user_prefix);
    let prefixes_differ = !a.starts_with(b.as_str()) && !b.starts_with(a.as_str());
    // The domains of addresses say something of users only if users are named by their addresses, whole.
    let by_address = |settings: &IdentitySettings| settings.user_claim == "email" && settings.user_transform.is_empty();
    let by_email = by_address(one) && by_address(other) && a == b;
    !(prefixes_differ || (by_email && domains_differ(one, other)))
}

pub(super) fn domains_differ(one: &IdentitySettings, other: &IdentitySettings) -> bool {
    let (ours, theirs) = (&one.admit.email_domains, &other.admit.email_domains);
    !ours.iter().chain(theirs).any(|domain| domain == "*") && !ours.iter().any(|domain| theirs.contains(domain))
}

/// Refuses a provider that answers where another one does: one could send a browser on to the other, and be handed the
/// code that comes back (RFC 9700 section 4.4).
fn tell_callbacks_apart(
    earlier: &[ProviderSettings],
    provider: &ProviderSettings,
    path_prefix: &str,
    at: &Spot<'_>,
    report: &mut Report,
) {
    let path = callback_path(provider, path_prefix);
    for other in earlier.iter().filter(|other| path.is_some() && callback_path(other, path_prefix) == path) {
        let path = path.as_deref().unwrap_or_default();
        let what = format!(
            "`{}` would answer at `{path}` as `{}` does, and let one be taken for the other",
            provider.id, other.id
        );
        let instead = format!(
            "Leave `redirect_uri` out, or give each a path that ends in its id: `{path_prefix}/callback/{}`.",
            provider.id
        );
        report.refuse(at.field("redirect_uri").problem(what, instead));
    }
}

/// The path alone: that is all that the callback is told apart by, on whatever host. None if it is no address.
fn callback_path(provider: &ProviderSettings, path_prefix: &str) -> Option<String> {
    match &provider.redirect_uri {
        Some(_) => provider.redirect_path(),
        None => Some(format!("{path_prefix}/callback/{}", provider.id)),
    }
}

/// What is ours behind the prefix, besides the callback.
const OUR_STEPS: [&str; 8] = [
    "start",
    "sign_out",
    "signed_out",
    "userinfo",
    "sessions",
    "backchannel_logout",
    "frontchannel_logout",
    "unavailable",
];

/// Refuses a redirect URI whose path means something else already, or cannot be served.
fn tell_from_our_paths(
    provider: &ProviderSettings,
    (path_prefix, check): (&str, &str),
    at: &Spot<'_>,
    report: &mut Report,
) {
    let Some(path) = provider.redirect_path() else { return };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '/');
    let step = path.strip_prefix(path_prefix).and_then(|rest| rest.strip_prefix('/'));
    let taken = step.and_then(|step| step.split('/').next()).is_some_and(|step| OUR_STEPS.contains(&step));
    let what = if !path.chars().all(plain) || path.contains("//") || path == "/" {
        format!("`{path}` is no path that browsers can come back to")
    } else if taken || ["/.well-known", "/forward-auth", check].iter().any(|ours| address::below(&path, ours)) {
        format!("`{path}` is ours already")
    } else {
        return;
    };
    let instead = format!("Write another path, as it is registered at the provider: `{path_prefix}/callback`.");
    report.refuse(at.field("redirect_uri").problem(what, instead));
}
