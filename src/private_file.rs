//! Files that only we may read: written whole or not at all, and not believed if others could have read them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, random};

/// No key file of ours is larger.
const MOST_BYTES: u64 = 64 * 1024;

/// Why a private file is not believed.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// Others may read it, and may have.
    #[error("others may read it (mode {mode:04o}): `chmod 600` it, or replace it if they could have read it already")]
    Exposed {
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreachable(#[from] io::Error),
}

/// Writes a new file that only its owner may read, durably. It is whole as soon as it is there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one; otherwise what the file system says.
pub fn create(path: &Path, contents: &[u8], entropy: &dyn Entropy) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Several processes may do this at once, in containers where all of them are process 1.
    let draft = directory.join(format!(".draft-{:016x}", u64::from_be_bytes(random(entropy))));
    let placed = write_new(&draft, contents).and_then(|()| place(&draft, path));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => placed?,
    }
    File::open(directory)?.sync_all()
}

/// Reads a file that only its owner may read. Symbolic links are followed: mounted Secrets are made of them.
///
/// # Errors
/// If others may read it, or it cannot be read.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(PrivateFileError::Exposed { mode });
    }
    // A Kubernetes volume with an `fsGroup` gives the group access to every file at each start of the pod: what can be
    // taken back is taken back, and a mounted Secret, which cannot be changed, is left.
    if mode & 0o070 != 0 {
        let _ = file.set_permissions(Permissions::from_mode(0o600));
    }
    let mut contents = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES).read_to_end(&mut contents)?;
    Ok(contents)
}

/// The files of a directory, by name, without hidden ones: all of one moment where Kubernetes mounts it. There `..data`
/// leads to what is current, and what comes after it is another directory.
///
/// # Errors
/// If it cannot be read.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let current = match fs::canonicalize(directory.join("..data")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory.to_owned(),
        current => current?,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(current)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a directory that only its owner may enter, if there is none.
///
/// # Errors
/// What the file system says.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

fn place(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        // Not every file system has links; then two at once may overwrite one another, but nobody reads half a file.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => fs::rename(draft, path),
        linked => linked,
    }
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_private_file_is_private_whole_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, b"one", &SystemEntropy).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(create(&path, b"two", &SystemEntropy).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap().as_slice(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn a_file_that_everybody_may_read_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, b"one", &SystemEntropy).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, PrivateFileError::Exposed { mode: 0o644 }), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn what_a_volume_gives_the_group_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, b"one", &SystemEntropy).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_mounted_directory_is_listed_as_it_is_now() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("b"), "").unwrap();
        fs::write(at("a"), "").unwrap();
        fs::write(at(".draft"), "").unwrap();
        fs::create_dir(at("below")).unwrap();
        assert_eq!(list(directory.path()).unwrap(), [at("a"), at("b")]);

        // What is mounted: a version, and links to it. Of the next one only the version is there yet.
        for (version, file) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        let named =
            |listed: Vec<PathBuf>| listed[0].strip_prefix(directory.path().canonicalize().unwrap()).unwrap().to_owned();
        assert_eq!(named(list(directory.path()).unwrap()), Path::new("..1/old"));
        std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(named(list(directory.path()).unwrap()), Path::new("..2/new"));
    }
}
