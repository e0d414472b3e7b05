//! The session keys: from each comes one key for each purpose, and a name that gives nothing of it away.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::audit::{self, KeyChange};
use crate::secret::SecretBytes;

/// The keys that MAC cookies and seal rows and flows. The newest makes, all of them open: to rotate, put a new one in
/// front and take the oldest away once what it made has ended. Others may take their place while they are in use.
pub struct SessionKeys(ArcSwap<Ring>);

/// Keys as they are at one moment, the newest first.
pub(super) struct Ring(Vec<SessionKey>);

/// What an envelope is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session's row in the store.
    Row,
    /// A login flow, in its cookie.
    Flow,
}

/// Why keys cannot be used as session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// Not one key.
    #[error("there is no session key: give at least one")]
    NoKey,
    /// Two keys with one name: the same key, or a one in four billion chance.
    #[error("session keys {0} and {1} (counted from 1) are the same or cannot be told apart: leave one of them out")]
    Indistinct(usize, usize),
}

/// The name of a key, which gives nothing of it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName(pub(super) KeyId);

/// The same, in cookies and envelopes.
pub(super) type KeyId = [u8; 4];

/// What comes of one session key.
pub(super) struct SessionKey {
    pub(super) id: KeyId,
    pub(super) cookie: hmac::Key,
    tag: hmac::Key,
    row: RandomizedNonceKey,
    flow: RandomizedNonceKey,
}

impl SessionKeys {
    /// Takes the keys over, the newest first.
    ///
    /// # Errors
    /// If there is none, or if two of them have one name.
    #[expect(clippy::needless_pass_by_value, reason = "the caller is to keep no copy of the keys")]
    pub fn new(newest_first: Vec<SecretBytes<32>>) -> Result<Self, SealError> {
        let newest_first: Vec<SessionKey> = newest_first.iter().map(SessionKey::new).collect();
        if newest_first.is_empty() {
            return Err(SealError::NoKey);
        }
        for (place, key) in newest_first.iter().enumerate() {
            if let Some(earlier) = newest_first[..place].iter().position(|other| other.id == key.id) {
                return Err(SealError::Indistinct(earlier + 1, place + 1));
            }
        }
        Ok(Self(ArcSwap::from_pointee(Ring(newest_first))))
    }

    /// Puts other keys in the place of these, if they are others; whether they are.
    pub fn follow(&self, next: &Self) -> bool {
        let (before, next) = (self.ring(), next.0.load_full());
        if before.0.iter().map(|key| key.id).eq(next.0.iter().map(|key| key.id)) {
            return false;
        }
        self.0.store(Arc::clone(&next));
        for came in next.0.iter().filter(|key| before.find(key.id).is_none()) {
            audit::key_change(&came.name(), KeyChange::Loaded);
        }
        for gone in before.0.iter().filter(|key| next.find(key.id).is_none()) {
            audit::key_change(&gone.name(), KeyChange::Retired);
        }
        if before.newest().id != next.newest().id {
            tracing::info!(kid = next.newest().name(), "another session key makes cookies and rows from now on");
        }
        true
    }

    /// One-way names of what these parts say, under each key, the newest first. Whoever has no key can neither read nor
    /// guess what was named.
    pub fn tags(&self, parts: &[&str]) -> impl Iterator<Item = [u8; 16]> + use<> {
        let tags: Vec<[u8; 16]> = self.ring().0.iter().map(|key| key.tag(parts)).collect();
        tags.into_iter()
    }

    /// The keys as they are now. Whoever needs several of them, or one of them twice, asks once.
    pub(super) fn ring(&self) -> Guard<Arc<Ring>> {
        self.0.load()
    }
}

impl Ring {
    /// The key that makes.
    pub(super) fn newest(&self) -> &SessionKey {
        &self.0[0]
    }

    /// The key of this name.
    pub(super) fn find(&self, id: KeyId) -> Option<&SessionKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Purpose {
    /// Bound into what is sealed for it.
    pub(super) const fn label(self) -> &'static [u8] {
        match self {
            Self::Row => b"row",
            Self::Flow => b"flow",
        }
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys([redacted])")
    }
}

impl SessionKey {
    fn new(key: &SecretBytes<32>) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"countersign session key 1").extract(key.expose());
        let name = digest::digest(&digest::SHA256, derive(&root, b"name").as_ref());
        let mut id = KeyId::default();
        id.copy_from_slice(&name.as_ref()[..4]);
        Self {
            id,
            cookie: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"cookie").as_ref()),
            tag: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"tag").as_ref()),
            row: aead(&derive(&root, Purpose::Row.label())),
            flow: aead(&derive(&root, Purpose::Flow.label())),
        }
    }

    /// Its name, as people read it.
    fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }

    fn tag(&self, parts: &[&str]) -> [u8; 16] {
        let mut mac = hmac::Context::with_key(&self.tag);
        for part in parts {
            // Lengths, so that no two lists of parts are one text.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let mut tag = [0; 16];
        tag.copy_from_slice(&mac.sign().as_ref()[..16]);
        tag
    }

    pub(super) fn of(&self, purpose: Purpose) -> &RandomizedNonceKey {
        match purpose {
            Purpose::Row => &self.row,
            Purpose::Flow => &self.flow,
        }
    }
}

/// The key for one purpose (HKDF-SHA256, RFC 5869 section 2.3).
#[expect(clippy::expect_used, reason = "HKDF-SHA256 yields 32 bytes whatever it is given (at most 255 * 32)")]
pub(super) fn derive(root: &hkdf::Prk, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    root.expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(key.as_mut()))
        .expect("32 bytes are within what HKDF gives");
    key
}

/// A key of AES-256-GCM. Its nonces are random: good for some four billion envelopes under one key
/// (NIST SP 800-38D section 8.3).
#[expect(clippy::expect_used, reason = "a key of 32 bytes is always one of AES-256")]
pub(super) fn aead(key: &[u8; 32]) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, key).expect("32 bytes are a key of AES-256")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ_by_key_and_by_parts() {
        let keys = |bytes: &[u8]| {
            SessionKeys::new(bytes.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
        };
        let tags = |keys: &SessionKeys, parts: &[&str]| keys.tags(parts).collect::<Vec<_>>();
        let both = tags(&keys(&[1, 2]), &["user", "ann"]);
        assert_eq!(both, [tags(&keys(&[1]), &["user", "ann"]), tags(&keys(&[2]), &["user", "ann"])].concat());
        assert_ne!(both[0], both[1]);
        assert_ne!(both[0], tags(&keys(&[1]), &["user", "bob"])[0]);
        assert_ne!(both[0], tags(&keys(&[1]), &["usera", "nn"])[0], "parts have ends");
    }

    #[test]
    fn keys_must_be_there_and_differ() {
        let key = |byte| SecretBytes::new([byte; 32]);
        assert_eq!(SessionKeys::new(vec![]).err(), Some(SealError::NoKey));
        assert_eq!(SessionKeys::new(vec![key(1), key(2), key(1)]).err(), Some(SealError::Indistinct(1, 3)));
        assert!(SessionKeys::new(vec![key(1), key(2)]).is_ok());
    }

    #[test]
    fn no_two_derived_values_agree() {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"x").extract(&[7; 32]);
        let all: std::collections::HashSet<[u8; 32]> =
            [&b"name"[..], b"cookie", b"row", b"flow"].iter().map(|purpose| *derive(&root, purpose)).collect();
        assert_eq!(all.len(), 4);
        assert!(!all.contains(&[7; 32]));
    }

    #[test]
    fn people_read_the_name_that_envelopes_carry() {
        let key = SessionKey::new(&SecretBytes::new([1; 32]));
        assert_eq!(URL_SAFE_NO_PAD.decode(key.name()), Ok(key.id.to_vec()));
    }

    #[test]
    fn keys_are_followed_while_they_are_in_use() {
        let keys = |bytes: &[u8]| {
            SessionKeys::new(bytes.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
        };
        let ring = keys(&[1]);
        let old = ring.seal(Purpose::Row, b"here", b"hello");
        assert!(!ring.follow(&keys(&[1])));
        assert!(ring.follow(&keys(&[2, 1])));
        let new = ring.seal(Purpose::Row, b"here", b"hello");
        assert!(ring.open(Purpose::Row, b"here", &old).is_ok());
        assert!(keys(&[1]).open(Purpose::Row, b"here", &new).is_err(), "the newest seals");
        // The same keys in another order are others: another one makes.
        assert!(ring.follow(&keys(&[1, 2])));
        assert!(ring.follow(&keys(&[2])));
        assert!(ring.open(Purpose::Row, b"here", &old).is_err());
    }
}
