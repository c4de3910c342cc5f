//! What asking and filling the set of revocations costs, against one moka entry a token and a locked map.

mod support;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use doorward::clock::{self, UnixTime};
use doorward::revocation::{Id, Identity, Revocation, Set};
use moka::Expiry;
use moka::sync::Cache;

use support::crowd::{self, MILLION, STRANGERS};
use support::mode::Mode;
use support::stopwatch::on_two_threads;

/// How many different tokens are asked about; more than a processor's caches hold of the sets.
const ASKED: u64 = 1 << 16;

/// How many an empty structure is given when filling is measured.
const FILLED: u64 = 100_000;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let now = clock::now();
    ask(&mut criterion, Mode::from_arguments().rows(MILLION), now);
    fill(&mut criterion, now);
    criterion.final_summary();
}

/// Something that remembers dead tokens.
trait Memory: Default + Sync {
    const NAME: &str;

    fn insert(&self, revocation: &Revocation, now: UnixTime);

    fn covers(&self, token: &Identity) -> bool;
}

impl Memory for Set {
    const NAME: &str = "doorward";

    fn insert(&self, revocation: &Revocation, now: UnixTime) {
        self.insert(revocation, now);
    }

    fn covers(&self, token: &Identity) -> bool {
        self.covers(token).is_some()
    }
}

/// One moka entry a token: the rival that is one line shorter.
struct PerToken(Cache<Id, UnixTime, foldhash::fast::RandomState>);

/// Ends every entry when its token ends.
struct EndOfToken(UnixTime);

impl Expiry<Id, UnixTime> for EndOfToken {
    fn expire_after_create(&self, _: &Id, until: &UnixTime, _: Instant) -> Option<Duration> {
        Some(until.since(self.0))
    }
}

impl Default for PerToken {
    fn default() -> Self {
        let builder = Cache::builder().expire_after(EndOfToken(clock::now()));
        Self(builder.build_with_hasher(foldhash::fast::RandomState::default()))
    }
}

impl Memory for PerToken {
    const NAME: &str = "rival: moka per token";

    fn insert(&self, revocation: &Revocation, _: UnixTime) {
        if let Revocation::Token { id, until, .. } = revocation {
            self.0.insert(*id, *until);
        }
    }

    fn covers(&self, token: &Identity) -> bool {
        self.0.contains_key(&token.id)
    }
}

/// One map behind one lock, as the standard library has them. It forgets nothing, ever.
#[derive(Default)]
struct LockedMap(RwLock<HashMap<Id, UnixTime>>);

impl Memory for LockedMap {
    const NAME: &str = "rival: RwLock<HashMap>";

    fn insert(&self, revocation: &Revocation, _: UnixTime) {
        if let Revocation::Token { id, until, .. } = revocation {
            self.0.write().expect("nobody panics").insert(*id, *until);
        }
    }

    fn covers(&self, token: &Identity) -> bool {
        self.0
            .read()
            .expect("nobody panics")
            .contains_key(&token.id)
    }
}

/// A million revocations over seven days; dead and living tokens, from one thread and from two.
fn ask(criterion: &mut Criterion, rows: u64, now: UnixTime) {
    let dead: Vec<Identity> = crowd::scattered(ASKED, rows)
        .map(|number| crowd::identity(number, now))
        .collect();
    let living: Vec<Identity> = (STRANGERS..STRANGERS + ASKED)
        .map(|number| crowd::identity(number, now))
        .collect();
    let mut group = criterion.benchmark_group("set/1M");
    ask_one::<Set>(&mut group, rows, [&dead, &living], now);
    ask_one::<PerToken>(&mut group, rows, [&dead, &living], now);
    ask_one::<LockedMap>(&mut group, rows, [&dead, &living], now);
    group.finish();
}

fn ask_one<M: Memory>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    rows: u64,
    [dead, living]: [&[Identity]; 2],
    now: UnixTime,
) {
    let memory = M::default();
    for number in 0..rows {
        memory.insert(&crowd::token(number, now), now);
    }
    assert!(
        dead.iter().all(|token| memory.covers(token)),
        "none is lost"
    );
    assert!(
        !living.iter().any(|token| memory.covers(token)),
        "none is made up"
    );
    for (answer, tokens) in [("miss", living), ("hit", dead)] {
        let mut turns = tokens.iter().cycle();
        group.bench_function(format!("{answer}/{}", M::NAME), |bencher| {
            bencher.iter(|| turns.next().map(|token| black_box(memory.covers(token))));
        });
        group.bench_function(format!("{answer}, two threads/{}", M::NAME), |bencher| {
            bencher.iter_custom(|times| {
                on_two_threads(times, |thread, turn| {
                    let turn = usize::try_from(turn).unwrap_or_default();
                    let place = (turn + thread * tokens.len() / 2) % tokens.len();
                    black_box(memory.covers(&tokens[place]));
                })
            });
        });
    }
}

/// From nothing to a hundred thousand; what is measured is one of them.
fn fill(criterion: &mut Criterion, now: UnixTime) {
    let revocations: Vec<Revocation> = (0..FILLED)
        .map(|number| crowd::token(number, now))
        .collect();
    let mut group = criterion.benchmark_group("set/insert 100k");
    group.throughput(Throughput::Elements(FILLED));
    group.sample_size(10);
    fill_one::<Set>(&mut group, &revocations, now);
    fill_one::<PerToken>(&mut group, &revocations, now);
    fill_one::<LockedMap>(&mut group, &revocations, now);
    group.finish();
}

fn fill_one<M: Memory>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    revocations: &[Revocation],
    now: UnixTime,
) {
    group.bench_function(M::NAME, |bencher| {
        bencher.iter_batched_ref(
            M::default,
            |memory| revocations.iter().for_each(|one| memory.insert(one, now)),
            BatchSize::PerIteration,
        );
    });
}
