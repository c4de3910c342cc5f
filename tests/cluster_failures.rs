//! A node is paused, its disk fills up, its journal is damaged: what was logged out stays so, there and elsewhere.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;

use doorward::clock;
use support::places::with_authorization;
use support::{Cluster, Connection, Ledger, eventually};

/// Requests arrive while they are stopped, and are the first things that they answer. The clock of one of them shows
/// that no time has passed, as that of a virtual machine may.
#[test]
fn nodes_that_were_paused_accept_nothing_that_died_meanwhile() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).with_clock_at("c").start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
    let victims: Vec<_> = (0..8).map(|_| ledger.customer(&cluster)).collect();
    let open = |name: &str| {
        let address = cluster[name].address();
        let lines = victims.iter().map(|_| Connection::open(address));
        lines.collect::<Vec<_>>()
    };
    let mut waiting = [open("b"), open("c")];
    for name in ["b", "c"] {
        cluster.pause(name);
    }
    let paused = clock::instant();
    for customer in &victims {
        assert_eq!(customer.log_out(&cluster["a"]), 200);
        ledger.buries(customer.token(), "a");
    }
    cluster.comes_to("a", "stale"); // they are silent for 5 s and said no goodbye
    let visits = cluster.shop.visits();
    for lines in &mut waiting {
        for (customer, line) in victims.iter().zip(lines) {
            line.send(&with_authorization(&format!("Bearer {}", customer.token())));
        }
    }
    eventually(|| clock::instant().duration_since(paused).as_millis() > 6500);
    cluster.clock("c").is_off_by(-7);
    for name in ["b", "c"] {
        cluster.resume(name);
    }
    for (name, lines) in ["b", "c"].into_iter().zip(waiting) {
        for mut line in lines {
            let answer = line.answer();
            let told = format!("{name}: {}", answer.text());
            assert!(answer == 503 || answer == 401, "{told}");
        }
    }
    assert_eq!(cluster.shop.visits(), visits, "the shop saw nothing");
    ledger.check(&cluster);
    ledger.converges(&cluster);
    cluster.form(&["a", "b", "c"]);
}

#[test]
fn a_full_disk_on_one_node_keeps_no_token_alive_anywhere() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "b", 1);
    ledger.converges(&cluster);
    cluster["a"].limit("--fsize=0:unlimited");
    let here = ledger.customer(&cluster);
    let answer = here.log_out(&cluster["a"]);
    assert_eq!(answer, 503);
    assert!(answer.header("Retry-After").is_some());
    for name in ["a", "b"] {
        eventually(|| here.visit(&cluster[name], "/cart") == 401);
    }
    let there = ledger.customer(&cluster);
    assert_eq!(there.log_out(&cluster["b"]), 200);
    eventually(|| there.visit(&cluster["a"], "/cart") == 401);
    assert!(cluster.metric("a", "doorward_journal_writable") < 1.0);
    cluster["a"].limit("--fsize=unlimited:unlimited");
    eventually(|| cluster.is_ready("a"));
    for customer in [&here, &there] {
        ledger.buries(customer.token(), "b");
    }
    ledger.converges(&cluster);
    cluster.kill("a");
    cluster.start(&["a"]);
    ledger.converges(&cluster);
}

#[test]
fn a_damaged_journal_stops_the_start_and_the_others_have_a_copy() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 10);
    ledger.log_out_all(&cluster, "b", 10);
    ledger.converges(&cluster);
    cluster.stop("a");
    let journal = cluster["a"].path("data/journal.redb");
    let mut bytes = fs::read(&journal).unwrap();
    for byte in bytes.iter_mut().step_by(97) {
        *byte ^= 0x55;
    }
    fs::write(&journal, &bytes).unwrap();
    let refused = cluster.refuses_to_start("a");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("is corrupt"), "{}", refused.stderr);
    assert_eq!(fs::read(&journal).unwrap(), bytes, "it is left as it was");
    for file in ["data/journal.redb", "data/journal.mark"] {
        let aside = cluster["a"].path(&format!("{file}.aside"));
        fs::rename(cluster["a"].path(file), aside).unwrap(); // as the operator is told
    }
    assert_eq!(cluster["a"].command(&["init"]).code, Some(0));
    ledger.log_out_all(&cluster, "b", 1);
    cluster.start(&["a"]);
    ledger.check(&cluster);
    ledger.converges(&cluster);
    cluster.form(&["a", "b"]);
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
}

/// A journal from a backup: what it lacks, the others have, those logouts among them that this very node had taken.
#[test]
fn an_older_copy_of_the_journal_is_filled_up_by_the_others() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    ledger.converges(&cluster);
    cluster.stop("a");
    let journal = cluster["a"].path("data/journal.redb");
    let older = fs::read(&journal).unwrap();
    cluster.start(&["a"]);
    ledger.converges(&cluster);
    ledger.log_out_all(&cluster, "a", 5);
    ledger.converges(&cluster);
    cluster.stop("a");
    fs::write(&journal, &older).unwrap();
    fs::remove_file(cluster["a"].path("data/journal.mark")).unwrap();
    cluster.start(&["a"]);
    ledger.check(&cluster);
    ledger.converges(&cluster);
    ledger.log_out_all(&cluster, "a", 5); // its numbers must not be taken for those of the lost ones
    ledger.converges(&cluster);
}

/// Against all advice: a new node that is a copy of another one, data and all.
#[test]
fn a_copied_data_folder_makes_no_node_mistake_another_for_itself() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "b", 3);
    ledger.converges(&cluster);
    cluster.stop("b");
    cluster.stop("c");
    for file in ["data/journal.redb", "data/journal.mark"] {
        fs::copy(cluster["b"].path(file), cluster["c"].path(file)).unwrap();
    }
    cluster.start(&["b", "c"]);
    ledger.log_out_all(&cluster, "b", 1);
    ledger.log_out_all(&cluster, "c", 1);
    ledger.converges(&cluster);
    cluster.form(&["a", "b", "c"]);
    ledger.log_out_all(&cluster, "c", 3);
    ledger.converges(&cluster);
}
