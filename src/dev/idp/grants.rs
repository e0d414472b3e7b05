//! What the provider has granted and to whom: codes work once, refresh tokens once each.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::UnixTime;

/// What a user agreed to.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) subject: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: UnixTime,
}

/// What a code must be presented with.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
}

/// Everything granted.
#[derive(Debug, Default)]
pub(super) struct Grants {
    codes: HashMap<String, (Code, UnixTime)>,
    access: HashMap<String, (Grant, UnixTime)>,
    refresh: HashMap<String, Grant>,
}

impl Grants {
    const CODE_LIFE: Duration = Duration::from_mins(1);
    pub(super) const ACCESS_LIFE: Duration = Duration::from_mins(5);

    pub(super) fn add_code(&mut self, text: String, code: Code, now: UnixTime) {
        self.codes.retain(|_, (_, until)| *until > now);
        self.codes.insert(text, (code, now.plus(Self::CODE_LIFE)));
    }

    /// Takes the code out, whatever becomes of it: a second try finds nothing (RFC 6749 section 4.1.2).
    pub(super) fn redeem(&mut self, text: &str, now: UnixTime) -> Option<Code> {
        self.codes.remove(text).filter(|(_, until)| *until > now).map(|(code, _)| code)
    }

    pub(super) fn add_access(&mut self, text: String, grant: Grant, now: UnixTime) {
        self.access.retain(|_, (_, until)| *until > now);
        self.access.insert(text, (grant, now.plus(Self::ACCESS_LIFE)));
    }

    pub(super) fn access(&self, text: &str, now: UnixTime) -> Option<&Grant> {
        self.access.get(text).filter(|(_, until)| *until > now).map(|(grant, _)| grant)
    }

    pub(super) fn add_refresh(&mut self, text: String, grant: Grant) {
        self.refresh.insert(text, grant);
    }

    pub(super) fn rotate(&mut self, text: &str) -> Option<Grant> {
        self.refresh.remove(text)
    }

    pub(super) fn revoke(&mut self, text: &str) {
        self.access.remove(text);
        self.refresh.remove(text);
    }
}
