//! One configured provider, as the rest of the house sees it: where to send browsers, and who came back.

mod finding;
mod tokens;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore};
use url::form_urlencoded;

pub use self::finding::Readiness;
use self::finding::Sighting;
use super::keys::Keys;
use super::metadata::Endpoints;
use super::outbound::Outbound;
use super::token_endpoint::TokenEndpoint;
use super::trouble::{Trouble, quotable};
use super::{AuthorizationRequest, IdpError, Prompt};
use crate::clock::Clock;
use crate::config::ProviderSettings;
use crate::identity::{ProviderId, ProviderTokens};
use crate::secret::SecretText;

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
    last_sighting: tokio::sync::Mutex<Option<Sighting>>,
    waiting: Semaphore,
    wanted: Notify,
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
            last_sighting: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(finding::MOST_WAITING),
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

    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    pub(super) const fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock.0
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
        if let Some(prompt) = request.prompt {
            let selects = prompt == Prompt::SomebodyElse && endpoints.selects_accounts;
            parameters.push(("prompt", if selects { "select_account" } else { "login" }));
        }
        if self.settings.form_post {
            parameters.push(("response_mode", "form_post"));
        }
        Ok(with_parameters(&endpoints.authorization, parameters))
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
    /// section 2). Without the ID token as a hint the provider knows the client alone, and may ask the person.
    #[must_use]
    pub fn end_session_url(
        &self,
        id_token_hint: Option<&SecretText>,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> Option<String> {
        let endpoints = self.endpoints.load();
        let endpoint = endpoints.as_ref()?.end_session.as_ref()?;
        let hint = id_token_hint.map(|id_token| ("id_token_hint", id_token.expose()));
        let parameters = hint.into_iter().chain([
            ("client_id", &*self.settings.client_id),
            ("post_logout_redirect_uri", post_logout_redirect_uri),
            ("state", state),
        ]);
        Some(with_parameters(endpoint.as_str(), parameters))
    }

    /// The origins (`scheme://host[:port]`) to which browsers are sent, for a page's `form-action`. A relative
    /// `authorization_url` has none.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        self.endpoints.load().as_ref().map(|endpoints| endpoints.origins()).unwrap_or_default()
    }
}

/// Adds to the query that an endpoint may already have (RFC 6749 section 3.1).
pub(super) fn with_parameters<'a>(endpoint: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
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
