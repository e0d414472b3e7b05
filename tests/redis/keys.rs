//! Keys that change while several replicas share a store, and rows that an earlier version has written there.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{Clock, SystemClock, TestClock, UnixTime};
use countersign::entropy::SystemEntropy;
use countersign::identity::{Groups, Identity, ProviderId, ProviderTokens, Subject, UserId};
use countersign::seal::SessionKeys;
use countersign::secret::{SecretBytes, SecretText, parse_session_key};
use countersign::session::{NewSession, Redis, Replaced, Sessions, Store};
use redis::cmd;

use crate::processes::session_settings;
use crate::servers::{Kind, Servers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_log_nobody_out_of_any_replica() {
    for kind in [Kind::Standalone, Kind::Valkey, Kind::Cluster] {
        let servers = Servers::start(kind).await;
        let (here, here_keys) = replica(&servers, &[1]);
        let (there, there_keys) = replica(&servers, &[1]);
        let (old_cookie, _) = here.create(ann()).await.expect("created");

        // The new key is known everywhere before it makes anything, and each replica learns of it in its own time.
        here_keys.follow(&keys(&[1, 2]));
        there_keys.follow(&keys(&[1, 2]));
        here_keys.follow(&keys(&[2, 1]));
        let (new_cookie, _) = here.create(ann()).await.expect("created");
        assert!(lives(&there, &new_cookie).await && lives(&there, &old_cookie).await, "{kind:?}");
        there_keys.follow(&keys(&[2, 1]));

        // Both replicas use it and would seal it anew; a renewal by the one is not lost for that by the other.
        let cookie = here.prove(&old_cookie).expect("a known key");
        let seen = here.find(&cookie).await.expect("answered").expect("there");
        there.find(&cookie).await.expect("answered").expect("there");
        tokio::join!(here.reseal(), there.reseal());
        assert!(matches!(here.renew(&cookie, &seen, ann()).await, Ok(Replaced::Done(_))), "{kind:?}");

        let (later, _) = replica(&servers, &[2]);
        assert!(later.prove(&old_cookie).is_err(), "its cookie needs the old key for as long as it lives");
        assert!(later.find(&cookie).await.expect("answered").is_some(), "{kind:?}: its row does not");
        assert!(lives(&later, &new_cookie).await, "{kind:?}");
    }
}

/// As the version of schema 1 left it in Redis, key by key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_row_is_read() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let recorded: serde_json::Value =
        serde_json::from_str(include_str!("../recorded/schema-1.json")).expect("a recorded session");
    let text = |name: &str| recorded[name].as_str().expect("a text");
    let row = STANDARD.decode(text("row")).expect("base64");
    let keys = Arc::new(SessionKeys::new(vec![parse_session_key(text("session_key")).expect("a key")]).expect("keys"));
    let signed_in_at = UnixTime::from_secs(recorded["signed_in_at"].as_u64().expect("a time"));

    let servers = Servers::start(Kind::Standalone).await;
    let clock = Arc::new(TestClock::at(signed_in_at.plus(Duration::from_hours(1))));
    let sessions = over(&servers, keys, clock.clone());
    let cookie = sessions.prove(text("cookie")).expect("a known key");
    let id = URL_SAFE_NO_PAD.encode(cookie.key.as_bytes());
    let until = clock.now().plus(Duration::from_hours(7)).as_secs();
    let server = &servers.stores[0];
    let row = [b"1:", &row[..]].concat();
    let () = server.ask(cmd("SET").arg(format!("cs:1:s:{{{id}}}")).arg(row)).await.expect("set");
    let () = server.ask(cmd("SET").arg(format!("cs:1:i:{{{id}}}")).arg(until)).await.expect("set");
    let live = sessions.find(&cookie).await.expect("answered").expect("a session");
    assert_eq!(live.session.identity.user.as_str(), "ann");
    assert!(sessions.end(cookie.key).await.expect("ended"));
    assert!(sessions.find(&cookie).await.expect("answered").is_none());
}

async fn lives(sessions: &Sessions, cookie: &str) -> bool {
    let cookie = sessions.prove(cookie).expect("a known key");
    sessions.find(&cookie).await.expect("answered").is_some()
}

fn replica(servers: &Servers, newest_first: &[u8]) -> (Sessions, Arc<SessionKeys>) {
    let keys = Arc::new(keys(newest_first));
    (over(servers, Arc::clone(&keys), Arc::new(SystemClock)), keys)
}

fn over(servers: &Servers, keys: Arc<SessionKeys>, clock: Arc<dyn Clock>) -> Sessions {
    let store: Arc<dyn Store> = Arc::new(Redis::new(&servers.settings(), Arc::clone(&clock)).expect("a store"));
    let settings = session_settings();
    Sessions::new(store, keys, clock, Arc::new(SystemEntropy), &settings)
}

fn keys(newest_first: &[u8]) -> SessionKeys {
    SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
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
            refresh_token: Some(SecretText::new("refresh".into())),
        },
        provider_sid: None,
        renew_at: UnixTime::MAX,
    }
}
