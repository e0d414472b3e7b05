//! `/oauth2/sessions`: whoever is signed in sees where else they are, and ends what they do not want.

use http::HeaderMap;

use super::{Login, LoginError, SignedInBrowser};
use crate::metrics::RevocationCause;
use crate::session::{Found, Of, Session};

/// The sessions of whoever asks, their own first, then the newest.
#[derive(Clone, Debug)]
pub struct OwnSessions {
    /// The one that asks.
    pub this: Session,
    /// The others, at most [`OwnSessions::MOST`] of them.
    pub others: Vec<Session>,
    /// How many there are besides.
    pub more: usize,
}

/// Which of them are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToEnd {
    /// The one of this pseudonym.
    One(String),
    /// All but the one that asks.
    Others,
}

impl OwnSessions {
    /// How many are shown.
    pub const MOST: usize = 100;
}

impl Login {
    /// The sessions of whoever asks; none if nobody is signed in. Whose they are is told by the provider's own name for
    /// the person: addresses are given to others in time.
    ///
    /// # Errors
    /// If the store does not answer, or two session cookies are sent.
    pub async fn own_sessions(&self, headers: &HeaderMap) -> Result<Option<OwnSessions>, LoginError> {
        self.cookies.find_session(headers).map_err(|_| LoginError::TwoCookies)?;
        let Some(browser) = self.signed_in(headers).await? else { return Ok(None) };
        let mut others: Vec<Session> =
            self.others(&browser).await?.filed.into_iter().map(|filed| filed.session).collect();
        others.sort_by_key(|session| std::cmp::Reverse(session.signed_in_at));
        let more = others.len().saturating_sub(OwnSessions::MOST);
        others.truncate(OwnSessions::MOST);
        Ok(Some(OwnSessions { this: browser.live.session.clone(), others, more }))
    }

    /// Ends some of the sessions of whoever asks, never somebody else's; how many. Nothing if nobody is signed in.
    ///
    /// # Errors
    /// As [`Login::own_sessions`]. Some may still be there.
    pub async fn end_own_sessions(&self, headers: &HeaderMap, which: &ToEnd) -> Result<Option<u64>, LoginError> {
        self.cookies.find_session(headers).map_err(|_| LoginError::TwoCookies)?;
        let Some(browser) = self.signed_in(headers).await? else { return Ok(None) };
        let mut ending = self.others(&browser).await?;
        if let ToEnd::One(sid) = which {
            ending.filed.retain(|filed| filed.session.sid == *sid);
            ending.unreadable.clear();
        }
        Ok(Some(self.revocation.end(ending, RevocationCause::Holder).await?))
    }

    async fn others(&self, browser: &SignedInBrowser) -> Result<Found, LoginError> {
        let identity = &browser.live.session.identity;
        let mut all = self.sessions.all_of(Of::Subject(&identity.provider, &identity.subject)).await?;
        all.unreadable.retain(|key| *key != browser.cookie.key);
        all.filed.retain(|filed| {
            let other = &filed.session.identity;
            filed.key != browser.cookie.key
                && (&other.provider, &other.subject) == (&identity.provider, &identity.subject)
        });
        Ok(all)
    }
}
