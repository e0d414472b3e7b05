//! Who a request says it is for, besides its cookie: a session's value or a token as a bearer, or what the proxy in front
//! has signed. Where the client's `Authorization` belongs to the workload, it counts only if nothing else does.

use std::convert::identity;
use std::sync::Arc;

use http::header::AUTHORIZATION;

use super::{AllowReason, Check, CheckError, Deny, Holder, Kind, Question, Refusal, Verdict, admits};
use crate::bearer::{BearerError, Credential, Sources, Verified};
use crate::clock::UnixTime;
use crate::rules::Rule;

/// What can be said without I/O.
pub(super) enum AtOnce {
    /// Nothing but the cookie can say who it is.
    Nothing,
    /// This.
    Pass(Verdict),
    /// It takes longer.
    Later,
}

impl Check {
    /// What is known already of whom the headers name.
    pub(super) fn known_by_token(
        &self,
        sources: &Sources,
        question: &Question<'_>,
        rule: &Rule,
        now: UnixTime,
    ) -> AtOnce {
        let headers = question.headers;
        let credential = if rule.keep_authorization { sources.front_proxy(headers) } else { sources.find(headers) };
        let elsewhere = !sources.sessions_come_in(&AUTHORIZATION);
        let session = sources.session_value(headers).map(|value| value.filter(|_| elsewhere));
        let credential = match (credential, session) {
            // In `Authorization` there may be something for the workload; then the cookie goes first.
            (Ok(None), Ok(None)) => return AtOnce::Nothing,
            (Ok(Some(credential)), Ok(session)) if session.is_none() || credential.is_by_front_proxy() => credential,
            _ => return AtOnce::Later,
        };
        let known = sources.at_hand(&credential, now);
        let pass = known.and_then(|verified| self.passes.find_for_token(&self.mint, &verified, rule, now));
        match pass {
            Some(pass) => AtOnce::Pass(self.allow(question, pass, reason_of(&credential))),
            None => AtOnce::Later,
        }
    }

    /// Who comes with something better than a cookie; nobody if the cookie is to decide.
    pub(super) async fn by_token(
        &self,
        sources: &Sources,
        question: &Question<'_>,
        rule: &Rule,
        kind: Kind,
    ) -> Result<Option<Verdict>, CheckError> {
        let headers = question.headers;
        let two = Ok(Some(Verdict::Refuse(Refusal::TwoCredentials)));
        let Ok(by_proxy) = sources.front_proxy(headers) else { return two };
        if let Some(credential) = by_proxy {
            return self.vouched_for(sources, &credential, question, rule, kind).await;
        }
        let in_authorization = sources.sessions_come_in(&AUTHORIZATION);
        let for_workload = rule.keep_authorization && in_authorization;
        let as_authservice = sources.sessions_come_as_to_authservice();
        let session = match sources.session_value(headers) {
            Ok(session) => session,
            Err(_) if for_workload => None,
            Err(_) => return two,
        };
        if let Some(value) = session {
            match self.sessions.prove(value) {
                // As a cookie it would be kept from the workload.
                Ok(_) if for_workload => return Ok(Some(Verdict::Refuse(Refusal::SessionForWorkload))),
                Ok(cookie) => {
                    if let Some(live) = self.sessions.find(&cookie).await? {
                        let pass = self.pass_of(rule, kind, &cookie, &live)?;
                        let hidden = as_authservice && in_authorization;
                        return Ok(Some(pass.map_or_else(identity, |pass| {
                            let pass = if hidden { Arc::new(pass.without_authorization(&self.owned)) } else { pass };
                            self.allow(question, pass, AllowReason::Session)
                        })));
                    }
                    if !as_authservice {
                        return Ok(Some(bad_token("the session has ended")));
                    }
                }
                Err(_) if !in_authorization && !as_authservice => {
                    return Ok(Some(bad_token("it is no session of ours")));
                }
                Err(_) => {}
            }
        }
        if rule.keep_authorization {
            return Ok(None);
        }
        let Ok(credential) = sources.find(headers) else { return two };
        match credential {
            Some(credential) if !self.is_secret_of_ours(&credential, question) => {
                self.vouched_for(sources, &credential, question, rule, kind).await
            }
            _ => Ok(None),
        }
    }

    /// Whether it is what nobody else must be shown, if only to ask whose it is: a token of ours, which is for the mesh,
    /// or the value of a session.
    fn is_secret_of_ours(&self, credential: &Credential<'_>, question: &Question<'_>) -> bool {
        self.own_tokens.are_in_headers(question.headers) || self.sessions.prove(credential.token()).is_ok()
    }

    /// Who comes with a token where `Authorization` belongs to the workload, and nobody else is signed in. One that is good
    /// here is ours, and kept from the workload; one that is not may be good there; an opaque one is shown to nobody.
    pub(super) async fn by_kept_token(
        &self,
        sources: &Sources,
        question: &Question<'_>,
        rule: &Rule,
        kind: Kind,
    ) -> Result<Option<Verdict>, CheckError> {
        let Ok(credential) = sources.find(question.headers) else {
            return Ok(Some(Verdict::Refuse(Refusal::TwoCredentials)));
        };
        let Some(credential) = credential else { return Ok(None) };
        if credential.is_opaque() || self.is_secret_of_ours(&credential, question) {
            return Ok(None);
        }
        match self.vouched_for(sources, &credential, question, rule, kind).await? {
            Some(Verdict::Refuse(Refusal::BadToken(_))) => Ok(None),
            other => Ok(other),
        }
    }

    /// Whether `Authorization` holds the value of a session.
    pub(super) fn sessions_are_shown(&self, sources: &Sources, question: &Question<'_>) -> bool {
        let mut values = sources.session_values_in_authorization(question.headers);
        values.any(|value| self.sessions.prove(value).is_ok())
    }

    async fn vouched_for(
        &self,
        sources: &Sources,
        credential: &Credential<'_>,
        question: &Question<'_>,
        rule: &Rule,
        kind: Kind,
    ) -> Result<Option<Verdict>, CheckError> {
        match sources.identify(credential).await {
            Ok(None) => Ok(None),
            Ok(Some(verified)) => self.bearer(question, rule, kind, &verified, credential).map(Some),
            Err(BearerError::Refused { reason, .. }) => Ok(Some(bad_token(&reason))),
            Err(BearerError::NotAdmitted { user, reason, .. }) => {
                Ok(Some(Verdict::Deny(Deny { user, reason, kind, rule: rule.name().to_owned() })))
            }
            Err(error @ BearerError::Unavailable { .. }) => Err(CheckError::Issuer(error)),
        }
    }

    fn bearer(
        &self,
        question: &Question<'_>,
        rule: &Rule,
        kind: Kind,
        verified: &Arc<Verified>,
        credential: &Credential<'_>,
    ) -> Result<Verdict, CheckError> {
        let holder = Holder {
            identity: &verified.identity,
            sid: &verified.sid,
            signed_in_at: None,
            ends_at: verified.ends_at,
            revision: None,
            by_authorization: !credential.is_by_front_proxy(),
        };
        let reason = reason_of(credential);
        if let Err(deny) = admits(rule, kind, &holder) {
            return Ok(deny);
        }
        if let Some(pass) = self.passes.find_for_token(&self.mint, verified, rule, self.clock.now()) {
            return Ok(self.allow(question, pass, reason));
        }
        let pass = match self.make_pass(rule, kind, &holder)? {
            Ok(pass) => pass,
            Err(deny) => return Ok(deny),
        };
        self.passes.keep_for_token(verified, rule, &pass);
        Ok(self.allow(question, pass, reason))
    }
}

fn reason_of(credential: &Credential<'_>) -> AllowReason {
    if credential.is_by_front_proxy() { AllowReason::FrontProxy } else { AllowReason::Bearer }
}

fn bad_token(reason: &str) -> Verdict {
    Verdict::Refuse(Refusal::BadToken(reason.to_owned()))
}
