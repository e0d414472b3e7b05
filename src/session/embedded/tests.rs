use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tempfile::TempDir;

use super::*;

const KEY: StoreKey = StoreKey([7; 32]);

fn row(row: Vec<u8>) -> NewRow {
    NewRow { row, until: at(100), ends_at: at(200), tags: Vec::new() }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.redb");
    let store = Embedded::open(&path).expect("a new store");
    store.create(KEY, row(b"ann".to_vec())).await.expect("created");
    store.burn([1; 16], at(100)).await.expect("burnt");
    drop(store);
    let store = Embedded::open(&path).expect("opened again");
    assert_eq!(store.load(KEY, at(0)).await.expect("loaded").expect("there").row, b"ann");
    assert_eq!(store.burn([1; 16], at(100)).await, Ok(false));
}

#[tokio::test]
async fn nobody_waits_for_a_file_that_is_opened_aside() {
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let open = move || {
        let _ = held.lock().expect("held").recv();
        Ok(file::builder().create_with_backend(InMemoryBackend::new()).expect("a database"))
    };
    let (store, mut opening) = Embedded::aside(Shelf::unopened(Box::new(open))).expect("begun");
    let refused = [store.load(KEY, at(0)).await.err(), store.create(KEY, row(b"ann".to_vec())).await.err()];
    for error in refused {
        assert!(error.expect("not open yet").to_string().contains("still being read and checked"));
    }
    go_on.send(()).expect("it waits");
    assert_eq!(opening.done().await, Ok(()));
    store.create(KEY, row(b"ann".to_vec())).await.expect("open");
    assert_eq!(store.load(KEY, at(0)).await.expect("loaded").expect("there").row, b"ann");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_that_is_opened_aside_is_told() {
    let missing = Path::new("/nowhere/sessions.redb");
    let (store, mut opening) = Embedded::open_aside(missing).expect("begun");
    let error = opening.done().await.expect_err("no directory").to_string();
    assert!(error.contains("/nowhere/sessions.redb"), "{error}");
    assert!(store.load(KEY, at(0)).await.is_err());
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.redb");
    let mode = || fs::metadata(&path).expect("the file").permissions().mode() & 0o7777;
    drop(Embedded::open(&path).expect("a new store"));
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).expect("a mode");
    drop(Embedded::open(&path).expect("the store"));
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn a_second_opener_is_told_who_is_in_the_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.redb");
    let store = Embedded::open(&path).expect("a new store");
    let error = Embedded::open(&path).expect_err("in use");
    assert_eq!(error, StoreError::InUse { path: path.display().to_string() });
    store.create(KEY, row(b"ann".to_vec())).await.expect("the first goes on");
}

#[test]
fn a_file_that_cannot_be_had_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let garbage = directory.path().join("garbage");
    fs::write(&garbage, "this is not a store of sessions\n".repeat(500)).expect("a file");
    let error = Embedded::open(&garbage).expect_err("damaged").to_string();
    assert!(error.contains("garbage is damaged") && error.contains("everyone signs in again"), "{error}");
    let missing = Path::new("/nowhere/sessions.redb");
    let error = Embedded::open(missing).expect_err("no directory").to_string();
    assert!(error.contains("/nowhere/sessions.redb"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.redb");
    let store = Embedded::open(&path).expect("a new store");
    for n in 0..200 {
        store.create(StoreKey([n; 32]), row(vec![n; 2_000])).await.expect("created");
    }
    drop(store);
    let whole = fs::read(&path).expect("the file");
    for (name, length) in [("cut in half", whole.len() / 2), ("cut to a page", 4096), ("cut to nothing much", 20)] {
        fs::write(&path, &whole[..length]).expect("cut");
        let error = Embedded::open(&path).expect_err(name);
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error}");
    }
    fs::write(&path, &whole).expect("whole again");
    let file = OpenOptions::new().write(true).open(&path).expect("the file");
    file.write_all_at(&[0xAA; 4096], 0).expect("overwritten");
    drop(file);
    let error = Embedded::open(&path).expect_err("a header of noise");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    // One row, in whatever copies of it there are.
    let mut rotten = whole.clone();
    let starts: Vec<usize> =
        (0..whole.len() - 500).step_by(500).filter(|at| whole[*at..at + 500] == [57; 500]).collect();
    assert!(!starts.is_empty());
    for at in starts {
        rotten[at] ^= 1;
    }
    fs::write(&path, &rotten).expect("rotten");
    let error = Embedded::open(&path).expect_err("a row that has rotted");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn after_a_full_disk_it_goes_on_by_itself() {
    let disk = Disk::default();
    let store = disk.open();
    store.create(StoreKey([1; 32]), row(b"ann".to_vec())).await.expect("created");
    disk.full.store(true, Ordering::SeqCst);
    let error = store.create(StoreKey([2; 32]), row(b"bob".to_vec())).await.expect_err("the disk is full");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(store.remove(StoreKey([1; 32]), at(200)).await.is_err());
    disk.full.store(false, Ordering::SeqCst);
    store.create(StoreKey([3; 32]), row(b"cid".to_vec())).await.expect("there is room again");
    assert_eq!(store.load(StoreKey([1; 32]), at(0)).await.expect("loaded").expect("there").row, b"ann");
    assert_eq!(store.load(StoreKey([3; 32]), at(0)).await.expect("loaded").expect("there").row, b"cid");
}

#[tokio::test(start_paused = true)]
#[expect(clippy::await_holding_lock, reason = "the writing thread alone waits for it")]
async fn a_disk_that_hangs_is_not_waited_for() {
    let disk = Disk::default();
    let store = disk.open();
    let hung = disk.hang.lock().expect("not poisoned");
    let many = (0..2_000_u64).map(|n| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        store.create(StoreKey(key), row(vec![1]))
    });
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable { .. }))));
    drop(hung);
    tokio::time::resume();
    store.create(KEY, row(vec![1])).await.expect("the disk is back");
}

#[tokio::test]
async fn a_dead_writer_is_an_error_and_no_hang() {
    let (store, _directory) = open_embedded();
    let died = store.write(|_| -> Result<(), redb::Error> { panic!("a bug") }).await;
    assert!(matches!(died, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.remove(KEY, at(200)).await, Err(StoreError::Unavailable { .. })));
}

fn open_embedded() -> (Embedded, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (Embedded::open(directory.path().join("sessions.redb")).expect("a new store"), directory)
}

/// A disk that can be full or hang, and that keeps its content over closing and opening.
#[derive(Clone, Debug, Default)]
struct Disk {
    content: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
    hang: Arc<std::sync::Mutex<()>>,
}

impl Disk {
    fn open(&self) -> Embedded {
        let disk = self.clone();
        let open = move || file::builder().create_with_backend(disk.clone()).map_err(shelf::unavailable);
        Embedded::with(Shelf::new(Box::new(open)).expect("a shelf")).expect("a store")
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.content.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.content.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.content.set_len(len)
    }
    fn sync_data(&self) -> Result<(), io::Error> {
        drop(self.hang.lock());
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content.write(offset, data)
    }
}
