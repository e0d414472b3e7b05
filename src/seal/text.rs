//! A session key as text, for files, variables and secrets of an orchestrator.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, random};
use crate::secret::SecretBytes;

/// What a key's text begins with, so that secret scanners and people know it when they see it.
const PREFIX: &str = "csk1_";

/// Why a text is no session key. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "this is no session key: expected `csk1_` and 43 characters of base64url, as `countersign session-keys init` prints it"
)]
pub struct KeyTextError;

/// A new session key, as text: `csk1_` and 32 bytes in base64url.
pub fn generate_text(entropy: &dyn Entropy) -> String {
    let key = Zeroizing::new(random::<32>(entropy));
    let mut text = String::with_capacity(PREFIX.len() + 43);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(key.as_ref(), &mut text);
    text
}

/// Reads what [`generate_text`] wrote; white space around it does not count.
///
/// # Errors
/// If it is anything else.
pub fn parse_text(text: &str) -> Result<SecretBytes<32>, KeyTextError> {
    let digits = text.trim().strip_prefix(PREFIX).ok_or(KeyTextError)?;
    let mut key = Zeroizing::new([0; 32]);
    match URL_SAFE_NO_PAD.decode_slice(digits, key.as_mut()) {
        Ok(32) => Ok(SecretBytes::new(*key)),
        _ => Err(KeyTextError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::TestEntropy;

    #[test]
    fn what_was_written_is_read() {
        let text = generate_text(&TestEntropy::default());
        assert_eq!(text.len(), 48);
        let expected = random::<32>(&TestEntropy::default());
        assert_eq!(parse_text(&format!(" {text}\n")).map(|key| *key.expose()), Ok(expected));
    }

    #[test]
    fn anything_else_is_refused() {
        let text = generate_text(&TestEntropy::default());
        for bad in ["", "csk1_", &text[5..], &text[..47], &format!("{text}A"), &format!("{text}="), "hunter2"] {
            assert_eq!(parse_text(bad).err(), Some(KeyTextError), "{bad:?} passed");
        }
    }
}
