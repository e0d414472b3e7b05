//! Two replicas on a store in which every step of everything is taken in another order with each seed, the store's going away
//! and coming back among them: who has signed out is not let in where that is known, nor by grace for longer than it lasts;
//! nobody sees what was there before a renewal, and no refresh token is used twice. What fails, fails again with its seed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use countersign::clock::{Clock, TestClock, UnixTime};
use countersign::config::{RedisMode, RedisSettings, SessionSettings};
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
const SECOND: Duration = Duration::from_secs(1);
/// In half of all orders; none in the others.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn whatever_comes_first_what_is_known_holds() {
    let mut all = Seen::default();
    let mut renewed = 0;
    for seed in 0..SEEDS {
        let seen = run(seed);
        all.denied += seen.denied;
        all.allowed += seen.allowed;
        all.unanswered += seen.unanswered;
        all.by_grace += seen.by_grace;
        all.late += seen.late;
        all.over += seen.over;
        renewed += seen.used.len();
    }
    let Seen { denied, allowed, unanswered, by_grace, late, over, .. } = all;
    eprintln!(
        "{SEEDS} orders: {allowed} checks allowed, of which {by_grace} by grace ({late} of somebody who had signed out \
         elsewhere), {denied} denied, {unanswered} not answered ({over} because grace was over), {renewed} refresh tokens used"
    );
    // Each way was gone, and not by chance.
    assert!(denied > 1_000 && allowed > 1_000 && unanswered > 1_000 && renewed > 1_000);
    assert!(by_grace > 500 && late > 50 && over > 50);
}

/// One order of everything.
fn run(seed: u64) -> Seen {
    let dice = Arc::new(Dice(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)));
    let grace = if dice.throw(2) > 0 { GRACE } else { Duration::ZERO };
    let world = Arc::new(Mutex::new(World { grace, ..World::default() }));
    let clock = Arc::new(TestClock::at(START));
    let house: Vec<Sessions> = (0..REPLICAS).map(|place| replica(place, &world, &dice, &clock, grace)).collect();

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

    let (world, dice, clock, house, cookie) = (&world, &dice, &clock, &house, &cookie);
    let mut acting: Vec<Task<'_>> = Vec::new();
    for (place, sessions) in house.iter().enumerate() {
        for _ in 0..2 {
            acting.push(Box::pin(async move {
                for _ in 0..8 {
                    check(world, clock, sessions, place, cookie).await;
                    dice.steps(6).await;
                }
            }));
        }
        acting.push(Box::pin(renew(world, dice, sessions, place, cookie)));
    }
    if dice.throw(4) > 0 {
        let place = dice.throw(REPLICAS);
        acting.push(Box::pin(async move {
            dice.steps(12).await;
            // Whoever is told that it could not be confirmed may ask again.
            for _ in 0..3 {
                if house[place].end(cookie.key).await.is_ok() {
                    break;
                }
                dice.steps(4).await;
            }
        }));
    }
    for place in 0..REPLICAS {
        // Nothing, its line once or twice, or all there is.
        let (lines, stores) = [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1)][dice.throw(5)];
        for _ in 0..lines {
            acting.push(Box::pin(lose_line(world, dice, place)));
        }
        for _ in 0..stores {
            acting.push(Box::pin(lose_store(world, dice, place)));
        }
    }
    acting.push(Box::pin(async move {
        for _ in 0..6 {
            dice.steps(12).await;
            clock.advance(SECOND);
        }
    }));
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
async fn check(world: &Mutex<World>, clock: &TestClock, sessions: &Sessions, place: usize, cookie: &SessionCookie) {
    let now = clock.now();
    let (before, known, in_store) = {
        let world = lock(world);
        (world.replicas[place], world.known(place, now), world.all())
    };
    let found = match sessions.cached(cookie.key, now) {
        Some(live) => Ok(Some(live)),
        None => sessions.find(cookie).await,
    };
    let mut world = lock(world);
    // Without its line it asks, unless the store was silent in this very second.
    let is_asked = before.failed_at != Some(now) && world.replicas[place].failures == before.failures;
    let by_grace = before.lost_at.is_some() && !is_asked;
    let known = if before.lost_at.is_some() && is_asked { known.and(in_store) } else { known };
    let live = match found {
        Ok(Some(live)) => live,
        Ok(None) => {
            world.seen.denied += 1;
            // Nobody loses a session that nobody ended.
            if world.tombs.is_empty() && world.replicas.iter().all(|replica| !replica.is_asked_to_end) {
                world.wrong.push("a session was lost".into());
            }
            return;
        }
        Err(_) => {
            world.seen.unanswered += 1;
            if world.is_over(place, now) && !world.grace.is_zero() {
                world.seen.over += 1;
            }
            if is_asked {
                world.wrong.push("the store was there".into());
            }
            return;
        }
    };
    world.seen.allowed += 1;
    world.seen.by_grace += u32::from(by_grace);
    world.seen.late += u32::from(by_grace && in_store.ended);
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
        let Ok(Some(live)) = sessions.read(cookie).await else { return };
        if live.session.renew_at > START {
            return;
        }
        let tokens = sessions.tokens(cookie, &live).expect("its own");
        let token = tokens.refresh_token.expect("one").expose().to_owned();
        dice.steps(4).await;
        {
            let mut world = lock(world);
            // What could not be written costs this renewal.
            if !world.seen.used.insert(token.clone()) && !world.is_renewal_lost {
                world.wrong.push(format!("{token} was used twice"));
            }
        }
        let new = brought("r1", START.plus(Duration::from_hours(1)));
        match sessions.renew(cookie, &live, new).await {
            Ok(Replaced::Done(revision)) => lock(world).replicas[place].known.revision = revision.0,
            Ok(_) => {}
            Err(_) => lock(world).is_renewal_lost = true,
        }
    };
    // Without the store nobody knows whose turn it is.
    drop(sessions.alone(cookie.key, Box::pin(work)).await);
}

/// A replica is no longer told of changes; some time later it knows that, and some time later it is told again.
async fn lose_line(world: &Mutex<World>, dice: &Dice, place: usize) {
    dice.steps(24).await;
    lock(world).lines[place].cut();
    dice.steps(6).await;
    lock(world).lines[place].events.push_back(Event::Lost);
    dice.steps(40).await;
    let mut world = lock(world);
    world.lines[place].is_told = true;
    world.lines[place].events.push_back(Event::Tracked);
}

/// A replica cannot ask the store for some time.
async fn lose_store(world: &Mutex<World>, dice: &Dice, place: usize) {
    dice.steps(24).await;
    lock(world).replicas[place].is_cut_off = true;
    dice.steps(60).await;
    lock(world).replicas[place].is_cut_off = false;
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The store, its lines to the replicas, and what is known where.
#[derive(Default)]
struct World {
    rows: HashMap<StoreKey, StoredRow>,
    tombs: HashSet<StoreKey>,
    leases: HashMap<StoreKey, Holder>,
    lines: [Line; REPLICAS],
    replicas: [Replica; REPLICAS],
    grace: Duration,
    /// A renewal may have been made that the store has not heard of.
    is_renewal_lost: bool,
    wrong: Vec<String>,
    seen: Seen,
}

/// How one replica stands to the store.
#[derive(Clone, Copy, Default)]
struct Replica {
    known: Known,
    /// Somebody has asked to be signed out there.
    is_asked_to_end: bool,
    /// When it was told that it is no longer told of changes.
    lost_at: Option<UnixTime>,
    /// It cannot ask.
    is_cut_off: bool,
    /// How often it has asked in vain, and when it last has.
    failures: u32,
    failed_at: Option<UnixTime>,
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
    /// Of those: without the store.
    by_grace: u32,
    /// Of those: though they had signed out elsewhere.
    late: u32,
    denied: u32,
    unanswered: u32,
    /// Of those: because grace was over.
    over: u32,
    used: HashSet<String>,
}

impl Known {
    fn and(self, other: Self) -> Self {
        Self { ended: self.ended || other.ended, revision: self.revision.max(other.revision) }
    }
}

impl World {
    /// What this replica must not fall behind.
    fn known(&self, place: usize, now: UnixTime) -> Known {
        let Replica { known, is_asked_to_end, .. } = self.replicas[place];
        let known = known.and(Known { ended: is_asked_to_end, revision: 0 });
        if self.is_over(place, now) { known.and(self.all()) } else { known }
    }

    /// Whether it is without its line for longer than grace lasts.
    fn is_over(&self, place: usize, now: UnixTime) -> bool {
        self.replicas[place].lost_at.is_some_and(|lost_at| now.since(lost_at) >= self.grace)
    }

    /// All there is to know.
    fn all(&self) -> Known {
        let revision = self.rows.values().map(|row| row.revision.0).max().unwrap_or_default();
        Known { ended: !self.tombs.is_empty(), revision }
    }

    fn tell_all(&mut self, key: StoreKey) {
        for line in self.lines.iter_mut().filter(|line| line.is_told) {
            line.events.push_back(Event::Changed(key));
        }
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
    clock: Arc<TestClock>,
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
        match event {
            // It begins to count with the first of several losses.
            Some(Event::Lost) => {
                world.replicas[self.place].lost_at.get_or_insert(self.clock.now());
                return;
            }
            Some(Event::Tracked) => world.replicas[self.place].lost_at = None,
            // A change may be followed by others.
            _ if !world.lines[self.place].events.is_empty() => return,
            _ => {}
        }
        // From now on this replica has heard of all that is in the store.
        world.replicas[self.place].known = world.all();
    }

    async fn at_once<T>(&self, act: impl FnOnce(&mut World) -> T + Send) -> Result<T, StoreError> {
        self.dice.steps(4).await;
        self.reach()?;
        let done = act(&mut lock(&self.world));
        self.dice.steps(4).await;
        // It may have been done all the same.
        self.reach()?;
        Ok(done)
    }

    fn reach(&self) -> Result<(), StoreError> {
        let replica = &mut lock(&self.world).replicas[self.place];
        if !replica.is_cut_off {
            return Ok(());
        }
        replica.failures += 1;
        replica.failed_at = Some(self.clock.now());
        Err(StoreError::Unavailable { reason: "it is away".into() })
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
        lock(&self.world).replicas[self.place].is_asked_to_end = true;
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

fn replica(
    place: usize,
    world: &Arc<Mutex<World>>,
    dice: &Arc<Dice>,
    clock: &Arc<TestClock>,
    grace: Duration,
) -> Sessions {
    let keys = Arc::new(SessionKeys::new(vec![SecretBytes::new([1; 32])]).expect("keys"));
    let settings = SessionSettings {
        max_age: Duration::from_hours(24),
        idle: Duration::from_hours(8),
        renew_every: Duration::from_mins(15),
        keys: Vec::new(),
        redis: Some(RedisSettings {
            mode: RedisMode::Standalone,
            urls: Vec::new(),
            username: None,
            password: None,
            ca: None,
            grace,
        }),
    };
    let store =
        Arc::new(Simulated { place, world: Arc::clone(world), dice: Arc::clone(dice), clock: Arc::clone(clock) });
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
