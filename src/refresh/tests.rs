//! Renewal against a provider on a real socket, and a store that fails when a test wants it to.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::clock::TestClock;
use crate::config::{EgressSettings, for_tests as settings};
use crate::entropy::SystemEntropy;
use crate::idp::lying_idp::{LyingIdp, TOKEN, registration};
use crate::idp::{AuthorizationRequest, Outbound};
use crate::seal::SessionKeys;
use crate::secret::{SecretBytes, SecretText};
use crate::session::faulty::Faulty;
use crate::session::{Embedded, Told};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The fixture's access tokens live that long.
const DUE: Duration = Duration::from_mins(5);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    clock: Arc<TestClock>,
    idp: LyingIdp,
    store: Arc<Faulty>,
    sessions: Arc<Sessions>,
    provider: Arc<Provider>,
    cookie: SessionCookie,
    renewals: Renewals,
    refresher: JoinHandle<()>,
    _data: TempDir,
}

#[tokio::test]
async fn a_store_that_is_away_for_a_moment_costs_no_refresh_token() {
    let rig = Rig::signed_in().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.idp.lie(|idp| {
        idp.user["groups"] = json!(["first"]);
        idp.held.insert(TOKEN, gate.clone());
    });
    rig.clock.advance(DUE);
    rig.hand_over();
    eventually(async || rig.idp.hits(TOKEN) == 2).await;
    rig.store.set_broken(true);
    gate.add_permits(100);
    // What is in memory is dropped when the writing has been tried.
    eventually(async || rig.sessions.cached(rig.cookie.key, rig.clock.now()).is_none()).await;
    rig.store.set_broken(false);
    eventually(async || rig.groups().await == "first").await;

    rig.idp.lie(|idp| idp.user["groups"] = json!(["second"]));
    rig.clock.advance(DUE);
    rig.hand_over();
    eventually(async || rig.groups().await == "second").await;
}

#[tokio::test]
async fn a_request_that_saw_the_session_of_before_shows_no_spent_refresh_token() {
    let mut rig = Rig::signed_in().await;
    rig.clock.advance(DUE);
    rig.hand_over();
    rig.finish().await;
    assert_eq!(rig.idp.hits(TOKEN), 2);
    // It was slow: by now the session is renewed.
    rig.hand_over();
    rig.finish().await;
    assert_eq!(rig.idp.hits(TOKEN), 2, "a second one would have been refused");
    assert!(rig.sessions.find(&rig.cookie).await.unwrap().is_some());
}

#[tokio::test]
async fn a_renewal_does_not_cost_the_idle_time_that_only_memory_knows() {
    let mut rig = Rig::signed_in().await;
    rig.clock.advance(Duration::from_mins(8 * 60 - 1));
    assert!(rig.sessions.find(&rig.cookie).await.unwrap().is_some());
    rig.hand_over();
    rig.finish().await;
    assert_eq!(rig.idp.hits(TOKEN), 2);
    rig.clock.advance(Duration::from_mins(2));
    assert!(rig.sessions.find(&rig.cookie).await.unwrap().is_some(), "it was used three minutes ago");
}

impl Rig {
    async fn signed_in() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let idp = LyingIdp::start(clock.clone()).await;
        let provider = provider(&idp.issuer, clock.clone());
        provider.discover().await.unwrap();
        let request = AuthorizationRequest { state: "s", nonce: "n", code_challenge: CHALLENGE, prompt: None };
        let callback = idp.visit(&provider.authorization_url(&request).unwrap());
        let secret = |text: &str| SecretText::new(text.into());
        let signed_in = provider.exchange(&secret(&callback.parameters["code"]), &secret(VERIFIER), "n").await.unwrap();

        let data = tempfile::tempdir().unwrap();
        let store = Faulty::over(Arc::new(Embedded::open(data.path().join("sessions.redb")).unwrap()));
        let keys = Arc::new(SessionKeys::new(vec![SecretBytes::new([7; 32])]).unwrap());
        let settings = session_settings();
        let sessions = Arc::new(Sessions::new(store.clone(), keys, clock.clone(), Arc::new(SystemEntropy), &settings));
        sessions.tracked();
        let renew_at = renew_at(&signed_in, clock.now(), settings.renew_every);
        let SignedIn { identity, tokens, provider_sid, .. } = signed_in;
        let (value, _) = sessions.create(NewSession { identity, tokens, provider_sid, renew_at }).await.unwrap();
        let cookie = sessions.prove(&value).unwrap();
        let provider = Arc::new(provider);
        let (renewals, refresher) = start(&sessions, &provider, &clock);
        Self { clock, idp, store, sessions, provider, cookie, renewals, refresher, _data: data }
    }

    fn hand_over(&self) {
        self.renewals.hand_over(&self.cookie, self.clock.now());
    }

    /// Until all that was handed over is done; there is another refresher then.
    async fn finish(&mut self) {
        let (renewals, refresher) = start(&self.sessions, &self.provider, &self.clock);
        self.renewals = renewals;
        let finished = std::mem::replace(&mut self.refresher, refresher);
        timeout(PATIENCE, finished).await.unwrap().unwrap();
    }

    async fn groups(&self) -> String {
        let found = self.sessions.find(&self.cookie).await.ok().flatten();
        found.map(|live| live.session.identity.groups.to_csv()).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "as `app` does")]
fn start(sessions: &Arc<Sessions>, provider: &Arc<Provider>, clock: &Arc<TestClock>) -> (Renewals, JoinHandle<()>) {
    let (renewals, refresher) =
        renewals(Arc::clone(sessions), vec![Arc::clone(provider)], clock.clone(), &session_settings());
    (renewals, tokio::spawn(refresher.run()))
}

async fn eventually(mut happened: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !happened().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it happens");
}

fn session_settings() -> SessionSettings {
    settings::settings(Path::new("/nowhere"), settings::NOBODY, "").session
}

fn provider(issuer: &str, clock: Arc<TestClock>) -> Provider {
    let outbound = Outbound::new(&EgressSettings::default()).unwrap();
    let settings = settings::provider(&registration("corp", issuer));
    Provider::new(settings, "https://mesh.example.com/oauth2/callback".into(), outbound, clock)
}
