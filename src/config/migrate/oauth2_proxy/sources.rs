//! Where oauth2-proxy's settings come from: flags win over variables, and those over the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::super::variables::Environment;
use super::super::MigrationError;
use super::super::env_file::unquoted;
use super::flags::{self, Setting, Takes};

const PREFIX: &str = "OAUTH2_PROXY_";

/// What was set, by flag. No `Debug`: some of it is secret.
pub(super) struct Given {
    values: BTreeMap<&'static str, Vec<String>>,
    pub(super) unknown: Vec<String>,
}

impl Given {
    /// Reads all three.
    pub(super) fn gather(
        cfg: Option<&Path>,
        variables: &Environment,
        arguments: &[String],
    ) -> Result<Self, MigrationError> {
        let mut given = Self { values: BTreeMap::new(), unknown: Vec::new() };
        let flags = read_flags(arguments)?;
        let named = flags.iter().find(|(name, _)| name == "config").map(|(_, path)| PathBuf::from(path));
        if let Some(path) = cfg.map(Path::to_path_buf).or(named) {
            given.read_file(&path)?;
        }
        for (name, value) in variables.iter().filter(|(name, _)| is_ours(name)) {
            let key = name.strip_prefix(PREFIX).unwrap_or_default();
            let value = unquoted(value);
            match flags::find(&key.to_ascii_lowercase()) {
                _ if value.is_empty() => {}
                Some(setting) => given.put(setting, split(setting, value)),
                None => given.unknown.push(name.clone()),
            }
        }
        let mut listed: Vec<&'static str> = Vec::new();
        for (name, value) in flags {
            let Some(setting) = flags::find(&name) else {
                given.unknown.push(format!("--{name}"));
                continue;
            };
            let values = split(setting, &value);
            if setting.takes == Takes::List && listed.contains(&setting.flag) {
                given.values.entry(setting.flag).or_default().extend(values);
            } else {
                listed.push(setting.flag);
                given.put(setting, values);
            }
        }
        Ok(given)
    }

    pub(super) fn is_set(&self, flag: &str) -> bool {
        self.values.contains_key(flag)
    }

    /// The value of a setting that has one, and is not empty.
    pub(super) fn text(&self, flag: &str) -> Option<&str> {
        self.values.get(flag)?.first().map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn list(&self, flag: &str) -> &[String] {
        self.values.get(flag).map_or(&[], Vec::as_slice)
    }

    /// Whether a switch is on; `None` if nothing is said.
    pub(super) fn switch(&self, flag: &str) -> Option<bool> {
        let text = self.values.get(flag)?.first()?;
        Some(matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    fn put(&mut self, setting: &'static Setting, values: Vec<String>) {
        self.values.insert(setting.flag, values);
    }

    fn read_file(&mut self, path: &Path) -> Result<(), MigrationError> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| MigrationError::Unreadable { path: path.to_path_buf(), reason })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| MigrationError::NoToml {
            path: path.to_path_buf(),
            line: error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            what: error.message().to_owned(),
        })?;
        for (key, value) in table {
            let Some(setting) = flags::find(&key) else {
                self.unknown.push(key);
                continue;
            };
            let values = match &value {
                toml::Value::Array(items) => items.iter().map(written).collect(),
                other => split(setting, &written(other)),
            };
            self.put(setting, values);
        }
        Ok(())
    }
}

/// `--name=value`, `--name value` and, for switches, `--name`.
fn read_flags(arguments: &[String]) -> Result<Vec<(String, String)>, MigrationError> {
    let mut flags = Vec::new();
    let mut arguments = arguments.iter().enumerate();
    while let Some((index, argument)) = arguments.next() {
        let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).filter(|name| !name.is_empty());
        let name = name.ok_or(MigrationError::NoFlag { position: index + 1 })?;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if flags::find(name).is_none_or(|setting| setting.takes == Takes::Switch) => (name, "true".to_owned()),
            None => {
                let (_, value) = arguments.next().ok_or_else(|| MigrationError::NoValue { flag: name.to_owned() })?;
                (name, value.clone())
            }
        };
        flags.push((name.to_owned(), value));
    }
    Ok(flags)
}

fn split(setting: &Setting, value: &str) -> Vec<String> {
    if setting.takes == Takes::List {
        value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    } else {
        vec![value.to_owned()]
    }
}

fn written(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        // No setting is one of these.
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => String::new(),
    }
}

/// Whether a variable is a setting. Kubernetes gives every pod `OAUTH2_PROXY_SERVICE_HOST` and its like, if a Service
/// is called `oauth2-proxy`.
fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| {
        !rest.starts_with("SERVICE_HOST")
            && !rest.starts_with("SERVICE_PORT")
            && rest != "PORT"
            && !rest.strip_prefix("PORT_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}
