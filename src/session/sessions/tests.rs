use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use tempfile::TempDir;

use super::*;
use crate::clock::TestClock;
use crate::entropy::SystemEntropy;
use crate::identity::{Email, GroupName, Groups, ProviderId, Subject, UserId};
use crate::secret::{SecretBytes, SecretText};
use crate::session::faulty::Faulty;
use crate::session::{Cursor, Embedded, StoredRow};

const START: u64 = 1_800_000_000;
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

struct House {
    sessions: Sessions,
    store: Arc<Faulty>,
    clock: Arc<TestClock>,
    _directory: TempDir,
}

impl House {
    fn new() -> Self {
        Self::with_grace(Duration::ZERO)
    }

    /// Where sessions in memory go on for so long without the store.
    fn with_grace(span: Duration) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Embedded::open(directory.path().join("sessions.redb")).expect("a store");
        let store = Faulty::over(Arc::new(store));
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(START)));
        let sessions = Sessions { grace: Grace::of(span), ..sessions(&store, &clock, &[1]) };
        Self { sessions, store, clock, _directory: directory }
    }

    /// The same store, after a restart with these keys.
    fn restarted(&self, keys: &[u8]) -> Sessions {
        sessions(&self.store, &self.clock, keys)
    }

    async fn sign_in(&self, user: &str) -> SessionCookie {
        let (value, _) = self.sessions.create(brought(user, "first")).await.expect("created");
        self.sessions.prove(&value).expect("our own cookie")
    }

    fn cached(&self, cookie: &SessionCookie) -> Option<Arc<Live>> {
        self.sessions.cached(cookie.key, self.clock.now())
    }

    async fn row(&self, cookie: &SessionCookie) -> Option<StoredRow> {
        self.store.load(cookie.key, self.clock.now()).await.expect("loaded")
    }
}

fn sessions(store: &Arc<Faulty>, clock: &Arc<TestClock>, keys: &[u8]) -> Sessions {
    let keys = keys.iter().map(|byte| SecretBytes::new([*byte; 32])).collect();
    let settings =
        SessionSettings { max_age: HOUR * 24, idle: HOUR * 8, renew_every: MINUTE * 15, keys: vec![], redis: None };
    let keys = Arc::new(SessionKeys::new(keys).expect("keys"));
    let sessions =
        Sessions::new(Arc::clone(store) as _, keys, Arc::clone(clock) as _, Arc::new(SystemEntropy), &settings);
    sessions.tracked();
    sessions
}

fn brought(user: &str, token: &str) -> NewSession {
    NewSession {
        identity: Identity {
            provider: ProviderId::parse("dex").expect("an id"),
            subject: Subject::parse(user).expect("a subject"),
            user: UserId::parse(user).expect("a user"),
            email: Email::parse(format!("{user}@example.com")).ok(),
            groups: Groups::new([GroupName::parse("ml").expect("a group")]).expect("groups"),
            auth_time: None,
            acr: None,
            amr: vec![],
        },
        tokens: ProviderTokens {
            id_token: SecretText::new(format!("id-{token}")),
            access_token: SecretText::new(format!("access-{token}")),
            refresh_token: Some(SecretText::new(format!("refresh-{token}"))),
        },
        provider_sid: Some("their-sid".into()),
        renew_at: UnixTime::from_secs(START).plus(MINUTE * 15),
    }
}

#[tokio::test]
async fn a_session_is_found_in_memory_and_after_a_restart() {
    let house = House::new();
    let (value, made) = house.sessions.create(brought("ann", "first")).await.expect("created");
    let cookie = house.sessions.prove(&value).expect("our own cookie");
    assert!(Arc::ptr_eq(&house.cached(&cookie).expect("in memory"), &made));

    let restarted = house.restarted(&[2, 1]);
    let cookie = restarted.prove(&value).expect("a key that is still known");
    assert!(restarted.cached(cookie.key, house.clock.now()).is_none());
    let found = restarted.find(&cookie).await.expect("the store answers").expect("there");
    assert_eq!(format!("{:?}", found.session), format!("{:?}", made.session));
    assert_eq!(found.session.identity.user.as_str(), "ann");
    assert_eq!(found.revision, made.revision);
    assert!(restarted.cached(cookie.key, house.clock.now()).is_some());
    assert_eq!(restarted.count().await, Ok(1));
}

#[tokio::test]
async fn tokens_open_with_their_own_cookie_and_lie_nowhere_in_the_clear() {
    let house = House::new();
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let live = house.cached(&ann).expect("there");
    let tokens = house.sessions.tokens(&ann, &live).expect("ann's own");
    assert_eq!(tokens.id_token.expose(), "id-first");
    assert_eq!(tokens.refresh_token.map(|token| token.expose().to_owned()).as_deref(), Some("refresh-first"));
    assert_eq!(house.sessions.tokens(&bob, &live).err(), Some(SessionError::TokensSealedElsewhere));
    let row = house.row(&ann).await.expect("a row").row;
    for secret in ["id-first", "ann", "their-sid"] {
        assert!(!row.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} in the row");
    }
    // Even with the session keys, the tokens stay closed without the cookie.
    let plain = house.sessions.keys.open(crate::seal::Purpose::Row, ann.key.as_bytes(), &row).expect("opens");
    let plain = String::from_utf8_lossy(&plain);
    assert!(plain.contains("their-sid") && !plain.contains("id-first"), "{plain}");
    let shown = format!("{ann:?} {:?} {live:?}", house.sessions);
    assert!(!shown.contains("first"), "{shown}");
}

#[tokio::test]
async fn a_row_in_another_sessions_place_is_no_session() {
    let house = House::new();
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let row = house.row(&ann).await.expect("a row");
    house.store.remove(bob.key, row.until).await.expect("removed");
    let swapped = NewRow { row: row.row, until: row.until, ends_at: row.until, tags: Vec::new() };
    house.store.create(bob.key, swapped).await.expect("swapped");
    assert!(house.restarted(&[1]).find(&bob).await.expect("answered").is_none());
}

#[tokio::test]
async fn sessions_are_found_by_whose_they_are() {
    let house = House::new();
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let session = house.sessions.find(&ann).await.expect("answered").expect("there").session.clone();
    let Identity { provider, subject, user, .. } = &session.identity;
    let sid = session.provider_sid.as_deref().expect("a sid");
    let both = house.sessions.keys_of(Of::ProviderSession(provider, sid)).await.expect("found");
    assert!(both.len() == 2 && both.contains(&ann.key) && both.contains(&bob.key), "{both:?}");
    for whose in [Of::User(user), Of::Subject(provider, subject)] {
        assert_eq!(house.sessions.keys_of(whose).await, Ok(vec![ann.key]), "{whose:?}");
        assert_eq!(house.restarted(&[9, 1]).keys_of(whose).await, Ok(vec![ann.key]), "{whose:?}, with a new key");
    }
    house.sessions.end(ann.key).await.expect("ended");
    assert_eq!(house.sessions.keys_of(Of::User(user)).await, Ok(vec![]));
}

#[tokio::test]
async fn what_cannot_be_read_is_found_to_be_ended() {
    let house = House::new();
    let (ann, _) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let user = UserId::parse("ann").expect("a user");
    let later = house.store.replace(ann.key, b"of a later version".to_vec(), Revision::FIRST).await;
    assert_eq!(later, Ok(Replaced::Done(Revision(2))));
    let found = house.sessions.all_of(Of::User(&user)).await.expect("answered");
    assert_eq!((found.filed.len(), found.unreadable), (0, vec![ann.key]));
    let (all, _) = house.sessions.page(Cursor::START).await.expect("answered");
    assert_eq!((all.filed.len(), all.unreadable), (1, vec![ann.key]));
}

#[tokio::test]
async fn both_clocks_end_a_session_whatever_the_store_says() {
    let house = House::new();
    let idle = house.sign_in("ann").await;
    house.clock.advance(Duration::from_secs(8 * 3600 - 1));
    assert!(house.cached(&idle).is_some(), "used in time, which winds the clock up");
    house.clock.advance(HOUR * 8);
    assert!(house.cached(&idle).is_none());
    assert!(house.sessions.find(&idle).await.expect("answered").is_none());

    let busy = house.sign_in("bob").await;
    for _ in 0..23 {
        house.clock.advance(HOUR);
        assert!(house.sessions.find(&busy).await.expect("answered").is_some());
    }
    // The store may have it longer; the session may not.
    house.sessions.flush().await;
    house.store.touch(vec![(busy.key, UnixTime::MAX)]).await.expect("touched");
    house.clock.advance(HOUR);
    assert!(house.cached(&busy).is_none());
    assert!(house.sessions.find(&busy).await.expect("answered").is_none());
    assert!(house.restarted(&[1]).find(&busy).await.expect("answered").is_none());
}

#[tokio::test]
async fn what_is_over_here_but_was_used_elsewhere_lives() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    house.store.touch(vec![(cookie.key, UnixTime::from_secs(START).plus(HOUR * 12))]).await.expect("touched");
    house.clock.advance(HOUR * 9);
    assert!(house.cached(&cookie).is_none());
    assert!(house.sessions.find(&cookie).await.expect("answered").is_some());
    assert!(house.cached(&cookie).is_some());
}

#[tokio::test]
async fn idle_times_are_written_once_a_minute_and_survive_failures() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    let began = house.row(&cookie).await.expect("a row").until;
    house.clock.advance(Duration::from_secs(59));
    house.cached(&cookie).expect("there");
    house.sessions.flush().await;
    assert_eq!(house.row(&cookie).await.expect("a row").until, began, "sooner than a minute");

    house.clock.advance(MINUTE);
    let used = house.clock.now();
    for _ in 0..100 {
        house.cached(&cookie).expect("there");
    }
    assert_eq!(house.sessions.touches.take(), [(cookie.key, used.plus(HOUR * 8))]);
    house.sessions.touches.note(cookie.key, used.plus(HOUR * 8));
    house.store.set_broken(true);
    house.sessions.flush().await;
    house.store.set_broken(false);
    house.sessions.flush().await;
    assert_eq!(house.row(&cookie).await.expect("a row").until, used.plus(HOUR * 8));
}

#[tokio::test]
async fn a_renewed_session_keeps_its_name_and_its_end() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    let before = house.cached(&cookie).expect("there");
    house.clock.advance(MINUTE * 15);
    let mut renewed = brought("ann", "second");
    renewed.identity.groups = Groups::default();
    renewed.provider_sid = None;
    assert_eq!(house.sessions.renew(&cookie, &before, renewed).await, Ok(Replaced::Done(Revision(2))));
    let after = house.sessions.find(&cookie).await.expect("answered").expect("there");
    assert!(after.session.identity.groups.is_empty());
    let kept = |live: &Live| {
        let session = live.session.clone();
        (session.sid, session.signed_in_at, session.ends_at, session.provider_sid)
    };
    assert_eq!(kept(&after), kept(&before));
    assert_eq!(house.sessions.tokens(&cookie, &after).expect("opens").id_token.expose(), "id-second");
    // Whoever renews from what is out of date is told so, and the next look is up to date.
    assert_eq!(house.sessions.renew(&cookie, &before, brought("ann", "late")).await, Ok(Replaced::Superseded));
    assert_eq!(house.sessions.find(&cookie).await.expect("answered").expect("there").revision, Revision(2));
}

#[tokio::test]
async fn a_load_that_a_renewal_overtakes_is_done_again() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    let before = house.cached(&cookie).expect("there");
    house.sessions.cache.remove(&cookie.key);
    let held = house.store.hold().await;
    let renew = async {
        house.store.somebody_waits().await;
        house.sessions.renew(&cookie, &before, brought("ann", "second")).await.expect("renewed");
        drop(held);
    };
    let (found, ()) = tokio::join!(house.sessions.find(&cookie), renew);
    assert_eq!(found.expect("answered").expect("there").revision, Revision(2));
    assert_eq!(house.cached(&cookie).expect("there").revision, Revision(2));
}

#[tokio::test]
async fn an_ended_session_is_gone_at_once_and_for_good() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    let live = house.cached(&cookie).expect("there");
    assert_eq!(house.sessions.end(cookie.key).await, Ok(true));
    assert!(house.cached(&cookie).is_none());
    assert!(house.sessions.find(&cookie).await.expect("answered").is_none());
    assert_eq!(house.sessions.renew(&cookie, &live, brought("ann", "second")).await, Ok(Replaced::Gone));
    assert!(house.sessions.find(&cookie).await.expect("answered").is_none());
    assert_eq!(house.sessions.end(cookie.key).await, Ok(false));
    assert!(house.restarted(&[1]).find(&cookie).await.expect("answered").is_none());
}

#[tokio::test]
async fn an_end_during_a_load_wins() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    house.sessions.cache.remove(&cookie.key);
    let held = house.store.hold().await;
    let end = async {
        house.store.somebody_waits().await;
        // The load has read the row and hesitates. The removal has to wait at the same gate, so open it when it does.
        let open = async {
            house.store.somebody_waits().await;
            drop(held);
        };
        let (ended, ()) = tokio::join!(house.sessions.end(cookie.key), open);
        assert_eq!(ended, Ok(true));
    };
    let (found, ()) = tokio::join!(house.sessions.find(&cookie), end);
    assert!(found.expect("answered").is_none());
    assert!(house.cached(&cookie).is_none(), "the load put it back");
    assert!(house.sessions.find(&cookie).await.expect("answered").is_none());
}

#[tokio::test]
async fn an_end_that_nobody_waits_for_keeps_the_session_away() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    let held = house.store.hold().await;
    {
        let mut end = pin!(house.sessions.end(cookie.key));
        let polled = end.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }
    drop(held);
    assert!(house.sessions.find(&cookie).await.expect("answered").is_none());
    assert!(house.cached(&cookie).is_none());
}

#[tokio::test]
async fn an_end_that_the_store_refuses_is_an_error_and_the_session_stays_away() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    house.store.set_broken(true);
    assert!(matches!(house.sessions.end(cookie.key).await, Err(StoreError::Unavailable { .. })));
    assert!(house.cached(&cookie).is_none());
    house.store.set_broken(false);
    assert!(house.sessions.find(&cookie).await.expect("answered").is_none());
    // Whoever tries again finds it, and it is there: nothing has been confirmed.
    let user = UserId::parse("ann").expect("a user");
    assert_eq!(house.sessions.of(Of::User(&user)).await.map(|filed| filed.len()), Ok(1));
    house.clock.advance(MINUTE);
    house.sessions.sweep().await;
    assert!(house.sessions.find(&cookie).await.expect("answered").is_none(), "never again here");
    assert!(house.restarted(&[1]).find(&cookie).await.expect("answered").is_some(), "but elsewhere");
    house.sessions.end_again().await;
    assert!(!house.sessions.is_ending(cookie.key));
    assert!(house.restarted(&[1]).find(&cookie).await.expect("answered").is_none());
}

#[tokio::test]
async fn a_broken_store_is_an_error_but_not_for_what_is_in_memory() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    house.store.set_broken(true);
    assert!(house.cached(&cookie).is_some());
    assert!(house.sessions.find(&cookie).await.expect("from memory").is_some());
    assert!(house.sessions.create(brought("bob", "first")).await.is_err());
    let restarted = house.restarted(&[1]);
    assert!(matches!(restarted.find(&cookie).await, Err(StoreError::Unavailable { .. })));
    house.store.set_broken(false);
    assert!(restarted.find(&cookie).await.expect("answered").is_some());
}

#[tokio::test]
async fn many_who_ask_at_once_cost_one_load() {
    let house = House::new();
    let cookie = house.sign_in("ann").await;
    house.sessions.cache.remove(&cookie.key);
    let all = futures_util::future::join_all((0..50).map(|_| house.sessions.find(&cookie))).await;
    let first = all[0].as_ref().expect("answered").as_ref().expect("there");
    assert!(all.iter().all(|found| matches!(found, Ok(Some(live)) if Arc::ptr_eq(live, first))));
}

#[tokio::test]
async fn the_house_is_swept_of_what_is_over() {
    let house = House::new();
    house.sign_in("ann").await;
    house.clock.advance(HOUR);
    house.sign_in("bob").await;
    house.clock.advance(HOUR * 7);
    house.sessions.sweep().await;
    assert_eq!(house.sessions.count().await, Ok(1));
}

#[tokio::test]
async fn without_grace_nobody_goes_on_without_the_store() {
    let house = House::new();
    let ann = house.sign_in("ann").await;
    house.sessions.lost();
    house.store.set_broken(true);
    assert!(house.sessions.find(&ann).await.is_err() && house.sessions.find(&ann).await.is_err());
    assert_eq!(house.sessions.grace_left(), None);
}

#[tokio::test]
async fn by_grace_sessions_in_memory_go_on_without_the_store_for_a_while() {
    let house = House::with_grace(MINUTE * 5);
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let stranger = house.restarted(&[1]).create(brought("cid", "first")).await.expect("created").0;
    let stranger = house.sessions.prove(&stranger).expect("ours");
    assert_eq!(house.sessions.grace_left(), None);
    house.sessions.lost();
    house.store.set_broken(true);
    assert_eq!(house.sessions.grace_left(), Some(MINUTE * 5));
    for _ in 0..2 {
        assert!(house.cached(&ann).is_none(), "not without having tried the store");
        assert!(house.sessions.find(&ann).await.expect("by grace").is_some());
        assert!(house.sessions.find(&stranger).await.is_err(), "it was not in memory");
    }
    // Whoever signs out here has done so, though the store does not know.
    assert!(house.sessions.end(bob.key).await.is_err());
    assert!(house.sessions.find(&bob).await.expect("known here").is_none());
    house.clock.advance(MINUTE * 4);
    house.sessions.sweep().await;
    assert!(house.sessions.find(&bob).await.expect("known here").is_none(), "also when it is long ago");
    // A second loss does not begin another grace.
    house.sessions.lost();
    house.clock.advance(Duration::from_secs(59));
    assert!(house.sessions.find(&ann).await.expect("by grace").is_some());
    house.clock.advance(Duration::from_secs(1));
    assert!(house.sessions.find(&ann).await.is_err());
    assert_eq!(house.sessions.grace_left(), None);
    house.store.set_broken(false);
    assert!(house.sessions.find(&ann).await.expect("answered").is_some());
}

#[tokio::test]
async fn by_grace_nobody_goes_on_of_whom_the_store_says_otherwise_or_nobody_knows() {
    let house = House::with_grace(MINUTE);
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    house.sessions.lost();
    house.store.remove(ann.key, house.clock.now().plus(HOUR)).await.expect("signed out elsewhere");
    assert!(house.sessions.find(&ann).await.expect("answered").is_none(), "the store was there to be asked");
    // What was in memory before a change could be missed says nothing of afterwards.
    house.sessions.tracked();
    assert_eq!(house.sessions.grace_left(), None);
    house.sessions.lost();
    house.store.set_broken(true);
    assert!(house.sessions.find(&bob).await.is_err() && house.sessions.find(&bob).await.is_err());
}

#[tokio::test]
async fn by_grace_nobody_outlives_their_session() {
    let house = House::with_grace(MINUTE * 5);
    let ann = house.sign_in("ann").await;
    house.clock.advance(HOUR * 7 + MINUTE * 59);
    house.sessions.lost();
    house.store.set_broken(true);
    house.clock.advance(MINUTE);
    assert!(house.sessions.find(&ann).await.is_err() && house.sessions.find(&ann).await.is_err());
}

#[tokio::test]
async fn a_session_with_all_the_groups_there_may_be_still_works() {
    let house = House::new();
    let mut new = brought("ann", &"t".repeat(20_000));
    let groups = (0..128).map(|n| GroupName::parse(format!("{n:0500}")).expect("a group"));
    new.identity.groups = Groups::new(groups).expect("just about");
    let (value, _) = house.sessions.create(new).await.expect("created");
    let restarted = house.restarted(&[1]);
    let cookie = restarted.prove(&value).expect("ours");
    let found = restarted.find(&cookie).await.expect("answered").expect("there");
    assert_eq!(found.session.identity.groups.iter().count(), 128);
    assert!(restarted.cached(cookie.key, house.clock.now()).is_some(), "no place in the cache");
}

#[tokio::test]
async fn the_house_is_kept_in_a_task_of_its_own() {
    let house = House::new();
    let House { sessions, store, clock, _directory } = house;
    let sessions = Arc::new(sessions);
    let (value, _) = sessions.create(brought("ann", "first")).await.expect("created");
    let cookie = sessions.prove(&value).expect("ours");
    clock.advance(HOUR);
    sessions.cached(cookie.key, clock.now()).expect("there");
    // The first beat comes at once; what is noted before it is written by it.
    let mut house_keeping = Box::pin({
        let sessions = Arc::clone(&sessions);
        async move { sessions.keep_house().await }
    });
    let written = async {
        let until = clock.now().plus(HOUR * 8);
        while store.load(cookie.key, clock.now()).await.expect("loaded").expect("there").until != until {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut house_keeping => unreachable!("house keeping never ends"),
        () = written => {}
    }
    may_move_between_threads(&house_keeping);
    may_move_between_threads(&sessions.find(&cookie));
    may_move_between_threads(&sessions.end(cookie.key));
}

fn may_move_between_threads(_: &impl Send) {}

/// Keys of these bytes, the newest first.
fn keys(newest_first: &[u8]) -> SessionKeys {
    SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
}

#[tokio::test]
async fn a_row_is_sealed_anew_once_when_it_is_used_and_stays_what_it_is() {
    let house = House::new();
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let (before, unused) = (house.row(&ann).await.expect("a row"), house.row(&bob).await);

    let rotated = house.restarted(&[2, 1]);
    rotated.find(&ann).await.expect("answered").expect("nobody is logged out");
    assert_eq!(house.row(&ann).await.as_ref(), Some(&before), "not on the way of a check");
    rotated.reseal().await;
    let after = house.row(&ann).await.expect("a row");
    assert_eq!(
        SessionKeys::maker(&after.row),
        SessionKeys::maker(&keys(&[2]).seal(crate::seal::Purpose::Row, b"", b""))
    );
    assert_eq!((after.revision, after.until), (Revision(before.revision.0 + 1), before.until));
    assert_eq!(house.row(&bob).await, unused, "nobody has used it");

    // Neither whoever had it in memory nor anybody else does it again.
    for sessions in [&rotated, &house.restarted(&[2, 1])] {
        sessions.find(&ann).await.expect("answered").expect("there");
        sessions.reseal().await;
        assert_eq!(house.row(&ann).await.as_ref(), Some(&after));
    }
    let without_the_old = house.restarted(&[2]);
    let live = without_the_old.find(&ann).await.expect("answered").expect("it needs the old key no more");
    let tokens = without_the_old.tokens(&ann, &live).expect("its own");
    assert_eq!(tokens.refresh_token.map(|token| token.expose().to_owned()).as_deref(), Some("refresh-first"));
    assert!(without_the_old.find(&bob).await.expect("answered").is_none());
}

#[tokio::test]
async fn what_is_in_memory_when_keys_change_is_sealed_anew_when_it_is_touched() {
    let house = House::new();
    let ann = house.sign_in("ann").await;
    house.sessions.keys.follow(&keys(&[2, 1]));
    house.sessions.reseal().await;
    assert!(house.restarted(&[2]).find(&ann).await.expect("answered").is_none(), "nobody has used it yet");
    house.clock.advance(MINUTE * 2);
    assert!(house.cached(&ann).is_some(), "nobody is logged out");
    house.sessions.flush().await;
    house.sessions.reseal().await;
    let live = house.restarted(&[2]).find(&ann).await.expect("answered").expect("sealed anew");
    assert!(!live.is_over(UnixTime::from_secs(START).plus(HOUR * 8 + MINUTE)), "and used meanwhile");
}

#[tokio::test]
async fn neither_a_renewal_nor_an_end_is_lost_to_a_row_that_is_sealed_anew() {
    let house = House::new();
    let (ann, bob) = (house.sign_in("ann").await, house.sign_in("bob").await);
    let rotated = house.restarted(&[2, 1]);
    let seen = rotated.find(&ann).await.expect("answered").expect("there");
    rotated.find(&bob).await.expect("answered").expect("there");

    // Another replica seals it anew while this one asks the provider.
    rotated.reseal().await;
    let renewed = rotated.renew(&ann, &seen, brought("ann", "second")).await;
    assert_eq!(renewed, Ok(Replaced::Done(Revision(seen.revision.0 + 2))));
    let live = rotated.find(&ann).await.expect("answered").expect("there");
    assert_eq!(rotated.tokens(&ann, &live).expect("its own").access_token.expose(), "access-second");
    // Who comes later with what was seen before that has nothing to say any more.
    assert_eq!(rotated.renew(&ann, &seen, brought("ann", "third")).await, Ok(Replaced::Superseded));

    rotated.reseals.note(bob.key);
    rotated.end(bob.key).await.expect("ended");
    rotated.reseal().await;
    assert!(house.row(&bob).await.is_none());
}
