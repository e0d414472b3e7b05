//! A flow: one login attempt, kept by the browser itself in a sealed cookie until the provider sends it back.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::Cookie;
use cookie::time::Duration as CookieDuration;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::cookie::CookieNames;
use crate::entropy::{Entropy, random};
use crate::identity::ProviderId;
use crate::seal::{Purpose, SessionKeys};
use crate::secret::SecretText;

/// How long a person may take at the provider.
pub(super) const LIFETIME: Duration = Duration::from_mins(10);

/// How many flows a browser may have open: one a tab.
const MOST: usize = 5;

/// How many bytes their cookies may take together: gateways refuse request headers that grow too large.
const MOST_BYTES: usize = 6 * 1024;

/// How many that are there already are looked at: each takes a key to open, and a header to take away. The older ones come
/// first, and the next login sees the rest.
const MOST_LOOKED_AT: usize = 32;

/// How many characters of the state name the cookie. The whole state is compared once the cookie is open.
const NAME_LENGTH: usize = 12;

/// One login attempt.
#[derive(Serialize, Deserialize)]
pub(super) struct Flow {
    /// 256 random bits that come back with the code (RFC 6749 section 10.12).
    state: String,
    /// 256 random bits that come back in the ID token.
    pub(super) nonce: String,
    /// 256 random bits (RFC 7636 section 7.1).
    verifier: String,
    pub(super) provider: ProviderId,
    pub(super) return_to: String,
    begun: UnixTime,
}

/// A flow cookie that was sent along.
struct Sent<'h> {
    name: &'h str,
    size: usize,
    begun: Option<UnixTime>,
}

impl Flow {
    pub(super) fn begin(provider: ProviderId, return_to: String, now: UnixTime, entropy: &dyn Entropy) -> Self {
        let secret = || URL_SAFE_NO_PAD.encode(random::<32>(entropy));
        Self { state: secret(), nonce: secret(), verifier: secret(), provider, return_to, begun: now }
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn verifier(&self) -> SecretText {
        SecretText::new(self.verifier.clone())
    }

    /// `BASE64URL(SHA256(verifier))` (RFC 7636 section 4.2).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// What the flow is remembered by once it is used: nothing from which the state could be told.
    pub(super) fn fingerprint(&self) -> [u8; 16] {
        let hash = digest(&SHA256, self.state.as_bytes());
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&hash.as_ref()[..16]);
        fingerprint
    }

    pub(super) fn ends_at(&self) -> UnixTime {
        self.begun.plus(LIFETIME)
    }

    /// The cookie that keeps it.
    pub(super) fn to_cookie(&self, names: &CookieNames, keys: &SessionKeys) -> Cookie<'static> {
        let name = &self.state[..NAME_LENGTH];
        // Plain fields always become JSON.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let sealed = URL_SAFE_NO_PAD.encode(keys.seal(Purpose::Flow, name.as_bytes(), &json));
        let life = CookieDuration::seconds(LIFETIME.as_secs().cast_signed());
        names.build(format!("{}{name}", names.flow_prefix()), sealed).max_age(life).build()
    }

    /// The flow that `state` belongs to, if this browser has it and its time is not over.
    pub(super) fn find(
        state: &str,
        headers: &HeaderMap,
        names: &CookieNames,
        keys: &SessionKeys,
        now: UnixTime,
    ) -> Option<Self> {
        let name = state.get(..NAME_LENGTH)?;
        let (_, value) = names.flows(headers).into_iter().find(|(other, _)| *other == name)?;
        let flow = open(name, value, keys)?;
        verify_slices_are_equal(flow.state.as_bytes(), state.as_bytes()).ok()?;
        (now < flow.ends_at()).then_some(flow)
    }

    /// The cookie that takes this flow's cookie away.
    pub(super) fn expire(&self, names: &CookieNames) -> Cookie<'static> {
        names.expire(format!("{}{}", names.flow_prefix(), &self.state[..NAME_LENGTH]))
    }
}

/// The cookies that must go so that `coming` finds room: those that are broken or over, then the oldest.
pub(super) fn make_room(
    coming: &Cookie<'_>,
    headers: &HeaderMap,
    names: &CookieNames,
    keys: &SessionKeys,
    now: UnixTime,
) -> Vec<Cookie<'static>> {
    let mut sent: Vec<Sent<'_>> = names
        .flows(headers)
        .into_iter()
        .filter(|(name, _)| *name != SIGNED_OUT)
        .take(MOST_LOOKED_AT)
        .map(|(name, value)| {
            let flow = open(name, value, keys).filter(|flow| now < flow.ends_at());
            let size = names.flow_prefix().len() + name.len() + value.len();
            Sent { name, size, begun: flow.map(|flow| flow.begun) }
        })
        .collect();
    // Newest first; what cannot be opened comes last, and goes. Browsers send the older one first (RFC 6265 section 5.4),
    // which tells two of the same second apart.
    sent.reverse();
    sent.sort_by_key(|flow| std::cmp::Reverse(flow.begun));
    let mut bytes = coming.name().len() + coming.value().len();
    let mut kept = 1;
    let mut going = Vec::new();
    for flow in sent {
        bytes += flow.size;
        kept += 1;
        if flow.begun.is_none() || kept > MOST || bytes > MOST_BYTES {
            going.push(names.expire(format!("{}{}", names.flow_prefix(), flow.name)));
        }
    }
    going
}

/// What stands behind the prefix in the name of the cookie that remembers a sign-out.
const SIGNED_OUT: &str = "out";

/// Remembers a sign-out, so that the next login asks for the credentials again. Whoever forges it only asks for them.
pub(super) fn remember_sign_out(names: &CookieNames) -> Cookie<'static> {
    names.build(format!("{}{SIGNED_OUT}", names.flow_prefix()), "1".into()).max_age(CookieDuration::hours(1)).build()
}

pub(super) fn has_signed_out(headers: &HeaderMap, names: &CookieNames) -> bool {
    names.flows(headers).iter().any(|(name, _)| *name == SIGNED_OUT)
}

pub(super) fn forget_sign_out(names: &CookieNames) -> Cookie<'static> {
    names.expire(format!("{}{SIGNED_OUT}", names.flow_prefix()))
}

fn open(name: &str, value: &str, keys: &SessionKeys) -> Option<Flow> {
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let json = keys.open(Purpose::Flow, name.as_bytes(), &sealed).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests;
