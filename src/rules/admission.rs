//! Whom a rule lets pass, and whom a provider's settings admit at all.

use thiserror::Error;

use super::Rule;
use crate::config::{Access, Admit};
use crate::identity::Identity;

/// Somebody is signed in, and may not pass. The text says what it takes; it is fit for the page that they see.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{needs}")]
pub struct NotAdmitted {
    needs: String,
}

impl Rule {
    /// Whether somebody who is signed in may pass: always, unless the rule names those who may.
    ///
    /// # Errors
    /// If the rule names groups, users or domains, and this identity is in none of the lists.
    pub fn admits(&self, identity: &Identity) -> Result<(), NotAdmitted> {
        let Access::Only { groups, users, domains } = &self.access else { return Ok(()) };
        let passes = in_any_group(groups, identity)
            || users.iter().any(|user| user == identity.user.as_str())
            || in_any_domain(domains, identity);
        if passes { Ok(()) } else { Err(NotAdmitted { needs: needs(groups, users, domains) }) }
    }
}

/// Whether a provider's user may enter at all: judged at sign-in and at every renewal. Groups and domains must both
/// agree.
///
/// # Errors
/// If the user is in none of the groups, or the address in none of the domains.
pub fn admitted(admit: &Admit, identity: &Identity) -> Result<(), NotAdmitted> {
    if !is_open(&admit.groups) && !in_any_group(&admit.groups, identity) {
        return Err(NotAdmitted { needs: needs(&admit.groups, &[], &[]) });
    }
    if !is_open(&admit.email_domains) && !in_any_domain(&admit.email_domains, identity) {
        return Err(NotAdmitted { needs: needs(&[], &[], &admit.email_domains) });
    }
    Ok(())
}

fn is_open(list: &[String]) -> bool {
    list.iter().any(|entry| entry == "*")
}

fn in_any_group(groups: &[String], identity: &Identity) -> bool {
    groups.iter().any(|group| identity.groups.contains(group))
}

fn in_any_domain(domains: &[String], identity: &Identity) -> bool {
    let Some(email) = &identity.email else { return false };
    domains.iter().any(|domain| domain.eq_ignore_ascii_case(email.domain()))
}

/// Names the groups and domains, for those are what a reader can ask for; other users are nobody's business.
fn needs(groups: &[String], users: &[String], domains: &[String]) -> String {
    let mut ways = Vec::new();
    if !groups.is_empty() {
        ways.push(format!("one of the groups: {}", groups.join(", ")));
    }
    if !domains.is_empty() {
        ways.push(format!("an address in one of the domains: {}", domains.join(", ")));
    }
    if !users.is_empty() {
        ways.push("to be one of the users that the rule names".into());
    }
    if ways.is_empty() { "nobody is admitted here".into() } else { format!("needs {}", ways.join("; or ")) }
}
