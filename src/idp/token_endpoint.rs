//! The token and revocation endpoints: codes and refresh tokens go out, tokens come back (RFC 6749 sections 4.1.3, 5
//! and 6, RFC 7009). What the tokens say is judged elsewhere.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, EmptyAdditionalClaims,
    EmptyExtraTokenFields, EndpointNotSet, EndpointSet, ErrorResponse, HttpRequest, HttpResponse, IdToken, IssuerUrl,
    JsonWebKeySet, OAuth2TokenResponse, PkceCodeVerifier, RefreshToken, RequestTokenError, RevocationUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::metadata::Endpoint;
use super::outbound::{CallError, Outbound};
use super::trouble::{Trouble, quotable};
use crate::config::{ClientAuth, ProviderSettings};
use crate::identity::ProviderTokens;
use crate::metrics::IdpOperation;
use crate::secret::{SecretText, without_secrets};

/// What a token endpoint gave.
#[derive(Debug)]
pub(super) struct Granted {
    /// As it came; not verified.
    pub(super) id_token: Option<SecretText>,
    pub(super) access_token: SecretText,
    pub(super) refresh_token: Option<SecretText>,
    pub(super) expires_in: Option<Duration>,
}

/// How to speak to one provider's token endpoint.
#[derive(Clone, Copy)]
pub(super) struct TokenEndpoint<'a> {
    pub(super) settings: &'a ProviderSettings,
    pub(super) endpoint: &'a Endpoint,
    pub(super) outbound: &'a Outbound,
}

/// The library's way out: calls the endpoint, whatever address the library believes in.
struct Calling<'a> {
    endpoint: TokenEndpoint<'a>,
    operation: IdpOperation,
}

impl<'c> AsyncHttpClient<'c> for Calling<'_> {
    type Error = CallError;
    type Future = BoxFuture<'c, Result<HttpResponse, CallError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.endpoint.send(self.operation, request).boxed()
    }
}

impl TokenEndpoint<'_> {
    /// Exchanges a code. `redirect_uri` is sent exactly so, relative or not.
    pub(super) async fn exchange(
        &self,
        code: &SecretText,
        verifier: &SecretText,
        redirect_uri: &str,
    ) -> Result<Granted, Trouble> {
        let client = self.client()?;
        let http = Calling { endpoint: *self, operation: IdpOperation::Token };
        // The library's redirect type refuses relative ones, so it is left unset and added by name.
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .add_extra_param("redirect_uri", redirect_uri)
            .request_async(&http)
            .await;
        answer.map_err(|error| self.trouble(IdpOperation::Token, error, &[code, verifier]))?.granted()
    }

    /// Exchanges a refresh token.
    pub(super) async fn refresh(&self, refresh_token: &SecretText) -> Result<Granted, Trouble> {
        let client = self.client()?;
        let http = Calling { endpoint: *self, operation: IdpOperation::Refresh };
        let shown = RefreshToken::new(refresh_token.expose().to_owned());
        let answer = client.exchange_refresh_token(&shown).request_async(&http).await;
        answer.map_err(|error| self.trouble(IdpOperation::Refresh, error, &[refresh_token]))?.granted()
    }

    /// Revokes the refresh token, then the access token; both are tried.
    pub(super) async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), Trouble> {
        // The library insists on https here; the scheme was judged with the discovery document (plain http only where
        // the issuer is), and `send` puts the true address in.
        let place = RevocationUrl::new("https://revocation.invalid/".to_owned());
        let place = place.map_err(|error| Trouble::Misconfigured(error.to_string()))?;
        let client = self.client()?.set_revocation_url(place);
        let http = Calling { endpoint: *self, operation: IdpOperation::Revocation };
        let revocable_refresh = |token: &SecretText| RefreshToken::new(token.expose().to_owned()).into();
        let refresh = tokens.refresh_token.as_ref().map(|token| (token, revocable_refresh(token)));
        let access: CoreRevocableToken = AccessToken::new(tokens.access_token.expose().to_owned()).into();
        let mut first_trouble = Ok(());
        for (token, revocable) in refresh.into_iter().chain([(&tokens.access_token, access)]) {
            let request = client.revoke_token(revocable).map_err(|error| Trouble::Misconfigured(error.to_string()))?;
            match request.request_async(&http).await {
                Ok(()) => {}
                // RFC 7009 section 2.2.1: it cannot revoke tokens of that kind; they just run out.
                Err(RequestTokenError::ServerResponse(error))
                    if error.error().to_string() == "unsupported_token_type" => {}
                Err(error) => {
                    first_trouble = first_trouble.and(Err(self.trouble(IdpOperation::Revocation, error, &[token])));
                }
            }
        }
        first_trouble
    }

    fn client(&self) -> Result<OurClient, Trouble> {
        let misconfigured = |error: openidconnect::url::ParseError| Trouble::Misconfigured(error.to_string());
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(misconfigured)?;
        let token_url = TokenUrl::new(self.endpoint.url.to_string()).map_err(misconfigured)?;
        let client_id = ClientId::new(self.settings.client_id.clone());
        let client = Client::new(client_id, issuer, JsonWebKeySet::default()).set_token_uri(token_url);
        let secret = |secret: &SecretText| ClientSecret::new(secret.expose().to_owned());
        Ok(match &self.settings.client_auth {
            ClientAuth::None => client.set_auth_type(AuthType::RequestBody),
            ClientAuth::Basic(text) => client.set_auth_type(AuthType::BasicAuth).set_client_secret(secret(text)),
            ClientAuth::Post(text) => client.set_auth_type(AuthType::RequestBody).set_client_secret(secret(text)),
        })
    }

    async fn send(&self, operation: IdpOperation, mut request: HttpRequest) -> Result<HttpResponse, CallError> {
        *request.uri_mut() = self.endpoint.url.as_str().parse().map_err(|error: http::uri::InvalidUri| {
            CallError::Unreachable(format!("the address cannot be called: {error}"))
        })?;
        self.outbound.call(operation, request, self.endpoint.reach).await
    }

    fn trouble<E: ErrorResponse + CodeAndText>(
        &self,
        operation: IdpOperation,
        error: RequestTokenError<CallError, E>,
        sent: &[&SecretText],
    ) -> Trouble {
        let place = self.endpoint.url.as_str();
        match error {
            RequestTokenError::Request(error) => Trouble::called(operation, place, &error),
            RequestTokenError::ServerResponse(answer) => {
                let told = |text: &str| quotable(&self.without_what_was_sent(text, sent));
                self.refusal(operation, &answer.code(), &told(&answer.code()), answer.text().map(told))
            }
            // The body stays out: it may hold a token.
            RequestTokenError::Parse(error, _) => {
                Trouble::Misbehaved(format!("{operation}: {place}: the answer cannot be read at `{}`", error.path()))
            }
            RequestTokenError::Other(reason) => Trouble::Misbehaved(format!("{operation}: {place}: {reason}")),
        }
    }

    /// Sorts the errors of RFC 6749 section 5.2 by who can mend them.
    fn refusal(&self, operation: IdpOperation, code: &str, told: &str, text: Option<String>) -> Trouble {
        let text = text.map(|text| format!(" ({text})")).unwrap_or_default();
        let said = format!("{operation}: it said `{told}`{text}");
        match code {
            "invalid_grant" => Trouble::GrantRefused(said),
            "temporarily_unavailable" | "server_error" | "slow_down" => Trouble::Unreachable(said),
            "invalid_client" | "unauthorized_client" => {
                let method = match self.settings.client_auth {
                    ClientAuth::None => "as a public client, without a secret",
                    ClientAuth::Basic(_) => "with client_secret_basic",
                    ClientAuth::Post(_) => "with client_secret_post",
                };
                Trouble::Misconfigured(format!(
                    "{said}; we are `{}`, {method}: compare client_id, client_secret and the way of authentication \
                     with what is registered there",
                    self.settings.client_id
                ))
            }
            _ => Trouble::Misconfigured(format!(
                "{said}: compare redirect_uri, scopes and grant types with what is registered there"
            )),
        }
    }
}

/// Some repeat what they refuse, and what they say is shown on a page and logged.
impl TokenEndpoint<'_> {
    fn without_what_was_sent(&self, text: &str, sent: &[&SecretText]) -> String {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let mut secrets: Vec<Zeroizing<String>> = sent
            .iter()
            .flat_map(|secret| [secret.expose().to_owned(), encoded(secret.expose())])
            .map(Zeroizing::new)
            .collect();
        if let ClientAuth::Basic(secret) | ClientAuth::Post(secret) = &self.settings.client_auth {
            let pair = format!("{}:{}", encoded(&self.settings.client_id), encoded(secret.expose()));
            let forms = [BASE64_STANDARD.encode(pair), secret.expose().to_owned(), encoded(secret.expose())];
            secrets.extend(forms.map(Zeroizing::new));
        }
        without_secrets(text, secrets.iter().map(|secret| secret.as_str()))
    }
}

type OurClient = Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

/// A token endpoint's answer, with the ID token as text: the library's own type would read all standard claims while
/// it reads the answer, and refuse a sign-in for an odd `address` or `updated_at`.
#[derive(Serialize, Deserialize)]
struct Answer {
    #[serde(flatten)]
    standard: StandardTokenResponse<EmptyExtraTokenFields, CoreTokenType>,
    id_token: Option<String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer([redacted])")
    }
}

impl Answer {
    fn granted(self) -> Result<Granted, Trouble> {
        let secret = |text: &String| SecretText::new(text.clone());
        if *self.token_type() != CoreTokenType::Bearer {
            return Err(Trouble::Misbehaved("token: its `token_type` is not Bearer".to_owned()));
        }
        Ok(Granted {
            id_token: self.id_token.clone().map(SecretText::new),
            access_token: secret(self.access_token().secret()),
            refresh_token: self.refresh_token().map(|token| secret(token.secret())),
            expires_in: self.expires_in(),
        })
    }
}

impl OAuth2TokenResponse for Answer {
    type TokenType = CoreTokenType;

    fn access_token(&self) -> &AccessToken {
        self.standard.access_token()
    }
    fn token_type(&self) -> &CoreTokenType {
        self.standard.token_type()
    }
    fn expires_in(&self) -> Option<Duration> {
        self.standard.expires_in()
    }
    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.standard.refresh_token()
    }
    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.standard.scopes()
    }
}

type OurIdToken =
    IdToken<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

impl TokenResponse<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>
    for Answer
{
    /// `verify` reads it, not the library.
    fn id_token(&self) -> Option<&OurIdToken> {
        None
    }
}

/// The parts of an error answer, of whichever endpoint.
trait CodeAndText {
    fn code(&self) -> String;
    fn text(&self) -> Option<&str>;
}

impl CodeAndText for StandardErrorResponse<CoreErrorResponseType> {
    fn code(&self) -> String {
        self.error().to_string()
    }
    fn text(&self) -> Option<&str> {
        self.error_description().map(String::as_str)
    }
}

impl CodeAndText for CoreRevocationErrorResponse {
    fn code(&self) -> String {
        self.error().to_string()
    }
    fn text(&self) -> Option<&str> {
        self.error_description().map(String::as_str)
    }
}
