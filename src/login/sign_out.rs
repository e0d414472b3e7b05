//! `/oauth2/sign_out`: the session ends here, then at the provider.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::Cookie;
use http::HeaderMap;
use http::header::{HeaderName, ORIGIN};
use thiserror::Error;

use super::{Login, LoginError, Onward, SignedInBrowser, flow};
use crate::audit;
use crate::entropy::random;
use crate::identity::ProviderTokens;
use crate::idp::Provider;
use crate::session::{SessionCookie, StoreError};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How long a browser waits for its tokens to be revoked. The session is over by then in any case.
const REVOCATION_PATIENCE: Duration = Duration::from_secs(3);

/// Who reads where the browser goes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The browser alone, which follows a redirect.
    Browser,
    /// A script of whatever workload shares our origin. It is not shown the ID token, without which the provider may ask the
    /// person once more.
    Script,
}

/// A form of another site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the request was not made by a page of this site")]
pub struct CrossSite;

impl Login {
    /// Whether the browser says that a page of ours sent this request: `Sec-Fetch-Site: same-origin`, or an `Origin` that
    /// is the request's own `host`.
    ///
    /// # Errors
    /// If it says otherwise, or nothing.
    pub fn require_same_origin(&self, host: &str, headers: &HeaderMap) -> Result<(), CrossSite> {
        if let Some(site) = headers.get(FETCH_SITE) {
            return if site == "same-origin" { Ok(()) } else { Err(CrossSite) };
        }
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).ok_or(CrossSite)?;
        let here = self.origins.of_authority(host).unwrap_or_else(|| self.origins.home());
        if origin == here.origin().ascii_serialization() { Ok(()) } else { Err(CrossSite) }
    }

    /// Ends the session of whoever asks. On it goes to the provider, which ends its own session and sends the browser back, if it
    /// takes part in that; else to our own last page.
    ///
    /// # Errors
    /// If the store does not answer, or the browser sends two session cookies: the session may still be there, and
    /// nobody is told otherwise.
    pub async fn sign_out(&self, headers: &HeaderMap, reader: Reader) -> Result<Onward, LoginError> {
        let mut cookies =
            vec![self.cookies.expire(self.cookies.session().to_owned()), flow::remember_sign_out(&self.cookies)];
        let here = |cookies| Onward { location: self.path("signed_out"), cookies };
        self.cookies.find_session(headers).map_err(|_| LoginError::TwoCookies)?;
        let browser = match self.proven(headers) {
            Some(cookie) => self.find_to_end(cookie).await?,
            None => None,
        };
        let Some(browser) = browser else {
            cookies.truncate(1);
            return Ok(here(cookies));
        };
        let Some((provider, tokens)) = self.close(&browser).await? else { return Ok(here(cookies)) };
        let back = format!("{}{}", self.home().trim_end_matches('/'), self.path("signed_out"));
        let state = URL_SAFE_NO_PAD.encode(random::<16>(&*self.entropy));
        let hint = (reader == Reader::Browser).then_some(&tokens.id_token);
        Ok(match provider.end_session_url(hint, &back, &state) {
            Some(location) => Onward { location, cookies },
            None => here(cookies),
        })
    }

    /// Ends the session whose cookie has the value `value`, wherever that came from. Gives the cookies for a browser that
    /// may be at the other end, or nothing if there is no such session.
    ///
    /// # Errors
    /// If the store does not answer: the session may still be there.
    pub async fn end(&self, value: &str) -> Result<Option<Vec<Cookie<'static>>>, StoreError> {
        let Ok(cookie) = self.sessions.prove(value) else { return Ok(None) };
        let Some(browser) = self.find_to_end(cookie).await? else { return Ok(None) };
        self.close(&browser).await?;
        Ok(Some(vec![self.cookies.expire(self.cookies.session().to_owned()), flow::remember_sign_out(&self.cookies)]))
    }

    /// Whose session is to end. Nothing if it has ended, which is only said once the store has confirmed it. Where the store
    /// cannot say whose it is, it ends when the store is back.
    async fn find_to_end(&self, cookie: SessionCookie) -> Result<Option<SignedInBrowser>, StoreError> {
        let found = self.sessions.find(&cookie).await;
        let Some(live) = found.inspect_err(|_| self.sessions.begin_to_end(&[cookie.key]))? else {
            if self.sessions.is_ending(cookie.key) {
                self.sessions.end(cookie.key).await?;
            }
            return Ok(None);
        };
        Ok(Some(SignedInBrowser { cookie, live }))
    }

    /// Ends the session here, and revokes its tokens at the provider; these are given for what is left to be done there.
    async fn close(&self, browser: &SignedInBrowser) -> Result<Option<(&Provider, ProviderTokens)>, StoreError> {
        self.sessions.end(browser.cookie.key).await?;
        let session = &browser.live.session;
        audit::sign_out(&session.identity, &session.sid);
        let Some((provider, tokens)) = self.kept_for_later(browser) else { return Ok(None) };
        self.revoke(provider, &tokens).await;
        Ok(Some((provider, tokens)))
    }

    fn kept_for_later(&self, browser: &SignedInBrowser) -> Option<(&Provider, ProviderTokens)> {
        let provider = self.provider(&browser.live.session.identity.provider)?;
        let tokens = self.sessions.tokens(&browser.cookie, &browser.live).ok()?;
        Some((provider, tokens))
    }

    async fn revoke(&self, provider: &Provider, tokens: &ProviderTokens) {
        match tokio::time::timeout(REVOCATION_PATIENCE, provider.revoke(tokens)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(provider = %provider.id(), %error, "tokens could not be revoked"),
            Err(_) => tracing::warn!(provider = %provider.id(), "revoking tokens took too long"),
        }
    }
}
