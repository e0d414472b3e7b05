//! The embedded store: what every store must do, and real processes, one that is killed in the middle of its work, one that comes second.
//! The other process is this test binary itself, which runs the ignored test below.

#[path = "support/store_conformance.rs"]
mod store_conformance;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{SystemClock, UnixTime};
use countersign::config::SessionSettings;
use countersign::entropy::SystemEntropy;
use countersign::identity::{Groups, Identity, ProviderId, ProviderTokens, Subject, UserId};
use countersign::seal::SessionKeys;
use countersign::secret::SecretText;
use countersign::session::{Embedded, NewSession, Sessions, Store, StoreError};
use tempfile::TempDir;

const DIRECTORY: &str = "COUNTERSIGN_TEST_DIRECTORY";
const MARK: &str = "cookie: ";

mod conforms {
    crate::store_conformance::on_each_case!(std::future::ready(super::empty()));
}

fn empty() -> (Arc<dyn Store>, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(directory.path().join("sessions.redb")).expect("a new store");
    (Arc::new(store), directory)
}

#[tokio::test]
async fn no_session_whose_cookie_was_sent_is_lost_by_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cookies = Vec::new();
    for round in 1..=3 {
        let mut gateway = other_process(directory.path());
        let lines = BufReader::new(gateway.stdout.take().expect("its output")).lines();
        let mut lines = lines.map(|line| line.expect("a line"));
        let mut seen = 0;
        // In the middle of its work: many sign-ins are under way when it dies. What it has printed by then counts.
        while seen < 150 {
            let line = lines.next().expect("it signs in until it is killed");
            seen += keep(&mut cookies, &line);
        }
        gateway.kill().expect("killed");
        gateway.wait().expect("gone");
        lines.for_each(|line| seen += keep(&mut cookies, &line));

        let sessions = open(directory.path()).expect("the file is whole");
        for cookie in &cookies {
            let proven = sessions.prove(cookie).expect("the keys survived");
            let found = sessions.find(&proven).await.expect("the store answers");
            assert!(found.is_some(), "round {round}: a session is lost, of {}", cookies.len());
        }
    }
}

#[test]
fn a_second_process_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut gateway = other_process(directory.path());
    let mut lines = BufReader::new(gateway.stdout.take().expect("its output")).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(MARK))).expect("it has started").expect("a line");
    let error = open(directory.path()).expect_err("in use");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("sessions.redb is in use by another process") && said.contains("data_dir"), "{said}");
    gateway.kill().expect("killed");
    gateway.wait().expect("gone");
    open(directory.path()).expect("it is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process: signs in until it is killed"]
#[expect(clippy::print_stdout, reason = "this is how it reports")]
async fn signs_in_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "the way to tell the other process where to work")]
    let directory = std::env::var_os(DIRECTORY).expect("started by the tests above");
    let sessions = Arc::new(open(Path::new(&directory)).expect("a store"));
    let sign_in_for_ever = || async {
        loop {
            let (cookie, _) = sessions.create(ann()).await.expect("created");
            println!("{MARK}{cookie}");
        }
    };
    futures_util::future::join_all((0..8).map(|_| sign_in_for_ever())).await;
}

fn other_process(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--ignored", "--exact", "signs_in_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started")
}

/// Keeps the cookie in a line; a line that was cut off by the kill was not sent.
fn keep(cookies: &mut Vec<String>, line: &str) -> usize {
    let Some((_, cookie)) = line.split_once(MARK) else { return 0 };
    let whole = cookie.len() == 75;
    cookies.extend(whole.then(|| cookie.to_owned()));
    whole.into()
}

fn open(directory: &Path) -> Result<Sessions, StoreError> {
    let store = Embedded::open(directory.join("sessions.redb"))?;
    let keys = SessionKeys::load_or_generate(&directory.join("session-keys"), &SystemEntropy).expect("keys");
    let settings = SessionSettings {
        max_age: Duration::from_hours(24),
        idle: Duration::from_hours(8),
        renew_every: Duration::from_mins(15),
        keys: Vec::new(),
        redis: None,
    };
    Ok(Sessions::new(Arc::new(store), Arc::new(keys), Arc::new(SystemClock), Arc::new(SystemEntropy), &settings))
}

fn ann() -> NewSession {
    NewSession {
        identity: Identity {
            provider: ProviderId::parse("dex").expect("an id"),
            subject: Subject::parse("1").expect("a subject"),
            user: UserId::parse("ann").expect("a user"),
            email: None,
            groups: Groups::default(),
            auth_time: None,
            acr: None,
            amr: Vec::new(),
        },
        tokens: ProviderTokens {
            id_token: SecretText::new("id".into()),
            access_token: SecretText::new("access".into()),
            refresh_token: None,
        },
        provider_sid: None,
        renew_at: UnixTime::MAX,
    }
}
