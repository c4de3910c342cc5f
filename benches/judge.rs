//! What judging one request costs, against verifying its token each time.

mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion};
use doorward::clock::{self, UnixTime};
use doorward::request::Gate;
use doorward::revocation::{Revocation, Revocations};
use http::request::Parts;

use support::crowd::{self, MILLION};
use support::mint::Mint;
use support::mode::Mode;
use support::naive::Naive;
use support::stopwatch::{on_two_threads, timed};
use support::storefront::{
    DEAD_OPAQUE, OPAQUE, gate, gate_of_cookies, log_out, logout, order, passes, passes_with_body,
    visit, visit_with_cookies,
};

/// The tokens of a round in which none is known yet.
const ROUND: u64 = 1024;

/// The customers who are logged in while others are measured; a processor's caches do not hold them.
const LOGGED_IN: u64 = 10_000;

/// The number of the first of them. Those below have a part of their own.
const FIRST: u64 = 1000;

/// How many requests came just now.
const AT_HAND: BatchSize = BatchSize::NumIterations(16);

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let now = clock::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let revocations = Crowds::open(folder.path(), Mode::from_arguments().rows(MILLION), now);
    warm(&mut criterion, &revocations, now);
    cold(&mut criterion, &revocations.million, now);
    criterion.final_summary();
}

/// The journals behind the gates.
struct Crowds {
    /// Nobody ever logged out.
    empty: Arc<Revocations>,
    /// A million tokens are dead.
    million: Arc<Revocations>,
    /// A million tokens are dead and a million customers cut off.
    customers: Arc<Revocations>,
}

impl Crowds {
    fn open(folder: &Path, rows: u64, now: UnixTime) -> Self {
        let dead = || (0..rows).map(|number| crowd::token(number, now));
        let cut_off = || (0..rows).map(|number| crowd::cutoff(number, now));
        let open = |name: &str, rows: &mut dyn Iterator<Item = Revocation>| {
            let folder = folder.join(name);
            crowd::write_journal(&folder, rows);
            Arc::new(Revocations::open(&folder).expect("what was written is read"))
        };
        Self {
            empty: open("empty", &mut std::iter::empty()),
            million: open("million", &mut dead()),
            customers: open("customers", &mut dead().chain(cut_off())),
        }
    }
}

/// Tokens that were seen before.
fn warm(criterion: &mut Criterion, revocations: &Crowds, now: UnixTime) {
    let mint = Mint::new("HS256");
    let token = mint.token(1, now);
    let head = visit(&token);
    let mut group = criterion.benchmark_group("judge/warm");
    let gates = [
        ("empty set", &revocations.empty),
        ("1M revoked", &revocations.million),
        ("1M revoked, 1M customers", &revocations.customers),
    ];
    for (name, revocations) in gates {
        let gate = gate(&mint, revocations);
        assert!(passes(&gate, &head, now), "a customer who is logged in");
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(passes(&gate, black_box(&head), now)));
        });
    }
    let gate = gate(&mint, &revocations.million);
    many(&mut group, &gate, &mint, now);
    two_threads(&mut group, &gate, &mint, now);

    let cookies = gate_of_cookies(&mint, &revocations.million);
    let browser = visit_with_cookies(&token);
    assert!(passes(&cookies, &browser, now), "a customer's browser");
    group.bench_function("eight cookies", |bencher| {
        bencher.iter(|| black_box(passes(&cookies, black_box(&browser), now)));
    });
    // Something that is known by its digest alone is dead, so texts have to be digested.
    log_out(&revocations.million, &gate, DEAD_OPAQUE, now);
    let (head, body) = order(&token);
    assert!(passes_with_body(&cookies, &head, &body, now), "an order");
    group.bench_function("an order without its body", |bencher| {
        bencher.iter(|| black_box(passes(&cookies, black_box(&head), now)));
    });
    group.bench_function("an order of 4 KiB of JSON", |bencher| {
        bencher.iter(|| black_box(passes_with_body(&cookies, black_box(&head), &body, now)));
    });

    let opaque = visit(OPAQUE);
    assert!(passes(&gate, &opaque, now), "nothing is known of it");
    group.bench_function("opaque", |bencher| {
        bencher.iter(|| black_box(passes(&gate, black_box(&opaque), now)));
    });

    let leaving = logout(&token);
    assert!(passes(&gate, &leaving, now), "a logout is no refusal");
    group.bench_function("logout", |bencher| {
        bencher.iter(|| black_box(passes(&gate, black_box(&leaving), now)));
    });

    let dead = mint.token(2, now);
    log_out(&revocations.million, &gate, &dead, now);
    let dead = visit(&dead);
    assert!(!passes(&gate, &dead, now), "a customer who logged out");
    group.bench_function("refused", |bencher| {
        bencher.iter(|| black_box(passes(&gate, black_box(&dead), now)));
    });

    let naive = Naive::new(&mint);
    group.bench_function("rival: decode each time", |bencher| {
        bencher.iter(|| black_box(naive.accepts(black_box(&token))));
    });
    group.finish();
}

/// Many customers in turn. As in a proxy, what just came is at hand; what is remembered of it may not be.
fn many(group: &mut BenchmarkGroup<'_, WallTime>, gate: &Gate, mint: &Mint, now: UnixTime) {
    let tokens: Vec<String> = (FIRST..FIRST + LOGGED_IN)
        .map(|number| mint.token(number, now))
        .collect();
    let known = tokens.iter().all(|token| passes(gate, &visit(token), now));
    assert!(known, "customers who are logged in");
    let mut turns = tokens.iter().cycle();
    let mut next = || turns.next().expect("a cycle has no end");
    group.bench_function("1M revoked, 10k tokens in turn", |bencher| {
        bencher.iter_batched_ref(
            || visit(next()),
            |head| black_box(passes(gate, head, now)),
            AT_HAND,
        );
    });
    let naive = Naive::new(mint);
    group.bench_function("rival: decode, 10k tokens in turn", |bencher| {
        bencher.iter_batched_ref(
            || next().clone(),
            |token| black_box(naive.accepts(token)),
            AT_HAND,
        );
    });
}

/// Both with one token, then each with its own.
fn two_threads(group: &mut BenchmarkGroup<'_, WallTime>, gate: &Gate, mint: &Mint, now: UnixTime) {
    let tokens = [10, 11].map(|number| mint.token(number, now));
    let heads = [visit(&tokens[0]), visit(&tokens[1])];
    let [one, other] = [&heads[0], &heads[1]];
    for (name, turns) in [
        ("two threads, one token", [one, one]),
        ("two threads, two tokens", [one, other]),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                on_two_threads(times, |thread, _| {
                    black_box(passes(gate, black_box(turns[thread]), now));
                })
            });
        });
    }
    let naive = Naive::new(mint);
    group.bench_function("rival: decode, two threads", |bencher| {
        bencher.iter_custom(|times| {
            on_two_threads(times, |thread, _| {
                black_box(naive.accepts(black_box(&tokens[thread])));
            })
        });
    });
}

/// Tokens that are seen for the first time: a new gate for every round, for a gate remembers.
fn cold(criterion: &mut Criterion, revocations: &Arc<Revocations>, now: UnixTime) {
    let mut group = criterion.benchmark_group("judge/first sight");
    for algorithm in Mint::ALGORITHMS {
        let mint = Mint::new(algorithm);
        let tokens: Vec<String> = (FIRST..FIRST + ROUND)
            .map(|number| mint.token(number, now))
            .collect();
        let heads: Vec<Parts> = tokens.iter().map(|token| visit(token)).collect();
        group.bench_function(algorithm, |bencher| {
            bencher.iter_custom(|times| {
                in_rounds(times, &heads, |heads| {
                    let gate = gate(&mint, revocations);
                    let judge = || heads.iter().all(|head| passes(&gate, black_box(head), now));
                    let (time, all_passed) = timed(judge);
                    assert!(all_passed, "customers who are logged in");
                    time
                })
            });
        });
        let naive = Naive::new(&mint);
        group.bench_function(format!("rival: decode {algorithm}"), |bencher| {
            bencher.iter_custom(|times| {
                in_rounds(times, &tokens, |tokens| {
                    let decode = || tokens.iter().all(|token| naive.accepts(black_box(token)));
                    let (time, all_passed) = timed(decode);
                    assert!(all_passed, "good tokens");
                    time
                })
            });
        });
    }
    group.finish();
}

/// So many in all, as often through all of them as it takes.
fn in_rounds<T>(times: u64, all: &[T], round: impl Fn(&[T]) -> Duration) -> Duration {
    let mut left = usize::try_from(times).unwrap_or(usize::MAX);
    let mut taken = Duration::ZERO;
    while left > 0 {
        let some = &all[..left.min(all.len())];
        taken += round(some);
        left -= some.len();
    }
    taken
}
