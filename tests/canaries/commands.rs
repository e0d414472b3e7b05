//! The program itself: as a gateway that logs everything, beside it the commands that operators run, and what they print.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use countersign::clock::{SystemClock, TestClock, UnixTime};
use serde_json::json;

use crate::browser::{Browser, PAGE};
use crate::canaries::{Scanner, Watch, hear, seed, seed_keys};
use crate::house::eventually;
use crate::lying_idp::{CLIENT_SECRET, LyingIdp, registration};

const ADMIN: &str = "the-admin-token-of-a-process-Ls8Kd3Gh6Rt2";

/// All that it says.
pub(crate) fn countersign(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    // With every panic at its most talkative.
    command.args(arguments).env_clear().env("RUST_BACKTRACE", "full").envs(variables.iter().copied());
    let output = command.output().expect("the binary runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_says_a_secret() {
    let watch = Watch::begin();
    seed("the admin token", ADMIN);
    let now = countersign::clock::Clock::now(&SystemClock);
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(now.as_secs())));
    let idp = LyingIdp::start(clock.clone()).await;
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("countersign.yaml");
    let [main, admin] = free_ports();
    let settings = json!({
        "public_url": "https://mesh.example.com",
        "listen": {"main": format!("127.0.0.1:{main}"), "admin": format!("127.0.0.1:{admin}")},
        "data_dir": home.path().join("data"),
        "admin": {"token": ADMIN},
        "log": {"level": "trace"},
        "shutdown": {"lame_duck": "0s"},
        "providers": [serde_json::from_str::<serde_json::Value>(&registration("corp", &idp.issuer)).expect("JSON")],
    });
    std::fs::write(&config, settings.to_string()).expect("a file");
    let config = config.to_string_lossy().into_owned();
    let mut gateway = Gateway::serve(&config);
    let browser = Browser::new(([127, 0, 0, 1], main).into(), clock.clone());
    eventually("it serves", async || {
        assert!(gateway.0.try_wait().expect("a child").is_none(), "it has ended");
        tokio::net::TcpStream::connect(("127.0.0.1", main)).await.ok().map(drop)
    })
    .await;
    let found = async || (browser.get("/oauth2/start").await.status == 302).then_some(());
    eventually("the provider is found", found).await;
    browser.sign_in(&idp).await;
    seed_keys(&home.path().join("data"));
    assert_eq!(browser.check("/").await.status, 200);
    browser.check("/%").await;
    let other = Browser::new(([127, 0, 0, 1], main).into(), clock);
    other.post("/oauth2/backchannel_logout", &format!("{}x", idp.logout_form()), &[]).await;
    for command in [
        &["sessions", "list"][..],
        &["sessions", "list", "--json"],
        &["sessions", "list", "--session", "nobody"],
        &["sessions", "end", "--user", "nobody"],
        &["config", "print"],
        &["config", "check"],
        &["doctor"],
        &["doctor", "--json"],
        &["doctor", "--offline"],
    ] {
        let said = countersign(&[command, &["--config", &config]].concat(), &[]);
        assert!(!said.is_empty() && !said.contains("panicked"), "{command:?}: {said}");
        hear(format!("{command:?}"), said);
    }
    // With another token; and of a gateway that is not there.
    let other_token = [("COUNTERSIGN_ADMIN__TOKEN", &*format!("{ADMIN}-2"))];
    hear("sessions list", countersign(&["sessions", "list", "--config", &config], &other_token));
    browser.post("/oauth2/sign_out", "", &[PAGE, ("sec-fetch-site", "same-origin")]).await;
    let log = gateway.end();
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("\"event\":\"sign_in\""), "{log}");
    hear("sessions list", countersign(&["sessions", "list", "--config", &config], &[]));
    watch.judge(&[("the output of a process", log.as_bytes())]);
}

/// What other gateways were told is nobody's to read in the draft.
#[test]
fn no_draft_shows_a_secret() {
    let secret = "Bw3Xk8Jn5Qv1Td9Rz6Lf2Hc7";
    let scanner = Scanner::for_one("the secret", secret);
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("params.env");
    std::fs::write(
        &file,
        format!(
            "OIDC_PROVIDER=https://dex.example.com\nCLIENT_ID=c\nCLIENT_SECRET={secret}\nSESSION_STORE_REDIS_PWD={secret}\n\
             CLIENT_SECRT={secret}\n"
        ),
    )
    .expect("a file");
    let file = file.to_string_lossy();
    let said = countersign(&["migrate", "authservice", "--env-file", &file], &[("CLIENT_SECRET", secret)]);
    assert!(said.contains("providers:"), "{said}");
    assert_eq!(scanner.scan("the draft", said.as_bytes()).len(), 0, "{said}");
    let flags: Vec<String> = [
        "client-secret",
        "cookie-secret",
        "basic-auth-password",
        "redis-password",
        "redis-sentinel-password",
        "redis-connection-url=redis://ann",
        "jwt-key",
        "signature-key=sha1",
        "google-service-account-json",
        "unheard-of",
    ]
    .iter()
    .map(|flag| match flag.split_once('=') {
        Some((name, begin)) => format!("--{name}={begin}:{secret}@redis:6379/0"),
        None => format!("--{flag}={secret}"),
    })
    .collect();
    let mut arguments =
        vec!["migrate", "oauth2-proxy", "--", "--provider=oidc", "--oidc-issuer-url=https://dex.example.com"];
    arguments.extend(flags.iter().map(String::as_str));
    let variables = [("OAUTH2_PROXY_CLIENT_SECRET", secret), ("OAUTH2_PROXY_COOKIE_SECRET", secret)];
    let said = countersign(&arguments, &variables);
    assert!(said.contains("providers:"), "{said}");
    assert_eq!(scanner.scan("the draft", said.as_bytes()).len(), 0, "{said}");
    // In authservice's place, with its variables wrong.
    let variables = [("OIDC_PROVIDER", "https://dex.example.com"), ("CLIENT_SECRET", secret), ("SESSION_MAX_AGE", "x")];
    for command in [&["config", "check"][..], &["serve"]] {
        let said = countersign(command, &variables);
        let found = scanner.scan("what was said", said.as_bytes());
        assert!(found.is_empty(), "{found:?}");
    }
    assert_ne!(CLIENT_SECRET, secret);
}

struct Gateway(Child);

impl Gateway {
    fn serve(config: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve", "--config", config]).env_clear().env("RUST_BACKTRACE", "full");
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs"))
    }

    fn end(mut self) -> String {
        let _ = self.0.kill();
        let mut said = String::new();
        self.0.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
        self.0.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_ports() -> [u16; 2] {
    // Both at a time: so they differ.
    let bound = [0, 0].map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    bound.map(|listener| listener.local_addr().expect("an address").port())
}
