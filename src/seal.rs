//! AEAD envelopes and MACs with key ids and bound context, under the session keys.
//! It knows how to keep something secret and unforged, never what it is or where it is stored.

mod cookie;
mod directory;
mod envelope;
mod file;
mod keys;

pub use cookie::{BadCookie, CookieSecret};
pub use directory::{KeyDirectory, KeyDirectoryError};
pub use envelope::BadEnvelope;
pub use file::KeyFileError;
pub use keys::{KeyName, Purpose, SealError, SessionKeys};
