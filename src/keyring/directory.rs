//! A directory with a file for each key: made by `keys init`, generated in `data_dir`, or mounted from a Secret.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{KeyStore, KeyringError, ScheduledKey};
use crate::clock::UnixTime;
use crate::entropy::Entropy;
use crate::jose::SigningKey;
use crate::private_file;
use crate::secret::SecretText;

/// Keys in files `<kid>.json` that only their owner may read.
#[derive(Clone)]
pub struct Directory {
    path: PathBuf,
    entropy: Arc<dyn Entropy>,
    /// Whether somebody else puts the keys there.
    is_mounted: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    alg: Algorithm,
    sign_from: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    retire_at: Option<UnixTime>,
    /// PKCS #8 DER in base64url.
    private_key: String,
}

#[derive(Serialize, Deserialize)]
enum Algorithm {
    ES256,
}

/// Makes a keyring directory with one key that signs from `now` on; the key's id.
///
/// # Errors
/// If the directory holds keys already, or cannot be written.
pub fn init_directory(path: &Path, now: UnixTime, entropy: Arc<dyn Entropy>) -> Result<String, KeyringError> {
    let directory = Directory::create(path, entropy)?;
    if !directory.load()?.is_empty() {
        return Err(KeyringError::NotEmpty { path: path.display().to_string() });
    }
    let key = Arc::new(SigningKey::generate()?);
    directory.add(&ScheduledKey { key: Arc::clone(&key), sign_from: now, retire_at: None })?;
    Ok(key.kid().to_owned())
}

/// Adds a key to a directory, which is made if it is not there: one that signs from `sign_from` on; the key's id. Until
/// then it is published, so that verifiers know it.
///
/// # Errors
/// If the directory cannot be written.
pub fn add_to_directory(path: &Path, sign_from: UnixTime, entropy: Arc<dyn Entropy>) -> Result<String, KeyringError> {
    let key = Arc::new(SigningKey::generate()?);
    Directory::create(path, entropy)?.add(&ScheduledKey { key: Arc::clone(&key), sign_from, retire_at: None })?;
    Ok(key.kid().to_owned())
}

impl Directory {
    /// The keys in `path`, which somebody else puts there: at least one.
    #[must_use]
    pub fn at(path: PathBuf, entropy: Arc<dyn Entropy>) -> Self {
        Self { path, entropy, is_mounted: true }
    }

    /// The keys in `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, KeyringError> {
        private_file::create_directory(path).map_err(|error| file_error(path, &error))?;
        Ok(Self { path: path.to_owned(), entropy, is_mounted: false })
    }
}

impl KeyStore for Directory {
    fn load(&self) -> Result<Vec<ScheduledKey>, KeyringError> {
        let files = match private_file::list(&self.path) {
            Err(error) if self.is_mounted && error.kind() == ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(|error| file_error(&self.path, &error))?,
        };
        let files = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let keys = files.map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        if self.is_mounted && keys.is_empty() {
            return Err(KeyringError::NoKeys { path: self.path.display().to_string() });
        }
        Ok(keys)
    }

    fn add(&self, key: &ScheduledKey) -> Result<(), KeyringError> {
        let path = self.path.join(format!("{}.json", key.key.kid()));
        let file = KeyFile {
            alg: Algorithm::ES256,
            sign_from: key.sign_from,
            retire_at: key.retire_at,
            private_key: key.key.to_text()?.expose().to_owned(),
        };
        let json =
            zeroize::Zeroizing::new(serde_json::to_vec_pretty(&file).map_err(|error| file_error(&path, &error))?);
        private_file::create(&path, &json, &*self.entropy).map_err(|error| file_error(&path, &error))
    }
}

fn read(path: &Path) -> Result<ScheduledKey, KeyringError> {
    let json = private_file::read(path).map_err(|error| file_error(path, &error))?;
    let file: KeyFile = serde_json::from_slice(&json).map_err(|_| file_error(path, &"it is not a key file of ours"))?;
    let key = SigningKey::from_text(&SecretText::new(file.private_key)).map_err(|error| file_error(path, &error))?;
    Ok(ScheduledKey { key: Arc::new(key), sign_from: file.sign_from, retire_at: file.retire_at })
}

fn file_error(path: &Path, reason: &impl ToString) -> KeyringError {
    KeyringError::Files { path: path.display().to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_found_again_and_nobody_else_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("keys");
        let kid = init_directory(&path, UnixTime::from_secs(5), Arc::new(SystemEntropy)).unwrap();

        let file = path.join(format!("{kid}.json"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = Directory::at(path, Arc::new(SystemEntropy)).load().unwrap();
        assert_eq!((keys.len(), keys[0].key.kid(), keys[0].sign_from), (1, &*kid, UnixTime::from_secs(5)));
    }

    #[test]
    fn init_overwrites_nothing() {
        let home = tempfile::tempdir().unwrap();
        init_directory(home.path(), UnixTime::from_secs(5), Arc::new(SystemEntropy)).unwrap();
        let again = init_directory(home.path(), UnixTime::from_secs(6), Arc::new(SystemEntropy)).unwrap_err();
        assert!(matches!(again, KeyringError::NotEmpty { .. }), "{again}");
    }

    #[test]
    fn a_garbled_file_is_named_and_its_content_is_not_shown() {
        let home = tempfile::tempdir().unwrap();
        private_file::create(
            &home.path().join("a.json"),
            br#"{"alg":"ES256","private_key":"hunter2"}"#,
            &SystemEntropy,
        )
        .unwrap();
        let error = Directory::at(home.path().to_owned(), Arc::new(SystemEntropy)).load().unwrap_err().to_string();
        assert!(error.contains("a.json") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_mounted_directory_without_keys_says_what_to_make() {
        let home = tempfile::tempdir().unwrap();
        for path in [home.path().to_owned(), home.path().join("nowhere")] {
            let error = Directory::at(path.clone(), Arc::new(SystemEntropy)).load().unwrap_err().to_string();
            assert!(error.contains(&*path.to_string_lossy()) && error.contains("countersign keys init"), "{error}");
        }
    }

    #[test]
    fn a_further_key_is_added_with_its_time() {
        let home = tempfile::tempdir().unwrap();
        init_directory(home.path(), UnixTime::from_secs(5), Arc::new(SystemEntropy)).unwrap();
        let kid = add_to_directory(home.path(), UnixTime::from_secs(9), Arc::new(SystemEntropy)).unwrap();
        let keys = Directory::at(home.path().to_owned(), Arc::new(SystemEntropy)).load().unwrap();
        let added = keys.iter().find(|key| key.key.kid() == kid).unwrap();
        assert_eq!((keys.len(), added.sign_from, added.retire_at), (2, UnixTime::from_secs(9), None));
    }
}
