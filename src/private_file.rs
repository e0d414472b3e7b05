//! Files that only we may read: written whole or not at all, and not believed if others could have read them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes a new file that only its owner may read, durably. It is whole as soon as it is there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one; otherwise what the file system says.
pub fn create(path: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    let written = write_draft(&draft, contents).and_then(|()| fs::hard_link(&draft, path));
    let tidied = fs::remove_file(&draft);
    written?;
    tidied?;
    File::open(directory)?.sync_all()
}

/// Reads a file that only its owner may read. Symbolic links are followed: mounted Secrets are made of them.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] with what to do if everybody may read it; otherwise what the file system says.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mode = fs::metadata(path)?.permissions().mode();
    // A Secret mounted with an `fsGroup` is readable by its group; by others it never needs to be.
    if mode & 0o007 != 0 {
        let mend = format!("everybody may use it (mode {:o}): chmod 600 {}", mode & 0o777, path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, mend));
    }
    fs::read(path)
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

fn write_draft(draft: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_private_whole_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(create(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_everybody_may_read_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, b"one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
