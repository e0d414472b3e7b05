//! The session keys of many replicas: a directory with a file for each, the same for all of them, which is read again
//! and again. It says when each key begins to make, so that all replicas can open what one of them makes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::keys::{SealError, SessionKeys};
use crate::clock::{Clock, UnixTime};
use crate::private_file::{self, PrivateFileError};
use crate::secret::{SecretBytes, parse_session_key};

/// Session keys that follow the files of a directory.
pub struct KeyDirectory {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    keys: Arc<SessionKeys>,
}

/// Why the session keys cannot be had from their directory, and what to do about it.
#[derive(Debug, Error)]
pub enum KeyDirectoryError {
    /// It is not there, or holds nothing.
    #[error(
        "session keys: {path} holds none: make one by `countersign session-keys init`, and keep it in the Secret that is \
         mounted there; all replicas need the same"
    )]
    NoKey {
        /// The directory.
        path: PathBuf,
    },
    /// Others may read a file.
    #[error(
        "session keys: {path} may be read by others (mode {mode:04o}): mount the Secret with `defaultMode: 0440`, or \
         `chmod 600` the file"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It, or a file in it, cannot be read.
    #[error("session keys: {path} cannot be read: {source}")]
    Unreachable {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is something else.
    #[error(
        "session keys: {path} holds no session key: expected one line, as `countersign session-keys init` or \
         `countersign session-keys add` prints it"
    )]
    NoSessionKey {
        /// The file.
        path: PathBuf,
    },
    /// Which of two is the newer one cannot be told.
    #[error(
        "session keys: {one} and {other} begin at the same time, so that nobody can say which is the newer: only the first \
         key needs no time; each further one has its own, as `countersign session-keys add` prints it"
    )]
    SameTime {
        /// A file.
        one: String,
        /// Another one.
        other: String,
    },
    /// All of them begin later.
    #[error("session keys: none in {path} has begun yet; the first begins at {first}")]
    NotYet {
        /// The directory.
        path: PathBuf,
        /// When the first begins.
        first: String,
    },
    /// The keys cannot be used together.
    #[error("session keys: {path}, from the newest file to the oldest: {source}")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
}

impl KeyDirectory {
    /// Reads the keys in `path`.
    ///
    /// # Errors
    /// If there is none that has begun, or if any file there is something else.
    pub fn open(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, KeyDirectoryError> {
        let keys = Arc::new(read(&path, clock.now())?);
        Ok(Self { path, clock, keys })
    }

    /// The keys; they follow the directory when [`Self::reload`] is called.
    #[must_use]
    pub fn keys(&self) -> Arc<SessionKeys> {
        Arc::clone(&self.keys)
    }

    /// Follows the directory and the time. On an error the keys stay as they were.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reload(&self) -> Result<(), KeyDirectoryError> {
        self.keys.follow(&read(&self.path, self.clock.now())?);
        Ok(())
    }
}

impl std::fmt::Debug for KeyDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyDirectory").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a file holds.
struct Dated {
    name: String,
    key: SecretBytes<32>,
    begins: UnixTime,
}

/// The keys in order: of those that have begun, the one that began last makes; those that have not, open already.
fn read(directory: &Path, now: UnixTime) -> Result<SessionKeys, KeyDirectoryError> {
    let files = match private_file::list(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(KeyDirectoryError::Unreachable { path: directory.to_owned(), source: error });
        }
        listed => listed.unwrap_or_default(),
    };
    let dated: Vec<Dated> = files.iter().map(|path| dated(path)).collect::<Result<_, _>>()?;
    let mut by_time: HashMap<UnixTime, &str> = HashMap::new();
    for Dated { name, begins, .. } in &dated {
        if let Some(one) = by_time.insert(*begins, name) {
            return Err(KeyDirectoryError::SameTime { one: one.to_owned(), other: name.clone() });
        }
    }
    let (mut newest_first, mut waiting): (Vec<Dated>, Vec<Dated>) = dated.into_iter().partition(|it| it.begins <= now);
    if newest_first.is_empty() {
        let first = waiting.iter().map(|it| it.begins).min();
        return Err(first.map_or_else(
            || KeyDirectoryError::NoKey { path: directory.to_owned() },
            |first| KeyDirectoryError::NotYet { path: directory.to_owned(), first: first.to_rfc3339() },
        ));
    }
    newest_first.sort_by_key(|it| std::cmp::Reverse(it.begins));
    newest_first.append(&mut waiting);
    let keys = newest_first.into_iter().map(|it| it.key).collect();
    SessionKeys::new(keys).map_err(|source| KeyDirectoryError::Unusable { path: directory.to_owned(), source })
}

/// A line as `session-keys init` prints it, or with ` from ` and a time after it, as `session-keys add` does. Lines that
/// begin with `#`, and empty ones, say nothing.
fn dated(path: &Path) -> Result<Dated, KeyDirectoryError> {
    let contents = private_file::read(path).map_err(|error| match error {
        PrivateFileError::Exposed { mode } => KeyDirectoryError::Exposed { path: path.to_owned(), mode },
        PrivateFileError::Unreachable(source) => KeyDirectoryError::Unreachable { path: path.to_owned(), source },
    })?;
    let no_key = || KeyDirectoryError::NoSessionKey { path: path.to_owned() };
    let text = std::str::from_utf8(&contents).map_err(|_| no_key())?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(no_key()) };
    let (key, begins) = match line.split_once(" from ") {
        Some((key, time)) => (key, UnixTime::from_rfc3339(time.trim()).ok_or_else(no_key)?),
        None => (line, UnixTime::default()),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Dated { name, key: parse_session_key(key).map_err(|_| no_key())?, begins })
}

#[cfg(test)]
mod tests;
