//! A gateway with its provider, on ports of their own; and the settings that the tests begin with.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use countersign::app::{Gateway, StartError};
use countersign::clock::{TestClock, UnixTime};
use countersign::config::{BearerSettings, ProviderSettings, RuleSettings, Settings};
use countersign::entropy::SystemEntropy;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::browser::{Answer, Browser};
use crate::canaries::{self, Watch};
use crate::lying_idp::{CLIENT_SECRET, LyingIdp, registration};
use crate::settings::{self, rule};

/// The host that browsers see.
pub(crate) const HOST: &str = "mesh.example.com";
/// The same with its scheme.
pub(crate) const ORIGIN: &str = "https://mesh.example.com";
/// When every test begins.
pub(crate) const BEGINNING: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Longer than anything here takes; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every kind of rule, each on a path of its own; what matches none needs somebody signed in.
const RULES: &str = "rules:
  - {hosts: ['*.open.example.com'], access: public}
  - {path: /public/, access: public}
  - {path: /dex/, access: public, authorization: keep}
  - {path: /maybe/, access: optional}
  - {path: /ml/, access: {groups: [ml]}}
  - {path: /admins/, access: {groups: [admins]}}
  - {path: /notebook/, token: none, authorization: keep}
  - {path: /pipeline/, audience: [pipelines, runs]}
  - {path: /cors/, preflight: pass}
";

/// A gateway and the provider that it trusts.
pub(crate) struct House {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) idp: LyingIdp,
    pub(crate) gateway: Running,
    settings: Settings,
    watch: Watch,
    /// How long the journal was when it was opened.
    journal: usize,
    // Held for as long as the house stands.
    _data: TempDir,
}

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), StartError>>,
}

impl House {
    /// With [`RULES`], and a provider that has been found.
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    /// The same, with other settings.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        let house = Self::open_at_once(|_| (), change).await;
        house.provider_is_found().await;
        house
    }

    /// Does not wait for the provider, which lies from the beginning.
    pub(crate) async fn open_at_once(lie: impl FnOnce(&LyingIdp), change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(TestClock::at(BEGINNING));
        let idp = LyingIdp::start(clock.clone()).await;
        Self::open_beside(idp, clock, lie, change).await
    }

    /// The same beside a provider that is there already, and goes by the same clock.
    pub(crate) async fn open_beside(
        idp: LyingIdp,
        clock: Arc<TestClock>,
        lie: impl FnOnce(&LyingIdp),
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        static PROVIDERS: Once = Once::new();
        PROVIDERS.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            crate::journal::begin();
            let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        });
        let (watch, journal) = (Watch::begin(), crate::journal::length());
        canaries::seed("the client secret", CLIENT_SECRET);
        lie(&idp);
        let data = tempfile::tempdir().expect("a directory");
        let mut settings = settings::settings(data.path(), &registration("corp", &idp.issuer), RULES);
        change(&mut settings);
        let gateway = Running::start(settings.clone(), clock.clone()).await;
        Self { clock, idp, gateway, settings, watch, journal, _data: data }
    }

    /// Stops the gateway and starts another one on the same `data_dir`.
    pub(crate) async fn reopen(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let nobody = Running {
            address: self.gateway.address,
            admin: self.gateway.admin,
            stop: oneshot::channel().0,
            task: spawn(async { Ok(()) }),
        };
        std::mem::replace(&mut self.gateway, nobody).stop().await;
        self.gateway = Running::start(self.settings.clone(), self.clock.clone()).await;
        self.provider_is_found().await;
    }

    /// Where the gateway keeps what is its own.
    pub(crate) fn data(&self) -> &std::path::Path {
        &self.settings.data_dir
    }

    /// A browser that has not been here before.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.gateway.address, self.clock.clone())
    }

    /// What is told at this path of the admin port.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        Browser::new(self.gateway.admin, self.clock.clone()).get(path).await
    }

    /// A browser in which whoever the provider says has signed in.
    pub(crate) async fn signed_in(&self) -> Browser {
        let browser = self.browser();
        browser.sign_in(&self.idp).await;
        browser
    }

    /// Until people can sign in.
    pub(crate) async fn provider_is_found(&self) {
        let several = self.settings.providers.len() > 1;
        let start = format!("/oauth2/start{}", if several { "?provider=corp" } else { "" });
        eventually("the provider is found", async || (self.browser().get(&start).await.status == 302).then_some(()))
            .await;
    }
}

impl Drop for House {
    /// Nothing secret was told meanwhile, neither to anybody outside nor in the log.
    fn drop(&mut self) {
        canaries::seed_keys(&self.settings.data_dir);
        if crate::journal::IS_JUDGED_BY_HOUSES && !std::thread::panicking() {
            let log = crate::journal::since(self.journal);
            self.watch.judge(&[("the log", log.as_bytes())]);
        }
    }
}

impl Running {
    async fn start(settings: Settings, clock: Arc<TestClock>) -> Self {
        let gateway = Gateway::open_with(settings, clock, Arc::new(SystemEntropy)).await.expect("it opens");
        let (address, admin) = (gateway.main_address(), gateway.admin_address());
        let (stop, stopped) = oneshot::channel();
        let task = spawn(gateway.run(async {
            let _ = stopped.await;
        }));
        Self { address, admin, stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        timeout(PATIENCE, self.task).await.expect("it ends").expect("it does not panic").expect("it ends well");
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = attempt().await {
                return answer;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("it never happened: {what}"))
}

/// Identities without a browser, as the file spells them, beside the provider at `issuer`.
pub(crate) fn bearer(issuer: &str, text: &str) -> BearerSettings {
    bearer_beside("{}", issuer, text)
}

/// The same, where the provider has this `identity`.
pub(crate) fn bearer_beside(identity: &str, issuer: &str, text: &str) -> BearerSettings {
    let provider = registration("corp", issuer);
    let provider = format!("{}, identity: {identity}}}", provider.strip_suffix('}').expect("a map"));
    settings::settings(std::path::Path::new("/nowhere"), &provider, text).bearer
}

#[expect(clippy::disallowed_methods, reason = "the gateway runs beside the test")]
fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}

/// A rule for whoever is signed in.
pub(crate) fn at(path: &str) -> RuleSettings {
    rule(&format!("{{path: {path}}}"))
}

/// A provider as the fixture registers us.
pub(crate) fn provider(id: &str, issuer: &str) -> ProviderSettings {
    settings::provider(&registration(id, issuer))
}
