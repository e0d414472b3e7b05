//! Files of `NAME=value` lines, as Kustomize's generators and `docker --env-file` read them.

use std::path::PathBuf;

use super::super::variables::Environment;
use super::MigrationError;

/// The variables of all `files`; a later file wins.
pub(super) fn read(files: &[PathBuf]) -> Result<Environment, MigrationError> {
    let mut variables = Environment::new();
    for path in files {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| MigrationError::Unreadable { path: path.clone(), reason })?;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap_or(line)
                .split_once('=')
                .filter(|(name, _)| is_name(name.trim()))
                .ok_or_else(|| MigrationError::NoVariable { path: path.clone(), line: index + 1 })?;
            variables.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    Ok(variables)
}

/// The value without the quotes around it: Kubeflow's own `PORT="8080"` arrives with them.
pub(super) fn unquoted(value: &str) -> &str {
    let value = value.trim();
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
