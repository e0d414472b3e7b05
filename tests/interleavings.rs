//! Two replicas on a store in which every step of everything is taken in another order with each seed: who has signed out is
//! not let in where that is known, nobody sees what was there before a renewal, and no refresh token is used twice. What
//! fails, fails again with its seed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use countersign::clock::{Clock, TestClock, UnixTime};
use countersign::config::SessionSettings;
use countersign::entropy::Entropy;
use countersign::identity::{Groups, Identity, ProviderId, ProviderTokens, Subject, UserId};
use countersign::seal::SessionKeys;
use countersign::secret::{SecretBytes, SecretText};
use countersign::session::{
    Cursor, Holder, NewRow, NewSession, Page, Replaced, Revision, SessionCookie, Sessions, Store, StoreError, StoreKey,
    StoredRow, Tag, Told,
};

const SEEDS: u64 = 4_000;
const START: UnixTime = UnixTime::from_secs(1_800_000_000);
const HERE: usize = 0;
const REPLICAS: usize = 2;

#[tokio::test(start_paused = true)]
async fn whatever_comes_first_what_is_known_holds() {
    let (mut denied, mut allowed, mut renewed) = (0, 0, 0);
    for seed in 0..SEEDS {
        let seen = run(seed);
        denied += seen.denied;
        allowed += seen.allowed;
        renewed += seen.used.len();
    }
    eprintln!("{SEEDS} orders: {allowed} checks allowed, {denied} denied, {renewed} refresh tokens used, none twice");
    // Each way was gone, and not by chance.
    assert!(denied > 1_000 && allowed > 1_000 && renewed > 1_000);
}

/// One order of everything.
fn run(seed: u64) -> Seen {
    let dice = Arc::new(Dice(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)));
    let world = Arc::new(Mutex::new(World::default()));
    let clock = Arc::new(TestClock::at(START));
    let house: Vec<Sessions> = (0..REPLICAS).map(|place| replica(place, &world, &dice, &clock)).collect();

    let mut watching: Vec<Task<'_>> = Vec::new();
    for sessions in &house {
        watching.push(Box::pin(async { sessions.keep_true().await }));
    }
    for task in &mut watching {
        assert!(poll(task).is_pending());
    }
    let created = house[HERE].create(brought("r0", START));
    let (value, _) = alone(Box::pin(created)).expect("created");
    let cookie = house[HERE].prove(&value).expect("ours");

    let (world, dice, house, cookie) = (&world, &dice, &house, &cookie);
    let mut acting: Vec<Task<'_>> = Vec::new();
    for (place, sessions) in house.iter().enumerate() {
        for _ in 0..2 {
            acting.push(Box::pin(async move {
                for _ in 0..3 {
                    check(world, sessions, place, cookie).await;
                    dice.step().await;
                }
            }));
        }
        acting.push(Box::pin(renew(world, dice, sessions, place, cookie)));
    }
    if dice.throw(4) > 0 {
        let place = dice.throw(REPLICAS);
        acting.push(Box::pin(async move {
            dice.steps(12).await;
            house[place].end(cookie.key).await.expect("ended");
        }));
    }
    if dice.throw(2) > 0 {
        let place = dice.throw(REPLICAS);
        acting.push(Box::pin(async move {
            dice.steps(12).await;
            lock(world).lines[place].cut();
            dice.steps(6).await;
            lock(world).lines[place].events.push_back(Event::Lost);
            dice.steps(6).await;
            let mut world = lock(world);
            world.lines[place].is_told = true;
            world.lines[place].events.push_back(Event::Tracked);
        }));
    }
    let mut steps = 0;
    while !acting.is_empty() {
        steps += 1;
        assert!(steps < 20_000, "seed {seed}: it does not end");
        let next = dice.throw(acting.len() + watching.len());
        if let Some(task) = next.checked_sub(acting.len()) {
            assert!(poll(&mut watching[task]).is_pending());
        } else if poll(&mut acting[next]).is_ready() {
            drop(acting.swap_remove(next));
        }
        let wrong = std::mem::take(&mut lock(world).wrong);
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
    }
    std::mem::take(&mut lock(world).seen)
}

/// A check, in memory first as doors do it; what it says is compared with what was known when it began.
async fn check(world: &Mutex<World>, sessions: &Sessions, place: usize, cookie: &SessionCookie) {
    let known = lock(world).known(place);
    let found = match sessions.cached(cookie.key, START) {
        Some(live) => Some(live),
        None => sessions.find(cookie).await.expect("the store is there"),
    };
    let mut world = lock(world);
    let Some(live) = found else {
        world.seen.denied += 1;
        // Nobody loses a session that nobody ended.
        if world.tombs.is_empty() && world.ended_at == [false; REPLICAS] {
            world.wrong.push("a session was lost".into());
        }
        return;
    };
    world.seen.allowed += 1;
    if known.ended {
        world.wrong.push(format!("replica {place} let somebody in who had signed out"));
    }
    if live.revision.0 < known.revision {
        world.wrong.push(format!("replica {place} knew {:?} and said {:?}", known.revision, live.revision));
    }
}

/// A renewal as `refresh` does it: alone, and by what the store has then.
async fn renew(world: &Mutex<World>, dice: &Dice, sessions: &Sessions, place: usize, cookie: &SessionCookie) {
    dice.steps(8).await;
    let work = async {
        let Some(live) = sessions.read(cookie).await.expect("the store is there") else { return };
        if live.session.renew_at > START {
            return;
        }
        let tokens = sessions.tokens(cookie, &live).expect("its own");
        let token = tokens.refresh_token.expect("one").expose().to_owned();
        dice.steps(4).await;
        {
            let mut world = lock(world);
            if !world.seen.used.insert(token.clone()) {
                world.wrong.push(format!("{token} was used twice"));
            }
        }
        let new = brought("r1", START.plus(Duration::from_hours(1)));
        if let Replaced::Done(revision) = sessions.renew(cookie, &live, new).await.expect("the store is there") {
            lock(world).known[place].revision = revision.0;
        }
    };
    sessions.alone(cookie.key, Box::pin(work)).await.expect("the store is there");
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The store, its lines to the replicas, and what is known where.
#[derive(Default)]
struct World {
    rows: HashMap<StoreKey, StoredRow>,
    tombs: HashSet<StoreKey>,
    leases: HashMap<StoreKey, Holder>,
    lines: [Line; REPLICAS],
    /// Where somebody has asked to be signed out.
    ended_at: [bool; REPLICAS],
    known: [Known; REPLICAS],
    wrong: Vec<String>,
    seen: Seen,
}

/// How one replica is told of changes.
#[derive(Default)]
struct Line {
    is_told: bool,
    events: VecDeque<Event>,
}

#[derive(Clone, Copy)]
enum Event {
    Changed(StoreKey),
    Lost,
    Tracked,
}

/// What a replica must not fall behind.
#[derive(Clone, Copy, Default)]
struct Known {
    ended: bool,
    revision: u64,
}

#[derive(Default)]
struct Seen {
    allowed: u32,
    denied: u32,
    used: HashSet<String>,
}

impl World {
    fn known(&self, place: usize) -> Known {
        let known = self.known[place];
        Known { ended: known.ended || self.ended_at[place], ..known }
    }

    fn tell_all(&mut self, key: StoreKey) {
        for line in self.lines.iter_mut().filter(|line| line.is_told) {
            line.events.push_back(Event::Changed(key));
        }
    }

    /// From now on this replica has heard of all that is in the store.
    fn knows_all(&mut self, place: usize) {
        let revision = self.rows.values().map(|row| row.revision.0).max().unwrap_or_default();
        self.known[place] = Known { ended: !self.tombs.is_empty(), revision };
    }
}

impl Line {
    /// What was on its way is lost.
    fn cut(&mut self) {
        self.is_told = false;
        self.events.clear();
    }
}

/// The store as one replica sees it: each call takes some steps before it does what it does, and some after.
struct Simulated {
    place: usize,
    world: Arc<Mutex<World>>,
    dice: Arc<Dice>,
}

impl Simulated {
    /// Tells the next thing there is to tell.
    fn tell(&self, told: &dyn Told) {
        let event = lock(&self.world).lines[self.place].events.pop_front();
        match event {
            Some(Event::Changed(key)) => told.changed(key),
            Some(Event::Lost) => told.lost(),
            Some(Event::Tracked) => told.tracked(),
            None => return,
        }
        let mut world = lock(&self.world);
        // A change may be followed by others; a loss, and a beginning, are news of all there were.
        if !matches!(event, Some(Event::Changed(_))) || world.lines[self.place].events.is_empty() {
            world.knows_all(self.place);
        }
    }

    async fn at_once<T>(&self, act: impl FnOnce(&mut World) -> T + Send) -> Result<T, StoreError> {
        self.dice.steps(4).await;
        let done = act(&mut lock(&self.world));
        self.dice.steps(4).await;
        Ok(done)
    }
}

#[async_trait]
impl Store for Simulated {
    async fn create(&self, key: StoreKey, new: NewRow) -> Result<(), StoreError> {
        self.at_once(|world| {
            world.rows.insert(key, StoredRow { row: new.row, revision: Revision::FIRST, until: new.until });
            world.tell_all(key);
        })
        .await
    }

    async fn load(&self, key: StoreKey, _: UnixTime) -> Result<Option<StoredRow>, StoreError> {
        self.at_once(|world| world.rows.get(&key).cloned()).await
    }

    async fn replace(&self, key: StoreKey, row: Vec<u8>, expected: Revision) -> Result<Replaced, StoreError> {
        self.at_once(|world| {
            let Some(held) = world.rows.get_mut(&key) else { return Replaced::Gone };
            if held.revision != expected {
                return Replaced::Superseded;
            }
            held.revision = Revision(expected.0 + 1);
            held.row = row;
            world.tell_all(key);
            Replaced::Done(Revision(expected.0 + 1))
        })
        .await
    }

    async fn touch(&self, _: Vec<(StoreKey, UnixTime)>) -> Result<(), StoreError> {
        self.at_once(|_| ()).await
    }

    async fn remove(&self, key: StoreKey, _: UnixTime) -> Result<bool, StoreError> {
        // Whoever asks for the end of a session is believed at once, there.
        lock(&self.world).ended_at[self.place] = true;
        self.at_once(|world| {
            world.tombs.insert(key);
            world.tell_all(key);
            world.rows.remove(&key).is_some()
        })
        .await
    }

    async fn tagged(&self, _: Tag) -> Result<Vec<StoreKey>, StoreError> {
        self.at_once(|world| world.rows.keys().copied().collect()).await
    }

    async fn burn(&self, _: [u8; 16], _: UnixTime) -> Result<bool, StoreError> {
        self.at_once(|_| true).await
    }

    async fn is_burnt(&self, _: [u8; 16]) -> Result<bool, StoreError> {
        self.at_once(|_| false).await
    }

    async fn lease(&self, key: StoreKey, holder: Holder, _: Duration) -> Result<bool, StoreError> {
        self.at_once(|world| *world.leases.entry(key).or_insert(holder) == holder).await
    }

    async fn release(&self, key: StoreKey, holder: Holder) -> Result<(), StoreError> {
        self.at_once(|world| world.leases.retain(|leased, by| (*leased, *by) != (key, holder))).await
    }

    async fn sweep(&self, _: UnixTime) -> Result<u64, StoreError> {
        self.at_once(|_| 0).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.at_once(|world| world.rows.len() as u64).await
    }

    async fn page(&self, _: Cursor) -> Result<Page, StoreError> {
        self.at_once(|world| Page { keys: world.rows.keys().copied().collect(), next: None }).await
    }

    async fn watch(&self, told: &dyn Told) {
        lock(&self.world).lines[self.place].is_told = true;
        told.tracked();
        loop {
            self.tell(told);
            self.dice.step().await;
        }
    }
}

/// Randomness that is the same for the same seed (xorshift64*).
struct Dice(Mutex<u64>);

impl Dice {
    fn next(&self) -> u64 {
        let mut state = lock(&self.0);
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One of so many.
    fn throw(&self, sides: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % sides
    }

    /// Lets others go first.
    async fn step(&self) {
        let mut is_polled = false;
        poll_fn(|_| if std::mem::replace(&mut is_polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Lets others go first up to so often.
    async fn steps(&self, most: usize) {
        for _ in 0..self.throw(most) {
            self.step().await;
        }
    }
}

impl Entropy for Dice {
    fn fill(&self, target: &mut [u8]) {
        target.fill_with(|| self.next().to_be_bytes()[0]);
    }
}

fn replica(place: usize, world: &Arc<Mutex<World>>, dice: &Arc<Dice>, clock: &Arc<TestClock>) -> Sessions {
    let keys = Arc::new(SessionKeys::new(vec![SecretBytes::new([1; 32])]).expect("keys"));
    let settings = SessionSettings {
        max_age: Duration::from_hours(24),
        idle: Duration::from_hours(8),
        renew_every: Duration::from_mins(15),
        keys: Vec::new(),
        redis: None,
    };
    let store = Arc::new(Simulated { place, world: Arc::clone(world), dice: Arc::clone(dice) });
    Sessions::new(store, keys, Arc::clone(clock) as Arc<dyn Clock>, Arc::clone(dice) as Arc<dyn Entropy>, &settings)
}

fn brought(refresh_token: &str, renew_at: UnixTime) -> NewSession {
    let identity = Identity {
        provider: ProviderId::parse("dex").expect("an id"),
        subject: Subject::parse("ann").expect("a subject"),
        user: UserId::parse("ann").expect("a user"),
        email: None,
        groups: Groups::new([]).expect("none"),
        auth_time: None,
        acr: None,
        amr: Vec::new(),
    };
    let secret = |text: &str| SecretText::new(text.to_owned());
    let tokens = ProviderTokens {
        id_token: secret("id"),
        access_token: secret("access"),
        refresh_token: Some(secret(refresh_token)),
    };
    NewSession { identity, tokens, provider_sid: None, renew_at }
}

fn poll(task: &mut Task<'_>) -> Poll<()> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Takes all steps of something while nothing else takes any.
fn alone<T>(mut task: Pin<Box<dyn Future<Output = T> + '_>>) -> T {
    loop {
        if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panicked")
}
