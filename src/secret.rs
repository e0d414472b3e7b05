//! Secrets that print nothing and are wiped when they are dropped.

mod session_key;
mod told;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

pub(crate) use told::without_secrets;

pub use session_key::{NotASessionKey, generate_session_key, parse_session_key};

/// A secret text: a client secret, a refresh token, an authorization code.
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Secret bytes of a fixed length: a session's secret, a session key.
#[derive(Clone)]
pub struct SecretBytes<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves, for the one call that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_nothing() {
        assert_eq!(format!("{:?}", SecretText::new("hunter2".into())), "[redacted]");
        assert_eq!(format!("{:?}", SecretBytes::new([7_u8; 4])), "[redacted]");
    }
}
