//! What a row holds, and how it is sealed: the row under the session keys, for its place in the store alone, and the
//! provider's tokens inside it once more, under the cookie's secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::store::StoreKey;
use crate::clock::UnixTime;
use crate::identity::{Identity, ProviderTokens};
use crate::seal::{BadEnvelope, CookieSecret, Purpose, SessionKeys};
use crate::secret::SecretText;

/// A signed-in browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Who it is.
    pub identity: Identity,
    /// A random pseudonym of the session, which tokens carry as `sid`.
    pub sid: String,
    /// When the browser signed in here.
    pub signed_in_at: UnixTime,
    /// When the session ends, whatever happens.
    pub ends_at: UnixTime,
    /// When the identity is to be read anew; the end of time if the provider gave nothing to renew with.
    pub renew_at: UnixTime,
    /// The provider's own name for its session (`sid`, OIDC Back-Channel Logout section 2.1).
    pub provider_sid: Option<String>,
    /// The provider's tokens, sealed with a key that only the cookie's secret yields.
    #[serde(with = "base64_text")]
    pub(crate) sealed_tokens: Vec<u8>,
}

/// Why a row is no session.
#[derive(Debug, Error)]
pub(super) enum BadRow {
    #[error(transparent)]
    Sealed(#[from] BadEnvelope),
    #[error("the row is of schema {0:?}, which is not known here")]
    Schema(Option<u8>),
    #[error("the row's content cannot be read")]
    Content(#[from] serde_json::Error),
}

/// The first byte under the seal. A change of [`Session`] that older rows do not fit takes the next number.
const SCHEMA: u8 = 1;

/// The row as the store gets it.
pub(super) fn seal(session: &Session, keys: &SessionKeys, key: StoreKey) -> Vec<u8> {
    let mut plain = vec![SCHEMA];
    write_json(&mut plain, session);
    keys.seal(Purpose::Row, key.as_bytes(), &plain)
}

/// The session in a row that was found at `key`.
pub(super) fn open(row: &[u8], keys: &SessionKeys, key: StoreKey) -> Result<Session, BadRow> {
    let plain = keys.open(Purpose::Row, key.as_bytes(), row)?;
    match plain.split_first() {
        Some((&SCHEMA, content)) => Ok(serde_json::from_slice(content)?),
        other => Err(BadRow::Schema(other.map(|(schema, _)| *schema))),
    }
}

/// The same row under the newest key, if an older one has sealed it. What it says stays as it is, were it of a schema that
/// is not known here.
pub(super) fn reseal(row: &[u8], keys: &SessionKeys, key: StoreKey) -> Result<Option<Vec<u8>>, BadRow> {
    Ok(keys.reseal(Purpose::Row, key.as_bytes(), row)?)
}

/// The tokens, for whoever has the cookie of the session `sid`.
pub(super) fn seal_tokens(tokens: &ProviderTokens, secret: &CookieSecret, sid: &str) -> Vec<u8> {
    let written = Tokens {
        id: tokens.id_token.expose(),
        access: tokens.access_token.expose(),
        refresh: tokens.refresh_token.as_ref().map(SecretText::expose),
    };
    // Room for all of it: a vector that grows leaves copies behind.
    let bytes = written.id.len() + written.access.len() + written.refresh.map_or(0, str::len);
    let room = bytes * 2 + 128;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    write_json(&mut plain, &written);
    secret.seal(sid.as_bytes(), &plain)
}

/// The tokens that [`seal_tokens`] sealed.
pub(super) fn open_tokens(sealed: &[u8], secret: &CookieSecret, sid: &str) -> Result<ProviderTokens, BadRow> {
    let plain = secret.open(sid.as_bytes(), sealed)?;
    let read: Tokens<String> = serde_json::from_slice(&plain)?;
    Ok(ProviderTokens {
        id_token: SecretText::new(read.id),
        access_token: SecretText::new(read.access),
        refresh_token: read.refresh.map(SecretText::new),
    })
}

#[derive(Serialize, Deserialize)]
struct Tokens<T> {
    id: T,
    access: T,
    refresh: Option<T>,
}

#[expect(clippy::expect_used, reason = "texts and numbers are always JSON, and a vector takes whatever is written")]
fn write_json(target: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(target, value).expect("texts and numbers are JSON");
}

mod base64_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Engine, STANDARD_NO_PAD};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD_NO_PAD.decode(text).map_err(|_| D::Error::custom("no base64"))
    }
}
