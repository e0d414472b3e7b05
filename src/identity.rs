//! Who somebody is, verified: the user, the groups and what the identity provider said of the sign-in.
//! The types refuse what could not be sent on in a header; they do not decide who may enter.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::UnixTime;
use crate::secret::SecretText;

/// A verified identity, whatever it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The configured provider that vouched for it.
    pub provider: ProviderId,
    /// The provider's own, stable name for the user (`sub`, OIDC Core section 2).
    pub subject: Subject,
    /// The user as the mesh knows them: the configured claim, with the configured prefix.
    pub user: UserId,
    /// The verified address, where the provider gave one.
    pub email: Option<Email>,
    /// The groups, in the provider's order.
    pub groups: Groups,
    /// When the user last authenticated, if the provider said so (`auth_time`).
    pub auth_time: Option<UnixTime>,
    /// The authentication context class, if the provider said so (`acr`).
    pub acr: Option<String>,
    /// The authentication methods, if the provider said so (`amr`).
    #[serde(default)]
    pub amr: Vec<String>,
}

/// What the provider gave for later: never shown to a workload.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    /// The ID token, as the hint of a logout (`id_token_hint`).
    pub id_token: SecretText,
    /// The access token, to be revoked at sign-out.
    pub access_token: SecretText,
    /// The refresh token, if there is one.
    pub refresh_token: Option<SecretText>,
}

/// Why a text is not the identity part that it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// More than the given number of bytes.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// A control character, or white space at an end: it would not survive as a header.
    #[error("it holds a control character or surrounding white space")]
    Unprintable,
    /// Not one `@` with something before and a domain behind it.
    #[error("it is not an e-mail address")]
    NotAnAddress,
    /// A character outside `a-z 0-9 - _ .`.
    #[error("it may hold only a-z, 0-9, '-', '_' and '.'")]
    NotAnId,
    /// More groups than [`Groups::MAX_COUNT`] or more bytes than [`Groups::MAX_BYTES`].
    #[error("there are more than {} groups, or more than {} bytes of them", Groups::MAX_COUNT, Groups::MAX_BYTES)]
    TooManyGroups,
}

macro_rules! text_word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentityError;
            fn try_from(text: String) -> Result<Self, IdentityError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_word! {
    /// The configured name of a provider: 1 to 64 characters of `a-z 0-9 - _ .`.
    ProviderId
}
text_word! {
    /// A provider's stable name for a user (`sub`): 1 to 255 printable characters (OIDC Core section 2).
    Subject
}
text_word! {
    /// The user as the mesh knows them: 1 to 320 bytes, nothing that breaks a header.
    UserId
}
text_word! {
    /// An e-mail address: one `@`, a local part, a domain, at most 254 bytes, no white space.
    Email
}
text_word! {
    /// The name of a group: 1 to 512 bytes. It may hold a comma or worse (LDAP does); see [`GroupName::fits_csv`].
    GroupName
}

impl ProviderId {
    /// Reads a provider's name.
    ///
    /// # Errors
    /// If it is empty, too long or has other characters.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdentityError> {
        let text = sized(text.into(), 64)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if text.chars().all(plain) { Ok(Self(text)) } else { Err(IdentityError::NotAnId) }
    }
}

impl Subject {
    /// Reads a `sub` claim.
    ///
    /// # Errors
    /// If it is empty, too long or unprintable.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdentityError> {
        printable(sized(text.into(), 255)?).map(Self)
    }
}

impl UserId {
    /// Reads a user's name.
    ///
    /// # Errors
    /// If it is empty, too long or unprintable.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdentityError> {
        printable(sized(text.into(), 320)?).map(Self)
    }
}

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is empty, too long, unprintable, or not one local part and one domain.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdentityError> {
        let text = printable(sized(text.into(), 254)?)?;
        let mut parts = text.split('@');
        let well_formed = matches!(
            (parts.next(), parts.next(), parts.next()),
            (Some(local), Some(domain), None) if !local.is_empty() && !domain.is_empty()
        );
        if well_formed && !text.contains(char::is_whitespace) {
            Ok(Self(text))
        } else {
            Err(IdentityError::NotAnAddress)
        }
    }

    /// What stands behind the `@`, as written.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit('@').next().unwrap_or_default()
    }
}

impl GroupName {
    /// Reads a group's name.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdentityError> {
        sized(text.into(), 512).map(Self)
    }

    /// Whether the name can stand in a comma-separated header without turning into two groups or breaking the header.
    #[must_use]
    pub fn fits_csv(&self) -> bool {
        !self.0.chars().any(|c| c == ',' || c.is_control()) && self.0.trim() == self.0
    }
}

/// A user's groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(Vec<GroupName>);

impl Groups {
    /// The most groups that one user may bring.
    pub const MAX_COUNT: usize = 2_000;
    /// The most bytes that their names may take together.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Takes the names over, in order, each once.
    ///
    /// # Errors
    /// If they are too many or too long together.
    pub fn new(names: impl IntoIterator<Item = GroupName>) -> Result<Self, IdentityError> {
        let mut seen = std::collections::HashSet::new();
        let mut kept = Vec::new();
        let mut bytes = 0;
        for name in names {
            bytes += name.0.len();
            if kept.len() >= Self::MAX_COUNT || bytes > Self::MAX_BYTES {
                return Err(IdentityError::TooManyGroups);
            }
            if seen.insert(name.clone()) {
                kept.push(name);
            }
        }
        Ok(Self(kept))
    }

    /// The names, in the provider's order.
    pub fn iter(&self) -> impl Iterator<Item = &GroupName> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|group| group.as_str() == name)
    }

    /// The names joined by commas, without those that would not survive it.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let fitting: Vec<&str> = self.0.iter().filter(|group| group.fits_csv()).map(GroupName::as_str).collect();
        fitting.join(",")
    }
}

fn sized(text: String, most: usize) -> Result<String, IdentityError> {
    match text.len() {
        0 => Err(IdentityError::Empty),
        length if length > most => Err(IdentityError::TooLong(most)),
        _ => Ok(text),
    }
}

fn printable(text: String) -> Result<String, IdentityError> {
    if text.chars().any(char::is_control) || text.trim() != text { Err(IdentityError::Unprintable) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_sign_and_no_tricks() {
        assert!(Email::parse("ann@example.com").is_ok());
        for bad in ["", "ann", "@example.com", "ann@", "a@b@c", "ann@exa mple.com", "ann@example.com\r\nx: y", "a\0@b"]
        {
            assert!(Email::parse(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn a_user_that_would_break_a_header_is_refused() {
        for bad in ["", " ann", "ann\n", "ann\u{7f}", "a\0b"] {
            assert!(UserId::parse(bad).is_err(), "{bad:?} passed");
        }
        assert_eq!(UserId::parse("Ann Ökonom").map(|user| user.to_string()), Ok("Ann Ökonom".into()));
    }

    #[test]
    fn groups_that_do_not_fit_stay_out_of_the_csv() {
        let names = ["ml", "cn=admins,dc=example", "ops\n", "ml", "data science"];
        let groups = Groups::new(names.map(|name| GroupName::parse(name).expect("a name"))).expect("few groups");
        assert_eq!(groups.to_csv(), "ml,data science");
        assert_eq!(groups.iter().count(), 4);
    }

    #[test]
    fn a_flood_of_groups_is_refused() {
        let flood = (0..400).map(|n| GroupName::parse(format!("{n:0500}")).expect("a name"));
        assert_eq!(Groups::new(flood), Err(IdentityError::TooManyGroups));
    }
}
