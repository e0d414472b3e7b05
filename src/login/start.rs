//! `/oauth2/start`: a flow begins, and the browser goes to the provider.

use http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::flow::{self, Flow};
use super::{Login, LoginError, Onward};
use crate::identity::ProviderId;
use crate::idp::AuthorizationRequest;
use crate::return_to::ReturnTo;

/// The query of `/oauth2/start`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StartQuery {
    /// Where to go afterwards.
    pub rd: Option<String>,
    /// Which provider to go to, where there are several.
    pub provider: Option<String>,
}

/// What a browser gets that wants to sign in.
#[derive(Clone, Debug)]
pub enum Started {
    /// Off to the provider.
    Go(Onward),
    /// Which provider? Nothing has begun yet.
    Choose(Vec<Choice>),
}

/// A provider to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What people call it.
    pub name: String,
    /// Where its login starts.
    pub href: String,
}

impl Login {
    /// Begins a login.
    ///
    /// # Errors
    /// If no such provider is configured, or it cannot be reached.
    pub async fn start(&self, headers: &HeaderMap, query: &StartQuery) -> Result<Started, LoginError> {
        let return_to = self.return_to(query.rd.as_deref());
        let provider = match (&query.provider, &*self.providers) {
            (Some(id), _) => {
                let id = ProviderId::parse(&**id).map_err(|_| LoginError::UnknownProvider)?;
                self.provider(&id).ok_or(LoginError::UnknownProvider)?
            }
            (None, [only]) => only,
            (None, several) => {
                return Ok(Started::Choose(
                    several.iter().map(|provider| self.choice(provider.settings(), &return_to)).collect(),
                ));
            }
        };
        provider.is_there().await?;
        let now = self.clock.now();
        let flow = Flow::begin(provider.id().clone(), return_to.as_str().to_owned(), now, &*self.entropy);
        let location = provider.authorization_url(&AuthorizationRequest {
            state: flow.state(),
            nonce: &flow.nonce,
            code_challenge: &flow.challenge(),
            prompt_login: flow::has_signed_out(headers, &self.cookies),
        })?;
        let cookie = flow.to_cookie(&self.cookies, &self.keys);
        let mut cookies = flow::make_room(&cookie, headers, &self.cookies, &self.keys, now);
        cookies.push(cookie);
        Ok(Started::Go(Onward { location, cookies }))
    }

    fn choice(&self, provider: &crate::config::ProviderSettings, return_to: &ReturnTo) -> Choice {
        let rd = utf8_percent_encode(return_to.as_str(), NON_ALPHANUMERIC);
        Choice { name: provider.name.clone(), href: format!("{}?provider={}&rd={rd}", self.path("start"), provider.id) }
    }
}
