//! How claims become an identity and whom to admit, as the file spells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How claims become an identity, and whom to admit.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Identity {
    /// Who the user is.
    pub(in crate::config) user: UserSource,
    /// Which groups the user is in.
    pub(in crate::config) groups: GroupsSource,
    /// Whom to admit at all: judged by the groups as they are after `groups.only`, `rename` and `prefix`.
    pub(in crate::config) admit: Admit,
    /// Whether an e-mail address may be used though the provider does not say `email_verified: true`.
    pub(in crate::config) allow_unverified_email: bool,
}

/// Who the user is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UserSource {
    /// The claim that names the user.
    pub(in crate::config) claim: String,
    /// Whether the claim is put into lower case (the letters A to Z) first. Without it `Ann` and `ann` are two users.
    pub(in crate::config) lower_case: bool,
    /// Rewrites the name then: the first whose regular expression matches the whole of it decides; where none does, it
    /// stays as it is. Two users of the provider that become one name are one user: that is for whoever writes it to see
    /// to.
    pub(in crate::config) transform: Vec<Replacement>,
    /// Put before it at last; with several providers it keeps their users apart.
    pub(in crate::config) prefix: String,
}

impl Default for UserSource {
    fn default() -> Self {
        Self { claim: "email".into(), lower_case: false, transform: vec![], prefix: String::new() }
    }
}

/// Which groups the user is in.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct GroupsSource {
    /// The claim that lists the groups; a dot descends into an object (`realm_access.roles`).
    pub(in crate::config) claim: String,
    /// Only groups that match one of these, as the provider names them; `*` in one is any text.
    pub(in crate::config) only: Vec<String>,
    /// Rewrites each group: the first whose regular expression matches the whole name decides; where none does, it stays
    /// as it is. One that becomes nothing is left out.
    pub(in crate::config) rename: Vec<Replacement>,
    /// Put before each group at last.
    pub(in crate::config) prefix: String,
    /// What to do where the provider leaves the groups out because they are too many (Microsoft Entra beyond 200):
    /// `refuse` the sign-in, ask Microsoft `graph` for them with the user's own access token, or `ignore` them, which
    /// is refused where groups decide anything.
    pub(in crate::config) overage: Overage,
    /// Where Microsoft Graph is, for national clouds. Default: `https://graph.microsoft.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) graph_url: Option<String>,
}

impl Default for GroupsSource {
    fn default() -> Self {
        Self {
            claim: "groups".into(),
            only: vec![],
            rename: vec![],
            prefix: String::new(),
            overage: Overage::Refuse,
            graph_url: None,
        }
    }
}

/// One rewriting of a name.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Replacement {
    /// A regular expression for the whole name: `(.*)@example\.com`. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) regex: Option<String>,
    /// What stands in its place: `$1` and `${name}` are the expression's groups, `$$` is a dollar sign. Required; may be
    /// empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) replace: Option<String>,
}

/// What to do where the provider leaves the groups out because they are too many.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Overage {
    /// Nobody is signed in, and the page says what to set.
    Refuse,
    /// Microsoft Graph is asked, with the user's access token.
    Graph,
    /// The user has no groups.
    Ignore,
}

/// Whom to admit.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Admit {
    /// Members of any of these groups; `*` is everyone.
    pub(in crate::config) groups: Vec<String>,
    /// E-mail addresses in any of these domains; `*` is every address, and none.
    pub(in crate::config) email_domains: Vec<String>,
}

impl Default for Admit {
    fn default() -> Self {
        Self { groups: vec!["*".into()], email_domains: vec!["*".into()] }
    }
}
