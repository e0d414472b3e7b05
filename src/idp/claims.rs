//! Claims become an identity, by the provider's settings. The claims are verified already; what they say may still be
//! of no use, and then it is said which claim and which setting.

mod naming;
mod reserved;

use serde_json::{Map, Value};

use super::id_token::time;
use super::trouble::Trouble;
use crate::config::{IdentitySettings, Overage};
use crate::identity::{Email, Identity, ProviderId, Subject, UserId};

/// The longest `acr`, `amr` entry or `sid` that is kept: they travel in every token.
const LONGEST_WORD: usize = 255;
/// The most entries of `amr` that are kept.
const MOST_METHODS: usize = 16;

/// What to do about groups that the provider does not list.
const TOO_MANY: &str = "the provider left it out, because this user is in too many groups for a token (`_claim_names`): \
                        let it list only the groups that are assigned to the application (Microsoft Entra: \
                        `groupMembershipClaims: ApplicationGroup`), or set `identity.groups.overage: graph`, which asks \
                        Microsoft Graph for them";

/// What the provider said, by where it said it. The ID token goes first.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) id_token: Map<String, Value>,
    pub(super) userinfo: Map<String, Value>,
    /// What Microsoft Graph said, where it was asked.
    pub(super) graph_groups: Option<Vec<String>>,
}

impl Claims {
    /// Whether the userinfo endpoint could add what the settings need.
    pub(super) fn want_userinfo(&self, settings: &IdentitySettings) -> bool {
        let lacks = |claim: &str| find(&self.id_token, claim).is_none();
        let unproven = settings.user_claim == "email" && lacks("email_verified") && !settings.allow_unverified_email;
        lacks(&settings.user_claim) || lacks(&settings.groups_claim) || unproven
    }

    /// Refuses an ID token that no word of userinfo can mend: what it says goes before what userinfo says.
    pub(super) fn check_id_token(&self, subject: &str, settings: &IdentitySettings) -> Result<(), Trouble> {
        Subject::parse(subject).map_err(|error| unusable("sub", error))?;
        time(&self.id_token, "auth_time").map_err(Trouble::Misbehaved)?;
        self.word("acr")?;
        self.word("sid")?;
        self.methods()?;
        if let Some(said) = find(&self.id_token, &settings.user_claim) {
            named(said, settings)?;
        }
        if find(&self.id_token, &settings.groups_claim).is_some() {
            self.groups(settings)?;
        }
        Ok(())
    }

    /// Who it is.
    pub(super) fn identity(
        &self,
        subject: &str,
        provider: &ProviderId,
        settings: &IdentitySettings,
    ) -> Result<Identity, Trouble> {
        let naming::Sorted { groups, reserved } = self.groups(settings)?;
        reserved::tell_of(reserved, provider);
        Ok(Identity {
            provider: provider.clone(),
            subject: Subject::parse(subject).map_err(|error| unusable("sub", error))?,
            user: self.user(settings)?,
            email: self.email(settings)?,
            groups,
            auth_time: time(&self.id_token, "auth_time").map_err(Trouble::Misbehaved)?,
            acr: self.word("acr")?,
            amr: self.methods()?,
        })
    }

    /// Whether the provider left the groups out because they are too many: it names a source for them instead (OIDC Core
    /// section 5.6.2), or says `hasgroups`, as Microsoft Entra does.
    pub(super) fn lack_groups_for_their_number(&self, settings: &IdentitySettings) -> bool {
        let claim = settings.groups_claim.as_str();
        let is_elsewhere = |claims: &Map<String, Value>| {
            claims.get("_claim_names").and_then(Value::as_object).is_some_and(|names| names.contains_key(claim))
                || (claim == "groups" && claims.get("hasgroups").is_some_and(|said| *said == true || *said == "true"))
        };
        self.find(claim).is_none() && (is_elsewhere(&self.id_token) || is_elsewhere(&self.userinfo))
    }

    /// The provider's own name for its session.
    pub(super) fn provider_sid(&self) -> Result<Option<String>, Trouble> {
        self.word("sid")
    }

    fn find(&self, claim: &str) -> Option<&Value> {
        find(&self.id_token, claim).or_else(|| find(&self.userinfo, claim))
    }

    fn user(&self, settings: &IdentitySettings) -> Result<UserId, Trouble> {
        let claim = settings.user_claim.as_str();
        let Some(said) = self.find(claim) else {
            let hint = "it is in neither the ID token nor userinfo: ask for its scope (`scopes`), or choose another \
                        claim (`identity.user.claim`)";
            return Err(unusable(claim, hint));
        };
        let user = named(said, settings)?;
        if claim == "email" && !settings.allow_unverified_email && !self.email_is_verified() {
            let hint = "the provider does not say `email_verified: true`; if its addresses can be trusted all the \
                        same, set `identity.allow_unverified_email: true`";
            return Err(unusable(claim, hint));
        }
        Ok(user)
    }

    fn email(&self, settings: &IdentitySettings) -> Result<Option<Email>, Trouble> {
        match self.find("email") {
            Some(Value::String(text)) if settings.allow_unverified_email || self.email_is_verified() => {
                Email::parse(text.as_str()).map(Some).map_err(|error| unusable("email", error))
            }
            _ => Ok(None),
        }
    }

    /// An absent `email_verified` says no. It counts only for the very address beside which it stands.
    fn email_is_verified(&self) -> bool {
        let email = self.find("email");
        [&self.id_token, &self.userinfo].into_iter().any(|source| {
            source.get("email").is_some_and(|there| Some(there) == email)
                && source.get("email_verified") == Some(&Value::Bool(true))
        }) && self.id_token.get("email_verified").is_none_or(|said| *said == Value::Bool(true))
    }

    fn groups(&self, settings: &IdentitySettings) -> Result<naming::Sorted, Trouble> {
        let claim = settings.groups_claim.as_str();
        let kind = "it is neither a list of strings nor a string (`identity.groups.claim`)";
        if let Some(groups) = &self.graph_groups {
            return naming::groups(groups.iter().map(String::as_str), settings);
        }
        if self.lack_groups_for_their_number(settings) && !matches!(settings.groups_overage, Overage::Ignore) {
            return Err(unusable(claim, TOO_MANY));
        }
        let names: Vec<&str> = match self.find(claim) {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => {
                many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| unusable(claim, kind))?
            }
            Some(_) => return Err(unusable(claim, kind)),
        };
        naming::groups(names.into_iter(), settings)
    }

    fn methods(&self) -> Result<Vec<String>, Trouble> {
        let kind = "it is no list of a few short strings";
        let Some(value) = self.id_token.get("amr").filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
        // A single string is a common mistake (OIDC Core section 2 wants a list).
        let many =
            if value.is_string() { std::slice::from_ref(value) } else { value.as_array().map_or(&[][..], |a| a) };
        let short = |value: &Value| value.as_str().filter(|text| text.len() <= LONGEST_WORD).map(str::to_owned);
        let methods: Option<Vec<String>> = many.iter().map(short).collect();
        match methods {
            Some(methods) if methods.len() <= MOST_METHODS && (value.is_array() || value.is_string()) => Ok(methods),
            _ => Err(unusable("amr", kind)),
        }
    }

    fn word(&self, claim: &str) -> Result<Option<String>, Trouble> {
        match self.id_token.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= LONGEST_WORD => Ok(Some(text.clone())),
            Some(_) => Err(unusable(claim, "it is no short string")),
        }
    }
}

/// The user by what their claim says.
fn named(said: &Value, settings: &IdentitySettings) -> Result<UserId, Trouble> {
    let claim = settings.user_claim.as_str();
    let said = said.as_str().ok_or_else(|| unusable(claim, "it is no string (`identity.user.claim`)"))?;
    if claim == "email" {
        Email::parse(said).map_err(|error| unusable(claim, error))?;
    }
    naming::user(said, settings)
}

/// The claim of that very name (some are URLs), or else the one that its dots descend to. `null` is no claim.
fn find<'c>(claims: &'c Map<String, Value>, claim: &str) -> Option<&'c Value> {
    let found = claims.get(claim).or_else(|| {
        let mut steps = claim.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    });
    found.filter(|value| !value.is_null())
}

fn unusable(claim: &str, reason: impl std::fmt::Display) -> Trouble {
    Trouble::UnusableIdentity(format!("claim `{claim}`: {reason}"))
}

#[cfg(test)]
mod tests;
