//! A ServiceAccount's name in the cluster. Parsing is the only way in.

use std::fmt;

use thiserror::Error;

/// A ServiceAccount: its namespace and its name there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

/// A text is not `system:serviceaccount:NAMESPACE:NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no `system:serviceaccount:NAMESPACE:NAME`")]
pub struct NotAServiceAccount;

impl ServiceAccount {
    /// Reads the user name that the cluster knows it by.
    ///
    /// # Errors
    /// If it is somebody else's name.
    pub fn parse(user: &str) -> Result<Self, NotAServiceAccount> {
        let (namespace, name) = user
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .filter(|(namespace, name)| is_label(namespace, 63) && name.split('.').all(|part| is_label(part, 253)))
            .filter(|(_, name)| name.len() <= 253)
            .ok_or(NotAServiceAccount)?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The groups that the cluster puts every ServiceAccount into.
    #[must_use]
    pub fn groups(&self) -> [String; 3] {
        [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", self.namespace),
            "system:authenticated".to_owned(),
        ]
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// RFC 1123 section 2.1, in lower case.
fn is_label(text: &str, most: usize) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=most).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written() {
        let account = ServiceAccount::parse("system:serviceaccount:team-a:default-editor").expect("a name");
        assert_eq!((account.namespace(), account.name()), ("team-a", "default-editor"));
        assert_eq!(account.to_string(), "system:serviceaccount:team-a:default-editor");
        assert_eq!(
            account.groups(),
            ["system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"]
        );
        assert!(ServiceAccount::parse("system:serviceaccount:a:runner.v2").is_ok());
    }

    #[test]
    fn whatever_else_is_no_service_account() {
        for other in [
            "",
            "ann@example.com",
            "system:node:a",
            "system:serviceaccount:a",
            "system:serviceaccount::a",
            "system:serviceaccount:a:",
            "system:serviceaccount:a:b:c",
            "system:serviceaccount:A:b",
            "system:serviceaccount:a.b:c",
            "system:serviceaccount:a:b..c",
            "system:serviceaccount:a:-b",
            "system:serviceaccount:a:b\r\nx: y",
            "xsystem:serviceaccount:a:b",
        ] {
            assert_eq!(ServiceAccount::parse(other), Err(NotAServiceAccount), "{other:?}");
        }
    }
}
