//! Several gateways over one store, and the provider that they trust.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::Gateway;
use countersign::clock::{SystemClock, TestClock, UnixTime};
use countersign::entropy::SystemEntropy;
use countersign::keyring::init_directory;
use countersign::secret::generate_session_key;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::browser::Browser;
use crate::lying_idp::{LyingIdp, registration};
use crate::servers::Servers;
use crate::settings;

/// The host that browsers see.
pub(crate) const HOST: &str = "mesh.example.com";
/// The same with its scheme.
pub(crate) const ORIGIN: &str = "https://mesh.example.com";

/// Longer than anything here takes; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Replicas of one gateway.
pub(crate) struct Replicas {
    pub(crate) idp: LyingIdp,
    all: Vec<Replica>,
    clock: Arc<TestClock>,
    // Held for as long as the house stands.
    _data: TempDir,
}

struct Replica {
    main: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Replicas {
    /// So many, with this admin token.
    pub(crate) async fn start(count: usize, servers: &Servers, admin_token: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let now = countersign::clock::Clock::now(&SystemClock);
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(now.as_secs())));
        let idp = LyingIdp::start(clock.clone()).await;
        let data = tempfile::tempdir().expect("a directory");
        let keys = data.path().join("keys");
        init_directory(&keys, now, Arc::new(SystemEntropy)).expect("keys");
        let session_key = generate_session_key(&SystemEntropy);
        let mut all = Vec::new();
        for number in 0..count {
            let rest = format!(
                "admin: {{token: '{admin_token}'}}\nsession: {{store: redis, keys: ['{session_key}'], redis: {{urls: \
                 ['redis://127.0.0.1:{}']}}}}\ntoken: {{keys: {{dir: '{}'}}}}\n",
                servers.stores[0].port,
                keys.display()
            );
            let own = data.path().join(number.to_string());
            all.push(Replica::start(&own, &registration("corp", &idp.issuer), &rest, &clock).await);
        }
        let house = Self { idp, all, clock, _data: data };
        for number in 0..count {
            let found = async || house.browser(number).get("/oauth2/start").await.status == 302;
            until("the provider is found", found).await;
        }
        house
    }

    /// A browser that has not been here before, at one of them.
    pub(crate) fn browser(&self, number: usize) -> Browser {
        Browser::new(self.all[number].main, self.clock.clone())
    }

    /// Their clocks go on.
    pub(crate) fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// A client of the admin port of one of them.
    pub(crate) fn admin(&self, number: usize) -> Browser {
        Browser::new(self.all[number].admin, self.clock.clone())
    }

    /// Who signed in at the first of them, at each of them.
    pub(crate) async fn signed_in(&self) -> Vec<Browser> {
        let first = self.browser(0);
        first.sign_in(&self.idp).await;
        let cookie = first.cookie(crate::browser::SESSION).expect("a cookie");
        let others = (1..self.all.len()).map(|number| {
            let copy = self.browser(number);
            copy.plant(crate::browser::SESSION, &cookie);
            copy
        });
        std::iter::once(first).chain(others.collect::<Vec<_>>()).collect()
    }
}

impl Replica {
    async fn start(data: &Path, provider: &str, rest: &str, clock: &Arc<TestClock>) -> Self {
        let settings = settings::settings(data, provider, rest);
        let gateway = Gateway::open_with(settings, clock.clone(), Arc::new(SystemEntropy)).await.expect("it opens");
        let (main, admin) = (gateway.main_address(), gateway.admin_address());
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(gateway.run(async {
            let _ = stopped.await;
        }));
        Self { main, admin, _stop: stop }
    }
}

/// Asks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("it never happened: {what}"));
}
