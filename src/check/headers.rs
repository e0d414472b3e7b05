//! The headers that are ours: an allow sets each of them or takes it away, in every spelling, on every path.

use std::collections::BTreeSet;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::config::{IdentityField, Settings};
use crate::identity::Identity;

const TRANSACTION_TOKEN: HeaderName = HeaderName::from_static("txn-token");

/// The most bytes that an identity header may take: common servers refuse header lines above 8 KiB.
const MOST_BYTES: usize = 8_000;

/// What an identity header would say does not fit into one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the header `{name}` would take {bytes} bytes, and {MOST_BYTES} is the most: this account is in {groups} groups; \
     `identity.groups.only` keeps those that matter"
)]
pub(super) struct HeaderTooLarge {
    name: HeaderName,
    bytes: usize,
    groups: usize,
}

/// The names that we own, and how an identity fills them.
pub(super) struct OwnedHeaders {
    /// What a workload reads: the configured identity headers.
    identity: Vec<(HeaderName, IdentityField)>,
    /// What carries the RC token.
    pub(super) token: HeaderName,
    /// All names that are ours.
    names: BTreeSet<String>,
    /// The same with underscores in the place of dashes: WSGI servers fold the two into one variable.
    underscored: Vec<String>,
    /// The same with an underscore in the place of every sign.
    folded: BTreeSet<String>,
}

impl OwnedHeaders {
    pub(super) fn new(settings: &Settings) -> Self {
        let fixed = [AUTHORIZATION, TRANSACTION_TOKEN, settings.token.header.clone()];
        let credentials = settings.bearer.headers();
        let names: BTreeSet<String> = fixed
            .iter()
            .chain(&credentials)
            .chain(settings.headers.iter().map(|(name, _)| name))
            .chain(&settings.withheld)
            .map(|name| name.as_str().to_owned())
            .collect();
        let underscored =
            names.iter().flat_map(|name| underscored(name)).filter(|other| !names.contains(other)).collect();
        let folded = names.iter().map(|name| folded(name)).filter(|name| name.contains('_')).collect();
        Self { identity: settings.headers.clone(), token: settings.token.header.clone(), names, underscored, folded }
    }

    /// The identity headers for `identity`; those it has nothing for are left out.
    pub(super) fn filled(&self, identity: &Identity) -> Result<Vec<(HeaderName, HeaderValue)>, HeaderTooLarge> {
        let filled = self.identity.iter().filter_map(|(name, field)| {
            let text = match field {
                IdentityField::User => identity.user.to_string(),
                IdentityField::Groups => identity.groups.to_csv(),
                IdentityField::Email => identity.email.as_ref()?.to_string(),
                IdentityField::Subject => identity.subject.to_string(),
                IdentityField::Provider => identity.provider.to_string(),
            };
            if text.len() > MOST_BYTES {
                let (bytes, groups) = (text.len(), identity.groups.iter().count());
                return Some(Err(HeaderTooLarge { name: name.clone(), bytes, groups }));
            }
            let value = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())?;
            Some(Ok((name.clone(), value)))
        });
        filled.collect()
    }

    /// Which of ours `set` does not set, and which are not the client's to keep.
    pub(super) fn unset(&self, set: &[(HeaderName, HeaderValue)], keep_authorization: bool) -> Vec<HeaderName> {
        let is_set = |name: &str| set.iter().any(|(other, _)| other.as_str() == name);
        let kept = |name: &str| keep_authorization && name == AUTHORIZATION.as_str();
        let unset = self.names.iter().filter(|name| !is_set(name) && !kept(name));
        unset.filter_map(|name| HeaderName::try_from(&**name).ok()).collect()
    }

    /// Which of the headers that were `sent` some servers fold into one of ours, by other signs than underscores:
    /// `kubeflow.userid`. There are too many such names to have them removed unseen.
    pub(super) fn lookalikes(&self, sent: &HeaderMap) -> Vec<HeaderName> {
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let unusual = sent.keys().filter(|name| !name.as_str().bytes().all(is_usual));
        unusual.filter(|name| self.folded.contains(&folded(name.as_str()))).cloned().collect()
    }

    /// What `x-envoy-auth-headers-to-remove` names: all that is ours and `unset`, and every underscored spelling
    /// whether or not the request was seen to have it.
    pub(super) fn removal(&self, unset: &[HeaderName], cookie: bool) -> HeaderValue {
        let cookie = cookie.then(|| COOKIE.as_str());
        let underscored = self.underscored.iter().map(String::as_str);
        let all: Vec<&str> = unset.iter().map(HeaderName::as_str).chain(underscored).chain(cookie).collect();
        HeaderValue::try_from(all.join(",")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// `name` as some servers hand it on to CGI scripts.
fn folded(name: &str) -> String {
    name.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '_' }).collect()
}

/// Every spelling of `name` with at least one dash turned into an underscore.
fn underscored(name: &str) -> Vec<String> {
    let mut spellings = vec![String::new()];
    for part in name.split_inclusive('-') {
        let (word, dashed) = part.strip_suffix('-').map_or((part, false), |word| (word, true));
        let ends: &[&str] = if dashed { &["-", "_"] } else { &[""] };
        spellings =
            spellings.iter().flat_map(|start| ends.iter().map(move |end| format!("{start}{word}{end}"))).collect();
    }
    spellings.retain(|spelling| spelling != name);
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_of_dashes_and_underscores_is_named() {
        assert_eq!(underscored("authorization"), Vec::<String>::new());
        assert_eq!(underscored("kubeflow-userid"), ["kubeflow_userid"]);
        assert_eq!(underscored("x-auth-user"), ["x-auth_user", "x_auth-user", "x_auth_user"]);
    }

    #[test]
    fn whatever_sign_is_in_the_place_of_a_dash_is_seen() {
        let names: BTreeSet<String> = ["authorization", "kubeflow-userid", "x-auth-user"].map(str::to_owned).into();
        let folded = names.iter().map(|name| folded(name)).filter(|name| name.contains('_')).collect();
        let token = AUTHORIZATION;
        let owned = OwnedHeaders { identity: Vec::new(), token, names, underscored: Vec::new(), folded };
        // RFC 9110 section 5.6.2.
        for sign in "!#$%&'*+.^`|~".chars() {
            let (one, mixed) = (format!("kubeflow{sign}userid"), format!("x-auth{sign}user"));
            let names = [&*one, &mixed, "kubeflow-userid", "x_auth_user", "kubeflow.user.id", "kubeflowuserid", "x.y"];
            let sent: HeaderMap =
                names.iter().map(|name| (name.parse().expect("a name"), HeaderValue::from_static("x"))).collect();
            let mut found = owned.lookalikes(&sent);
            found.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            assert_eq!(found, [&*one, &*mixed]);
        }
    }
}
