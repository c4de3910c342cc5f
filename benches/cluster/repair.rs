//! How soon a node knows what it has missed: its wires are cut, customers log out elsewhere, the wires are healed.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use doorward::clock;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::link::Condition;
use crate::node::LOOK;
use crate::nodes::{A, B, C, Nodes};
use crate::propagation::not_refused;
use crate::table::{Table, heading, shown};

const REPAIR: Duration = Duration::from_secs(2);

/// How many customers log out at the same time, each after another.
const AT_ONCE: usize = 64;

/// One of so many tokens is asked about at the node that was cut off.
const SAMPLE: usize = 10;

/// Cuts and heals twice: once while the others remember the order of what was revoked, and once after they were
/// restarted, when sets must be compared.
pub async fn measure(nodes: &mut Nodes, table: &mut Table, missed: u64, rounds: u64) {
    heading(&format!(
        "{missed} logouts, two entries each, while b is cut off"
    ));
    nodes.lay_links();
    nodes.configure_mesh();
    for one in [A, B, C] {
        nodes.restart(one).await;
    }
    println!(
        "| others | cut off for | logouts a second | healed to reconnected | reconnected to all in force | reconnected to ready | asked about | accepted | entries sent twice |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for _ in 0..rounds {
        one_cut(nodes, table, missed, false).await;
        one_cut(nodes, table, missed, true).await;
    }
}

async fn one_cut(nodes: &mut Nodes, table: &mut Table, missed: u64, with_restarts: bool) {
    let since = clock::instant();
    nodes.links_become(Condition::Cut);
    for peer in ["a", "c"] {
        nodes.all[B]
            .says(&[&["peer gone", &format!("peer={peer}")]], since)
            .await;
    }
    let leaving = nodes.customers.fresh(missed);
    let taken = log_out(nodes, leaving.clone()).await;
    if with_restarts {
        nodes.restart(A).await;
        nodes.restart(C).await;
    }
    let all = nodes.agree(A, C).await;
    let before = nodes.all[B].metrics().await;
    let was = nodes.all[B].revocations().await;
    let cut_for = since.elapsed();
    nodes.links_become(Condition::Healthy);
    let healed = clock::instant();
    let known = until_known(nodes, all).await;
    let connected = nodes.all[B].says(&[&["peer connected"]], healed).await;
    let ready = nodes.all[B].says(&[&["cluster state", "state=ready"]], healed);
    let is_stale = before.sum("doorward_cluster_state{state=\"stale\"}") > 0.0;
    let ready = if is_stale { ready.await } else { connected };
    let received = |metrics: &crate::metrics::Metrics| {
        metrics.sum("doorward_peer_records_total{direction=\"received\"")
    };
    let received = received(&nodes.all[B].metrics().await) - received(&before);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (rate, twice) = (
        missed as f64 / taken.as_secs_f64(),
        received - (all - was) as f64,
    );
    let (accepted, asked) = not_refused(nodes, B, sample(leaving)).await;
    for peer in ["a", "c"] {
        nodes.all[B]
            .says(&[&["peer connected", &format!("peer={peer}")]], healed)
            .await; // or there would be nothing to cut the next time
    }
    let repair = known.saturating_duration_since(connected);
    let how = if with_restarts {
        "restarted"
    } else {
        "running"
    };
    println!(
        "| {how} | {} | {rate:.0} | {} | {} | {} | {asked} | {accepted} | {twice:.0} |",
        shown(cut_for),
        shown(connected.saturating_duration_since(healed)),
        shown(repair),
        shown(ready.saturating_duration_since(connected)),
    );
    table.time(
        &format!("{missed} missed logouts repaired, others {how}"),
        REPAIR,
        repair,
    );
    table.never("accepted after the repair", accepted, asked);
}

/// The last ones, and some of the others.
fn sample(all: Range<u64>) -> impl Iterator<Item = u64> {
    all.rev().step_by(SAMPLE)
}

/// When node b had so many revocations in force.
async fn until_known(nodes: &Nodes, all: u64) -> Instant {
    let since = clock::instant();
    while nodes.all[B].revocations().await < all {
        nodes.all[B].must_go_on(since);
        sleep(LOOK).await;
    }
    clock::instant()
}

/// These customers log out at node a; how long that took.
async fn log_out(nodes: &Nodes, leaving: Range<u64>) -> Duration {
    let begun = clock::instant();
    let logouts: Vec<_> = leaving
        .map(|number| nodes.customers.logout(number))
        .collect();
    let logouts = Rc::new((logouts, Cell::new(0)));
    let ask_all = || {
        let (front, logouts) = (Rc::clone(&nodes.all[A].front), Rc::clone(&logouts));
        spawn_local(async move {
            let (logouts, next) = &*logouts;
            while let Some(logout) = logouts.get(next.replace(next.get() + 1)) {
                assert_eq!(front.ask(logout).await, 200, "a logout is answered");
            }
        })
    };
    let asking: Vec<_> = (0..AT_ONCE).map(|_| ask_all()).collect();
    for one in asking {
        one.await.expect("nobody panics");
    }
    begun.elapsed()
}
