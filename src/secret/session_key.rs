//! A session key as text, for files, variables and secrets of an orchestrator.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::SecretBytes;
use crate::entropy::{Entropy, random};

/// What a key's text begins with, so that secret scanners and people know it when they see it.
const PREFIX: &str = "csk1_";

/// Why a text is no session key. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "this is no session key: expected `csk1_` and 43 characters of base64url, as `countersign session-keys init` prints it"
)]
pub struct NotASessionKey;

/// A new session key, as text: `csk1_` and 32 bytes in base64url.
pub fn generate_session_key(entropy: &dyn Entropy) -> String {
    let key = Zeroizing::new(random::<32>(entropy));
    let mut text = String::with_capacity(PREFIX.len() + 43);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(key.as_ref(), &mut text);
    text
}

/// Reads what [`generate_session_key`] wrote; white space around it does not count.
///
/// # Errors
/// If it is anything else.
pub fn parse_session_key(text: &str) -> Result<SecretBytes<32>, NotASessionKey> {
    let digits = text.trim().strip_prefix(PREFIX).ok_or(NotASessionKey)?;
    let mut key = Zeroizing::new([0; 32]);
    match URL_SAFE_NO_PAD.decode_slice(digits, key.as_mut()) {
        Ok(32) => Ok(SecretBytes::new(*key)),
        _ => Err(NotASessionKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::TestEntropy;

    #[test]
    fn what_was_written_is_read() {
        let text = generate_session_key(&TestEntropy::default());
        assert_eq!(text.len(), 48);
        let expected = random::<32>(&TestEntropy::default());
        assert_eq!(parse_session_key(&format!(" {text}\n")).map(|key| *key.expose()), Ok(expected));
    }

    #[test]
    fn anything_else_is_refused() {
        let text = generate_session_key(&TestEntropy::default());
        for bad in ["", "csk1_", &text[5..], &text[..47], &format!("{text}A"), &format!("{text}="), "hunter2"] {
            assert_eq!(parse_session_key(bad).err(), Some(NotASessionKey), "{bad:?} passed");
        }
    }
}
