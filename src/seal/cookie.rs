//! The session cookie's value: a random secret, and a MAC that keeps made-up ones away from the store.

use std::fmt;

use aws_lc_rs::aead::RandomizedNonceKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::envelope::{BadEnvelope, open_under, seal_under};
use super::keys::{KeyId, SessionKey, SessionKeys, aead, derive};
use crate::entropy::{Entropy, random};
use crate::secret::SecretBytes;

/// What only the browser keeps: 256 random bits.
#[derive(Clone)]
pub struct CookieSecret(SecretBytes<32>);

/// Why a session cookie is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadCookie {
    /// It has another form.
    #[error("the session cookie is malformed")]
    Malformed,
    /// The key that it names is not one of ours (any more).
    #[error("the session cookie was made with a key that is not known here")]
    UnknownKey,
    /// Its MAC is wrong.
    #[error("the session cookie is forged")]
    Forged,
}

// `1.{key id}.{secret}.{mac}`, each part in base64url without padding.
const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
const ID_CHARS: usize = 6;
const SECRET_CHARS: usize = 43;
const MAC_CHARS: usize = 22;
const LENGTH: usize = 1 + 1 + ID_CHARS + 1 + SECRET_CHARS + 1 + MAC_CHARS;

const SEALING: &[u8] = b"sealing";

impl CookieSecret {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(SecretBytes::new(random(entropy)))
    }

    /// Where the session is filed. It leads back neither to the secret nor to what is derived from it otherwise, and
    /// it is the same under every session key, so that new keys lose no session.
    #[must_use]
    pub fn store_key(&self) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"countersign store key 1\0");
        hash.update(self.0.expose());
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        key
    }

    /// Seals what nobody may read who has not got the cookie. `context` must be the same to open it.
    #[must_use]
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        seal_under(&self.key(), &[VERSION], &[SEALING, context], plaintext)
    }

    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// If it was sealed under another secret or with another context, or changed since.
    pub fn open(&self, context: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadEnvelope> {
        match envelope.split_first() {
            Some((&VERSION, sealed)) => open_under(&self.key(), &[VERSION], &[SEALING, context], sealed),
            _ => Err(BadEnvelope::Malformed),
        }
    }

    fn key(&self) -> RandomizedNonceKey {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"countersign cookie secret 1").extract(self.0.expose());
        aead(&derive(&root, SEALING))
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret([redacted])")
    }
}

impl SessionKeys {
    /// The cookie's value: `1.{key id}.{secret}.{mac}`, made with the newest key.
    #[must_use]
    pub fn cookie_value(&self, secret: &CookieSecret) -> String {
        let ring = self.ring();
        let key = ring.newest();
        let mut value = String::with_capacity(LENGTH);
        value.push('1');
        for part in [&key.id[..], secret.0.expose(), &mac(key, secret.0.expose())[..]] {
            value.push('.');
            URL_SAFE_NO_PAD.encode_string(part, &mut value);
        }
        value
    }

    /// The secret in a cookie's value, if the value was made with one of these keys. It allocates nothing.
    ///
    /// # Errors
    /// If the value has another form, names an unknown key, or has a wrong MAC.
    pub fn open_cookie(&self, value: &str) -> Result<CookieSecret, BadCookie> {
        let bytes: &[u8; LENGTH] = value.as_bytes().try_into().map_err(|_| BadCookie::Malformed)?;
        let (id, rest) = part::<ID_CHARS>(bytes.strip_prefix(b"1").ok_or(BadCookie::Malformed)?)?;
        let (secret, rest) = part::<SECRET_CHARS>(rest)?;
        let (sent, _) = part::<MAC_CHARS>(rest)?;
        let id: KeyId = decode(id)?;
        let secret = SecretBytes::new(decode::<32>(secret)?);
        let sent: [u8; MAC_BYTES] = decode(sent)?;
        let ring = self.ring();
        let key = ring.find(id).ok_or(BadCookie::UnknownKey)?;
        verify_slices_are_equal(&mac(key, secret.expose()), &sent).map_err(|_| BadCookie::Forged)?;
        Ok(CookieSecret(secret))
    }
}

/// A dot and the `N` characters that follow it, and what is left.
fn part<const N: usize>(text: &[u8]) -> Result<(&[u8; N], &[u8]), BadCookie> {
    text.strip_prefix(b".").and_then(<[u8]>::split_first_chunk).ok_or(BadCookie::Malformed)
}

/// Exactly `N` bytes, from the one text that means them: spare bits at the end must be zero.
fn decode<const N: usize>(text: &[u8]) -> Result<[u8; N], BadCookie> {
    let mut bytes = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err(BadCookie::Malformed),
    }
}

/// HMAC-SHA256 over version, key id and secret, which all have fixed lengths; the first 128 bits of it
/// (RFC 2104 section 5).
fn mac(key: &SessionKey, secret: &[u8; 32]) -> [u8; MAC_BYTES] {
    let mut message = Zeroizing::new([VERSION; 1 + size_of::<KeyId>() + 32]);
    message[1..5].copy_from_slice(&key.id);
    message[5..].copy_from_slice(secret);
    let tag = hmac::sign(&key.cookie, message.as_ref());
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&tag.as_ref()[..MAC_BYTES]);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::TestEntropy;

    fn keys(newest_first: &[u8]) -> SessionKeys {
        SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
    }

    fn secret() -> CookieSecret {
        CookieSecret::generate(&TestEntropy::default())
    }

    #[test]
    fn a_cookie_opens_under_every_known_key_and_no_other() {
        let value = keys(&[1]).cookie_value(&secret());
        assert_eq!(value.len(), LENGTH);
        for ring in [&[1][..], &[2, 1], &[3, 2, 1]] {
            let opened = keys(ring).open_cookie(&value).expect("a good cookie");
            assert_eq!(opened.store_key(), secret().store_key());
        }
        assert_eq!(keys(&[2, 3]).open_cookie(&value).err(), Some(BadCookie::UnknownKey));
    }

    #[test]
    fn all_of_a_secret_is_random() {
        let random: [u8; 32] = random(&TestEntropy::default());
        assert_eq!(secret().0.expose(), &random);
        let all: std::collections::HashSet<[u8; 8]> = random.as_chunks().0.iter().copied().collect();
        assert_eq!(all.len(), 4, "no part of it is like another");
    }

    #[test]
    fn a_mac_under_another_key_of_that_name_is_forged() {
        let ring = keys(&[1]);
        let mut value = keys(&[2]).cookie_value(&secret());
        value.replace_range(2..8, &URL_SAFE_NO_PAD.encode(ring.ring().newest().id));
        assert_eq!(ring.open_cookie(&value).err(), Some(BadCookie::Forged));
    }

    #[test]
    fn no_changed_bit_passes() {
        let ring = keys(&[1, 2]);
        let value = ring.cookie_value(&secret());
        for bit in 0..value.len() * 7 {
            let mut bytes = value.clone().into_bytes();
            bytes[bit / 7] ^= 1 << (bit % 7);
            let changed = String::from_utf8(bytes).expect("ASCII stays ASCII");
            assert!(ring.open_cookie(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn nothing_shorter_longer_or_padded_passes() {
        let ring = keys(&[1]);
        let value = ring.cookie_value(&secret());
        for bad in [String::new(), value[1..].into(), format!("{value}="), format!(" {value}"), format!("{value}A")] {
            assert_eq!(ring.open_cookie(&bad).err(), Some(BadCookie::Malformed), "{bad}");
        }
    }

    #[test]
    fn what_is_sealed_under_a_secret_opens_under_it_alone() {
        let entropy = TestEntropy::default();
        let (ann, bob) = (CookieSecret::generate(&entropy), CookieSecret::generate(&entropy));
        assert_ne!(ann.store_key(), bob.store_key());
        let sealed = ann.seal(b"tokens", b"hello");
        assert_eq!(ann.open(b"tokens", &sealed).expect("opens").as_slice(), b"hello");
        assert_eq!(bob.open(b"tokens", &sealed), Err(BadEnvelope::Forged));
        assert_eq!(ann.open(b"other", &sealed), Err(BadEnvelope::Forged));
        assert_eq!(ann.open(b"tokens", &[]), Err(BadEnvelope::Malformed));
    }

    #[test]
    fn printing_shows_nothing() {
        let secret = secret();
        let ring = keys(&[1]);
        assert_eq!(format!("{secret:?} {ring:?}"), "CookieSecret([redacted]) SessionKeys([redacted])");
        assert_ne!(&secret.store_key(), secret.0.expose());
    }

    proptest! {
        #[test]
        fn whatever_a_browser_sends_is_refused_in_peace(value in "(1\\.[A-Za-z0-9_-]{6}\\.[A-Za-z0-9_-]{43}\\.[A-Za-z0-9_-]{22})|.{0,80}") {
            prop_assert!(keys(&[1]).open_cookie(&value).is_err());
        }
    }
}
