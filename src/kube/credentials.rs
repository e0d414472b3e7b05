//! Our own ServiceAccount token, read for each call: the kubelet replaces the file about once an hour, long before the
//! old token ends, and no watcher could be as exact.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use http::HeaderValue;

use super::KubeError;

/// The most bytes that a token file may have.
const LARGEST: u64 = 64 * 1024;

/// Where our token is.
#[derive(Debug)]
pub(super) struct Credentials {
    token_file: PathBuf,
}

impl Credentials {
    pub(super) fn new(token_file: PathBuf) -> Self {
        Self { token_file }
    }

    /// The `Authorization` of a call, as the file has it now.
    pub(super) fn authorization(&self) -> Result<HeaderValue, KubeError> {
        let text = self.read().map_err(|error| self.unusable(&error.to_string()))?;
        let text = zeroize::Zeroizing::new(text);
        let token = text.trim();
        if token.is_empty() {
            return Err(self.unusable("it is empty"));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| self.unusable("it holds characters that no token has"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// How the file is called.
    pub(super) fn place(&self) -> String {
        self.token_file.display().to_string()
    }

    /// A file in memory, of a few hundred bytes: worth no thread.
    fn read(&self) -> io::Result<String> {
        let mut text = String::new();
        File::open(&self.token_file)?.take(LARGEST).read_to_string(&mut text)?;
        Ok(text)
    }

    fn unusable(&self, reason: &str) -> KubeError {
        KubeError::Misconfigured(format!("token_file {}: {reason}", self.place()))
    }
}
