//! A provider and a lying one, connected.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{Clock, TestClock, UnixTime};
use countersign::config::{EgressSettings, ProviderSettings};
use countersign::idp::{AuthorizationRequest, IdpError, Outbound, Provider, SignedIn};
use countersign::secret::SecretText;
use serde_json::Value;

use crate::lying_idp::{LyingIdp, registration};

pub(crate) const CALLBACK: &str = "https://mesh.example.com/oauth2/callback";
pub(crate) const NONCE: &str = "nonce-of-this-flow";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) struct Rig {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) idp: LyingIdp,
    pub(crate) provider: Provider,
}

/// Errors by kind, to be compared at a glance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unreachable,
    Misbehaved,
    GrantRefused,
    Misconfigured,
    UnusableIdentity,
    ChangedUser,
}

impl Rig {
    /// An honest provider, not yet found.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let idp = LyingIdp::start(clock.clone()).await;
        let mut settings = settings(&idp.issuer);
        change(&mut settings);
        let provider = provider(settings, &EgressSettings::default(), clock.clone());
        Self { clock, idp, provider }
    }

    /// An honest provider that has been found.
    pub(crate) async fn found() -> Self {
        Self::found_with(|_| ()).await
    }

    /// The same, with other settings.
    pub(crate) async fn found_with(change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let rig = Self::with(change).await;
        rig.provider.discover().await.expect("an honest provider is found");
        rig
    }

    /// A whole sign-in, as a browser would do it.
    pub(crate) async fn sign_in(&self) -> Result<SignedIn, IdpError> {
        let code = self.code();
        self.provider.exchange(&code, &SecretText::new(VERIFIER.into()), NONCE).await
    }

    /// A code, fresh from the provider.
    pub(crate) fn code(&self) -> SecretText {
        let url = self.provider.authorization_url(&request()).expect("it is found");
        let callback = self.idp.visit(&url);
        assert_eq!(callback.parameters["state"], "state-of-this-flow");
        SecretText::new(callback.parameters["code"].clone())
    }

    /// A sign-in that must fail in this way, for this reason.
    pub(crate) async fn refuses(&self, kind: Kind, reason: &str) {
        assert_refused(self.sign_in().await, &kind, reason);
    }
}

pub(crate) fn request() -> AuthorizationRequest<'static> {
    AuthorizationRequest { state: "state-of-this-flow", nonce: NONCE, code_challenge: CHALLENGE, prompt: None }
}

pub(crate) fn settings(issuer: &str) -> ProviderSettings {
    crate::settings::provider(&registration("corp", issuer))
}

pub(crate) fn provider(settings: ProviderSettings, egress: &EgressSettings, clock: Arc<dyn Clock>) -> Provider {
    let outbound = Outbound::new(egress).expect("a way out").with_deadline(Duration::from_secs(5));
    Provider::new(settings, CALLBACK.into(), outbound, clock)
}

#[track_caller]
pub(crate) fn assert_refused<T>(outcome: Result<T, IdpError>, kind: &Kind, reason: &str) {
    let Err(error) = outcome else { panic!("accepted, though: {reason}") };
    let (found, said) = match &error {
        IdpError::Unreachable { reason, .. } => (Kind::Unreachable, reason),
        IdpError::Misbehaved { reason, .. } => (Kind::Misbehaved, reason),
        IdpError::GrantRefused { reason, .. } => (Kind::GrantRefused, reason),
        IdpError::Misconfigured { reason, .. } => (Kind::Misconfigured, reason),
        IdpError::UnusableIdentity { reason, .. } => (Kind::UnusableIdentity, reason),
        IdpError::ChangedUser { reason, .. } => (Kind::ChangedUser, reason),
    };
    assert_eq!(&found, kind, "{error}");
    assert!(said.contains(reason), "`{said}` does not say `{reason}`");
}

/// Sets members; `null` takes one away.
pub(crate) fn overwrite(target: &mut Value, change: &Value) {
    let target = target.as_object_mut().expect("an object");
    for (name, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => drop(target.remove(name)),
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}
