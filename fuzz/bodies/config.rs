//! The configuration: whatever stands there, it is settings that keep their promises or a list of mistakes, and nothing
//! that is printed holds a secret that was given.

use std::collections::HashSet;
use std::io::{Seek, Write};

use countersign::config::{self, Loaded};
use countersign::rules::Rules;
use serde_json::Value;
use tempfile::NamedTempFile;

/// Every secret that is looked for has this in it.
const CANARY: &str = "c4n4ry";
const SECRET_KEYS: [&str; 5] = ["client_secret", "password", "sentinel_password", "token", "keys"];
const ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// YAML; but a line that looks like `NAME=value` is a variable.
pub(super) fn body(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (variables, lines): (Vec<&str>, Vec<&str>) = text.split('\n').partition(|line| variable(line).is_some());
    let yaml = lines.join("\n");
    let environment = || variables.iter().filter_map(|line| variable(line)).map(|(n, v)| (n.to_owned(), v.to_owned()));
    let secrets = secrets(text, &yaml, environment());
    let keep = |said: &str| {
        for secret in &secrets {
            assert!(!said.contains(secret.as_str()), "{secret} is shown:\n{said}");
        }
    };
    let loaded = match config::parse(&yaml, environment()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            assert!(!errors.problems.is_empty(), "nothing is wrong");
            keep(&errors.to_string());
            keep(&format!("{errors:?}"));
            return;
        }
    };
    keep(&format!("{loaded:?}"));
    loaded.warnings.iter().for_each(|warning| keep(&warning.to_string()));
    promises(&loaded);
    let printed = print(&yaml, environment()).expect("it was read before");
    keep(&printed);
    if !printed.contains("[redacted]") {
        let others = environment().filter(|(name, _)| !name.starts_with("COUNTERSIGN_"));
        let again = print(&printed, others).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
        assert_eq!(again, printed, "what was printed is another configuration");
    }
}

fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some((name, value))
}

/// What the types of the settings promise to those who use them.
fn promises(Loaded { settings, .. }: &Loaded) {
    let is_origin = |url: &url::Url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        plain && url.path() == "/" && matches!(url.scheme(), "https" | "http") && url.fragment().is_none()
    };
    assert!(is_origin(&settings.public_url), "{}", settings.public_url);
    assert!(settings.hosts.iter().all(|host| is_origin(host) && host.scheme() == settings.public_url.scheme()));
    let ids: HashSet<&str> = settings.providers.iter().map(|provider| provider.id.as_str()).collect();
    assert_eq!(ids.len(), settings.providers.len(), "two providers of one name");
    for provider in &settings.providers {
        assert!(!provider.algorithms.is_empty());
        assert!(
            provider.algorithms.iter().all(|name| ALGORITHMS.contains(&name.as_str())),
            "{:?}",
            provider.algorithms
        );
        assert!(provider.scopes.iter().any(|scope| scope == "openid"), "{:?}", provider.scopes);
    }
    assert!(!settings.session.idle.is_zero() && !settings.session.max_age.is_zero());
    assert!(!settings.token.lifetime.is_zero() && !settings.token.audience.is_empty());
    for prefix in [&settings.path_prefix, &settings.check_prefix] {
        assert!(prefix.starts_with('/') && !prefix.ends_with('/'), "{prefix:?}");
    }
    let headers: HashSet<_> = settings.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(headers.len(), settings.headers.len(), "two values for one header");
    // Whatever the rules are, they can be asked.
    let rules = Rules::new(&settings.rules, settings.unauthenticated, Vec::new());
    for (host, path) in [("mesh.example.com", "/"), ("a.example.com", "/a/b"), ("", "/a%2fb/..;/c")] {
        if let Ok(rule) = rules.select(host, "GET", path) {
            assert!(rule.index <= settings.rules.len());
        }
    }
}

/// As `config print` does.
fn print(yaml: &str, environment: impl Iterator<Item = (String, String)>) -> Result<String, config::ConfigErrors> {
    thread_local! {
        static FILE: NamedTempFile = NamedTempFile::new().expect("a file");
    }
    FILE.with(|file| {
        let mut writer = file.as_file();
        writer.set_len(0).and_then(|()| writer.rewind()).expect("a file");
        writer.write_all(yaml.as_bytes()).expect("it is written");
        config::print(Some(file.path()), environment)
    })
}

/// The secrets that were given: what stands under a secret's key, or before the `@` of a URL, or in a variable; and
/// nowhere else.
fn secrets(text: &str, yaml: &str, environment: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut found = Vec::new();
    match serde_saphyr::from_str::<Value>(yaml) {
        Ok(tree) => under_secret_keys(&tree, &mut found),
        // It says nothing to anybody; but an error may repeat it.
        Err(_) => found.extend(yaml.lines().filter_map(by_its_look)),
    }
    for (name, value) in environment {
        let last = name.rsplit("__").next().unwrap_or_default().to_ascii_lowercase();
        if SECRET_KEYS[..3].contains(&last.as_str()) || name == "COUNTERSIGN_ADMIN__TOKEN" {
            found.push(value.trim().to_owned());
        }
    }
    found.retain(|secret| {
        let plain = secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && secret.contains(CANARY) && text.matches(secret.as_str()).count() == 1
    });
    found
}

fn under_secret_keys(tree: &Value, found: &mut Vec<String>) {
    match tree {
        Value::Object(entries) => {
            for (name, value) in entries {
                if SECRET_KEYS.contains(&name.as_str()) {
                    found.extend(value.as_str().map(str::to_owned));
                    found.extend(value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
                }
                under_secret_keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under_secret_keys(item, found)),
        Value::String(text) => found.extend(password_of(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The password in a URL.
fn password_of(text: &str) -> Option<String> {
    let authority = text.strip_prefix("http").and_then(|rest| rest.split_once("://"))?.1.split('/').next()?;
    Some(authority.rsplit_once('@')?.0.split_once(':')?.1.to_owned())
}

fn by_its_look(line: &str) -> Option<String> {
    let (name, value) = line.trim_start_matches([' ', '-', '{']).split_once(": ")?;
    SECRET_KEYS[..3].contains(&name).then(|| value.trim_matches([' ', '"', '\'', '}']).to_owned())
}
