//! Stores that cannot be had, servers that repeat what they were sent, and files of keys that are none.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::Gateway;
use countersign::clock::{SystemClock, TestClock};
use countersign::config::Settings;
use countersign::entropy::SystemEntropy;
use countersign::keyring::init_directory;
use countersign::secret::{SecretText, generate_session_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::canaries::{hear, seed, seed_keys};
use crate::house::{BEGINNING, eventually};
use crate::lying_idp::{LyingIdp, registration};
use crate::settings::{self, NOBODY};

const PASSWORD: &str = "the-password-of-the-store-Qz4Nf8Wm2Yt6";
const SENTINELS: &str = "the-password-of-the-sentinels-B7kLx1Hd5";
const PROXY: &str = "the-password-of-the-proxy-Jm3Sv9Ua6Ec";

pub(crate) async fn all() {
    for (what, secret) in
        [("the store's password", PASSWORD), ("the sentinels' password", SENTINELS), ("the proxy's password", PROXY)]
    {
        seed(what, secret);
    }
    seed("the proxy's password", &crate::canaries::basic("ann", PROXY));
    for mode in ["standalone", "sentinel, master: one", "cluster"] {
        for server in [Server::Closed, Server::Repeating("`"), Server::Repeating("'"), Server::Shut] {
            with_store(mode, server).await;
        }
    }
    behind_a_proxy().await;
    files_that_are_none().await;
}

/// What stands where a Redis should.
#[derive(Clone, Copy)]
enum Server {
    /// Nothing.
    Closed,
    /// What knows no command, and says which, quoted so, with what came behind it: as old servers do, and those whose HELLO
    /// was renamed.
    Repeating(&'static str),
    /// What wants another password.
    Shut,
}

async fn with_store(mode: &str, server: Server) {
    let data = tempfile::tempdir().expect("a directory");
    let port = serve(server).await;
    init_directory(&data.path().join("keys"), BEGINNING, Arc::new(SystemEntropy)).expect("keys");
    seed_keys(data.path());
    let key = generate_session_key(&SystemEntropy);
    seed("a session key", &key);
    let sentinel = if mode.starts_with("sentinel") {
        format!("sentinel_username: watch, sentinel_password: '{SENTINELS}', ")
    } else {
        String::new()
    };
    let rest = format!(
        "session: {{store: redis, keys: ['{key}'], redis: {{mode: {mode}, {sentinel}urls: ['redis://127.0.0.1:{port}'], \
         username: cs, password: '{PASSWORD}'}}}}\ntoken: {{keys: {{dir: '{}'}}}}\n",
        data.path().join("keys").display()
    );
    let clock = Arc::new(TestClock::at(BEGINNING));
    let idp = LyingIdp::start(clock.clone()).await;
    let settings = settings::settings(&data.path().join("own"), &registration("corp", &idp.issuer), &rest);
    let (main, admin) = open(settings, &clock).await;
    let browser = Browser::new(main, clock.clone());
    let found = async || (browser.get("/oauth2/start").await.status == 302).then_some(());
    eventually("the provider is found", found).await;
    let callback = browser.visit(&idp, "/oauth2/start").await;
    let page = browser.get(&crate::browser::target_of(&callback)).await;
    assert_ne!(page.status, 303, "nobody is signed in: {}", page.body);
    let operator = Browser::new(admin, clock);
    eventually("it is missed", async || operator.get("/readyz").await.body.contains("missing").then_some(())).await;
    operator.get("/metrics").await;
}

async fn open(settings: Settings, clock: &Arc<TestClock>) -> (std::net::SocketAddr, std::net::SocketAddr) {
    let gateway = Gateway::open_with(settings, clock.clone(), Arc::new(SystemEntropy)).await.expect("it opens");
    let addresses = (gateway.main_address(), gateway.admin_address());
    spawn(async move { drop(gateway.run(std::future::pending()).await) });
    addresses
}

async fn serve(server: Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    if !matches!(server, Server::Closed) {
        spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                spawn(async move {
                    let mut bytes = vec![0; 64 * 1024];
                    while let Ok(read @ 1..) = socket.read(&mut bytes).await {
                        let answer: String =
                            commands(&bytes[..read]).iter().map(|words| server.answer(words)).collect();
                        if socket.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
    port
}

impl Server {
    fn answer(self, words: &[String]) -> String {
        match self {
            Self::Repeating(quote) => {
                let mut answer = format!("-ERR unknown command {quote}{}{quote}, with args beginning with: ", words[0]);
                for word in &words[1..] {
                    let _ = write!(answer, "{quote}{word}{quote} ");
                }
                answer + "\r\n"
            }
            _ => "-WRONGPASS invalid username-password pair or user is disabled.\r\n".to_owned(),
        }
    }
}

/// The commands in a packet, as clients write them: lists of texts.
fn commands(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut commands = Vec::<Vec<String>>::new();
    for line in String::from_utf8_lossy(bytes).split("\r\n") {
        if line.starts_with('*') {
            commands.push(Vec::new());
        } else if !line.starts_with('$') && !line.is_empty() {
            commands.last_mut().expect("a list").push(line.to_owned());
        }
    }
    commands
}

/// The way out leads by a proxy that wants a password, and is not there, or wants another.
async fn behind_a_proxy() {
    let clock = Arc::new(TestClock::at(BEGINNING));
    for answer in
        [None, Some("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"), Some("x\r\n\r\n")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        match answer {
            None => drop(listener),
            Some(answer) => spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let _ = socket.read(&mut [0; 4096]).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            }),
        }
        for issuer in ["http://idp.example.test", "https://idp.example.test"] {
            let data = tempfile::tempdir().expect("a directory");
            let rest = format!("egress: {{proxy: 'http://ann:{PROXY}@127.0.0.1:{port}'}}\n");
            let (main, admin) =
                open(settings::settings(data.path(), &registration("corp", issuer), &rest), &clock).await;
            let operator = Browser::new(admin, clock.clone());
            eventually("it is missed", async || {
                let said = operator.get("/readyz").await.body;
                (said.contains("missing") && !said.contains("has not been")).then_some(())
            })
            .await;
            Browser::new(main, clock.clone()).get("/oauth2/start").await;
        }
    }
}

/// What is done to the text of a file.
type Change = fn(&str) -> String;

/// What keeps a gateway from starting is said, and not what was found.
async fn files_that_are_none() {
    let key = generate_session_key(&SystemEntropy);
    seed("a session key", &key);
    let cases: [(&str, Change); 4] = [
        ("empty", |_| String::new()),
        ("cut", |text| text[..text.len() / 2].to_owned()),
        ("doubled", |text| format!("{text}{text}")),
        ("garbled", |text| text.replace('"', "'").replace("csk1_", "csk2_")),
    ];
    for (name, change) in cases {
        let data = tempfile::tempdir().expect("a directory");
        let (session_keys, keys) = (data.path().join("session-keys"), data.path().join("keys"));
        init_directory(&keys, BEGINNING, Arc::new(SystemEntropy)).expect("keys");
        seed_keys(data.path());
        let file = std::fs::read_dir(&keys).expect("a directory").next().expect("a key").expect("a file").path();
        let good = std::fs::read_to_string(&file).expect("a key");
        private(&session_keys, &change(&key), 0o600);
        fails(data.path(), name).await;
        private(&session_keys, &key, 0o644);
        fails(data.path(), "for all to read").await;
        private(&session_keys, &key, 0o600);
        private(&file, &change(&good), 0o600);
        fails(data.path(), name).await;
        private(&file, &good.replace("private_key", "key"), 0o600);
        fails(data.path(), "another name").await;
        private(&file, &good.replace("ES256", "RS256"), 0o600);
        fails(data.path(), "another algorithm").await;
        private(&file, &good, 0o600);
        private(&data.path().join("sessions.redb"), &key.repeat(200), 0o600);
        fails(data.path(), "no sessions").await;
    }
    let bad = SecretText::new(PASSWORD.to_owned());
    hear("Debug", format!("{bad:?}"));
}

async fn fails(data: &Path, what: &str) {
    let settings = settings::settings(data, NOBODY, "");
    let opened = Gateway::open_with(settings, Arc::new(SystemClock), Arc::new(SystemEntropy));
    match tokio::time::timeout(Duration::from_secs(20), opened).await.expect("an answer") {
        Err(error) => hear(what, format!("{error} {error:?} {error:#?}")),
        // Twice the same key may be one.
        Ok(_) => assert!(matches!(what, "doubled" | "empty"), "{what}"),
    }
}

fn private(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[expect(clippy::disallowed_methods, reason = "servers and gateways run beside the test")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(future));
}
