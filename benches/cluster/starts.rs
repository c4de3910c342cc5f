//! How long a node takes until it is ready: one that knows nothing, and one that has its journal.

use std::time::Duration;

use crate::nodes::{A, B, C, Nodes};
use crate::support::crowd;
use crate::table::{Table, heading, shown};

const FRESH: Duration = Duration::from_secs(5);
const RESTART: Duration = Duration::from_secs(2);

/// So many customers of those in the journals are real: the others have no token.
const REAL: u64 = 1_000;

/// Starts all nodes with journals of so many rows, and restarts them as a mesh.
pub async fn measure(nodes: &mut Nodes, table: &mut Table, rows: u64, rounds: u64) {
    heading(&format!("Starts with {rows} entries"));
    let real = nodes.customers.fresh(REAL.min(rows / 4));
    nodes.configure(A, &[]);
    let revocations = revocations(nodes, rows, real.clone());
    nodes.write_journal(A, &revocations);
    drop(revocations);
    println!(
        "| node | start | ready after | `/readyz` 200 after | of so many real tokens | accepted |"
    );
    println!("|---|---|---|---|---|---|");
    let started = nodes.all[A].start().await;
    say(nodes, A, "alone, from its journal", started, &real, table).await;
    nodes.configure(C, &[A]);
    nodes.configure(B, &[A, C]);
    for round in 0..rounds {
        for one in [C, B] {
            if round > 0 {
                nodes.all[one].stop().await;
                nodes.all[one].forget();
                nodes.configure(one, if one == C { &[A, B] } else { &[A, C] });
            }
            let started = nodes.all[one].start().await;
            say(nodes, one, "fresh", started, &real, table).await;
            table.time("fresh node ready", FRESH, started.readyz);
            assert_eq!(nodes.agree(A, one).await, rows, "all have come");
        }
    }
    nodes.configure_mesh();
    for _ in 0..rounds {
        for one in [A, B, C] {
            let started = nodes.restart(one).await;
            say(nodes, one, "again, from its journal", started, &real, table).await;
            table.time("restarted node ready", RESTART, started.readyz);
        }
    }
}

/// As many tokens as cutoffs, as logouts at a Bagisto shop leave them. Most are of nobody.
fn revocations(
    nodes: &Nodes,
    rows: u64,
    real: std::ops::Range<u64>,
) -> Vec<doorward::revocation::Revocation> {
    let now = doorward::clock::now();
    let mut revocations = nodes.customers.revocations(real);
    let others = (0..).flat_map(|number| [crowd::token(number, now), crowd::cutoff(number, now)]);
    let missing = usize::try_from(rows).unwrap_or(usize::MAX) - revocations.len();
    revocations.extend(others.take(missing));
    revocations
}

async fn say(
    nodes: &Nodes,
    one: usize,
    how: &str,
    started: crate::node::Started,
    real: &std::ops::Range<u64>,
    table: &mut Table,
) {
    let node = &nodes.all[one];
    let mut accepted = 0;
    for number in real.clone() {
        let status = node.front.ask(&nodes.customers.visit(number)).await;
        accepted += u64::from(status != 401);
    }
    let asked = real.end - real.start;
    println!(
        "| {} | {how} | {} | {} | {asked} | {accepted} |",
        node.name,
        shown(started.state),
        shown(started.readyz)
    );
    table.never("accepted by a node that says it is ready", accepted, asked);
}
