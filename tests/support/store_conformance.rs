//! What every store must do, whatever it is made of. Each case takes a store that nothing else uses; `on_each_case!`
//! makes a test of every one of them.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::UnixTime;
use countersign::session::{Cursor, Holder, NewRow, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag};
use futures_util::future::join_all;

/// One test for each case; `$open` gives a future of a new, empty store and of what must outlive it.
macro_rules! on_each_case {
    ($open:expr) => {
        $crate::store_conformance::on_each_case! { $open;
            a_row_is_found_until_its_time_is_over
            what_was_never_there_is_not_found
            replacing_needs_the_revision_that_was_seen
            replacing_keeps_the_time
            touching_moves_the_end_but_never_back
            touching_brings_nothing_back
            a_removed_row_stays_away
            a_flow_burns_once
            of_many_burners_one_wins
            rows_are_found_by_their_tags
            what_is_over_or_removed_is_not_found_by_its_tag
            what_is_made_while_somebody_looks_is_found_by_its_tag
            every_session_is_on_a_page
            pages_go_on_while_sessions_come_and_go
            a_row_is_over_at_its_end_at_the_latest
            a_session_is_renewed_by_one_at_a_time
            of_many_who_want_to_renew_one_may
            sweeping_takes_what_is_over_and_nothing_else
            sweeping_goes_by_the_last_touch
            sweeping_takes_more_than_one_batch
            many_at_once_are_all_there
            of_many_replacers_one_wins
            an_ended_session_never_comes_back
        }
    };
    ($open:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _kept) = $open.await;
                $crate::store_conformance::$case(store).await;
            }
        )*
    };
}
pub(crate) use on_each_case;

pub(crate) async fn a_row_is_found_until_its_time_is_over(store: Arc<dyn Store>) {
    store.create(key(1), row(b"ann".to_vec(), at(100))).await.expect("created");
    let row = StoredRow { row: b"ann".to_vec(), revision: Revision(1), until: at(100) };
    assert_eq!(store.load(key(1), at(99)).await, Ok(Some(row)));
    assert_eq!(store.load(key(1), at(100)).await, Ok(None));
    assert_eq!(store.count().await, Ok(1));
}

pub(crate) async fn what_was_never_there_is_not_found(store: Arc<dyn Store>) {
    assert_eq!(store.load(key(1), at(0)).await, Ok(None));
    assert_eq!(store.replace(key(1), b"x".to_vec(), Revision(1)).await, Ok(Replaced::Gone));
    assert_eq!(store.remove(key(1), END).await, Ok(false));
    assert_eq!(store.sweep(at(1_000)).await, Ok(0));
    assert_eq!(store.count().await, Ok(0));
}

pub(crate) async fn replacing_needs_the_revision_that_was_seen(store: Arc<dyn Store>) {
    store.create(key(1), row(b"one".to_vec(), at(100))).await.expect("created");
    let seen = found(&store, 1).await.revision;
    let Ok(Replaced::Done(next)) = store.replace(key(1), b"two".to_vec(), seen).await else { panic!("not replaced") };
    assert!(next > seen);
    assert_eq!(store.replace(key(1), b"three".to_vec(), seen).await, Ok(Replaced::Superseded));
    let row = found(&store, 1).await;
    assert_eq!((row.row, row.revision), (b"two".to_vec(), next));
    assert!(matches!(store.replace(key(1), b"three".to_vec(), next).await, Ok(Replaced::Done(_))));
}

pub(crate) async fn replacing_keeps_the_time(store: Arc<dyn Store>) {
    store.create(key(1), row(b"one".to_vec(), at(100))).await.expect("created");
    store.touch(vec![(key(1), at(150))]).await.expect("touched");
    store.replace(key(1), b"two".to_vec(), Revision(1)).await.expect("replaced");
    assert_eq!(found(&store, 1).await.until, at(150));
    assert_eq!(store.load(key(1), at(150)).await, Ok(None));
}

pub(crate) async fn touching_moves_the_end_but_never_back(store: Arc<dyn Store>) {
    store.create(key(1), row(b"ann".to_vec(), at(100))).await.expect("created");
    store.create(key(2), row(b"bob".to_vec(), at(100))).await.expect("created");
    store.touch(vec![(key(1), at(200)), (key(2), at(300))]).await.expect("touched");
    store.touch(vec![(key(1), at(150))]).await.expect("touched");
    assert_eq!((found(&store, 1).await.until, found(&store, 2).await.until), (at(200), at(300)));
    assert_eq!(found(&store, 1).await.revision, Revision(1), "a touch supersedes nobody");
}

pub(crate) async fn touching_brings_nothing_back(store: Arc<dyn Store>) {
    store.create(key(1), row(b"ann".to_vec(), at(100))).await.expect("created");
    store.remove(key(1), END).await.expect("removed");
    store.touch(vec![(key(1), at(200)), (key(2), at(200))]).await.expect("touched");
    assert_eq!(store.load(key(1), at(0)).await, Ok(None));
    assert_eq!(store.count().await, Ok(0));
}

pub(crate) async fn a_removed_row_stays_away(store: Arc<dyn Store>) {
    store.create(key(1), row(b"ann".to_vec(), at(100))).await.expect("created");
    store.create(key(2), row(b"bob".to_vec(), at(100))).await.expect("created");
    assert_eq!(store.remove(key(1), END).await, Ok(true));
    assert_eq!(store.load(key(1), at(0)).await, Ok(None));
    assert_eq!(store.replace(key(1), b"back".to_vec(), Revision(1)).await, Ok(Replaced::Gone));
    assert_eq!(store.load(key(1), at(0)).await, Ok(None));
    assert_eq!(store.remove(key(1), END).await, Ok(false));
    assert_eq!(store.count().await, Ok(1));
}

pub(crate) async fn a_flow_burns_once(store: Arc<dyn Store>) {
    assert_eq!(store.is_burnt([1; 16]).await, Ok(false));
    assert_eq!(store.burn([1; 16], at(100)).await, Ok(true));
    assert_eq!(store.burn([1; 16], at(900)).await, Ok(false));
    assert_eq!((store.is_burnt([1; 16]).await, store.is_burnt([2; 16]).await), (Ok(true), Ok(false)));
    assert_eq!(store.burn([2; 16], at(100)).await, Ok(true));
    assert_eq!(store.count().await, Ok(0), "a flow is no session");
    store.sweep(at(99)).await.expect("swept");
    assert_eq!(store.burn([1; 16], at(100)).await, Ok(false), "forgotten too early");
}

pub(crate) async fn of_many_burners_one_wins(store: Arc<dyn Store>) {
    let tries = join_all((0..32).map(|_| store.burn([7; 16], at(100)))).await;
    assert_eq!(tries.iter().filter(|won| **won == Ok(true)).count(), 1);
    assert_eq!(tries.iter().filter(|won| **won == Ok(false)).count(), 31);
}

pub(crate) async fn rows_are_found_by_their_tags(store: Arc<dyn Store>) {
    store.create(key(1), tagged(&[1, 2], at(100))).await.expect("created");
    store.create(key(2), tagged(&[1], at(100))).await.expect("created");
    store.create(key(3), tagged(&[3], at(100))).await.expect("created");
    assert_eq!(by_tag(&store, 1).await, sorted(vec![key(1), key(2)]));
    assert_eq!(by_tag(&store, 2).await, [key(1)]);
    assert_eq!(by_tag(&store, 4).await, []);
    store.replace(key(1), b"again".to_vec(), Revision::FIRST).await.expect("replaced");
    assert_eq!(by_tag(&store, 2).await, [key(1)]);
}

pub(crate) async fn what_is_over_or_removed_is_not_found_by_its_tag(store: Arc<dyn Store>) {
    for n in 1..=3 {
        store.create(key(n), tagged(&[1], at(n * 10))).await.expect("created");
    }
    store.remove(key(2), END).await.expect("removed");
    assert_eq!(by_tag(&store, 1).await, sorted(vec![key(1), key(3)]));
    store.sweep(at(10)).await.expect("swept");
    assert_eq!(by_tag(&store, 1).await, [key(3)]);
}

pub(crate) async fn what_is_made_while_somebody_looks_is_found_by_its_tag(store: Arc<dyn Store>) {
    let made = async {
        for n in 0..100 {
            store.create(key(n), tagged(&[1], at(100))).await.expect("created");
        }
    };
    let mut made = std::pin::pin!(made);
    loop {
        tokio::select! {
            () = &mut made => break,
            found = store.tagged(Tag::from_bytes([1; 16])) => drop(found.expect("answered")),
        }
    }
    assert_eq!(store.tagged(Tag::from_bytes([1; 16])).await.map(|found| found.len()), Ok(100));
}

pub(crate) async fn every_session_is_on_a_page(store: Arc<dyn Store>) {
    assert_eq!(on_all_pages(&store).await, []);
    // More than one page, whichever way a store goes: of one end, and of many.
    join_all((0..1_300).map(|n| store.create(key(n), row(vec![1], at(10))))).await;
    join_all((1_300..2_000).map(|n| store.create(key(n), row(vec![1], at(n))))).await;
    store.remove(key(7), END).await.expect("removed");
    let there: Vec<StoreKey> = (0..2_000).filter(|n| *n != 7).map(key).collect();
    assert!(on_all_pages(&store).await == sorted(there), "some are missing, or too many");
    assert!(store.page(Cursor::START).await.expect("a page").next.is_some(), "that was one page");
    let end = store.page(Cursor::from_bytes([0xff; 32])).await.expect("a page");
    assert_eq!((end.keys, end.next), (vec![], None));
}

pub(crate) async fn pages_go_on_while_sessions_come_and_go(store: Arc<dyn Store>) {
    for some in 0..15 {
        let some = some * 100..some * 100 + 100;
        join_all(some.map(|n| store.create(key(n), row(vec![1], at(1_000 + n % 7))))).await;
    }
    let (mut seen, mut next, mut ended) = (Vec::new(), Some(Cursor::START), 0);
    while let Some(after) = next {
        let page = store.page(after).await.expect("a page");
        // Whoever ends all of them does it page by page, while others sign in and use what they have.
        for some in page.keys.chunks(64) {
            join_all(some.iter().map(|key| store.remove(*key, END))).await;
        }
        store.create(key(10_000 + ended), row(vec![1], at(2_000))).await.expect("created");
        store.touch(vec![(key(1_499), at(3_000))]).await.expect("touched");
        ended += 1;
        seen.extend(page.keys);
        next = page.next;
    }
    assert!(ended > 1, "that was one page");
    let seen: std::collections::HashSet<StoreKey> = seen.into_iter().collect();
    assert!((0..1_500).all(|n| seen.contains(&key(n))));
}

pub(crate) async fn a_row_is_over_at_its_end_at_the_latest(store: Arc<dyn Store>) {
    let new = NewRow { ends_at: at(50), ..row(b"ann".to_vec(), at(100)) };
    store.create(key(1), new).await.expect("created");
    assert_eq!(store.load(key(1), at(50)).await, Ok(None));
    assert_eq!(found(&store, 1).await.until, at(50));
}

pub(crate) async fn a_session_is_renewed_by_one_at_a_time(store: Arc<dyn Store>) {
    let (ann, bob) = (Holder([1; 16]), Holder([2; 16]));
    let long = Duration::from_mins(1);
    assert_eq!(store.lease(key(1), ann, long).await, Ok(true));
    assert_eq!(store.lease(key(1), bob, long).await, Ok(false));
    assert_eq!(store.lease(key(1), ann, long).await, Ok(true), "who has it keeps it");
    assert_eq!(store.lease(key(2), bob, long).await, Ok(true), "another session");
    store.release(key(1), bob).await.expect("no matter");
    assert_eq!(store.lease(key(1), bob, long).await, Ok(false), "nobody gives back what others have");
    store.release(key(1), ann).await.expect("given back");
    assert_eq!(store.lease(key(1), bob, Duration::from_millis(1)).await, Ok(true));
    while store.lease(key(1), ann, long).await == Ok(false) {
        // It ends with its time.
        tokio::task::yield_now().await;
    }
    assert_eq!(store.count().await, Ok(0), "a right is no session");
}

pub(crate) async fn of_many_who_want_to_renew_one_may(store: Arc<dyn Store>) {
    let tries = join_all((0..32_u8).map(|n| store.lease(key(1), Holder([n; 16]), Duration::from_mins(1)))).await;
    assert_eq!(tries.iter().filter(|may| **may == Ok(true)).count(), 1);
    assert_eq!(tries.iter().filter(|may| **may == Ok(false)).count(), 31);
}

pub(crate) async fn sweeping_takes_what_is_over_and_nothing_else(store: Arc<dyn Store>) {
    for n in 1..=10 {
        store.create(key(n), row(vec![1], at(n * 10))).await.expect("created");
    }
    assert_eq!(store.sweep(at(40)).await, Ok(4));
    assert_eq!(store.count().await, Ok(6));
    assert_eq!(store.load(key(4), at(0)).await, Ok(None));
    assert_eq!(found(&store, 5).await.until, at(50));
    assert_eq!(store.sweep(at(40)).await, Ok(0));
}

pub(crate) async fn sweeping_goes_by_the_last_touch(store: Arc<dyn Store>) {
    store.create(key(1), row(vec![1], at(10))).await.expect("created");
    store.touch(vec![(key(1), at(50))]).await.expect("touched");
    assert_eq!(store.sweep(at(49)).await, Ok(0));
    assert_eq!(store.sweep(at(50)).await, Ok(1));
    assert_eq!(store.count().await, Ok(0));
}

pub(crate) async fn sweeping_takes_more_than_one_batch(store: Arc<dyn Store>) {
    join_all((0..1_300).map(|n| store.create(key(n), row(vec![1], at(10))))).await;
    join_all((1_300..1_310).map(|n| store.create(key(n), row(vec![1], at(20))))).await;
    assert_eq!(store.sweep(at(10)).await, Ok(1_300));
    assert_eq!(store.count().await, Ok(10));
}

pub(crate) async fn many_at_once_are_all_there(store: Arc<dyn Store>) {
    let creates = (0..500).map(|n| {
        let store = Arc::clone(&store);
        async move {
            store.create(key(n), row(n.to_be_bytes().to_vec(), at(100))).await.expect("created");
            // Durable and to be seen as soon as the call has answered.
            assert_eq!(found(&store, n).await.row, n.to_be_bytes());
        }
    });
    join_all(creates).await;
    assert_eq!(store.count().await, Ok(500));
}

pub(crate) async fn of_many_replacers_one_wins(store: Arc<dyn Store>) {
    store.create(key(1), row(b"one".to_vec(), at(100))).await.expect("created");
    let tries = join_all((0..32_u8).map(|n| store.replace(key(1), vec![n], Revision(1)))).await;
    let won: Vec<usize> = (0..32).filter(|n| matches!(tries[*n], Ok(Replaced::Done(_)))).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(usize::from(found(&store, 1).await.row[0]), won[0]);
    assert_eq!(tries.iter().filter(|result| **result == Ok(Replaced::Superseded)).count(), 31);
}

pub(crate) async fn an_ended_session_never_comes_back(store: Arc<dyn Store>) {
    for n in 0..50 {
        store.create(key(n), row(b"one".to_vec(), at(100))).await.expect("created");
    }
    let races = (0..50).map(|n| {
        let store = &store;
        async move {
            let end = async {
                assert_eq!(store.remove(key(n), END).await, Ok(true));
                assert_eq!(store.load(key(n), at(0)).await, Ok(None));
            };
            let renew = async { while let Ok(Replaced::Done(_)) = renew(store, n).await {} };
            let touch = store.touch(vec![(key(n), at(200))]);
            let (renewed, touched, ended) = tokio::join!(renew, touch, end);
            let (): () = renewed;
            let (): () = ended;
            touched.expect("touched");
            assert_eq!(store.load(key(n), at(0)).await, Ok(None));
        }
    });
    join_all(races).await;
    assert_eq!(store.count().await, Ok(0));
}

/// Well after whatever happens here.
const END: UnixTime = UnixTime::from_secs(10_000);

fn row(row: Vec<u8>, until: UnixTime) -> NewRow {
    NewRow { row, until, ends_at: END, tags: Vec::new() }
}

fn tagged(tags: &[u8], until: UnixTime) -> NewRow {
    NewRow { tags: tags.iter().map(|tag| Tag::from_bytes([*tag; 16])).collect(), ..row(vec![1], until) }
}

async fn by_tag(store: &Arc<dyn Store>, tag: u8) -> Vec<StoreKey> {
    sorted(store.tagged(Tag::from_bytes([tag; 16])).await.expect("found"))
}

async fn on_all_pages(store: &Arc<dyn Store>) -> Vec<StoreKey> {
    let (mut keys, mut next) = (Vec::new(), Some(Cursor::START));
    while let Some(after) = next {
        let page = store.page(after).await.expect("a page");
        keys.extend(page.keys);
        next = page.next;
    }
    let mut keys = sorted(keys);
    keys.dedup();
    keys
}

fn sorted(mut keys: Vec<StoreKey>) -> Vec<StoreKey> {
    keys.sort_by_key(|key| *key.as_bytes());
    keys
}

async fn renew(store: &Arc<dyn Store>, n: u64) -> Result<Replaced, StoreError> {
    match store.load(key(n), at(0)).await? {
        Some(row) => store.replace(key(n), b"again".to_vec(), row.revision).await,
        None => Ok(Replaced::Gone),
    }
}

async fn found(store: &Arc<dyn Store>, n: u64) -> StoredRow {
    store.load(key(n), at(0)).await.expect("loaded").expect("there")
}

fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 32];
    // Spread, as hashes are.
    bytes[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}
