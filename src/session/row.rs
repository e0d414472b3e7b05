//! What a row holds, and how it is sealed: the row under the session keys, for its place in the store alone, and the
//! provider's tokens inside it once more, under the cookie's secret.

use std::net::IpAddr;

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
    /// Where the browser signed in from. Rows that were written before this was kept have nothing.
    #[serde(default)]
    pub whence: Whence,
}

/// Where a browser signed in from, as far as that is known: for people to tell their sessions apart, and for nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Whence {
    /// What kind of browser on what kind of device, in a few words of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::TestEntropy;
    use crate::secret::SecretBytes;

    /// As it was written before anything was kept of where a browser is.
    const OLDER: &str = r#"{"identity":{"provider":"dex","subject":"ann-1","user":"ann","email":null,"groups":["ml"],
        "auth_time":null,"acr":null},"sid":"abc","signed_in_at":1,"ends_at":9,"renew_at":5,"provider_sid":null,
        "sealed_tokens":""}"#;

    #[test]
    fn an_older_row_is_read_and_a_newer_one_is_read_by_the_older() {
        let keys = SessionKeys::new(vec![SecretBytes::new([7; 32])]).unwrap();
        let key = StoreKey([1; 32]);
        let plain = [&[SCHEMA][..], OLDER.as_bytes()].concat();
        let mut session = open(&keys.seal(Purpose::Row, key.as_bytes(), &plain), &keys, key).unwrap();
        assert_eq!((session.sid.as_str(), &session.whence), ("abc", &Whence::default()));

        session.whence = Whence { device: Some("Firefox on Linux".into()), address: "192.0.2.1".parse().ok() };
        let again = open(&seal(&session, &keys, key), &keys, key).unwrap();
        assert_eq!(again.whence, session.whence);
        // Whoever does not know the field passes over it: the schema is the same, and nothing else has changed.
        let mut written = serde_json::to_value(&session).unwrap();
        written.as_object_mut().unwrap().remove("whence");
        let mut known: serde_json::Value = serde_json::from_str(OLDER).unwrap();
        known["identity"]["amr"] = serde_json::json!([]);
        assert_eq!(written, known);
    }

    #[test]
    fn tokens_open_for_their_own_session_alone() {
        let secret = CookieSecret::generate(&TestEntropy::default());
        let text = |text: &str| SecretText::new(text.into());
        let tokens = ProviderTokens { id_token: text("id"), access_token: text("access"), refresh_token: None };
        let sealed = seal_tokens(&tokens, &secret, "abc");
        assert_eq!(open_tokens(&sealed, &secret, "abc").unwrap().access_token.expose(), "access");
        assert!(open_tokens(&sealed, &secret, "abd").is_err());
    }
}
