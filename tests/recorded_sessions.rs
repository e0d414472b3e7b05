//! Cookies and rows as each schema wrote them, recorded with fixed keys under `recorded/`: what a version wrote, the next
//! minor version reads; what it does not know, it refuses without harm, and the next one still finds it there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::clock::{Clock, TestClock, UnixTime};
use countersign::config::SessionSettings;
use countersign::entropy::TestEntropy;
use countersign::identity::{Email, GroupName, Groups, Identity, ProviderId, ProviderTokens, Subject, UserId};
use countersign::seal::{BadCookie, Purpose, SessionKeys};
use countersign::secret::{SecretText, parse_session_key};
use countersign::session::{Embedded, NewRow, NewSession, Revision, SessionCookie, Sessions, Store, StoredRow};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// All schemas that are still read, the oldest first.
const RECORDED: [&str; 1] = [include_str!("recorded/schema-1.json")];

/// What is in such a file, and nothing secret: nobody has these keys but this test.
#[derive(Serialize, Deserialize)]
struct Recorded {
    session_key: String,
    signed_in_at: u64,
    cookie: String,
    /// In base64.
    row: String,
}

#[tokio::test]
async fn what_was_written_is_still_read() {
    for recorded in RECORDED.map(read) {
        let house = House::of(&recorded, &[]).await;
        let live = house.sessions.find(&house.cookie).await.expect("answered").expect("still a session");
        let session = &live.session;
        let identity = &session.identity;
        assert_eq!((identity.user.as_str(), identity.subject.as_str()), ("ann", "CiQwOGE4Njg0Yg"));
        assert_eq!(identity.provider.as_str(), "dex");
        assert_eq!(identity.email.as_ref().map(Email::as_str), Some("ann@example.com"));
        assert_eq!(identity.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["ml", "ops"]);
        assert_eq!(
            (identity.auth_time, identity.acr.as_deref()),
            (Some(UnixTime::from_secs(1_799_999_000)), Some("1"))
        );
        assert_eq!(identity.amr, ["pwd", "otp"]);
        assert_eq!(session.provider_sid.as_deref(), Some("their-sid"));
        assert_eq!(session.signed_in_at, UnixTime::from_secs(recorded.signed_in_at));
        assert_eq!(session.ends_at, UnixTime::from_secs(recorded.signed_in_at).plus(DAY));
        assert_eq!(session.renew_at, UnixTime::from_secs(recorded.signed_in_at).plus(Duration::from_mins(15)));
        let tokens = house.sessions.tokens(&house.cookie, &live).expect("its own");
        assert_eq!(tokens.id_token.expose(), "an-id-token");
        assert_eq!(tokens.access_token.expose(), "an-access-token");
        assert_eq!(tokens.refresh_token.as_ref().map(SecretText::expose), Some("a-refresh-token"));
    }
}

#[tokio::test]
async fn what_was_written_is_sealed_anew_and_renewed_as_it_is() {
    for recorded in RECORDED.map(read) {
        let newer = format!("csk1_{}", "B".repeat(42) + "A");
        let house = House::of(&recorded, &[&newer]).await;
        let live = house.sessions.find(&house.cookie).await.expect("answered").expect("still a session");
        house.sessions.reseal().await;
        assert_eq!(house.row().await.expect("a row").revision, Revision(2));
        house.sessions.renew(&house.cookie, &live, ann(&*house.clock)).await.expect("renewed");
        let live = house.sessions.find(&house.cookie).await.expect("answered").expect("still a session");
        assert_eq!(live.session.ends_at, UnixTime::from_secs(recorded.signed_in_at).plus(DAY));
    }
}

#[tokio::test]
async fn a_row_that_says_more_than_is_known_here_is_read() {
    for recorded in RECORDED.map(read) {
        let mut house = House::of(&recorded, &[]).await;
        let row = house.rewritten(|plain| {
            let content: serde_json::Value = serde_json::from_slice(&plain[1..]).expect("JSON");
            let mut content = content.as_object().expect("a map").clone();
            content.insert("of_the_next_version".to_owned(), "x".into());
            [&plain[..1], &serde_json::to_vec(&content).expect("JSON")].concat()
        });
        house.put(row).await;
        assert!(house.sessions.find(&house.cookie).await.expect("answered").is_some());
    }
}

#[tokio::test]
async fn a_schema_that_is_not_known_here_is_refused_without_harm() {
    for recorded in RECORDED.map(read) {
        let mut house = House::of(&recorded, &[]).await;
        let row = house.rewritten(|plain| [&[plain[0] + 1], &plain[1..]].concat());
        house.put(row.clone()).await;
        for _ in 0..2 {
            assert!(house.sessions.find(&house.cookie).await.expect("answered").is_none(), "it has to sign in again");
            house.sessions.reseal().await;
            house.sessions.flush().await;
        }
        let left = house.row().await.expect("still there, for whoever can read it");
        assert_eq!((left.row, left.revision), (row, Revision::FIRST));
    }
}

#[tokio::test]
async fn a_cookie_of_another_form_is_refused() {
    for recorded in RECORDED.map(read) {
        let house = House::of(&recorded, &[]).await;
        let newer = recorded.cookie.replacen("1.", "2.", 1);
        assert_eq!(house.sessions.prove(&newer).err(), Some(BadCookie::Malformed));
        let longer = format!("{}.more", recorded.cookie);
        assert_eq!(house.sessions.prove(&longer).err(), Some(BadCookie::Malformed));
    }
}

/// For a new schema: raise its number here, run it once (`cargo test --test recorded_sessions -- --ignored`), and add the
/// file to those above. A file that is there stays as it is.
#[tokio::test]
#[ignore = "writes a file, once for each schema"]
async fn record() {
    const SCHEMA: u8 = 1;
    let session_key = format!("csk1_{}", "A".repeat(43));
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
    let directory = tempfile::tempdir().expect("a directory");
    let store: Arc<dyn Store> = Arc::new(Embedded::open(directory.path().join("sessions.redb")).expect("a store"));
    let sessions = sessions(&store, keys(&[&session_key]), &clock);
    let (cookie, _) = sessions.create(ann(&*clock)).await.expect("created");
    let key = sessions.prove(&cookie).expect("our own").key;
    let row = STANDARD.encode(store.load(key, clock.now()).await.expect("answered").expect("a row").row);
    let recorded = Recorded { session_key, signed_in_at: clock.now().as_secs(), cookie, row };
    let text = serde_json::to_string_pretty(&recorded).expect("JSON") + "\n";
    let path = PathBuf::from(format!("{}/tests/recorded/schema-{SCHEMA}.json", env!("CARGO_MANIFEST_DIR")));
    assert!(!path.exists(), "{} is there", path.display());
    std::fs::write(path, text).expect("written");
}

const DAY: Duration = Duration::from_hours(24);

/// A gateway's sessions, an hour after the recorded sign-in, with the recorded row in their store.
struct House {
    sessions: Sessions,
    store: Arc<dyn Store>,
    clock: Arc<TestClock>,
    keys: Arc<SessionKeys>,
    cookie: SessionCookie,
    recorded_row: Vec<u8>,
    _directory: TempDir,
}

impl House {
    /// With the recorded key, and newer ones before it.
    async fn of(recorded: &Recorded, newer_keys: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> = Arc::new(Embedded::open(directory.path().join("sessions.redb")).expect("a store"));
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(recorded.signed_in_at).plus(Duration::from_hours(1))));
        let keys = keys(&[newer_keys, &[&recorded.session_key]].concat());
        let sessions = sessions(&store, Arc::clone(&keys), &clock);
        let cookie = sessions.prove(&recorded.cookie).expect("a cookie that is still known");
        let recorded_row = STANDARD.decode(&recorded.row).expect("base64");
        let mut house = Self { sessions, store, clock, keys, cookie, recorded_row, _directory: directory };
        house.put(house.recorded_row.clone()).await;
        house
    }

    async fn put(&mut self, row: Vec<u8>) {
        let until = self.clock.now().plus(Duration::from_hours(8));
        let new = NewRow { row, until, ends_at: until, tags: Vec::new() };
        self.store.create(self.cookie.key, new).await.expect("put there");
    }

    async fn row(&self) -> Option<StoredRow> {
        self.store.load(self.cookie.key, self.clock.now()).await.expect("answered")
    }

    /// The recorded row with other content: its schema, and what follows.
    fn rewritten(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let place = self.cookie.key.as_bytes();
        let plain = self.keys.open(Purpose::Row, place, &self.recorded_row).expect("opens");
        self.keys.seal(Purpose::Row, place, &change(&plain))
    }
}

fn sessions(store: &Arc<dyn Store>, keys: Arc<SessionKeys>, clock: &Arc<TestClock>) -> Sessions {
    let settings = SessionSettings {
        max_age: DAY,
        idle: Duration::from_hours(8),
        renew_every: Duration::from_mins(15),
        keys: Vec::new(),
        redis: None,
    };
    Sessions::new(Arc::clone(store), keys, Arc::clone(clock) as _, Arc::new(TestEntropy::default()), &settings)
}

fn keys(newest_first: &[&str]) -> Arc<SessionKeys> {
    let keys = newest_first.iter().map(|text| parse_session_key(text).expect("a key")).collect();
    Arc::new(SessionKeys::new(keys).expect("keys"))
}

fn read(text: &str) -> Recorded {
    serde_json::from_str(text).expect("a recorded session")
}

fn ann(clock: &dyn Clock) -> NewSession {
    let group = |name: &str| GroupName::parse(name).expect("a group");
    NewSession {
        identity: Identity {
            provider: ProviderId::parse("dex").expect("an id"),
            subject: Subject::parse("CiQwOGE4Njg0Yg").expect("a subject"),
            user: UserId::parse("ann").expect("a user"),
            email: Email::parse("ann@example.com").ok(),
            groups: Groups::new([group("ml"), group("ops")]).expect("groups"),
            auth_time: Some(UnixTime::from_secs(1_799_999_000)),
            acr: Some("1".to_owned()),
            amr: vec!["pwd".to_owned(), "otp".to_owned()],
        },
        tokens: ProviderTokens {
            id_token: SecretText::new("an-id-token".to_owned()),
            access_token: SecretText::new("an-access-token".to_owned()),
            refresh_token: Some(SecretText::new("a-refresh-token".to_owned())),
        },
        provider_sid: Some("their-sid".to_owned()),
        renew_at: clock.now().plus(Duration::from_mins(15)),
    }
}
