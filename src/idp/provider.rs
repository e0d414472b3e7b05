//! One configured provider, as the rest of the house sees it: where to send browsers, and who came back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use backon::{BackoffBuilder, ExponentialBuilder};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use url::form_urlencoded;

use super::claims::Claims;
use super::id_token::{self, Expected, Occasion};
use super::keys::{Keys, Verifier};
use super::metadata::Endpoints;
use super::outbound::Outbound;
use super::token_endpoint::{Granted, TokenEndpoint};
use super::trouble::{Trouble, quotable};
use super::userinfo;
use super::{AuthorizationRequest, IdpError, SignedIn};
use crate::clock::Clock;
use crate::config::ProviderSettings;
use crate::identity::{Identity, ProviderId, ProviderTokens};
use crate::secret::SecretText;

/// How long between two tries to find a provider, at least, however many people want to sign in.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The same, at most, while nobody does.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long what was found is good for.
const FOUND_FOR: Duration = Duration::from_secs(60 * 60);
/// When to renew again after the identity could not be read anew.
const SOON: Duration = Duration::from_secs(60);

/// One configured identity provider.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    redirect_uri: String,
    outbound: Outbound,
    clock: Shared<dyn Clock>,
    endpoints: ArcSwapOption<Endpoints>,
    keys: Keys,
    last_trouble: Mutex<Option<Trouble>>,
    wanted: Notify,
}

/// Whether people can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// Not yet: it has not been found.
    Waiting {
        /// Why not.
        reason: String,
    },
}

impl Provider {
    /// A provider that has not been asked anything yet. `callback` is our absolute callback URL, sent unless the
    /// settings name another `redirect_uri`.
    #[must_use]
    pub fn new(settings: ProviderSettings, callback: String, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        Self {
            redirect_uri: settings.redirect_uri.clone().unwrap_or(callback),
            endpoints: ArcSwapOption::new(Endpoints::from_settings(&settings).map(Arc::new)),
            settings,
            outbound,
            clock: Shared(clock),
            keys: Keys::default(),
            last_trouble: Mutex::new(None),
            wanted: Notify::new(),
        }
    }

    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ProviderId {
        &self.settings.id
    }

    /// Asks once for the discovery document and the keys. What an earlier call found stays good if this one fails.
    ///
    /// # Errors
    /// If it cannot be reached, or what it says is wrong (OIDC Discovery section 4.3).
    pub async fn discover(&self) -> Result<(), IdpError> {
        let outcome = self.try_to_find().await;
        *self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner) = outcome.clone().err();
        outcome.map_err(|trouble| trouble.at(self.id()))
    }

    /// Keeps what is known of the provider fresh, for ever: tries again after a growing pause until it is found, at
    /// once when somebody wants to sign in, and every hour after that. The caller runs it beside everything else.
    pub async fn keep_discovered(&self) {
        let growing = ExponentialBuilder::default()
            .with_min_delay(SHORTEST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        let mut pauses = growing.build();
        let mut last_reason = None;
        loop {
            let provider = self.id();
            let pause = match self.discover().await {
                Ok(()) => {
                    info!(%provider, issuer = self.settings.issuer, "identity provider found");
                    last_reason = None;
                    pauses = growing.build();
                    FOUND_FOR
                }
                Err(error) => {
                    let reason = error.to_string();
                    if last_reason.as_ref() != Some(&reason) {
                        warn!(%provider, reason, "identity provider not found, trying again");
                        last_reason = Some(reason);
                    }
                    pauses.next().unwrap_or(LONGEST_PAUSE)
                }
            };
            sleep(SHORTEST_PAUSE).await;
            let _ = timeout(pause.saturating_sub(SHORTEST_PAUSE), self.wanted.notified()).await;
        }
    }

    /// Whether people can sign in.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.endpoints.load().is_some() { Readiness::Ready } else { Readiness::Waiting { reason: self.missing() } }
    }

    /// Where to send a browser that wants to sign in. Relative if `authorization_url` is.
    ///
    /// # Errors
    /// [`IdpError::Unreachable`] until the provider is found; [`Provider::keep_discovered`] then looks at once.
    pub fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<String, IdpError> {
        let endpoints = self.known()?;
        let scope = self.settings.scopes.join(" ");
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", &scope),
            ("state", request.state),
            ("nonce", request.nonce),
            ("code_challenge", request.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        if request.prompt_login {
            parameters.push(("prompt", "login"));
        }
        if self.settings.form_post {
            parameters.push(("response_mode", "form_post"));
        }
        Ok(with_parameters(&endpoints.authorization, &parameters))
    }

    /// Whether a callback comes from this provider, by its `iss` parameter (RFC 9207 section 2.4).
    ///
    /// # Errors
    /// [`IdpError::Misbehaved`] if it names another, or none though this one promises to name itself.
    pub fn check_callback_issuer(&self, iss: Option<&str>) -> Result<(), IdpError> {
        let promised = self.endpoints.load().as_ref().is_some_and(|endpoints| endpoints.callback_has_issuer);
        let reason = match iss {
            Some(iss) if iss == self.settings.issuer => return Ok(()),
            None if !promised => return Ok(()),
            Some(other) => {
                format!("the callback names the issuer `{}`, not `{}`", quotable(other), self.settings.issuer)
            }
            None => "the callback has no `iss`, though the provider promises one (RFC 9207)".to_owned(),
        };
        Err(Trouble::Misbehaved(reason).at(self.id()))
    }

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
        signed_in.await.map_err(|trouble: Trouble| trouble.at(self.id()))
    }

    /// Exchanges the refresh token and reads the identity of `known` anew (OIDC Core section 12). Without an ID token
    /// in the answer userinfo says who it is; without that endpoint too, the identity stays as it is known.
    ///
    /// If the provider goes away after it has granted new tokens, they are returned with the identity as it is known,
    /// to end in a minute: the old refresh token may be spent, and the next renewal must have the new one.
    ///
    /// # Errors
    /// As [`IdpError`] tells. [`IdpError::Misbehaved`] also if it answers for somebody else than `known`.
    pub async fn renew(&self, tokens: &ProviderTokens, known: &Identity) -> Result<SignedIn, IdpError> {
        let endpoints = self.known()?;
        let renewed = self.try_to_renew(&endpoints, tokens, known).await;
        renewed.map_err(|trouble| trouble.at(self.id()))
    }

    /// Revokes the tokens, if the provider can do that (RFC 7009).
    ///
    /// # Errors
    /// If it can, and did not.
    pub async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), IdpError> {
        let endpoints = self.known()?;
        let Some(endpoint) = &endpoints.revocation else { return Ok(()) };
        let revocation = TokenEndpoint { settings: &self.settings, endpoint, outbound: &self.outbound };
        revocation.revoke(tokens).await.map_err(|trouble| trouble.at(self.id()))
    }

    /// Where to send a browser that has signed out here, if the provider takes part in that (OIDC RP-Initiated Logout
    /// section 2).
    #[must_use]
    pub fn end_session_url(
        &self,
        id_token: &SecretText,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> Option<String> {
        let endpoints = self.endpoints.load();
        let endpoint = endpoints.as_ref()?.end_session.as_ref()?;
        let parameters = [
            ("id_token_hint", id_token.expose()),
            ("client_id", &self.settings.client_id),
            ("post_logout_redirect_uri", post_logout_redirect_uri),
            ("state", state),
        ];
        Some(with_parameters(endpoint.as_str(), &parameters))
    }

    /// The origins (`scheme://host[:port]`) to which browsers are sent, for a page's `form-action`. A relative
    /// `authorization_url` has none.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        self.endpoints.load().as_ref().map(|endpoints| endpoints.origins()).unwrap_or_default()
    }

    async fn try_to_find(&self) -> Result<(), Trouble> {
        let endpoints = Endpoints::discover(&self.settings, &self.outbound).await?;
        self.keys.fetch(&endpoints.jwks, &self.outbound).await?;
        self.endpoints.store(Some(Arc::new(endpoints)));
        Ok(())
    }

    fn known(&self) -> Result<Arc<Endpoints>, IdpError> {
        self.endpoints.load_full().ok_or_else(|| {
            self.wanted.notify_one();
            Trouble::Unreachable(self.missing()).at(self.id())
        })
    }

    fn missing(&self) -> String {
        let trouble = self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map_or_else(|| "it has not been asked yet".to_owned(), |trouble| trouble.reason().to_owned())
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
        let mut claims = Claims { id_token: claims, userinfo: Map::new() };
        if claims.want_userinfo(&self.settings.identity) {
            claims.userinfo = self.userinfo(endpoints, &granted.access_token, &subject).await?;
        }
        let identity = claims.identity(&subject, self.id(), &self.settings.identity)?;
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
            Err(Trouble::Unreachable(reason)) => {
                warn!(provider = %self.id(), reason, "identity not read anew, the provider went away; soon again");
                let granted = Granted { expires_in: Some(SOON), ..granted };
                Ok(self.with_tokens(known.clone(), None, granted, tokens.id_token.clone()))
            }
            Err(trouble) => Err(trouble),
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
        let claims = Claims { id_token: Map::new(), userinfo };
        let mut identity = claims.identity(subject, self.id(), &self.settings.identity)?;
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

/// Adds to the query that an endpoint may already have (RFC 6749 section 3.1).
fn with_parameters(endpoint: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{joint}{query}")
}

/// Keeps `Debug` derivable: a clock has nothing to show.
struct Shared<T: ?Sized>(Arc<T>);

impl<T: ?Sized> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}
