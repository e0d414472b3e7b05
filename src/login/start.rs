//! `/oauth2/start`: a flow begins, and the browser goes to the provider.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::flow::{self, Flow};
use super::whence::address;
use super::{Login, LoginError, Onward};
use crate::identity::ProviderId;
use crate::idp::{AuthorizationRequest, Prompt};
use crate::return_to::ReturnTo;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// The query of `/oauth2/start`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StartQuery {
    /// Where to go afterwards.
    pub rd: Option<String>,
    /// Which provider to go to, where there are several.
    pub provider: Option<String>,
    /// Whether the provider is to ask who it is, though somebody is signed in there: `somebody_else`, or nothing.
    #[serde(rename = "as")]
    pub who: Option<String>,
}

/// The marker of a start whose browser is signed in at the provider as somebody who may not enter here.
const SOMEBODY_ELSE: &str = "somebody_else";

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

impl StartQuery {
    fn asks_for_somebody_else(&self) -> bool {
        self.who.as_deref() == Some(SOMEBODY_ELSE)
    }
}

impl Login {
    /// Begins a login. `peer` is at the other end of the connection.
    ///
    /// # Errors
    /// If another site's page asks in passing, if no such provider is configured, if it cannot be reached, or if too many
    /// logins have begun.
    pub async fn start(
        &self,
        headers: &HeaderMap,
        query: &StartQuery,
        peer: Option<IpAddr>,
    ) -> Result<Started, LoginError> {
        // Before it is counted, for any page could use up what its reader's whole office has.
        if is_in_passing(headers) {
            return Err(LoginError::InPassing);
        }
        let return_to = self.return_to(query.rd.as_deref());
        let provider = match (&query.provider, &*self.providers) {
            (Some(id), _) => {
                let id = ProviderId::parse(&**id).map_err(|_| LoginError::UnknownProvider)?;
                self.provider(&id).ok_or(LoginError::UnknownProvider)?
            }
            (None, [only]) => only,
            (None, several) => {
                return Ok(Started::Choose(
                    several.iter().map(|provider| self.choice(provider.settings(), &return_to, query)).collect(),
                ));
            }
        };
        // One's own bound first: who is held by it takes nothing from the others.
        let whence = address(headers, peer, &self.trusted_proxies);
        let counted = self.starts.of_one(whence).and_then(|()| self.starts.of_all(whence));
        counted.map_err(|too_many| LoginError::TooMany { provider: provider.id().clone(), too_many })?;
        provider.is_there().await?;
        let now = self.clock.now();
        let flow = Flow::begin(provider.id().clone(), return_to.as_str().to_owned(), now, &*self.entropy);
        let location = provider.authorization_url(&AuthorizationRequest {
            state: flow.state(),
            nonce: &flow.nonce,
            code_challenge: &flow.challenge(),
            prompt: if query.asks_for_somebody_else() {
                Some(Prompt::SomebodyElse)
            } else {
                flow::has_signed_out(headers, &self.cookies).then_some(Prompt::Login)
            },
        })?;
        let cookie = flow.to_cookie(&self.cookies, &self.keys);
        let mut cookies = flow::make_room(&cookie, headers, &self.cookies, &self.keys, now);
        cookies.push(cookie);
        Ok(Started::Go(Onward { location, cookies }))
    }

    /// Where a login begins that may not end as before: the provider asks who it is.
    pub(super) fn start_as_somebody_else(&self, return_to: &str) -> String {
        let rd = utf8_percent_encode(return_to, NON_ALPHANUMERIC);
        format!("{}?as={SOMEBODY_ELSE}&rd={rd}", self.path("start"))
    }

    fn choice(&self, provider: &crate::config::ProviderSettings, return_to: &ReturnTo, query: &StartQuery) -> Choice {
        let rd = utf8_percent_encode(return_to.as_str(), NON_ALPHANUMERIC);
        let who = if query.asks_for_somebody_else() { format!("&as={SOMEBODY_ELSE}") } else { String::new() };
        let href = format!("{}?provider={}&rd={rd}{who}", self.path("start"), provider.id);
        Choice { name: provider.name.clone(), href }
    }
}

/// Whether another site's page asks for it, and not as the page to go on to (Fetch Metadata Request Headers, sections 2.1
/// and 2.4), or only ahead of a click (`Sec-Purpose: prefetch`): that is not a person's wish, and most of it leaves no cookie
/// that is `SameSite=Lax`.
fn is_in_passing(headers: &HeaderMap) -> bool {
    let is_elsewhere = headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site");
    let is_shown = headers.get(FETCH_DEST).is_none_or(|dest| dest == "document") && !headers.contains_key(PURPOSE);
    is_elsewhere && !is_shown
}
