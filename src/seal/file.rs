//! The session keys of a single node: a file of its own, made at the first start.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::keys::{SealError, SessionKeys};
use crate::entropy::Entropy;
use crate::private_file::{self, PrivateFileError};
use crate::secret::{generate_session_key, parse_session_key};

/// Why the session keys cannot be had from their file, and what to do about it.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// Others may read it.
    #[error(
        "{path} may be read by others (mode {mode:04o}): `chmod 600` it; if others could have read it, delete it \
             instead, and a new one is made (everyone signs in again)"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line of it is no key.
    #[error(
        "{path}, line {line}: this is no session key; put the file back as it was, or delete it and a new one is \
             made (everyone signs in again)"
    )]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
    },
    /// The keys in it cannot be used together.
    #[error("{path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// It cannot be read or written.
    #[error("{path} cannot be read or made: {source}; `data_dir` must be a directory that this user may write to")]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SessionKeys {
    /// The keys in the file at `path`, one a line, the newest first (`#` begins a remark). If there is no such file it
    /// is made, with one key, readable by its owner alone. Of several processes that do so at once, all get one key.
    ///
    /// # Errors
    /// If the file cannot be read or made, may be read by others, or holds something else.
    pub fn load_or_generate(path: &Path, entropy: &dyn Entropy) -> Result<Self, KeyFileError> {
        if !path.exists() {
            let text = Zeroizing::new(generate_session_key(entropy) + "\n");
            match private_file::create(path, text.as_bytes(), entropy) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(KeyFileError::Unreachable { path: path.to_owned(), source });
                }
                _ => {}
            }
        }
        load(path)
    }
}

fn load(path: &Path) -> Result<SessionKeys, KeyFileError> {
    let contents = private_file::read(path).map_err(|error| match error {
        PrivateFileError::Exposed { mode } => KeyFileError::Exposed { path: path.to_owned(), mode },
        PrivateFileError::Unreachable(source) => KeyFileError::Unreachable { path: path.to_owned(), source },
    })?;
    let garbled = |line| KeyFileError::Garbled { path: path.to_owned(), line };
    let text = std::str::from_utf8(&contents).map_err(|_| garbled(1))?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(parse_session_key(line).map_err(|_| garbled(index + 1))?);
        }
    }
    SessionKeys::new(keys).map_err(|source| KeyFileError::Unusable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use crate::entropy::SystemEntropy;
    use crate::seal::CookieSecret;

    fn make(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("a file");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_finds_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("session-keys");
        let first = SessionKeys::load_or_generate(&path, &SystemEntropy).expect("a new key");
        let value = first.cookie_value(&CookieSecret::generate(&SystemEntropy));
        let next = SessionKeys::load_or_generate(&path, &SystemEntropy).expect("the same key");
        assert!(next.open_cookie(&value).is_ok());
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o7777, 0o600);
        let left: Vec<_> = fs::read_dir(directory.path()).expect("listed").collect();
        assert_eq!(left.len(), 1, "a draft was left behind: {left:?}");
    }

    #[test]
    fn many_that_start_at_once_agree_on_one_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("session-keys");
        let all: Vec<SessionKeys> = std::thread::scope(|scope| {
            let start = || SessionKeys::load_or_generate(&path, &SystemEntropy).expect("keys");
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let value = all[0].cookie_value(&CookieSecret::generate(&SystemEntropy));
        assert!(all.iter().all(|keys| keys.open_cookie(&value).is_ok()));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("session-keys");
        for mode in [0o604, 0o602, 0o664, 0o644] {
            make(&path, &generate_session_key(&SystemEntropy), mode);
            let error = SessionKeys::load_or_generate(&path, &SystemEntropy).expect_err("refused").to_string();
            assert!(error.contains("may be read by others") && error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_garbled_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("session-keys");
        let good = generate_session_key(&SystemEntropy);
        let twice = format!("{good}\n{good}\n");
        for (text, said) in [
            ("", "there is no session key"),
            ("csk1_short\n", "line 1"),
            (&*format!("# newest\n{good}\n\nhunter2\n"), "line 4"),
            (&*twice, "session keys 1 and 2"),
        ] {
            make(&path, text, 0o600);
            let error = SessionKeys::load_or_generate(&path, &SystemEntropy).expect_err("refused").to_string();
            assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("still there"), text);
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = SessionKeys::load_or_generate(Path::new("/nowhere/session-keys"), &SystemEntropy);
        let error = error.expect_err("nothing there").to_string();
        assert!(error.contains("/nowhere/session-keys") && error.contains("data_dir"), "{error}");
    }
}
