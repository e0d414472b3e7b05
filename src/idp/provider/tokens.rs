//! Codes and refresh tokens become identities: exchange, verify, ask for what is missing, in that order.

use std::time::Duration;

use serde_json::{Map, Value};
use tracing::warn;

use super::Provider;
use crate::config::{Overage, ProviderSettings};
use crate::identity::{Identity, ProviderTokens};
use crate::idp::claims::Claims;
use crate::idp::id_token::{self, Expected, Occasion};
use crate::idp::keys::Verifier;
use crate::idp::logout_token::{self, ProviderLogout};
use crate::idp::metadata::Endpoints;
use crate::idp::token_endpoint::{Granted, TokenEndpoint};
use crate::idp::trouble::Trouble;
use crate::idp::{IdpError, SignedIn, graph, userinfo};
use crate::secret::SecretText;

/// When to renew again after the identity could not be read anew.
const SOON: Duration = Duration::from_mins(1);

impl Provider {
    /// Exchanges the code of a callback, verifies what comes back, and says who it is.
    ///
    /// # Errors
    /// As [`IdpError`] tells; whatever the ID token alone forbids is refused before userinfo is asked.
    pub async fn exchange(&self, code: &SecretText, verifier: &SecretText, nonce: &str) -> Result<SignedIn, IdpError> {
        let endpoints = self.known()?;
        let signed_in = async {
            let granted = self.token_endpoint(&endpoints).exchange(code, verifier, &self.redirect_uri).await?;
            let id_token = granted.id_token.clone().ok_or_else(|| {
                Trouble::Misbehaved("token: there is no ID token (is `openid` among the scopes?)".to_owned())
            })?;
            let claims = self.verified(&endpoints, &granted, &id_token, Occasion::SignIn { nonce }).await?;
            let (identity, sid) = self.identity(&endpoints, &granted, claims).await?;
            Ok(self.with_tokens(identity, sid, granted, id_token))
        };
        let outcome = signed_in.await.map_err(|trouble: Trouble| match trouble {
            // Nobody has signed in yet who could have changed: two of its answers disagree.
            Trouble::ChangedUser(reason) => Trouble::Misbehaved(reason),
            other => other,
        });
        outcome.map_err(|trouble| trouble.at(self.id()))
    }

    /// Exchanges the refresh token and reads the identity of `known` anew (OIDC Core section 12). Without an ID token
    /// in the answer userinfo says who it is; without that endpoint too, the identity stays as it is known.
    ///
    /// If the provider goes away after it has granted new tokens, or says of the person what cannot be believed, they are
    /// returned with the identity as it is known, to end in a minute: the old refresh token may be spent, and the next
    /// renewal must have the new one.
    ///
    /// # Errors
    /// As [`IdpError`] tells; [`IdpError::ChangedUser`] if it answers for somebody else than `known`.
    pub async fn renew(&self, tokens: &ProviderTokens, known: &Identity) -> Result<SignedIn, IdpError> {
        let endpoints = self.known()?;
        let renewed = self.try_to_renew(&endpoints, tokens, known).await;
        renewed.map_err(|trouble| trouble.at(self.id()))
    }

    /// Verifies a logout token that somebody has brought (OIDC Back-Channel Logout section 2.6). Whether it was brought
    /// before is for the caller to see to.
    ///
    /// # Errors
    /// [`IdpError::Misbehaved`] if it is none of this provider's for us; [`IdpError::Unreachable`] if that cannot be told.
    pub async fn verify_logout(&self, token: &str) -> Result<ProviderLogout, IdpError> {
        let endpoints = self.known()?;
        let verified = async {
            let refused = |reason: &str| Trouble::Misbehaved(format!("the logout token is refused: {reason}"));
            let signed = self.verifier(&endpoints).verify(token).await.map_err(|trouble| match trouble {
                Trouble::Misbehaved(reason) => refused(&reason),
                other => other,
            })?;
            let ProviderSettings { issuer, client_id, .. } = &self.settings;
            logout_token::check(&signed, issuer, client_id, self.clock.0.now()).map_err(|reason| refused(&reason))
        };
        verified.await.map_err(|trouble: Trouble| trouble.at(self.id()))
    }

    fn token_endpoint<'a>(&'a self, endpoints: &'a Endpoints) -> TokenEndpoint<'a> {
        TokenEndpoint { settings: &self.settings, endpoint: &endpoints.token, outbound: &self.outbound }
    }

    fn verifier<'a>(&'a self, endpoints: &'a Endpoints) -> Verifier<'a> {
        Verifier {
            keys: &self.keys,
            endpoint: &endpoints.jwks,
            outbound: &self.outbound,
            clock: &*self.clock.0,
            algorithms: &self.settings.algorithms,
        }
    }

    /// The claims of an ID token that has passed everything.
    async fn verified(
        &self,
        endpoints: &Endpoints,
        granted: &Granted,
        id_token: &SecretText,
        occasion: Occasion<'_>,
    ) -> Result<Map<String, Value>, Trouble> {
        let refused = |reason: &str| Trouble::Misbehaved(format!("the ID token is refused: {reason}"));
        let token = self.verifier(endpoints).verify(id_token.expose()).await.map_err(|trouble| match trouble {
            Trouble::Misbehaved(reason) => refused(&reason),
            other => other,
        })?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            access_token: &granted.access_token,
            now: self.clock.0.now(),
            occasion,
        };
        id_token::check(&token, &expected).map_err(|reason| refused(&reason))?;
        if let Occasion::Renewal { known } = occasion {
            let changed = |reason| Trouble::ChangedUser(format!("the ID token: {reason}"));
            id_token::check_same_person(&token, known).map_err(changed)?;
        }
        Ok(token.claims)
    }

    /// Makes an identity of verified claims, with userinfo's help where they do not suffice.
    async fn identity(
        &self,
        endpoints: &Endpoints,
        granted: &Granted,
        claims: Map<String, Value>,
    ) -> Result<(Identity, Option<String>), Trouble> {
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut claims = Claims { id_token: claims, ..Claims::default() };
        if claims.want_userinfo(&self.settings.identity) {
            claims.check_id_token(&subject, &self.settings.identity)?;
            claims.userinfo = self.userinfo(endpoints, &granted.access_token, &subject).await?;
        }
        self.judged(claims, granted, &subject).await
    }

    /// Who the claims say it is, with the groups from elsewhere if they are too many.
    async fn judged(
        &self,
        mut claims: Claims,
        granted: &Granted,
        subject: &str,
    ) -> Result<(Identity, Option<String>), Trouble> {
        let settings = &self.settings.identity;
        if claims.lack_groups_for_their_number(settings) {
            match &settings.groups_overage {
                Overage::Graph(graph) => {
                    let groups = graph::groups(graph, &granted.access_token, &self.outbound).await?;
                    claims.graph_groups = Some(groups);
                }
                Overage::Ignore => warn!(provider = %self.id(), subject, "in too many groups: signed in without any"),
                Overage::Refuse => {}
            }
        }
        let identity = claims.identity(subject, self.id(), settings)?;
        Ok((identity, claims.provider_sid()?))
    }

    async fn try_to_renew(
        &self,
        endpoints: &Endpoints,
        tokens: &ProviderTokens,
        known: &Identity,
    ) -> Result<SignedIn, Trouble> {
        let none = || Trouble::GrantRefused("refresh: there is no refresh token".to_owned());
        let old = tokens.refresh_token.as_ref().ok_or_else(none)?;
        let granted = self.token_endpoint(endpoints).refresh(old).await?;
        let granted = Granted { refresh_token: granted.refresh_token.or_else(|| Some(old.clone())), ..granted };
        let reread = match &granted.id_token {
            Some(id_token) => self.reread(endpoints, &granted, id_token, known).await,
            None => self.reread_from_userinfo(endpoints, &granted, known).await,
        };
        match reread {
            Ok((identity, sid)) => {
                let id_token = granted.id_token.clone().unwrap_or_else(|| tokens.id_token.clone());
                Ok(self.with_tokens(identity, sid, granted, id_token))
            }
            // It has granted, and the old refresh token may be spent: whatever is wrong with the rest, for now the new one
            // must not be lost. What it says of the person is not believed.
            Err(
                Trouble::Unreachable(reason)
                | Trouble::Misbehaved(reason)
                | Trouble::Misconfigured(reason)
                | Trouble::GrantRefused(reason),
            ) => {
                warn!(provider = %self.id(), reason, "identity not read anew after a renewal of the tokens; soon again");
                let granted = Granted { expires_in: Some(SOON), ..granted };
                Ok(self.with_tokens(known.clone(), None, granted, tokens.id_token.clone()))
            }
            Err(trouble @ (Trouble::ChangedUser(_) | Trouble::UnusableIdentity(_))) => Err(trouble),
        }
    }

    async fn reread(
        &self,
        endpoints: &Endpoints,
        granted: &Granted,
        id_token: &SecretText,
        known: &Identity,
    ) -> Result<(Identity, Option<String>), Trouble> {
        let claims = self.verified(endpoints, granted, id_token, Occasion::Renewal { known }).await?;
        let (mut identity, sid) = self.identity(endpoints, granted, claims).await?;
        keep_sign_in_facts(&mut identity, known);
        Ok((identity, sid))
    }

    async fn reread_from_userinfo(
        &self,
        endpoints: &Endpoints,
        granted: &Granted,
        known: &Identity,
    ) -> Result<(Identity, Option<String>), Trouble> {
        let subject = known.subject.as_str();
        if endpoints.userinfo.is_none() {
            return Ok((known.clone(), None));
        }
        let userinfo = self.userinfo(endpoints, &granted.access_token, subject).await?;
        let claims = Claims { userinfo, ..Claims::default() };
        let (mut identity, _) = self.judged(claims, granted, subject).await?;
        keep_sign_in_facts(&mut identity, known);
        Ok((identity, None))
    }

    async fn userinfo(
        &self,
        endpoints: &Endpoints,
        access_token: &SecretText,
        subject: &str,
    ) -> Result<Map<String, Value>, Trouble> {
        let Some(endpoint) = &endpoints.userinfo else { return Ok(Map::new()) };
        let client = (self.settings.issuer.as_str(), self.settings.client_id.as_str());
        userinfo::ask(endpoint, access_token, subject, client, &self.verifier(endpoints)).await
    }

    fn with_tokens(
        &self,
        identity: Identity,
        provider_sid: Option<String>,
        granted: Granted,
        id_token: SecretText,
    ) -> SignedIn {
        let tokens_expire_at = granted.expires_in.map(|span| self.clock.0.now().plus(span));
        let Granted { access_token, refresh_token, .. } = granted;
        let tokens = ProviderTokens { id_token, access_token, refresh_token };
        SignedIn { identity, tokens, provider_sid, tokens_expire_at }
    }
}

/// When and how somebody signed in is not told again at each renewal; it stays true.
fn keep_sign_in_facts(identity: &mut Identity, known: &Identity) {
    identity.auth_time = identity.auth_time.or(known.auth_time);
    if identity.acr.is_none() && identity.amr.is_empty() {
        identity.acr.clone_from(&known.acr);
        identity.amr.clone_from(&known.amr);
    }
}
