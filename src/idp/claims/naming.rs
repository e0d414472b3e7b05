//! What the settings make of the names that a provider gives its users and groups.

use std::borrow::Cow;

use super::reserved::is_reserved;
use super::unusable;
use crate::config::{IdentitySettings, Replacement};
use crate::identity::{GroupName, Groups, UserId};
use crate::idp::trouble::Trouble;

/// The longest name of a group that is looked at: nothing that anybody chose is longer.
const LONGEST: usize = 4 * 1024;

/// The user: in lower case, transformed, with the prefix, in this order.
pub(super) fn user(said: &str, settings: &IdentitySettings) -> Result<UserId, Trouble> {
    let claim = settings.user_claim.as_str();
    // By itself first: behind a prefix an empty name, or a space before it, would no longer be seen.
    let mut name = UserId::parse(said).map_err(|error| unusable(claim, error))?.to_string();
    if settings.user_lower_case {
        // Beyond A to Z one letter's lower case may be another letter's: two users could become one.
        name.make_ascii_lowercase();
    }
    if let Some(rewritten) = Replacement::first(&settings.user_transform, &name) {
        let user = UserId::parse(rewritten).map_err(|error| {
            unusable(claim, format_args!("what `identity.user.transform` makes of it is no user: {error}"))
        })?;
        name = user.to_string();
    }
    let user = UserId::parse(format!("{}{name}", settings.user_prefix)).map_err(|error| unusable(claim, error))?;
    if is_reserved(user.as_str()) {
        let hint = "Kubernetes keeps names that begin with `system:` for itself, and no provider may say them: let \
                    `identity.user.prefix` stand before them, or take service accounts from a `bearer` source of kind \
                    `kubernetes`";
        return Err(unusable(claim, format_args!("it makes `{user}` of this user: {hint}")));
    }
    Ok(user)
}

/// The groups of somebody, and those that are no provider's to say.
pub(super) struct Sorted {
    pub(super) groups: Groups,
    pub(super) reserved: Vec<GroupName>,
}

/// The groups that count: chosen by the provider's names, renamed, with the prefix, in this order.
pub(super) fn groups<'n>(said: impl Iterator<Item = &'n str>, settings: &IdentitySettings) -> Result<Sorted, Trouble> {
    let refused = |error: &dyn std::fmt::Display| unusable(&settings.groups_claim, error);
    let mut names = Vec::new();
    let mut reserved = Vec::new();
    for name in said {
        if name.len() > LONGEST {
            return Err(refused(&format_args!("the name of a group is longer than {LONGEST} bytes")));
        }
        if !settings.groups_only.is_empty() && !settings.groups_only.iter().any(|pattern| pattern.is_match(name)) {
            continue;
        }
        let name = match Replacement::first(&settings.groups_rename, name) {
            Some(rewritten) if rewritten.is_empty() => continue,
            Some(rewritten) => Cow::Owned(rewritten),
            None => Cow::Borrowed(name),
        };
        let alone = GroupName::parse(&*name).map_err(|error| refused(&error))?;
        let prefixed = GroupName::parse(format!("{}{alone}", settings.groups_prefix));
        let prefixed = prefixed.map_err(|error| refused(&error))?;
        if is_reserved(prefixed.as_str()) { &mut reserved } else { &mut names }.push(prefixed);
    }
    let few = "keep those that matter by `identity.groups.only`";
    let groups = Groups::new(names).map_err(|error| refused(&format_args!("{error}: {few}")))?;
    Ok(Sorted { groups, reserved })
}
