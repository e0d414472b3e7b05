//! Settings of the gateways that Countersign replaces, turned into a configuration of ours: a YAML file with a comment
//! at whatever has no equivalent. Nothing is judged here, and no secret is ever printed.

pub(super) mod authservice;
pub(super) mod draft;
mod env_file;
mod oauth2_proxy;

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::variables::Environment;

pub use authservice::{AfterLogin, AuthserviceContract};

/// A configuration that was drafted from another gateway's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The file.
    pub yaml: String,
    /// What needs somebody's hand before it is used, a sentence each.
    pub to_do: Vec<String>,
}

/// Why there is nothing to draft from. No text here holds a value, for that might be a secret.
#[derive(Debug, Error)]
pub enum MigrationError {
    /// A file.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A line of a file of variables.
    #[error("{}:{line}: it is no `NAME=value`; take the line out, or write a `#` before it", path.display())]
    NoVariable {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A configuration file of oauth2-proxy.
    #[error("{}:{line}: it is no TOML: {what}", path.display())]
    NoToml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A word on the command line.
    #[error("argument {position} after `--` is no flag: write flags as oauth2-proxy gets them, `--name=value`")]
    NoFlag {
        /// Which, from 1.
        position: usize,
    },
    /// A flag at the end.
    #[error("--{flag} has no value: write `--{flag}=value`")]
    NoValue {
        /// Which.
        flag: String,
    },
    /// authservice cannot be without it either.
    #[error("{name} is not set: name authservice's settings by `--env-file` (params.env), or set them")]
    Missing {
        /// Which variable.
        name: &'static str,
    },
}

/// Drafts a configuration from authservice's variables: those of `files`, or of `environment` where there is no file.
/// `public_url` is what people type, which authservice never knew.
///
/// # Errors
/// If a file cannot be read, or `OIDC_PROVIDER` is in none of them.
pub fn authservice(
    files: &[PathBuf],
    environment: impl Iterator<Item = (String, String)>,
    public_url: Option<&str>,
) -> Result<Migrated, MigrationError> {
    let from_files = !files.is_empty();
    let variables = if from_files { env_file::read(files)? } else { environment.collect() };
    authservice::draft(&variables, from_files, public_url)
}

/// Drafts a configuration from oauth2-proxy's settings, of which its flags win over variables, and those over its file.
///
/// # Errors
/// If a file cannot be read, or a flag cannot.
pub fn oauth2_proxy(
    cfg: Option<&Path>,
    files: &[PathBuf],
    environment: impl Iterator<Item = (String, String)>,
    flags: &[String],
    public_url: Option<&str>,
) -> Result<Migrated, MigrationError> {
    let variables: Environment = if files.is_empty() { environment.collect() } else { env_file::read(files)? };
    oauth2_proxy::draft(cfg, &variables, flags, public_url)
}

/// `text` as a list: with commas or white space between, as both are found in the wild.
fn list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The origin of an absolute http(s) URL.
fn origin(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.origin().ascii_serialization())
}
