//! The session keys: each by itself, or where a directory of them is.

use std::path::PathBuf;

use super::super::problem::Report;
use super::super::raw::SessionKeys;
use super::super::tree::Spot;
use super::super::variables::Environment;
use super::secret;
use crate::secret::SecretBytes;

/// The keys that are written by themselves, newest first.
pub(super) fn listed(
    raw: &SessionKeys,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Vec<SecretBytes<32>> {
    let SessionKeys::List(raw) = raw else { return Vec::new() };
    let mut keys: Vec<SecretBytes<32>> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let at = at.index(index);
        let Some(key) = secret::session_key(raw, &at, environment, report) else { continue };
        if keys.iter().any(|other| other.expose() == key.expose()) {
            report.refuse(at.problem("an earlier one is the same key", "Take one of the two out."));
        }
        keys.push(key);
    }
    keys
}

/// The directory, where that is written instead. What is in it is read at the start, and again and again.
pub(super) fn directory(raw: &SessionKeys, at: &Spot<'_>, report: &mut Report) -> Option<PathBuf> {
    let SessionKeys::Directory(raw) = raw else { return None };
    let named = raw.dir.clone().filter(|path| !path.as_os_str().is_empty());
    if named.is_none() {
        let instead = "Write `{dir: /etc/countersign-session-keys}`, or a list of keys.";
        report.refuse(at.field("dir").problem("no directory is named", instead));
    }
    named
}
