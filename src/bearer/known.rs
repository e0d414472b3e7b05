//! What was found lately, by a hash of the whole token: who it is, or that it is no good. The two never share room, so
//! that no flood of garbage drives out those who are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::sync::{Cache, DefaultLifecycle, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Weighter};

use super::credential::{Credential, Place};
use super::{BearerError, Verified};
use crate::clock::UnixTime;
use crate::idp::Standing;

/// What the good may take, and how many they are, as a first guess.
const GOOD_BYTES: u64 = 32 * 1024 * 1024;
const GOOD_TOKENS: usize = 8 * 1024;
/// Of how many it is remembered that they were good, longer than that is believed.
const ONCE_GOOD_TOKENS: usize = 16 * 1024;
/// How many of the others are remembered.
const BAD_TOKENS: usize = 4 * 1024;
/// How long a token is refused without another look.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// How long it is taken for granted that nobody can tell.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// A token, as it is remembered: SHA-256 of where it was sent and all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// A place for a finding, which its owner is to fill; others wait meanwhile.
pub(super) type Vacancy<'a> = PlaceholderGuard<
    'a,
    Fingerprint,
    Arc<Verified>,
    ByBytes,
    DefaultHashBuilder,
    DefaultLifecycle<Fingerprint, Arc<Verified>>,
>;

/// What was found lately.
pub(super) struct Known {
    good: Cache<Fingerprint, Arc<Verified>, ByBytes>,
    once_good: Cache<Fingerprint, ()>,
    bad: Cache<Fingerprint, Arc<(BearerError, UnixTime)>>,
    findings: AtomicU64,
}

impl Fingerprint {
    pub(super) fn of(credential: &Credential<'_>) -> Self {
        Self(hash(credential, b"fingerprint"))
    }

    /// A name for the token in logs and RC tokens, from which neither it nor its fingerprint can be told.
    pub(super) fn pseudonym(credential: &Credential<'_>) -> String {
        URL_SAFE_NO_PAD.encode(&hash(credential, b"pseudonym")[..16])
    }
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            good: Cache::with_weighter(GOOD_TOKENS, GOOD_BYTES, ByBytes),
            once_good: Cache::new(ONCE_GOOD_TOKENS),
            bad: Cache::new(BAD_TOKENS),
            findings: AtomicU64::new(0),
        }
    }

    /// Who it is, if that is believed at `now`.
    pub(super) fn find(&self, fingerprint: &Fingerprint, now: UnixTime) -> Option<Arc<Verified>> {
        self.good.get(fingerprint).filter(|verified| verified.is_believed(now))
    }

    /// The same; or else the place for it, once nobody else has that.
    pub(super) async fn find_or_claim(
        &self,
        fingerprint: &Fingerprint,
        now: UnixTime,
    ) -> Result<Arc<Verified>, Vacancy<'_>> {
        loop {
            match self.good.get_value_or_guard_async(fingerprint).await {
                Ok(verified) if verified.is_believed(now) => return Ok(verified),
                Ok(over) => drop(self.good.remove_if(fingerprint, |held| Arc::ptr_eq(held, &over))),
                Err(vacancy) => return Err(vacancy),
            }
        }
    }

    /// Whether it was good when its source told last.
    pub(super) fn standing(&self, fingerprint: &Fingerprint) -> Standing {
        if self.once_good.get(fingerprint).is_some() { Standing::Known } else { Standing::Stranger }
    }

    /// Keeps who it is.
    pub(super) fn keep(&self, vacancy: Vacancy<'_>, fingerprint: Fingerprint, verified: &Arc<Verified>) {
        // It may be too large to be kept.
        let _ = vacancy.insert(Arc::clone(verified));
        self.once_good.insert(fingerprint, ());
    }

    /// Why it is no good, if that was found a moment ago.
    pub(super) fn error(&self, fingerprint: &Fingerprint, now: UnixTime) -> Option<BearerError> {
        let bad = self.bad.get(fingerprint)?;
        let (error, until) = &*bad;
        (now < *until).then(|| error.clone())
    }

    /// Remembers why it is no good.
    pub(super) fn keep_error(&self, fingerprint: Fingerprint, error: &BearerError, now: UnixTime) {
        let span = if matches!(error, BearerError::Unavailable { .. }) {
            UNAVAILABLE_FOR
        } else {
            self.once_good.remove(&fingerprint);
            REFUSED_FOR
        };
        self.bad.insert(fingerprint, Arc::new((error.clone(), now.plus(span))));
    }

    /// A number for the next finding.
    pub(super) fn count(&self) -> u64 {
        self.findings.fetch_add(1, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("good", &self.good.len()).field("bad", &self.bad.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ByBytes;

impl Weighter<Fingerprint, Arc<Verified>> for ByBytes {
    fn weight(&self, _: &Fingerprint, verified: &Arc<Verified>) -> u64 {
        let groups: usize = verified.identity.groups.iter().map(|group| group.as_str().len() + 24).sum();
        (size_of::<Verified>() + 1024 + groups) as u64
    }
}

fn hash(credential: &Credential<'_>, purpose: &[u8]) -> [u8; 32] {
    let place: &[u8] = match credential.place {
        Place::FrontProxy => b"\0front-proxy\0",
        Place::Bearer => b"\0bearer\0",
    };
    let mut context = Context::new(&SHA256);
    for part in [purpose, place, credential.token.as_bytes()] {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
