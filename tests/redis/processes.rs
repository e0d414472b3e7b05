//! Several real replicas on one store, their provider, and whoever asks them; and sessions made in the store itself, where
//! signing in a thousand times would take too long.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Once};
use std::time::Duration;

use countersign::clock::{Clock, SystemClock, UnixTime};
use countersign::config::SessionSettings;
use countersign::entropy::SystemEntropy;
use countersign::identity::{Identity, UserId};
use countersign::seal::SessionKeys;
use countersign::secret::parse_session_key;
use countersign::session::{Live, NewSession, Redis, SessionCookie, Sessions, Store};
use http::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::lying_idp::{LyingIdp, registration};
use crate::part::{PATIENCE, Part, empty_folder, eventually, free_port};
use crate::servers::Servers;

pub(crate) const PUBLIC_HOST: &str = "mesh.example.com";
const PUBLIC_URL: &str = "https://mesh.example.com";
const SESSION_COOKIE: &str = "__Host-countersign";
const SESSION_KEY: &str = "csk1_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

/// Replicas of one gateway.
pub(crate) struct House {
    pub(crate) idp: LyingIdp,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) browser: Browser,
    pub(crate) shelf: Shelf,
    /// What every replica is told, besides its own ports and folder.
    settings: Value,
    // Held for as long as the house stands.
    _keys: TempDir,
}

/// One of them.
pub(crate) struct Replica {
    pub(crate) main: u16,
    pub(crate) admin: u16,
    part: Option<Part>,
}

/// Who asks, with whatever cookie, at whatever replica.
#[derive(Clone)]
pub(crate) struct Browser(Client);

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let in, as this user.
    Allow(String),
    /// Not let in: the status.
    Deny(u16),
    /// Not let in, because the store cannot be asked.
    Away,
    /// No answer at all.
    Silence,
}

/// The store, as a replica sees it that is none.
pub(crate) struct Shelf {
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<SessionKeys>,
    pub(crate) store: Arc<dyn Store>,
}

impl House {
    /// So many replicas on these servers, each ready.
    pub(crate) async fn open(servers: &Servers, replicas: usize) -> Self {
        Self::open_at(servers, &vec![servers.config(); replicas], |_| ()).await
    }

    /// One for each way to say where the servers are; `alter` changes what all are told besides.
    pub(crate) async fn open_at(servers: &Servers, replicas: &[Value], alter: impl Fn(&mut Value)) -> Self {
        Self::open_with(LyingIdp::start(Arc::new(SystemClock)).await, servers, replicas, alter).await
    }

    /// The same, with this provider.
    pub(crate) async fn open_with(
        idp: LyingIdp,
        servers: &Servers,
        replicas: &[Value],
        alter: impl Fn(&mut Value),
    ) -> Self {
        let keys = empty_folder();
        let made = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["keys", "init", "--dir"])
            .arg(keys.path().join("keys"))
            .output()
            .expect("it runs");
        assert!(made.status.success(), "{made:?}");
        let mut settings = settings(&idp);
        settings["token"] = json!({"keys": {"dir": keys.path().join("keys")}});
        settings["session"]["store"] = "redis".into();
        alter(&mut settings);
        let (browser, shelf) = (Browser::new(), Shelf::at(servers));
        let mut house = Self { idp, replicas: Vec::new(), browser, shelf, settings, _keys: keys };
        for redis in replicas {
            house.start_another(redis);
        }
        for replica in &house.replicas {
            replica.is_ready().await;
        }
        house
    }

    /// Starts one more, at the end of the list, which may not be ready yet.
    pub(crate) fn start_another(&mut self, redis: &Value) {
        self.settings["session"]["redis"] = redis.clone();
        self.replicas.push(Replica::start(self.settings.clone()));
    }

    /// Signs in at a replica as whoever the provider says; the session's cookie.
    pub(crate) async fn sign_in(&self, at: &Replica) -> String {
        self.browser.sign_in(&self.idp, at.main).await.expect("signed in")
    }

    /// Sessions of `users`, each with its cookie, made in the store like `model`.
    pub(crate) async fn seat(&self, model: &NewSession, users: &[String]) -> Vec<String> {
        let mut cookies = Vec::new();
        for user in users {
            cookies.push(self.shelf.seat(model, user).await);
        }
        cookies
    }

    /// Until this replica says so of this cookie; how long that took.
    pub(crate) async fn until(&self, at: &Replica, cookie: &str, verdict: impl Fn(&Verdict) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let said = self.browser.check(at.main, cookie).await;
            if verdict(&said) {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "it still says {said:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Replica {
    /// Starts one that is told this, on free ports and in a folder of its own.
    pub(crate) fn start(mut settings: Value) -> Self {
        let (main, admin, folder) = (free_port(), free_port(), empty_folder());
        settings["listen"] = json!({"main": format!("127.0.0.1:{main}"), "admin": format!("127.0.0.1:{admin}")});
        settings["data_dir"] = json!(folder.path().join("data"));
        std::fs::write(config_in(folder.path()), settings.to_string()).expect("a config");
        let mut replica = Self { main, admin, part: None };
        replica.run(folder);
        replica
    }

    /// Until it takes requests, knows its provider, and is told of what others change.
    pub(crate) async fn is_ready(&self) {
        eventually("the replica is ready", || async {
            let answer = reqwest_get(self.admin, "/readyz").await?;
            let said: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            let ready = said["ready"] == json!(true) && said["providers"]["corp"] == json!("ready");
            if ready { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// `kill -9`, and a new process with the same data and address, which may not be ready yet.
    pub(crate) fn kill_and_restart(&mut self) {
        let folder = self.part.take().expect("it runs").kill();
        self.run(folder);
    }

    /// `kill -9`; what it leaves, its data in `data`.
    pub(crate) fn kill(&mut self) -> TempDir {
        self.part.take().expect("it runs").kill()
    }

    /// Asks it to go, as Kubernetes does.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Has it stop in the middle of whatever it does.
    pub(crate) fn hang(&self) {
        self.signal("-STOP");
    }

    /// Until it has gone, of its own accord and in good order.
    pub(crate) async fn goes(&mut self) {
        let part = self.part.as_mut().expect("it runs");
        let began = Instant::now();
        let status = loop {
            match part.ended() {
                Some(status) => break status,
                None => assert!(began.elapsed() < PATIENCE, "it does not go\n{}", part.log_tail()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{status}\n{}", part.log_tail());
    }

    /// What it takes of the machine's memory, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let id = self.part.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        self.part.as_ref().expect("it runs").log()
    }

    /// What it says of itself.
    pub(crate) async fn readiness(&self) -> String {
        reqwest_get(self.admin, "/readyz").await.expect("an answer")
    }

    /// What it has counted: the value of this series.
    pub(crate) async fn counted(&self, series: &str) -> Option<u64> {
        let text = reqwest_get(self.admin, "/metrics").await.expect("an answer");
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// How many checks came through this door, whatever came of them.
    pub(crate) async fn checks(&self, door: &str) -> u64 {
        let text = reqwest_get(self.admin, "/metrics").await.expect("an answer");
        let series = format!("countersign_checks_total{{door=\"{door}\"");
        let counts = text.lines().filter(|line| line.starts_with(&series)).filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<u64>().expect("a number")).sum()
    }

    fn signal(&self, signal: &str) {
        let id = self.part.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("sent").success());
    }

    fn run(&mut self, folder: TempDir) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("serve").arg("--config").arg(config_in(folder.path())).env_clear();
        self.part = Some(Part::start("countersign", folder, &mut command));
    }
}

impl Browser {
    /// One with connections of its own.
    pub(crate) fn new() -> Self {
        static PROVIDERS: Once = Once::new();
        PROVIDERS.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        Self(client())
    }

    /// The check of a call by a program: pages are sent elsewhere to be told why not.
    pub(crate) async fn check(&self, port: u16, cookie: &str) -> Verdict {
        let request = asked(self.0.get(at(port, "/check/")), cookie);
        let Ok(answer) = request.header("accept", "application/json").send().await else { return Verdict::Silence };
        let user = answer.headers().get("kubeflow-userid").and_then(|user| user.to_str().ok());
        match (answer.status().as_u16(), user) {
            (200, Some(user)) => Verdict::Allow(user.to_owned()),
            (status, _) => match answer.text().await {
                Ok(body) if body.contains("store_unavailable") => Verdict::Away,
                Ok(_) => Verdict::Deny(status),
                Err(_) => Verdict::Silence,
            },
        }
    }

    /// Signs out; the status.
    pub(crate) async fn sign_out(&self, port: u16, cookie: &str) -> reqwest::Result<u16> {
        let request = asked(self.0.post(at(port, "/oauth2/sign_out")), cookie);
        let request = request.header("sec-fetch-site", "same-origin");
        let answer = request.header("content-type", "application/x-www-form-urlencoded").body("").send().await?;
        Ok(answer.status().as_u16())
    }

    /// Signs in as whoever the provider says; the session's cookie, if all goes well.
    pub(crate) async fn sign_in(&self, idp: &LyingIdp, port: u16) -> Result<String, String> {
        let started = sent(self.0.get(at(port, "/oauth2/start")), "").await?;
        let flow = cookie_of(&started, |name| name != SESSION_COOKIE).ok_or("no flow")?;
        let location = started.headers().get(LOCATION).and_then(|place| place.to_str().ok()).ok_or("no way there")?;
        let callback = idp.visit(location);
        let path = callback.place.strip_prefix(PUBLIC_URL).ok_or("not back to us")?;
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&callback.parameters).finish();
        let arrived = sent(self.0.get(at(port, &format!("{path}?{query}"))), &flow).await?;
        let status = arrived.status();
        cookie_of(&arrived, |name| name == SESSION_COOKIE).ok_or_else(|| format!("{status}"))
    }
}

impl Verdict {
    /// Whether it let somebody in.
    pub(crate) const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

impl Shelf {
    fn at(servers: &Servers) -> Self {
        Self::over(Arc::new(Redis::new(&servers.settings(), Arc::new(SystemClock)).expect("a store")))
    }

    /// What is in this store.
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        let keys = Arc::new(SessionKeys::new(vec![parse_session_key(SESSION_KEY).expect("a key")]).expect("keys"));
        let settings = session_settings();
        let sessions = Sessions::new(
            Arc::clone(&store),
            Arc::clone(&keys),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
            &settings,
        );
        Self { sessions, keys, store }
    }

    /// The session of this cookie, as it is kept.
    pub(crate) async fn read(&self, cookie: &str) -> Option<(SessionCookie, Arc<Live>)> {
        let (_, value) = cookie.split_once('=').expect("a cookie");
        let proven = self.sessions.prove(value).expect("ours");
        let found = self.sessions.read(&proven).await.expect("the store answers");
        found.map(|live| (proven, live))
    }

    /// What would make a session like this one, which is never due.
    pub(crate) async fn model(&self, cookie: &str) -> NewSession {
        let (cookie, live) = self.read(cookie).await.expect("there");
        let tokens = self.sessions.tokens(&cookie, &live).expect("its own");
        NewSession { identity: live.session.identity.clone(), tokens, provider_sid: None, renew_at: UnixTime::MAX }
    }

    /// Makes a session like `model` for this user; its cookie.
    pub(crate) async fn seat(&self, model: &NewSession, user: &str) -> String {
        let user = UserId::parse(user).expect("a user");
        let mut model = model.clone();
        // Nothing that the provider would be asked to call back.
        model.tokens.refresh_token = None;
        let new = NewSession { identity: Identity { user, ..model.identity }, ..model };
        // On a busy machine one of thousands may come too late.
        let (value, _) = eventually("a session is made", || async {
            self.sessions.create(new.clone()).await.map_err(|error| error.to_string())
        })
        .await;
        format!("{SESSION_COOKIE}={value}")
    }

    /// Makes a session due for renewal.
    pub(crate) async fn make_due(&self, cookie: &str) {
        let mut model = self.model(cookie).await;
        let (cookie, live) = self.read(cookie).await.expect("there");
        model.renew_at = SystemClock.now();
        self.sessions.renew(&cookie, &live, model).await.expect("written");
    }
}

/// How sessions live that a test makes past the gateways.
pub(crate) fn session_settings() -> SessionSettings {
    SessionSettings {
        max_age: Duration::from_hours(24),
        idle: Duration::from_hours(8),
        renew_every: Duration::from_mins(15),
        keys: Vec::new(),
        redis: None,
    }
}

/// Users, by number.
pub(crate) fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-{n}@example.com")).collect()
}

/// How long the middle one took, all but one in a hundred, and the longest.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    format!("p50 {:?}, p99 {:?}, p100 {:?}", at(50), at(99), at(100))
}

/// What every replica is told of its provider, and of its end.
pub(crate) fn settings(idp: &LyingIdp) -> Value {
    let provider: Value = serde_json::from_str(&registration("corp", &idp.issuer)).expect("JSON");
    json!({
        "public_url": PUBLIC_URL,
        "providers": [provider],
        "session": {"keys": [SESSION_KEY]},
        "shutdown": {"lame_duck": "0s", "deadline": "5s"},
    })
}

async fn sent(request: RequestBuilder, cookie: &str) -> Result<Response, String> {
    asked(request, cookie).send().await.map_err(|error| error.to_string())
}

/// As the gateway passes it on.
fn asked(request: RequestBuilder, cookie: &str) -> RequestBuilder {
    let request = request.header(HOST, PUBLIC_HOST);
    if cookie.is_empty() { request } else { request.header(COOKIE, cookie) }
}

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}

/// The text of an answer.
pub(crate) async fn reqwest_get(port: u16, path: &str) -> Result<String, String> {
    let answer = client().get(at(port, path)).send().await.map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}

fn at(port: u16, target: &str) -> String {
    format!("http://127.0.0.1:{port}{target}")
}

/// The first cookie of such a name, as it is sent.
fn cookie_of(answer: &Response, named: impl Fn(&str) -> bool) -> Option<String> {
    answer.headers().get_all(SET_COOKIE).iter().find_map(|set| {
        let (pair, _) = set.to_str().ok()?.split_once(';')?;
        let (name, value) = pair.split_once('=')?;
        (named(name) && !value.is_empty()).then(|| pair.to_owned())
    })
}

fn config_in(folder: &Path) -> std::path::PathBuf {
    // JSON is YAML.
    folder.join("countersign.yaml")
}
