use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::clock::TestClock;
use crate::entropy::TestEntropy;
use crate::seal::{CookieSecret, Purpose};

const NOW: u64 = 1_800_000_000;

/// A directory as Kubernetes mounts a Secret: versions, of which `..data` leads to the current one.
struct Mounted {
    directory: TempDir,
    versions: u32,
}

impl Mounted {
    fn holding(files: &[(&str, String)]) -> Self {
        let mut mounted = Self { directory: tempfile::tempdir().unwrap(), versions: 0 };
        mounted.change(files);
        mounted
    }

    /// Swaps everything at once, and takes the old version away.
    fn change(&mut self, files: &[(&str, String)]) {
        let at = |name: &str| self.directory.path().join(name);
        self.versions += 1;
        let version = at(&format!("..{}", self.versions));
        fs::create_dir(&version).unwrap();
        for (name, text) in files {
            fs::write(version.join(name), text).unwrap();
            fs::set_permissions(version.join(name), fs::Permissions::from_mode(0o440)).unwrap();
        }
        symlink(&version, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        let _ = fs::remove_dir_all(at(&format!("..{}", self.versions - 1)));
    }

    fn open(&self, clock: &Arc<TestClock>) -> Result<KeyDirectory, KeyDirectoryError> {
        KeyDirectory::open(self.directory.path().to_owned(), Arc::clone(clock) as _)
    }

    fn refusal(&self) -> String {
        self.open(&clock()).expect_err("refused").to_string()
    }
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(UnixTime::from_secs(NOW)))
}

/// The text of a key of this byte, 32 times.
fn key(byte: u8) -> String {
    use base64::Engine;
    format!("csk1_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([byte; 32]))
}

fn from(byte: u8, seconds: u64) -> String {
    format!("# made by session-keys add\n{} from {}\n", key(byte), UnixTime::from_secs(seconds).to_rfc3339())
}

fn ring(newest_first: &[u8]) -> SessionKeys {
    SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).unwrap()
}

/// Which key makes, and which open, among those of the bytes 1 to 4.
fn state(keys: &SessionKeys) -> (u8, Vec<u8>) {
    let sealed = keys.seal(Purpose::Row, b"", b"x");
    let makes = (1..=4).find(|byte| ring(&[*byte]).open(Purpose::Row, b"", &sealed).is_ok()).expect("a known key");
    let value = |byte| ring(&[byte]).cookie_value(&CookieSecret::generate(&TestEntropy::default()));
    (makes, (1..=4).filter(|byte| keys.open_cookie(&value(*byte)).is_ok()).collect())
}

#[test]
fn a_new_key_opens_at_once_and_makes_when_its_time_has_come() {
    let clock = clock();
    let mut mounted = Mounted::holding(&[("first", key(1))]);
    let directory = mounted.open(&clock).expect("a key");
    let keys = directory.keys();
    assert_eq!(state(&keys), (1, vec![1]));
    let path = mounted.directory.path().to_owned();
    assert_eq!(format!("{directory:?}"), format!("KeyDirectory {{ path: {path:?}, .. }}"));

    mounted.change(&[("first", key(1)), ("second", from(2, NOW + 900))]);
    assert_eq!(state(&keys), (1, vec![1]), "nobody has looked yet");
    directory.reload().expect("good files");
    assert_eq!(state(&keys), (1, vec![1, 2]));

    clock.advance(Duration::from_mins(15));
    directory.reload().expect("good files");
    assert_eq!(state(&keys), (2, vec![1, 2]));
    // A replica that starts now sees it the same way, whatever the files are called.
    assert_eq!(state(&mounted.open(&clock).expect("keys").keys()), (2, vec![1, 2]));

    mounted.change(&[("second", from(2, NOW + 900))]);
    directory.reload().expect("good files");
    assert_eq!(state(&keys), (2, vec![2]));
}

#[test]
fn bad_new_files_are_refused_and_the_old_keys_go_on() {
    let clock = clock();
    let mut mounted = Mounted::holding(&[("first", key(1))]);
    let directory = mounted.open(&clock).expect("a key");
    for (files, said) in [
        (vec![], "holds none: make one by `countersign session-keys init`"),
        (vec![("first", key(1)), ("second", "hunter2".to_owned())], "second holds no session key"),
        (vec![("first", key(1)), ("second", format!("{} from hunter2", key(2)))], "second holds no session key"),
        (vec![("first", key(1)), ("second", format!("{0}\n{0}", key(2)))], "second holds no session key"),
        (vec![("first", key(1)), ("second", key(2))], "first and second begin at the same time"),
        (vec![("first", key(1)), ("second", from(1, NOW))], "session keys 1 and 2 (counted from 1) are the same"),
        (vec![("second", from(2, NOW + 1))], "none in "),
    ] {
        mounted.change(&files);
        let error = directory.reload().expect_err("refused").to_string();
        assert!(error.contains(said) && !error.contains("hunter2") && !error.contains("csk1"), "{error}");
        assert_eq!(state(&directory.keys()), (1, vec![1]), "{said}");
        assert!(mounted.refusal().contains(said), "at the start, too: {said}");
    }
    mounted.change(&[("first", key(1)), ("second", from(2, NOW))]);
    directory.reload().expect("mended");
    assert_eq!(state(&directory.keys()), (2, vec![1, 2]));
}

#[test]
fn a_directory_that_is_not_there_says_what_to_make() {
    let error = KeyDirectory::open("/nowhere/session-keys".into(), clock()).expect_err("nothing there").to_string();
    assert!(error.contains("/nowhere/session-keys") && error.contains("countersign session-keys init"), "{error}");
}

#[test]
fn what_is_no_directory_is_said_to_be_so() {
    let mounted = Mounted::holding(&[("first", key(1))]);
    let file = mounted.directory.path().join("first-alone");
    fs::write(&file, key(1)).unwrap();
    let error = KeyDirectory::open(file, clock()).expect_err("no directory").to_string();
    assert!(error.contains("first-alone cannot be read"), "{error}");
}

#[test]
fn a_file_that_everybody_may_read_is_refused() {
    let mounted = Mounted::holding(&[("first", key(1))]);
    fs::set_permissions(mounted.directory.path().join("..1/first"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = mounted.refusal();
    assert!(error.contains("may be read by others (mode 0644)") && error.contains("defaultMode: 0440"), "{error}");
}
