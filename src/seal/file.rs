//! The session keys of a single node: a file of its own, made at the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::keys::{SealError, SessionKeys};
use super::text::{generate_text, parse_text};
use crate::entropy::{Entropy, random};

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

/// No sensible list of keys is longer.
const MOST_BYTES: u64 = 64 * 1024;

impl SessionKeys {
    /// The keys in the file at `path`, one a line, the newest first (`#` begins a remark). If there is no such file it
    /// is made, with one key, readable by its owner alone. Of several processes that do so at once, all get one key.
    ///
    /// # Errors
    /// If the file cannot be read or made, may be read by others, or holds something else.
    pub fn load_or_generate(path: &Path, entropy: &dyn Entropy) -> Result<Self, KeyFileError> {
        let unreachable = |source| KeyFileError::Unreachable { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                generate(path, entropy).map_err(unreachable)?;
                File::open(path)
            }
            opened => opened,
        };
        load(path, file.map_err(unreachable)?)
    }
}

fn load(path: &Path, file: File) -> Result<SessionKeys, KeyFileError> {
    let path = path.to_owned();
    let mode = match file.metadata() {
        Ok(metadata) => metadata.permissions().mode() & 0o7777,
        Err(source) => return Err(KeyFileError::Unreachable { path, source }),
    };
    if mode & 0o007 != 0 {
        return Err(KeyFileError::Exposed { path, mode });
    }
    // A Kubernetes volume with an `fsGroup` gives the group access to every file at each start of the pod.
    if mode & 0o070 != 0 && file.set_permissions(fs::Permissions::from_mode(0o600)).is_err() {
        return Err(KeyFileError::Exposed { path, mode });
    }
    let mut text = Zeroizing::new(String::new());
    if let Err(source) = file.take(MOST_BYTES).read_to_string(&mut text) {
        return Err(match source.kind() {
            io::ErrorKind::InvalidData => KeyFileError::Garbled { path, line: 1 },
            _ => KeyFileError::Unreachable { path, source },
        });
    }
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            match parse_text(line) {
                Ok(key) => keys.push(key),
                Err(_) => return Err(KeyFileError::Garbled { path, line: index + 1 }),
            }
        }
    }
    SessionKeys::new(keys).map_err(|source| KeyFileError::Unusable { path, source })
}

/// Makes the file, whole or not at all, unless another process has been faster.
fn generate(path: &Path, entropy: &dyn Entropy) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let draft = directory.join(format!(".session-keys.{:016x}", u64::from_be_bytes(random(entropy))));
    let text = Zeroizing::new(generate_text(entropy) + "\n");
    let placed = write_new(&draft, text.as_bytes()).and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) => fs::rename(&draft, path),
    });
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => placed?,
    }
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
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
            make(&path, &generate_text(&SystemEntropy), mode);
            let error = SessionKeys::load_or_generate(&path, &SystemEntropy).expect_err("refused").to_string();
            assert!(error.contains("may be read by others") && error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_a_volume_gave_the_group_is_taken_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("session-keys");
        make(&path, &generate_text(&SystemEntropy), 0o660);
        SessionKeys::load_or_generate(&path, &SystemEntropy).expect("the keys");
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_garbled_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("session-keys");
        let good = generate_text(&SystemEntropy);
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
