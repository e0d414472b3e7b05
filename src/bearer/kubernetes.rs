//! Kubernetes ServiceAccounts, by the API server's review or by the cluster's keys. In either way a token that the
//! cluster's keys did not sign costs no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::judgement::{self, Expected};
use super::lack::Lack;
use super::{Doubt, Vouched};
use crate::clock::{Clock, UnixTime};
use crate::config::{KubernetesSettings, KubernetesVerify};
use crate::identity::{GroupName, Groups, Identity, Subject, UserId};
use crate::idp::{Allowance, PublishedKeys, SignedClaims, Standing, Unverified, numeric_date};
use crate::kube::{ApiServer, KubeError, Review, ServiceAccount};
use crate::metrics::Metrics;
use crate::secret::SecretText;

/// What Kubernetes signs with: RSA or an elliptic curve, whatever its key is.
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "ES384"];
/// How many reviews the API server is asked for, at most. It has others to serve. A quarter is kept for tokens that were
/// good before.
const REVIEWS_PER_SECOND: u64 = 50;
const REVIEWS_AT_ONCE: u64 = 200;
const REVIEWS_UNDER_WAY: usize = 16;
/// How long a token waits for its turn.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long between two looks at the keys while they cannot be had.
const PAUSE: Duration = Duration::from_secs(5);
/// The same while they can.
const LONG_PAUSE: Duration = Duration::from_hours(1);

/// A cluster.
pub(super) struct Kubernetes {
    settings: KubernetesSettings,
    api: Arc<ApiServer>,
    keys: PublishedKeys,
    reviews: Allowance,
    /// What was lacking when the keys were last looked at, and when a token was last reviewed.
    lack: (Lack, Lack),
    /// Whether the API server could not be reached for the last review, and whoever waits for that.
    is_lost: AtomicBool,
    lost: Notify,
    clock: Arc<dyn Clock>,
}

impl Kubernetes {
    pub(super) fn new(
        settings: KubernetesSettings,
        metrics: &Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let api = ApiServer::new(&settings.api).map_err(|error| error.to_string())?;
        Ok(Self {
            api: Arc::new(api.counted(settings.id.clone(), Arc::clone(metrics))),
            keys: PublishedKeys::new(ALGORITHMS.map(str::to_owned).into(), Arc::clone(&clock)),
            reviews: Allowance::new(REVIEWS_PER_SECOND, REVIEWS_AT_ONCE, REVIEWS_UNDER_WAY, Arc::clone(&clock))
                .with_reserve(),
            lack: (Lack::from_the_start("its keys have not been fetched yet"), Lack::default()),
            is_lost: AtomicBool::new(false),
            lost: Notify::new(),
            settings,
            clock,
        })
    }

    /// Says whose token it is. `admit` and the caches are the caller's.
    pub(super) async fn verify(&self, token: &str, standing: Standing) -> Result<Vouched, Doubt> {
        let newer = || {
            let api = Arc::clone(&self.api);
            async move { api.key_set().await.map_err(|error| error.to_string()) }
        };
        let signed = self.keys.verify(token, newer).await;
        match (self.settings.verify, signed) {
            (_, Err(Unverified::Refused(reason))) => Err(Doubt::Refused(reason)),
            (KubernetesVerify::Keys, Err(Unverified::Unavailable(reason))) => Err(Doubt::Unavailable(reason)),
            (KubernetesVerify::Keys, Ok(signed)) => self.judge(&signed).map_err(Doubt::Refused),
            // The review knows the keys by itself; ours only keep forgeries away from it.
            (KubernetesVerify::TokenReview, Ok(_) | Err(Unverified::Unavailable(_))) => {
                self.review(token, standing).await
            }
        }
    }

    /// What it lacks, if it lacks anything: the graver of the two.
    pub(super) fn lacking(&self) -> Option<String> {
        self.lack.1.reason().or_else(|| self.lack.0.reason())
    }

    /// Keeps at hand what verifying takes, for ever.
    pub(super) async fn keep_found(&self) {
        let (id, api) = (&self.settings.id, &self.settings.api.address);
        let mut last_reason = None;
        loop {
            match self.look_anew().await {
                Ok(()) => {
                    last_reason = None;
                    let _ = timeout(LONG_PAUSE, self.lost.notified()).await;
                }
                Err(reason) => {
                    if last_reason.as_ref() != Some(&reason) {
                        tracing::warn!(provider = %id, %api, reason, "the keys of a cluster cannot be had");
                        last_reason = Some(reason);
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn look_anew(&self) -> Result<(), String> {
        let looked = self.fetch_keys().await;
        self.lack.0.note(&looked);
        if looked.is_ok() && self.is_lost.swap(false, Ordering::Relaxed) {
            // It was away, and is back. What else keeps tokens from being reviewed, only a review can show.
            self.lack.1.forget();
        }
        looked
    }

    async fn fetch_keys(&self) -> Result<(), String> {
        let id = &self.settings.id;
        let found = self.api.issuer().await.map_err(|error| error.to_string())?;
        if found != self.settings.issuer {
            let configured = &self.settings.issuer;
            tracing::warn!(
                provider = %id, found, configured,
                "the cluster issues its tokens under another name than the configured `issuer`, and they go unnoticed"
            );
        }
        let keys = self.api.key_set().await.map_err(|error| error.to_string())?;
        self.keys.take(&keys)?;
        tracing::info!(provider = %id, "the keys of a cluster were fetched");
        Ok(())
    }

    async fn review(&self, token: &str, standing: Standing) -> Result<Vouched, Doubt> {
        let ends_at = unverified_end(token).map_err(Doubt::Refused)?;
        if ends_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(Doubt::Refused("it has ended".to_owned()));
        }
        let busy = || Doubt::Unavailable("too many tokens are to be reviewed at the moment".to_owned());
        let _turn = self.reviews.ask(standing, PATIENCE).await.ok_or_else(busy)?;
        let token = SecretText::new(token.to_owned());
        let reviewed = self.api.review(&token, &self.settings.audiences).await;
        self.lack.1.note(&reviewed);
        let is_lost = matches!(reviewed, Err(KubeError::Unreachable(_)));
        self.is_lost.store(is_lost, Ordering::Relaxed);
        if is_lost {
            self.lost.notify_one();
        }
        match reviewed {
            Ok(Review::Authenticated(reviewed)) => {
                let identity = self.identity(&reviewed.account, reviewed.groups).map_err(Doubt::Refused)?;
                Ok(Vouched { identity, ends_at })
            }
            Ok(Review::Rejected(reason)) => Err(Doubt::Refused(reason)),
            Err(error) => Err(Doubt::Unavailable(error.to_string())),
        }
    }

    /// Judges what a token says whose signature is good.
    fn judge(&self, signed: &SignedClaims) -> Result<Vouched, String> {
        let SignedClaims { claims, typ } = signed;
        let KubernetesSettings { issuer, audiences, .. } = &self.settings;
        let expected = Expected { issuer, audiences, now: self.clock.now() };
        let ends_at = judgement::check(claims, typ.as_deref(), &expected)?;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let account = ServiceAccount::parse(subject).map_err(|error| format!("its `sub`: {error}"))?;
        let bound = claims.get("kubernetes.io").unwrap_or(&Value::Null);
        if bound["namespace"] != account.namespace() || bound["serviceaccount"]["name"] != account.name() {
            return Err("its `kubernetes.io` is about another than its `sub`".to_owned());
        }
        let identity = self.identity(&account, account.groups().into())?;
        Ok(Vouched { identity, ends_at: Some(ends_at) })
    }

    fn identity(&self, account: &ServiceAccount, groups: Vec<String>) -> Result<Identity, String> {
        let name = account.to_string();
        let user = UserId::parse(format!("{}{name}", self.settings.identity.user_prefix));
        let groups = groups.into_iter().map(GroupName::parse).collect::<Result<Vec<_>, _>>().and_then(Groups::new);
        Ok(Identity {
            provider: self.settings.id.clone(),
            user: user.map_err(|error| format!("its user: {error}"))?,
            subject: Subject::parse(name).map_err(|error| format!("its `sub`: {error}"))?,
            email: None,
            groups: groups.map_err(|error| format!("its groups: {error}"))?,
            auth_time: None,
            acr: None,
            amr: Vec::new(),
        })
    }
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// When a JWT says that it ends, before anybody has vouched for that.
fn unverified_end(token: &str) -> Result<Option<UnixTime>, String> {
    let payload = token.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    let claims: Option<Map<String, Value>> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    numeric_date(&claims.ok_or("it is no JWT")?, "exp")
}

#[cfg(test)]
mod tests;
