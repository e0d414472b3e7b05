//! `/oauth2/callback`: the provider sends the browser back, and a session begins.

use std::net::IpAddr;

use cookie::time::Duration as CookieDuration;
use http::HeaderMap;

use super::flow::{self, Flow};
use super::whence::{self, address};
use super::{Login, LoginError, Onward};
use crate::audit;
use crate::identity::ProviderId;
use crate::idp::SignedIn;
use crate::refresh::renew_at;
use crate::rules::admitted;
use crate::secret::SecretText;
use crate::session::NewSession;

/// The longest error text of a provider that is passed on.
const MOST_WORDS: usize = 300;

const FINISHED: &str = "it was finished before";

/// Where a callback leads.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// On to where the browser wanted to go.
    pub onward: Onward,
    /// The provider, if a session has just begun.
    pub signed_in_at: Option<ProviderId>,
}

/// The parameters of a callback (RFC 6749 section 4.1.2, RFC 9207 section 2), each at most once.
#[derive(Default)]
struct Answer {
    state: Option<String>,
    code: Option<SecretText>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Login {
    /// Finishes a login. `provider` is the one that the path names, where it names one; `query` is the answer as sent;
    /// `peer` is at the other end of the connection.
    ///
    /// # Errors
    /// If the answer is broken or belongs to no flow of this browser, if the provider said no or delivers no identity,
    /// if the user may not enter, if too many come back, or if the store does not answer.
    pub async fn callback(
        &self,
        provider: Option<&str>,
        headers: &HeaderMap,
        query: &str,
        peer: Option<IpAddr>,
    ) -> Result<Arrived, LoginError> {
        let answer = Answer::parse(query)?;
        let state = answer.state.as_deref().ok_or(LoginError::BrowserSent("it has no state"))?;
        let now = self.clock.now();
        let found = Flow::find(state, headers, &self.cookies, &self.keys, now);
        let flow = match found {
            None => return self.stale(headers, "its cookie is not here, or its time is over").await,
            Some(flow) if !self.arrives_at(&flow.provider, provider) => {
                return Err(LoginError::BrowserSent("it came back to another provider's address"));
            }
            Some(flow) => flow,
        };
        let too_many = |too_many| LoginError::TooMany { provider: flow.provider.clone(), too_many };
        // Only now, for strangers without a flow are to take nothing from those who have one.
        let from = address(headers, peer, &self.trusted_proxies);
        self.callbacks.of_one(from).map_err(too_many)?;
        // A flow that is over takes no place from those that are not, and asks the store for no writing.
        if self.sessions.is_burnt(flow.fingerprint()).await? {
            return self.stale(headers, FINISHED).await;
        }
        // Each exchange holds a connection to the provider; a provider that hangs must not use up our own.
        let places = self.exchanges.get(&flow.provider).ok_or(LoginError::UnknownProvider)?;
        let _place = places.try_acquire().map_err(|_| LoginError::Busy)?;
        if !self.sessions.burn_flow(flow.fingerprint(), flow.ends_at()).await? {
            return self.stale(headers, FINISHED).await;
        }
        // Only now, for one flow that is shown again and again is to take from nobody but its own address.
        self.callbacks.of_all(from).map_err(too_many)?;
        let signed_in = self.exchange(&flow, answer).await?;
        self.welcome(&flow, headers, peer, signed_in).await
    }

    async fn exchange(&self, flow: &Flow, answer: Answer) -> Result<SignedIn, LoginError> {
        let provider = self.provider(&flow.provider).ok_or(LoginError::UnknownProvider)?;
        // The issuer first: an answer of another provider's says nothing about this one (RFC 9207 section 2.4).
        provider.check_callback_issuer(answer.iss.as_deref())?;
        if let Some(error) = answer.error {
            let description = answer.error_description.unwrap_or_default();
            let provider = flow.provider.clone();
            return Err(LoginError::ProviderSaidNo {
                provider,
                error: shortened(&error),
                description: shortened(&description),
            });
        }
        let code = answer.code.ok_or(LoginError::BrowserSent("it has neither a code nor an error"))?;
        let signed_in = provider.exchange(&code, &flow.verifier(), &flow.nonce).await?;
        admitted(&provider.settings().identity.admit, &signed_in.identity).map_err(|reason| {
            LoginError::NotAdmitted {
                provider: flow.provider.clone(),
                user: signed_in.identity.user.clone(),
                reason: reason.to_string(),
                as_somebody_else: self.start_as_somebody_else(&flow.return_to),
            }
        })?;
        Ok(signed_in)
    }

    async fn welcome(
        &self,
        flow: &Flow,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        signed_in: SignedIn,
    ) -> Result<Arrived, LoginError> {
        self.cookies.find_session(headers).map_err(|_| LoginError::TwoCookies)?;
        // A new sign-in never takes an old session over, nor leaves it behind: whoever knows the old cookie is out.
        if let Some(old) = self.signed_in(headers).await? {
            self.sessions.end(old.cookie.key).await?;
            audit::revocation(&old.live.session.identity, &old.live.session.sid, "a new sign-in in the same browser");
        }
        let renew_at = renew_at(&signed_in, self.clock.now(), self.renew_every);
        let SignedIn { identity, tokens, provider_sid, .. } = signed_in;
        let new = NewSession { identity, tokens, provider_sid, renew_at };
        let whence = whence::whence(headers, peer, &self.trusted_proxies);
        let (value, live) = self.sessions.create_from(new, whence).await?;
        audit::sign_in(&live.session.identity, &live.session.sid);
        let lifetime = CookieDuration::seconds(self.max_age.as_secs().cast_signed());
        let mut cookies = vec![
            self.cookies.build(self.cookies.session().to_owned(), value).max_age(lifetime).build(),
            flow.expire(&self.cookies),
        ];
        if flow::has_signed_out(headers, &self.cookies) {
            cookies.push(flow::forget_sign_out(&self.cookies));
        }
        let onward = Onward { location: flow.return_to.clone(), cookies };
        Ok(Arrived { onward, signed_in_at: Some(flow.provider.clone()) })
    }

    /// A callback without its flow: an old tab, the back button, a link from somebody else. Whoever is signed in goes
    /// home; the others may sign in again.
    async fn stale(&self, headers: &HeaderMap, why: &'static str) -> Result<Arrived, LoginError> {
        match self.signed_in(headers).await? {
            Some(_) => {
                let onward = Onward { location: self.home().to_owned(), cookies: Vec::new() };
                Ok(Arrived { onward, signed_in_at: None })
            }
            None => Err(LoginError::FlowGone(why)),
        }
    }

    /// With several providers each has its own callback path, so that none can answer for another (RFC 9700 section
    /// 4.4.2.2). A configured redirect URI may lack the name; then only its flow counts.
    fn arrives_at(&self, expected: &ProviderId, named: Option<&str>) -> bool {
        let own_address = || self.provider(expected).is_some_and(|provider| provider.settings().redirect_uri.is_some());
        named.map_or_else(|| self.providers.len() == 1 || own_address(), |named| named == expected.as_str())
    }
}

impl Answer {
    fn parse(query: &str) -> Result<Self, LoginError> {
        let mut answer = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            let twice = match &*name {
                "state" => answer.state.replace(value).is_some(),
                "code" => answer.code.replace(SecretText::new(value)).is_some(),
                "iss" => answer.iss.replace(value).is_some(),
                "error" => answer.error.replace(value).is_some(),
                "error_description" => answer.error_description.replace(value).is_some(),
                _ => false,
            };
            if twice {
                return Err(LoginError::BrowserSent("it has a parameter twice"));
            }
        }
        Ok(answer)
    }
}

fn shortened(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect()
}
