//! How often judging one request asks for memory, against verifying its token each time.
//!
//! The counting allocator would slow the others down, so this is a program of its own.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use allocation_counter::measure;
use doorward::clock;
use doorward::revocation::{Journal, Revocations};

use support::mint::Mint;
use support::mode::Mode;
use support::naive::Naive;
use support::storefront::{OPAQUE, gate, log_out, logout, passes, visit};

/// So many of each kind. What moka does for itself now and then is shared among them.
const TIMES: u64 = 10_000;

fn main() {
    if Mode::from_arguments() == Mode::List {
        return;
    }
    let now = clock::now();
    let mint = Mint::new("HS256");
    let folder = tempfile::tempdir().expect("a temporary folder");
    Journal::init(folder.path()).expect("a new folder takes a journal");
    let revocations = Arc::new(Revocations::open(folder.path()).expect("a new journal"));
    let gate = gate(&mint, &revocations);
    let [known, dead] = [1, 2].map(|number| mint.token(number, now));
    log_out(&revocations, &gate, &dead, now);
    let naive = Naive::new(&mint);

    println!("allocations/judge      per request       bytes");
    let heads = [
        ("warm", visit(&known), true),
        ("refused", visit(&dead), false),
        ("opaque", visit(OPAQUE), true),
        ("logout", logout(&known), true),
    ];
    for (name, head, good) in &heads {
        assert_eq!(passes(&gate, head, now), *good, "{name}");
        print(name, || {
            black_box(passes(&gate, black_box(head), now));
        });
    }
    print("rival: decode", || {
        black_box(naive.accepts(black_box(&known)));
    });
}

/// Counts what this asks for, each time and on the average.
fn print(name: &str, work: impl Fn()) {
    let counted = measure(|| (0..TIMES).for_each(|_| work()));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let [count, bytes] =
        [counted.count_total, counted.bytes_total].map(|all| all as f64 / TIMES as f64);
    println!("{name:<22} {count:>11.2} {bytes:>11.1}");
}
