//! The file on the disk: whose it is, who may read it, and what is said if it cannot be had.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use redb::{Builder, Database, DatabaseError, StorageError};

use super::super::store::StoreError;

/// redb takes 1 GiB otherwise. Sessions in use are in the cache above, so this serves the writer's tree pages.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    let file = private(path).map_err(|error| unavailable(path, &error))?;
    let mut database = builder().create_file(file).map_err(|error| explain(path, error))?;
    // redb believes a file that was closed properly, and panics over a damaged page when it comes to it: better to
    // read all of it now and to say what is wrong.
    database.check_integrity().map_err(|error| explain(path, error))?;
    Ok(database)
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The file, which its owner alone may read from the very first; the entry in its directory is durable.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            File::open(directory)?.sync_all()?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.open(path)?;
            // A Kubernetes volume with an `fsGroup` gives the group access to every file at each start of the pod.
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        }
        Err(error) => Err(error),
    }
}

fn explain(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.display().to_string() },
        DatabaseError::Storage(StorageError::Io(error)) if !damaged(&error) => unavailable(path, &error),
        other => StoreError::Damaged { path: path.display().to_string(), reason: other.to_string() },
    }
}

fn damaged(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn unavailable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable { reason: format!("{}: {error}", path.display()) }
}
