//! A gateway in memory, for the bodies that need one: real rooms over a store that holds what the body puts there, and a
//! provider on loopback that publishes one key set and knows nothing else.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use countersign::check::Check;
use countersign::clock::{Clock, TestClock, UnixTime};
use countersign::config::{self, Settings};
use countersign::cookie::CookieNames;
use countersign::door::answer::Answers;
use countersign::door::ext_authz_http::CheckDoor;
use countersign::door::forward_auth::ForwardAuthDoor;
use countersign::door::pages::Pages;
use countersign::entropy::{Entropy, TestEntropy};
use countersign::idp::{Outbound, Provider};
use countersign::jose::SigningKey;
use countersign::keyring::{KeyStore, Keyring, KeyringError, ScheduledKey};
use countersign::login::Login;
use countersign::metrics::Metrics;
use countersign::mint::Mint;
use countersign::refresh::renewals;
use countersign::revocation::Revocation;
use countersign::rules::Rules;
use countersign::seal::SessionKeys;
use countersign::secret::SecretBytes;
use countersign::session::{
    Cursor, Holder, NewRow, Page, Replaced, Revision, Sessions, Store, StoreError, StoreKey, StoredRow, Tag, Told,
};

use ipnet::IpNet;
use tokio::runtime::{Builder, Runtime};

use super::signing;

/// When everything happens.
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// Where browsers are.
pub(super) const ORIGIN: &str = "https://mesh.example.com";
/// The provider, as its tokens call it.
pub(super) const ISSUER: &str = "https://idp.example.com";
/// What it calls us.
pub(super) const CLIENT_ID: &str = "countersign";
/// Who may tell of other requests.
pub(super) const TRUSTED: &str = "10.0.0.0/8";

/// The rules; `tests/corpus` judges more of them. What matches none needs somebody signed in.
pub(super) const RULES: &str = "
  - {path: /dex/, access: public}
  - {path: /pipeline/, access: {groups: [ml]}}
  - {path: /maybe/, access: optional}
  - {hosts: [lab.example.com], access: {groups: [lab]}}
  - {path_regex: '/v[0-9]+/healthz', access: public}
  - {path: /upload/, methods: [POST], access: {users: [ann]}}";

/// Real rooms, on one thread.
pub(super) struct House {
    pub(super) keys: Arc<SessionKeys>,
    pub(super) store: Arc<Memory>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) rules: Rules,
    pub(super) cookies: CookieNames,
    pub(super) trusted: Vec<IpNet>,
    pub(super) provider: Arc<Provider>,
    pub(super) login: Login,
    pub(super) forward_auth: Router,
    pub(super) check: CheckDoor,
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    static HOUSE: House = within_runtime(async { House::build() });
}

/// Visits the house, on a runtime of this thread's own.
pub(super) fn within<T>(visit: impl AsyncFnOnce(&House) -> T) -> T {
    HOUSE.with(|house| within_runtime(visit(house)))
}

/// The same for what needs no house.
pub(super) fn within_runtime<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// The session keys of the house, and of bodies that need no house: the newest first.
pub(super) fn session_keys(newest_first: &[u8]) -> SessionKeys {
    SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
}

impl House {
    fn build() -> Self {
        let settings = settings();
        let clock: Arc<dyn Clock> = Arc::new(TestClock::at(NOW));
        let entropy: Arc<dyn Entropy> = Arc::new(TestEntropy::default());
        let metrics = Arc::new(Metrics::new());
        let keys = Arc::new(session_keys(&[2, 1]));
        let store = Arc::new(Memory::default());
        let sessions = Arc::new(Sessions::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&keys),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            &settings.session,
        ));
        let outbound = Outbound::new(&settings.egress).expect("a way out");
        let callback = format!("{ORIGIN}/oauth2/callback");
        let provider = Arc::new(Provider::new(settings.providers[0].clone(), callback, outbound, Arc::clone(&clock)));
        let providers = vec![Arc::clone(&provider)];
        let (renewals, _) = renewals(Arc::clone(&sessions), providers.clone(), Arc::clone(&clock), &settings.session);
        let keyring = Arc::new(Keyring::open(Box::new(OneKey::new()), Arc::clone(&clock)).expect("a key"));
        let mint =
            Mint::new(keyring, settings.token.clone(), Arc::clone(&clock), Arc::clone(&entropy), Arc::clone(&metrics));
        let check = Check::new(&settings, Arc::clone(&sessions), mint, renewals, None, Arc::clone(&clock));
        let pages = Arc::new(Pages::new(&settings.pages, Vec::new).expect("pages"));
        let answers = Answers::new(&settings, check, pages, Arc::clone(&metrics), Arc::clone(&entropy));
        let answers = Arc::new(answers);
        let forward_auth =
            ForwardAuthDoor::new(&settings, Arc::clone(&answers), Arc::clone(&clock), Arc::clone(&entropy)).router();
        let revocation = Arc::new(Revocation::new(Arc::clone(&sessions), metrics));
        let login =
            Login::new(&settings, providers, Arc::clone(&sessions), revocation, Arc::clone(&keys), clock, entropy);
        let check = CheckDoor::new(&settings, answers);
        let rules = Rules::new(&settings.rules, settings.unauthenticated, vec!["8443".into()]);
        let cookies = CookieNames::new(&settings.cookie);
        Self {
            keys,
            store,
            sessions,
            rules,
            cookies,
            trusted: settings.trusted_proxies,
            provider,
            login,
            forward_auth,
            check,
        }
    }
}

/// A further origin, whose port is written, and a provider whose places are configured, so that nothing is discovered. Its
/// clock stands still, so that no bound on sign-ins would ever fill up again.
fn settings() -> Settings {
    let keys = format!("http://{}/keys", published_keys());
    let text = format!(
        "public_url: {ORIGIN}
hosts: [https://lab.example.com:8443]
cookie: {{domain: example.com}}
data_dir: /nowhere
providers:
  - {{id: corp, issuer: '{ISSUER}', client_id: {CLIENT_ID}, client_auth: none, authorization_url: '{ISSUER}/auth',
     token_url: 'http://127.0.0.1:1/token', jwks_url: '{keys}', algorithms: [EdDSA, ES256]}}
trusted_proxies: [{TRUSTED}]
limits: {{sign_ins: 4294967295/1s, sign_ins_per_address: 4294967295/1s}}
rules:{RULES}
"
    );
    let read = config::parse(&text, std::iter::empty());
    read.unwrap_or_else(|errors| panic!("{errors}")).settings
}

/// Where this process publishes the key set of the provider, to whoever asks for anything.
fn published_keys() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = connection.read(&mut [0; 4096]);
                let keys = signing::key_set("");
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                let _ = write!(connection, "{head}content-length: {}\r\n\r\n{keys}", keys.len());
            }
        });
        address
    })
}

/// A store without durability. Flows are never burnt: each input is a day of its own.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<StoreKey, StoredRow>>);

impl Memory {
    /// Puts a row there, and nothing else.
    pub(super) fn hold(&self, key: StoreKey, row: Vec<u8>) {
        let mut rows = self.rows();
        rows.clear();
        rows.insert(key, StoredRow { row, revision: Revision::FIRST, until: UnixTime::MAX });
    }

    /// All rows.
    pub(super) fn rows(&self) -> MutexGuard<'_, HashMap<StoreKey, StoredRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError> {
        self.rows().insert(key, StoredRow { row: new.row, revision: Revision::FIRST, until: new.until });
        Ok(())
    }

    async fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, StoreError> {
        Ok(self.rows().get(&key).filter(|row| row.until > now).cloned())
    }

    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError> {
        let mut rows = self.rows();
        let Some(found) = rows.get_mut(&key) else { return Ok(Replaced::Gone) };
        if found.revision != expected {
            return Ok(Replaced::Superseded);
        }
        (found.row, found.revision) = (row, Revision(expected.0 + 1));
        Ok(Replaced::Done(found.revision))
    }

    async fn touch(&self, _: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove(&self, key: StoreKey, _: UnixTime) -> Result<bool, StoreError> {
        Ok(self.rows().remove(&key).is_some())
    }

    async fn tagged(&self, _: Tag) -> Result<Vec<StoreKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn page(&self, _: Cursor) -> Result<Page, StoreError> {
        Ok(Page { keys: Vec::new(), next: None })
    }

    async fn burn(&self, _: [u8; 16], _: UnixTime) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn is_burnt(&self, _: [u8; 16]) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn lease(&self, _: StoreKey, _: Holder, _: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _: StoreKey, _: Holder) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweep(&self, _: UnixTime) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.rows().len() as u64)
    }

    async fn watch(&self, _: &dyn Told) {
        std::future::pending::<()>().await;
    }
}

struct OneKey(ScheduledKey);

impl OneKey {
    fn new() -> Self {
        let key = Arc::new(SigningKey::generate().expect("a key"));
        Self(ScheduledKey { key, sign_from: UnixTime::from_secs(0), retire_at: None })
    }
}

impl KeyStore for OneKey {
    fn load(&self) -> Result<Vec<ScheduledKey>, KeyringError> {
        Ok(vec![self.0.clone()])
    }

    fn add(&self, _: &ScheduledKey) -> Result<(), KeyringError> {
        Ok(())
    }
}
