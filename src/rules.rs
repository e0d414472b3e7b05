//! Which rule covers a request, and whom it lets pass. Pure: no I/O, no framework. A request that servers could
//! understand in two ways which two rules cover is refused; it never gets the wider of the two.

mod admission;
mod host;
mod path;

#[cfg(test)]
mod tests;

use http::Method;
use thiserror::Error;

use crate::config::{Access, RuleSettings, Unauthenticated};

pub use admission::{NotAdmitted, admitted};

use host::HostMatch;
use path::{Covers, PathRule};

/// The rules of a gateway, compiled: first match wins, and what none matches needs somebody signed in.
#[derive(Debug)]
pub struct Rules {
    listed: Vec<Rule>,
    fallback: Rule,
    by_host: bool,
    ports: Vec<String>,
}

/// One rule, compiled.
#[derive(Debug)]
pub struct Rule {
    /// Its position in the configuration, from 0; the implicit last rule has the number of the others.
    pub index: usize,
    /// Who may pass.
    pub access: Access,
    /// The `aud` of its RC tokens instead of the general one.
    pub audience: Option<Vec<String>>,
    /// Whether the workload gets an RC token.
    pub mint_token: bool,
    /// Whether the client's own `Authorization` is left for the workload.
    pub keep_authorization: bool,
    /// What a request gets that nobody is signed in for: the rule's own answer, or the general one.
    pub unauthenticated: Unauthenticated,
    /// Whether CORS preflights pass, without an identity.
    pub preflight_pass: bool,
    name: String,
    hosts: Vec<HostMatch>,
    methods: Vec<String>,
    path: PathRule,
}

/// Why no rule was chosen: the request could be understood in more than one way, or in none. Its sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Ambiguous {
    /// Not a path: the absolute form, the authority form, nothing at all (RFC 9112 section 3.2).
    #[error("the request target is not a path")]
    NotAPath,
    /// A control character, a space or a `#`, as sent or percent-encoded (a `#` only as sent).
    #[error("the request target holds a character that must not be in one")]
    BadCharacter,
    /// A `%` without two hexadecimal digits, or bytes that are no UTF-8 (overlong forms among them).
    #[error("the path is not percent-encoded UTF-8")]
    BadEncoding,
    /// Not a host with at most a port.
    #[error("the host is not a host name with at most a port")]
    BadHost,
    /// Not an upper-case method.
    #[error("the method is not an upper-case token")]
    BadMethod,
    /// Servers read the path in ways that different rules cover.
    #[error("the path can be read in ways that different rules cover")]
    ReadingsDisagree,
    /// More ways to read the path than are worth looking at.
    #[error("the path can be read in too many ways")]
    TooManyReadings,
}

impl Rules {
    /// Compiles the rules; `general` is the answer to whoever is not signed in where a rule has none of its own, and
    /// `ports` are those that browsers write behind a host name of ours: none where the scheme's own port is used.
    #[must_use]
    pub fn new(settings: &[RuleSettings], general: Unauthenticated, ports: Vec<String>) -> Self {
        let listed: Vec<Rule> =
            settings.iter().enumerate().map(|(index, rule)| Rule::compile(index, rule, general)).collect();
        let by_host = listed.iter().any(|rule| !rule.hosts.is_empty());
        Self { fallback: Rule::fallback(listed.len(), general), listed, by_host, ports }
    }

    /// The rule that covers a request. `host` is what the `Host` header or `:authority` says, `target` the path and
    /// the query as they were sent; the query takes no part.
    ///
    /// # Errors
    /// If the request is malformed, or if not all the ways in which a server may read its path lead to one rule.
    pub fn select(&self, host: &str, method: &str, target: &str) -> Result<&Rule, Ambiguous> {
        let path = path::of_target(target, method)?;
        let authority = host::parse(host)?;
        if self.by_host && !authority.is_told_like_a_gateway_would(&self.ports) {
            return Err(Ambiguous::BadHost);
        }
        let host = authority.name;
        if method.is_empty() || !method.bytes().all(is_method_byte) {
            return Err(Ambiguous::BadMethod);
        }
        let rule = self.covering(host, method, path);
        if !path::is_plain(path) {
            path::for_each_reading(path, |reading| {
                let same = self.covering(host, method, reading).index == rule.index;
                if same { Ok(()) } else { Err(Ambiguous::ReadingsDisagree) }
            })?;
        }
        Ok(rule)
    }

    fn covering(&self, host: &str, method: &str, path: &str) -> &Rule {
        let mut directory = None;
        for rule in self.listed.iter().filter(|rule| rule.covers_host(host) && rule.covers_method(method)) {
            match rule.path.covers(path) {
                Covers::Yes => return stricter(directory, rule),
                Covers::ItsDirectory => directory = directory.or(Some(rule)),
                Covers::No => {}
            }
        }
        stricter(directory, &self.fallback)
    }
}

impl Rule {
    /// What logs call it: `rule 3 (/pipeline/)`, counted from 1, or `default`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn compile(index: usize, settings: &RuleSettings, general: Unauthenticated) -> Self {
        let path = PathRule::compile(&settings.path);
        let access = match path {
            PathRule::Unusable => Access::Only { groups: Vec::new(), users: Vec::new(), domains: Vec::new() },
            _ => settings.access.clone(),
        };
        Self {
            index,
            access,
            audience: settings.audience.clone(),
            mint_token: settings.mint_token,
            keep_authorization: settings.keep_authorization,
            unauthenticated: settings.unauthenticated.unwrap_or(general),
            preflight_pass: settings.preflight_pass,
            name: format!("rule {} ({path})", index + 1),
            hosts: settings.hosts.iter().map(|host| HostMatch::compile(host)).collect(),
            methods: settings.methods.clone(),
            path,
        }
    }

    fn fallback(index: usize, general: Unauthenticated) -> Self {
        Self {
            index,
            access: Access::SignedIn,
            audience: None,
            mint_token: true,
            keep_authorization: false,
            unauthenticated: general,
            preflight_pass: false,
            name: "default".into(),
            hosts: Vec::new(),
            methods: Vec::new(),
            path: PathRule::Any,
        }
    }

    fn covers_host(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.covers(host))
    }

    fn covers_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|other| other == method)
    }

    fn strictness(&self) -> u8 {
        match self.access {
            Access::Public => 0,
            Access::Optional => 1,
            Access::SignedIn => 2,
            Access::Only { .. } => 3,
        }
    }
}

/// Most servers answer `/a` as they answer `/a/`. So the rule of `/a/` has it too, unless that would open it wider
/// than the rule that covers it as written.
fn stricter<'r>(directory: Option<&'r Rule>, written: &'r Rule) -> &'r Rule {
    directory.filter(|rule| rule.strictness() >= written.strictness()).unwrap_or(written)
}

/// Methods are case-sensitive (RFC 9110 section 9.1), but not every server knows that: `post` may do what `POST` does.
fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

fn is_options(method: &str) -> bool {
    method == Method::OPTIONS.as_str()
}
