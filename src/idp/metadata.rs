//! Where a provider answers: its discovery document (OIDC Discovery sections 3 and 4), and what the settings put in
//! its place. Endpoints are checked here, once, before anything is sent to them.

use http::Method;
use openidconnect::{HttpRequest, HttpResponse};
use serde::Deserialize;
use url::Url;

use super::outbound::{Outbound, Reach};
use super::trouble::Trouble;
use crate::config::ProviderSettings;
use crate::metrics::IdpOperation;

/// A place that we call.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where.
    pub url: Url,
    /// Which addresses it may turn out to have.
    pub reach: Reach,
}

/// Where everything is, settings first.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// For browsers; may be relative.
    pub authorization: String,
    /// Where codes and refresh tokens are redeemed.
    pub token: Endpoint,
    /// Where its keys are.
    pub jwks: Endpoint,
    /// Where it tells who somebody is, if anywhere.
    pub userinfo: Option<Endpoint>,
    /// Where tokens are revoked, if anywhere.
    pub revocation: Option<Endpoint>,
    /// For browsers.
    pub end_session: Option<Url>,
    /// Whether callbacks carry `iss` (RFC 9207 section 3).
    pub callback_has_issuer: bool,
    /// Whether `prompt=select_account` is known there (Initiating User Registration via OpenID Connect, section 4).
    pub selects_accounts: bool,
}

/// The members of a discovery document that matter here; the others are not even read.
#[derive(Debug, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    jwks_uri: Option<String>,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    authorization_response_iss_parameter_supported: Option<bool>,
    #[serde(default)]
    prompt_values_supported: Option<serde_json::Value>,
}

impl Endpoints {
    /// What the settings alone give, if that is enough to sign somebody in.
    pub(super) fn from_settings(settings: &ProviderSettings) -> Option<Self> {
        let named = |url: &Option<Url>| url.clone().map(|url| Endpoint { url, reach: Reach::Anywhere });
        Some(Self {
            authorization: settings.authorization_url.clone()?,
            token: named(&settings.token_url)?,
            jwks: named(&settings.jwks_url)?,
            userinfo: named(&settings.userinfo_url),
            revocation: None,
            end_session: None,
            callback_has_issuer: false,
            selects_accounts: false,
        })
    }

    /// Asks the provider.
    pub(super) async fn discover(settings: &ProviderSettings, outbound: &Outbound) -> Result<Self, Trouble> {
        let (document, reach) = Document::fetch(&settings.issuer, outbound).await?;
        document.settle(settings, reach).map_err(misbehaved)
    }

    /// What a discovery document gives that the settings' issuer has answered with; `reach` is how far it may lead.
    ///
    /// # Errors
    /// If it is none, or another issuer's, or lacks what it takes to sign somebody in, or names what we would not call.
    pub fn read(document: &[u8], settings: &ProviderSettings, reach: Reach) -> Result<Self, String> {
        Document::read(document, &settings.issuer)?.settle(settings, reach)
    }

    /// The origins that browsers are sent to, each once; a relative address has none.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        let authorization = Url::parse(&self.authorization).ok();
        let mut origins: Vec<String> = [authorization.as_ref(), self.end_session.as_ref()]
            .into_iter()
            .flatten()
            .map(|url| url.origin().ascii_serialization())
            .collect();
        origins.dedup();
        origins
    }
}

/// Asks an issuer where its keys are.
pub(super) async fn discover_jwks(issuer: &str, outbound: &Outbound) -> Result<Endpoint, Trouble> {
    let (document, reach) = Document::fetch(issuer, outbound).await?;
    let address = document.jwks_uri.ok_or_else(|| "it names no jwks_uri".to_owned());
    let url = address.and_then(|text| checked("jwks_uri", &text, issuer.starts_with("https://")));
    let url = url.map_err(misbehaved)?;
    Ok(Endpoint { url, reach })
}

impl Document {
    /// The document, and how far what it names may lead.
    async fn fetch(issuer: &str, outbound: &Outbound) -> Result<(Self, Reach), Trouble> {
        let address = address_of(issuer);
        let response = fetch_json(IdpOperation::Discovery, &address, Reach::Anywhere, outbound).await?;
        let document = Self::read(response.body(), issuer).map_err(misbehaved)?;
        let url = address.parse::<http::Uri>().map_err(misbehaved)?;
        Ok((document, outbound.reach_of(&url, &response)))
    }

    fn read(document: &[u8], issuer: &str) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(document)
            .map_err(|error| format!("{} is no discovery document: {error}", address_of(issuer)))?;
        if document.issuer == issuer { Ok(document) } else { Err(issuer_mismatch(&document.issuer, issuer)) }
    }

    fn settle(self, settings: &ProviderSettings, reach: Reach) -> Result<Endpoints, String> {
        let https = settings.issuer.starts_with("https://");
        let read = |name: &str, text: Option<String>| text.map(|text| checked(name, &text, https)).transpose();
        let called = |name: &str, text: Option<String>, named: &Option<Url>| match named {
            Some(url) => Ok(Some(Endpoint { url: url.clone(), reach: Reach::Anywhere })),
            None => read(name, text).map(|url| url.map(|url| Endpoint { url, reach })),
        };
        let missing = |name: &str| format!("it names no {name}");
        let authorization = match &settings.authorization_url {
            Some(named) => named.clone(),
            None => read("authorization_endpoint", self.authorization_endpoint)?
                .ok_or_else(|| missing("authorization_endpoint"))?
                .into(),
        };
        Ok(Endpoints {
            authorization,
            token: called("token_endpoint", self.token_endpoint, &settings.token_url)?
                .ok_or_else(|| missing("token_endpoint"))?,
            jwks: called("jwks_uri", self.jwks_uri, &settings.jwks_url)?.ok_or_else(|| missing("jwks_uri"))?,
            userinfo: called("userinfo_endpoint", self.userinfo_endpoint, &settings.userinfo_url)?,
            revocation: called("revocation_endpoint", self.revocation_endpoint, &None)?,
            end_session: read("end_session_endpoint", self.end_session_endpoint)?,
            callback_has_issuer: self.authorization_response_iss_parameter_supported.unwrap_or(false),
            // A hint, and no reason to find a provider wanting: whatever else stands there says nothing.
            selects_accounts: self
                .prompt_values_supported
                .and_then(|values| Some(values.as_array()?.iter().any(|value| value == "select_account")))
                .unwrap_or(false),
        })
    }
}

/// Where an issuer's discovery document is (OIDC Discovery section 4.1).
pub(super) fn address_of(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

fn misbehaved(reason: impl std::fmt::Display) -> Trouble {
    Trouble::Misbehaved(format!("discovery: {reason}"))
}

/// Fetches a document that must be JSON with status 200.
pub(super) async fn fetch_json(
    operation: IdpOperation,
    address: &str,
    reach: Reach,
    outbound: &Outbound,
) -> Result<HttpResponse, Trouble> {
    let request: Result<HttpRequest, _> = http::Request::builder()
        .method(Method::GET)
        .uri(address)
        .header(http::header::ACCEPT, "application/json")
        .body(Vec::new());
    let request = request.map_err(|error| Trouble::Misbehaved(format!("{operation}: {address}: {error}")))?;
    let response =
        outbound.call(operation, request, reach).await.map_err(|error| Trouble::called(operation, address, &error))?;
    if response.status() != http::StatusCode::OK {
        let status = response.status();
        return Err(Trouble::Misbehaved(format!("{operation}: {address} answered with status {status}, not 200")));
    }
    // The content type is often wrong and proves nothing; a page is told apart by what it is.
    if response.body().trim_ascii_start().first() == Some(&b'<') {
        return Err(Trouble::Misbehaved(format!(
            "{operation}: {address} answered with a page (HTML or XML), not with JSON: is a login page or a proxy in \
             the way?"
        )));
    }
    Ok(response)
}

fn checked(name: &str, text: &str, https: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("its {name} is no URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if !https => {}
        "http" => return Err(format!("its {name} {url} is plain http, though the issuer is https")),
        _ => return Err(format!("its {name} is neither https nor http")),
    }
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if !plain || url.host().is_none() {
        return Err(format!("its {name} has a user name, a password or a fragment in it"));
    }
    if !url.host_str().is_some_and(is_harmless) {
        return Err(format!("its {name} has a host that is none"));
    }
    Ok(url)
}

/// URLs allow more in a host (WHATWG URL section 3.1). It becomes a part of our pages' policy, where a `;` or a `,` begins
/// another one (CSP Level 3 section 2.2).
fn is_harmless(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// What differs, said so that a person sees it: the two often look alike.
fn issuer_mismatch(found: &str, configured: &str) -> String {
    let without_scheme = |issuer: &str| issuer.split_once("://").map(|(_, rest)| rest.to_owned());
    let hint = if found.trim_end_matches('/') == configured.trim_end_matches('/') {
        "they differ in the slash at the end"
    } else if without_scheme(found) == without_scheme(configured) {
        "they differ in http and https"
    } else {
        "they must be the same, character by character"
    };
    format!("it says its issuer is `{}`, configured is `{configured}`: {hint}", super::trouble::quotable(found))
}
