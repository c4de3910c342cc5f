//! Three nodes on this machine: how soon a logout on one of them is a 401 on the others, and how long a node takes that
//! has something to catch up with.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(unreachable_pub, reason = "a benchmark exports nothing")]

#[path = "../../tests/support/certificates.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is made for tests")]
mod certificates;
#[path = "../../tests/support/link.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is made for tests")]
mod link;
#[path = "../../tests/support/patience.rs"]
#[allow(dead_code, reason = "it is made for tests")]
mod patience;
#[path = "../support/mod.rs"]
mod support;

mod customers;
mod line;
mod metrics;
mod node;
mod nodes;
mod propagation;
mod repair;
mod shop;
mod starts;
mod table;

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use nodes::Nodes;
use support::crowd::MILLION;
use support::mode::{Mode, number_after};
use table::Table;

/// How long logouts come at each rate.
const SPAN: Duration = Duration::from_secs(10);

/// The rates, in logouts a second.
const RATES: [u64; 2] = [100, 2_000];

/// What can be asked for.
const PARTS: [&str; 3] = ["starts", "propagation", "repair"];

/// How many logouts a node misses whose links are cut.
const MISSED: u64 = 100_000;

fn main() {
    let mode = Mode::from_arguments();
    if mode == Mode::List {
        return;
    }
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    LocalSet::new().block_on(&runtime, measure(mode));
}

/// What is measured, and how much of it.
struct Sizes {
    /// What the journals hold before anything else.
    rows: u64,
    missed: u64,
    span: Duration,
    rounds: u64,
}

impl Sizes {
    fn of(mode: Mode) -> Self {
        let full = mode == Mode::Measure;
        Self {
            rows: number_after("--rows").unwrap_or(mode.rows(MILLION)),
            missed: number_after("--missed").unwrap_or(mode.rows(MISSED)),
            span: number_after("--seconds")
                .map_or(if full { SPAN } else { SPAN / 100 }, Duration::from_secs),
            rounds: number_after("--rounds").unwrap_or(1),
        }
    }
}

/// The starts always come first: they fill the journals.
async fn measure(mode: Mode) {
    let sizes = Sizes::of(mode);
    let mut nodes = Nodes::new();
    let mut table = Table::default();
    starts::measure(&mut nodes, &mut table, sizes.rows, sizes.rounds).await;
    for _ in 0..sizes.rounds {
        for rate in RATES.into_iter().filter(|_| is_wanted("propagation")) {
            propagation::measure(&mut nodes, &mut table, rate, sizes.span).await;
        }
    }
    if is_wanted("repair") {
        repair::measure(&mut nodes, &mut table, sizes.missed, sizes.rounds).await;
    }
    table.print();
}

/// Whether this part was asked for, or none was in particular.
fn is_wanted(part: &str) -> bool {
    let mut asked = std::env::args().filter(|argument| PARTS.contains(&argument.as_str()));
    asked
        .next()
        .is_none_or(|first| first == part || asked.any(|next| next == part))
}
