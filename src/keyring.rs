//! The keys that sign RC tokens: which of them signs now, which are published, and where they are kept.
//! It signs nothing itself and answers no request.

mod directory;
mod publication;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;

use crate::audit::{self, KeyChange};
use crate::clock::{Clock, UnixTime};
use crate::jose::{JoseError, SigningKey};

pub use directory::{Directory, add_to_directory, init_directory};
pub use publication::Publication;

/// The port: where signing keys are kept.
pub trait KeyStore: Send + Sync + 'static {
    /// All keys, in any order.
    ///
    /// # Errors
    /// If they cannot be read, or one of them is not a key.
    fn load(&self) -> Result<Vec<ScheduledKey>, KeyringError>;

    /// Adds a key.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn add(&self, key: &ScheduledKey) -> Result<(), KeyringError>;
}

/// A key and its times. It is published from the moment it is kept until it retires, so that verifiers know it
/// before it signs, and still know it while its last tokens live.
#[derive(Clone, Debug)]
pub struct ScheduledKey {
    /// The key.
    pub key: Arc<SigningKey>,
    /// From when on it signs; the latest one that has begun does.
    pub sign_from: UnixTime,
    /// When it is taken out of the JWKS.
    pub retire_at: Option<UnixTime>,
}

/// Why there is no key to sign with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// A file that cannot be read or written.
    #[error("signing keys: {path}: {reason}")]
    Files {
        /// Which one.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// Keys there already.
    #[error("signing keys: {path} holds keys already; nothing was written")]
    NotEmpty {
        /// Which directory.
        path: String,
    },
    /// A directory that somebody else fills is not there, or holds nothing.
    #[error(
        "signing keys: {path} holds none: make them by `countersign keys init --dir DIR`, and keep what is in DIR in the \
         Secret that is mounted there; all replicas need the same"
    )]
    NoKeys {
        /// Which directory.
        path: String,
    },
    /// No key's time has come.
    #[error("signing keys: none of them may sign now: look at `sign_from` and `retire_at` in their files")]
    NoneInForce,
    /// The library would not make or write one.
    #[error("signing keys: {0}")]
    Key(#[from] JoseError),
}

/// The keys in force. Cheap to ask; [`Keyring::reload`] makes it follow its store and the time.
pub struct Keyring {
    store: Box<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    current: ArcSwap<InForce>,
    /// How often keys were taken out while this runs.
    removals: AtomicU64,
    /// Which keys there are, and when each was first seen; never, for those that were there at the start.
    seen: Mutex<Seen>,
}

/// Keys by their ids.
type Seen = HashMap<String, Option<UnixTime>>;

/// How long a key is published before it signs if its file says no later time: as long as verifiers need to fetch the
/// keys again, istiod above all (20 minutes), and kubelets to bring the file to all replicas (2 minutes).
const NOTICE: Duration = Duration::from_mins(30);

struct InForce {
    signer: Arc<SigningKey>,
    publication: Arc<Publication>,
}

impl Keyring {
    /// Reads the keys.
    ///
    /// # Errors
    /// If they cannot be read, or none may sign now.
    pub fn open(store: Box<dyn KeyStore>, clock: Arc<dyn Clock>) -> Result<Self, KeyringError> {
        let keys = store.load()?;
        let seen = keys.iter().map(|key| (key.key.kid().to_owned(), None)).collect();
        let current = ArcSwap::from_pointee(InForce::choose(keys, &seen, clock.now())?);
        Ok(Self { store, clock, current, removals: AtomicU64::new(0), seen: Mutex::new(seen) })
    }

    /// Reads the keys, and makes the first one if there is none.
    ///
    /// # Errors
    /// If they cannot be read, made or kept, or none may sign now.
    pub fn open_or_create(store: Box<dyn KeyStore>, clock: Arc<dyn Clock>) -> Result<Self, KeyringError> {
        if store.load()?.is_empty() {
            let key = Arc::new(SigningKey::generate()?);
            audit::key_change(key.kid(), KeyChange::Generated);
            store.add(&ScheduledKey { key, sign_from: clock.now(), retire_at: None })?;
        }
        Self::open(store, clock)
    }

    /// The key that signs now.
    #[must_use]
    pub fn signer(&self) -> Arc<SigningKey> {
        Arc::clone(&self.current.load().signer)
    }

    /// What is published now.
    #[must_use]
    pub fn publication(&self) -> Arc<Publication> {
        Arc::clone(&self.current.load().publication)
    }

    /// A number that changes whenever a key is taken out: its tokens are good for nothing any more.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    /// Follows the store and the time. On an error the keys stay as they were.
    ///
    /// # Errors
    /// If the keys cannot be read, or none may sign now.
    pub fn reload(&self) -> Result<(), KeyringError> {
        let now = self.clock.now();
        let keys = self.store.load()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sight = |key: &ScheduledKey| {
            let kid = key.key.kid().to_owned();
            let first = seen.get(&kid).copied().unwrap_or(Some(now));
            (kid, first)
        };
        let seen_now: Seen = keys.iter().map(sight).collect();
        let next = InForce::choose(keys, &seen_now, now)?;
        let before = self.current.load_full();
        if before.signer.kid() != next.signer.kid() || before.publication != next.publication {
            self.current.store(Arc::new(next));
        }
        if seen.keys().any(|kid| !seen_now.contains_key(kid)) {
            self.removals.fetch_add(1, Ordering::Release);
        }
        tell(&before, &self.current.load(), &seen, &seen_now);
        *seen = seen_now;
        Ok(())
    }
}

/// Says what has changed, once it has.
fn tell(before: &InForce, after: &InForce, seen: &Seen, seen_now: &Seen) {
    for came in seen_now.keys().filter(|kid| !seen.contains_key(*kid)) {
        audit::key_change(came, KeyChange::Loaded);
    }
    for gone in seen.keys().filter(|kid| !seen_now.contains_key(*kid)) {
        audit::key_change(gone, KeyChange::Retired);
    }
    if before.signer.kid() != after.signer.kid() {
        tracing::info!(kid = after.signer.kid(), "another key signs from now on");
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({})", self.current.load().signer.kid())
    }
}

impl InForce {
    /// Of the keys that have begun, the one that began last signs. Who has come without notice begins later than their file
    /// says, unless there is no other.
    fn choose(keys: Vec<ScheduledKey>, seen: &Seen, now: UnixTime) -> Result<Self, KeyringError> {
        let alive: Vec<ScheduledKey> =
            keys.into_iter().filter(|key| key.retire_at.is_none_or(|end| now < end)).collect();
        let with_notice = |key: &ScheduledKey| match seen.get(key.key.kid()) {
            Some(Some(seen)) if key.sign_from <= *seen => seen.plus(NOTICE),
            _ => key.sign_from,
        };
        let latest = |begins: &dyn Fn(&ScheduledKey) -> UnixTime| {
            let begun = alive.iter().filter(|key| begins(key) <= now);
            begun.max_by_key(|key| (begins(key), key.key.kid().to_owned()))
        };
        let signer = latest(&with_notice).or_else(|| latest(&|key| key.sign_from)).ok_or(KeyringError::NoneInForce)?;
        let publication = Publication::of(alive.iter().map(|key| key.key.public_jwk()));
        Ok(Self { signer: Arc::clone(&signer.key), publication: Arc::new(publication) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use std::sync::Mutex;
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct InMemory(Arc<Mutex<Vec<ScheduledKey>>>);

    impl KeyStore for InMemory {
        fn load(&self) -> Result<Vec<ScheduledKey>, KeyringError> {
            Ok(self.0.lock().unwrap().clone())
        }
        fn add(&self, key: &ScheduledKey) -> Result<(), KeyringError> {
            self.0.lock().unwrap().push(key.clone());
            Ok(())
        }
    }

    fn scheduled(sign_from: u64, retire_at: Option<u64>) -> ScheduledKey {
        ScheduledKey {
            key: Arc::new(SigningKey::generate().unwrap()),
            sign_from: UnixTime::from_secs(sign_from),
            retire_at: retire_at.map(UnixTime::from_secs),
        }
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after_it_has_signed() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let store = InMemory::default();
        let (old, new) = (scheduled(0, Some(3_000)), scheduled(2_000, None));
        store.add(&old).unwrap();
        store.add(&new).unwrap();
        let keyring = Keyring::open(Box::new(store), clock.clone()).unwrap();
        let published = |keyring: &Keyring| String::from_utf8(keyring.publication().body().to_vec()).unwrap();

        assert_eq!(keyring.signer().kid(), old.key.kid());
        assert!(published(&keyring).contains(new.key.kid()));
        let first = keyring.publication();

        clock.advance(Duration::from_mins(25));
        keyring.reload().unwrap();
        assert_eq!(keyring.signer().kid(), new.key.kid());
        assert!(published(&keyring).contains(old.key.kid()));
        assert_eq!(keyring.publication().etag(), first.etag());

        clock.advance(Duration::from_secs(1_000));
        keyring.reload().unwrap();
        assert!(!published(&keyring).contains(old.key.kid()));
        assert_ne!(keyring.publication().etag(), first.etag());
    }

    #[test]
    fn a_key_that_comes_without_notice_is_published_before_it_signs() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let store = InMemory::default();
        let (old, new) = (scheduled(0, None), scheduled(900, None));
        store.add(&old).unwrap();
        let keyring = Keyring::open(Box::new(store.clone()), clock.clone()).unwrap();
        store.add(&new).unwrap();
        keyring.reload().unwrap();
        assert_eq!(keyring.signer().kid(), old.key.kid());
        assert!(String::from_utf8(keyring.publication().body().to_vec()).unwrap().contains(new.key.kid()));
        clock.advance(Duration::from_secs(NOTICE.as_secs() - 1));
        keyring.reload().unwrap();
        assert_eq!(keyring.signer().kid(), old.key.kid());
        clock.advance(Duration::from_secs(1));
        keyring.reload().unwrap();
        assert_eq!(keyring.signer().kid(), new.key.kid());
    }

    #[test]
    fn a_key_that_takes_the_others_place_signs_at_once() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let store = InMemory::default();
        store.add(&scheduled(0, None)).unwrap();
        let keyring = Keyring::open(Box::new(store.clone()), clock).unwrap();
        let new = scheduled(900, None);
        store.add(&new).unwrap();
        keyring.reload().unwrap();
        assert_ne!(keyring.signer().kid(), new.key.kid(), "it has come without notice");
        *store.0.lock().unwrap() = vec![new.clone()];
        keyring.reload().unwrap();
        assert_eq!(keyring.signer().kid(), new.key.kid());
        // What cannot be used changes nothing.
        *store.0.lock().unwrap() = vec![scheduled(2_000, None)];
        assert_eq!(keyring.reload(), Err(KeyringError::NoneInForce));
        assert_eq!(keyring.signer().kid(), new.key.kid());
    }

    #[test]
    fn the_first_key_is_made_once() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let store = InMemory::default();
        let first = Keyring::open_or_create(Box::new(store.clone()), clock.clone()).unwrap();
        let second = Keyring::open_or_create(Box::new(store), clock).unwrap();
        assert_eq!(first.signer().kid(), second.signer().kid());
    }

    #[test]
    fn no_key_in_force_is_an_error() {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000)));
        let store = InMemory::default();
        store.add(&scheduled(2_000, None)).unwrap();
        assert_eq!(Keyring::open(Box::new(store), clock).unwrap_err(), KeyringError::NoneInForce);
    }
}
