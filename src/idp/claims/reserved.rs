//! The names that Kubernetes keeps for itself: in a cluster whoever has one is a service account, a node or its master.
//! They are never made of what a provider says; the bearer source that asks the cluster makes its own.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::identity::{GroupName, ProviderId};
use crate::idp::trouble::quotable;

const BEGINNING: &str = "system:";
/// How many are told of, at most: a provider may think of ever new ones.
const MOST_TOLD: usize = 100;

static TOLD: Mutex<BTreeSet<(ProviderId, GroupName)>> = Mutex::new(BTreeSet::new());

/// Whether it is one, to a reader who trims it or does not look at letter case.
pub(super) fn is_reserved(name: &str) -> bool {
    let name = name.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    name.get(..BEGINNING.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEGINNING))
}

/// Logs that `groups` are left out, each of a provider's once.
pub(super) fn tell_of(groups: Vec<GroupName>, provider: &ProviderId) {
    for group in groups {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        let name = quotable(group.as_str());
        if told.len() < MOST_TOLD && told.insert((provider.clone(), group)) {
            tracing::warn!(
                %provider,
                group = name,
                "a provider puts users into a group whose name Kubernetes keeps for itself: it is left out"
            );
        }
    }
}
