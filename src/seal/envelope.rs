//! AEAD envelopes: version, key id, nonce, ciphertext and tag. What they are for and where they belong is bound in,
//! so that none opens in another's place.

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use thiserror::Error;
use zeroize::Zeroizing;

use super::keys::{KeyId, KeyName, Purpose, SessionKeys};

/// Why an envelope does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadEnvelope {
    /// It has another form.
    #[error("the envelope is malformed")]
    Malformed,
    /// The key that it names is not one of ours (any more).
    #[error("the envelope was sealed with a key that is not known here")]
    UnknownKey,
    /// It was changed, or sealed for something or somewhere else.
    #[error("the envelope is forged, or was sealed for another place")]
    Forged,
}

const VERSION: u8 = 1;
const HEADER: usize = 1 + size_of::<KeyId>();

impl SessionKeys {
    /// Seals with the newest key. `context` says where the envelope belongs; it must be the same to open it.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let ring = self.ring();
        let key = ring.newest();
        let mut header = [VERSION; HEADER];
        header[1..].copy_from_slice(&key.id);
        seal_under(key.of(purpose), &header, &[purpose.label(), context], plaintext)
    }

    /// Opens what [`Self::seal`] made, with whichever key it names.
    ///
    /// # Errors
    /// If the key is not known, or if it was sealed for another purpose or context, or changed since.
    pub fn open(&self, purpose: Purpose, context: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadEnvelope> {
        let (header, sealed) = envelope.split_first_chunk::<HEADER>().ok_or(BadEnvelope::Malformed)?;
        let [version, id @ ..] = *header;
        if version != VERSION {
            return Err(BadEnvelope::Malformed);
        }
        let ring = self.ring();
        let key = ring.find(id).ok_or(BadEnvelope::UnknownKey)?;
        open_under(key.of(purpose), header, &[purpose.label(), context], sealed)
    }

    /// The envelope made anew with the newest key, if it was made with an older one; what is in it stays as it is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reseal(&self, purpose: Purpose, context: &[u8], envelope: &[u8]) -> Result<Option<Vec<u8>>, BadEnvelope> {
        if !Self::maker(envelope).is_some_and(|maker| self.is_outdated(maker)) {
            return Ok(None);
        }
        let plaintext = self.open(purpose, context, envelope)?;
        Ok(Some(self.seal(purpose, context, &plaintext)))
    }

    /// The name of the key that made the envelope, as its header has it.
    #[must_use]
    pub fn maker(envelope: &[u8]) -> Option<KeyName> {
        let [_, id @ ..] = *envelope.first_chunk::<HEADER>()?;
        Some(KeyName(id))
    }

    /// Whether another key than that one makes envelopes now.
    #[must_use]
    pub fn is_outdated(&self, maker: KeyName) -> bool {
        self.ring().newest().id != maker.0
    }
}

/// `header`, nonce, ciphertext and tag. `bound` is not in it, but must be the same to open it.
#[expect(
    clippy::expect_used,
    reason = "fails without randomness or above 64 GiB; a gateway could not go on either way"
)]
pub(super) fn seal_under(key: &RandomizedNonceKey, header: &[u8], bound: &[&[u8]], plaintext: &[u8]) -> Vec<u8> {
    // The plaintext is copied once, to where it is overwritten by its ciphertext.
    let mut sealed = Vec::with_capacity(header.len() + NONCE_LEN + plaintext.len() + key.algorithm().tag_len());
    sealed.extend_from_slice(header);
    sealed.extend_from_slice(&[0; NONCE_LEN]);
    sealed.extend_from_slice(plaintext);
    let (front, text) = sealed.split_at_mut(header.len() + NONCE_LEN);
    let (nonce, tag) = key.seal_in_place_separate_tag(associated(header, bound), text).expect("AES-GCM seals");
    front[header.len()..].copy_from_slice(nonce.as_ref());
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// The plaintext of what [`seal_under`] made, given what follows the header.
pub(super) fn open_under(
    key: &RandomizedNonceKey,
    header: &[u8],
    bound: &[&[u8]],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, BadEnvelope> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(BadEnvelope::Malformed)?;
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, associated(header, bound), &mut text).map_err(|_| BadEnvelope::Forged)?.len();
    text.truncate(length);
    Ok(text)
}

/// Every part with its length before it: no two lists of parts become the same bytes.
fn associated(header: &[u8], bound: &[&[u8]]) -> Aad<Vec<u8>> {
    let mut data = Vec::with_capacity(128);
    for part in std::iter::once(&header).chain(bound) {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    Aad::from(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretBytes;

    fn keys(newest_first: &[u8]) -> SessionKeys {
        SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
    }

    #[test]
    fn what_was_sealed_opens_under_rotated_keys() {
        let sealed = keys(&[1]).seal(Purpose::Row, b"here", b"hello");
        assert_ne!(sealed, keys(&[1]).seal(Purpose::Row, b"here", b"hello"));
        assert!(!sealed.windows(5).any(|window| window == b"hello"));
        for ring in [&[1][..], &[2, 1], &[3, 2, 1]] {
            assert_eq!(keys(ring).open(Purpose::Row, b"here", &sealed).expect("opens").as_slice(), b"hello");
        }
        assert_eq!(keys(&[2, 3]).open(Purpose::Row, b"here", &sealed), Err(BadEnvelope::UnknownKey));
    }

    #[test]
    fn what_an_older_key_sealed_is_sealed_anew_and_stays_what_it_is() {
        let old = keys(&[1]).seal(Purpose::Row, b"here", b"hello");
        let ring = keys(&[2, 1]);
        let new = ring.reseal(Purpose::Row, b"here", &old).expect("opens").expect("an older key made it");
        assert_eq!(keys(&[2]).open(Purpose::Row, b"here", &new).expect("opens").as_slice(), b"hello");
        assert_eq!(ring.reseal(Purpose::Row, b"here", &new), Ok(None));
        assert_eq!(ring.reseal(Purpose::Row, b"there", &old), Err(BadEnvelope::Forged));
        assert_eq!(keys(&[2]).reseal(Purpose::Row, b"here", &old), Err(BadEnvelope::UnknownKey));
        assert_eq!(SessionKeys::maker(b""), None);
    }

    #[test]
    fn another_purpose_or_place_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal(Purpose::Row, b"here", b"hello");
        assert_eq!(keys.open(Purpose::Flow, b"here", &sealed), Err(BadEnvelope::Forged));
        assert_eq!(keys.open(Purpose::Row, b"there", &sealed), Err(BadEnvelope::Forged));
        assert_eq!(keys.open(Purpose::Row, b"", &sealed), Err(BadEnvelope::Forged));
    }

    #[test]
    fn the_place_is_bound_even_under_one_key() {
        let key = super::super::keys::aead(&[7; 32]);
        let sealed = seal_under(&key, b"h", &[b"row", b"ab"], b"x");
        assert!(open_under(&key, b"h", &[b"row", b"ab"], &sealed[1..]).is_ok());
        for (header, bound) in [
            (&b"i"[..], [&b"row"[..], b"ab"]),
            (b"h", [b"flow", b"ab"]),
            (b"h", [b"rowa", b"b"]),
            (b"h", [b"row", b"a"]),
        ] {
            assert_eq!(open_under(&key, header, &bound, &sealed[1..]), Err(BadEnvelope::Forged));
        }
    }

    #[test]
    fn no_changed_or_cut_envelope_opens() {
        let keys = keys(&[1]);
        let sealed = keys.seal(Purpose::Flow, b"here", b"hello");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.open(Purpose::Flow, b"here", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(keys.open(Purpose::Flow, b"here", &sealed[..length]).is_err(), "{length} bytes");
        }
    }
}
