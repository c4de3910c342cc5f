//! No node serves credentials without the set: not when it starts, not when it starts alone, not when all has been lost.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::{get, with_authorization};
use support::{Cluster, Condition, Crowd, Customer, Ledger, Name, eventually, try_raw};

#[track_caller]
fn status(cluster: &Cluster, node: Name, customer: &Customer) -> u16 {
    let page = "/api/shop/customers/profile";
    customer.visit(&cluster[node], page).status
}

/// A node that accepts and is not ready: credentials wait, everybody else is served, and an operator is told.
#[track_caller]
fn holds_back(cluster: &Cluster, node: Name, customer: &Customer) {
    let told = cluster.told_by(node);
    assert!(told.starts_with("syncing"), "{node}: {told}");
    let visits = cluster.shop.visits();
    let answer = customer.visit(&cluster[node], "/cart");
    assert_eq!(answer, 503, "{node}: {}", answer.text());
    assert!(answer.header("Retry-After").is_some());
    let logout = customer.log_out(&cluster[node]);
    assert_eq!(logout, 503, "{node}: {}", logout.text());
    assert_eq!(
        cluster[node].raw(&with_authorization("Bearer 7|anOpaqueTokenOfSomebody")),
        503
    );
    assert_eq!(cluster.shop.visits(), visits, "the shop saw nothing");
    assert_ne!(cluster[node].raw(&get(&[])), 503, "without a credential");
    assert_eq!(cluster.shop.visits(), visits + 1);
    assert!(!cluster.is_ready(node));
    let syncing = "doorward_cluster_state{state=\"syncing\"}";
    assert!(cluster.metric(node, syncing) >= 1.0);
}

#[test]
fn a_new_node_that_finds_nobody_holds_credentials_back_until_it_is_told() {
    let mut cluster = Cluster::of(&["a", "b"]).furnish();
    let mut ledger = Ledger::default();
    let somebody = ledger.customer(&cluster);
    let alive = ledger.spare(&cluster);
    cluster.start(&["a"]);
    holds_back(&cluster, "a", &somebody);
    let forced = cluster["a"].command(&["cluster", "force-ready"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    cluster.comes_to("a", "ready");
    assert!(cluster.is_ready("a"));
    assert_eq!(status(&cluster, "a", &alive), 200);
    cluster.start(&["b"]);
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
}

#[test]
fn the_first_node_of_all_is_ready_at_once_and_one_without_peers_needs_no_word() {
    let mut cluster = Cluster::of(&["a"]).furnish();
    cluster.found(&["a"]);
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "a", 2);
    cluster.kill("a");
    cluster.start(&["a"]);
    cluster.comes_to("a", "ready");
    ledger.check(&cluster);
}

#[test]
fn a_node_that_is_alone_after_a_restart_does_as_on_isolated_says() {
    let plan = Cluster::of(&["a", "b"]).at("b", "on_isolated", "\"serve\"");
    let mut cluster = plan.start();
    let mut ledger = Ledger::default();
    let alive = ledger.spare(&cluster);
    let somebody = ledger.customer(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    ledger.converges(&cluster);
    cluster.kill("a");
    cluster.kill("b");
    cluster.start(&["b"]);
    cluster.comes_to("b", "ready");
    ledger.check(&cluster);
    cluster.kill("b");
    cluster.start(&["a"]);
    let since = doorward::clock::instant();
    eventually(|| {
        holds_back(&cluster, "a", &somebody);
        doorward::clock::instant().duration_since(since).as_secs() >= 2 // twice bootstrap_timeout
    });
    assert_eq!(status(&cluster, "a", &alive), 503);
    cluster.start(&["b"]);
    ledger.log_out_all(&cluster, "b", 1);
    ledger.converges(&cluster);
}

/// Each of three nodes knows of logouts that no other knows of, and all of them fall: together they know everything.
#[test]
fn after_a_full_restart_the_nodes_serve_the_union_of_their_journals() {
    let plan = Cluster::of(&["a", "b", "c"]).everywhere("ack", "\"local\"");
    let mut cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.partition(&["a"], &["b", "c"]);
    cluster.partition(&["b"], &["c"]);
    for name in ["a", "b", "c"] {
        ledger.log_out_all(&cluster, name, 4);
    }
    for name in ["a", "b", "c"] {
        cluster.kill(name);
    }
    cluster.heal();
    cluster.begin(&["a", "b", "c"]);
    for name in ["c", "b", "a"] {
        cluster.comes_up(name).unwrap();
    }
    ledger.check(&cluster); // ready or not, none may accept what is dead
    cluster.form(&["a", "b", "c"]);
    ledger.check(&cluster);
    for name in ["a", "b", "c"] {
        cluster.kill(name);
    }
    cluster.lose_journal("a"); // one of them may be without
    cluster.start(&["a", "b", "c"]);
    ledger.check(&cluster);
    cluster.form(&["a", "b", "c"]);
    ledger.check(&cluster);
}

#[test]
fn when_all_journals_are_lost_nobody_serves_before_everybody_is_cut_off() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    let alive = ledger.spare(&cluster);
    let somebody = ledger.customer(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    for name in ["a", "b", "c"] {
        cluster.kill(name);
        cluster.lose_journal(name);
    }
    cluster.start(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        eventually(|| cluster.logged(name, &["revoke", "--all-before"]));
        holds_back(&cluster, name, &somebody);
        assert_eq!(status(&cluster, name, &alive), 503);
    }
    ledger.check(&cluster);
    let revoked = cluster["b"].command(&["revoke", "--all-before", "now", "--yes"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    ledger.buries_all();
    cluster.form(&["a", "b", "c"]);
    ledger.converges(&cluster);
    let returns = ledger.spare(&cluster);
    assert_eq!(status(&cluster, "a", &returns), 200);
    ledger.log_out_all(&cluster, "c", 1);
    ledger.converges(&cluster);
}

#[test]
fn initial_that_was_left_in_the_configuration_empties_nothing() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 5);
    ledger.converges(&cluster);
    cluster.configure("a", &[("new_cluster", "true")]);
    cluster.kill("a");
    cluster.lose_journal("a");
    watch_while_it_starts(&mut cluster, &mut ledger, "a", "b");
    cluster.kill("a"); // and the same with its journal, while the other one is down
    cluster.kill("b");
    cluster.begin(&["a", "b"]);
    for name in ["b", "a"] {
        cluster.comes_up(name).unwrap();
    }
    ledger.check(&cluster);
    ledger.converges(&cluster);
}

/// Starts a node while somebody logs out elsewhere; from its first answer on it accepts nothing that is dead.
#[track_caller]
fn watch_while_it_starts(cluster: &mut Cluster, ledger: &mut Ledger, node: Name, elsewhere: Name) {
    ledger.log_out_all(cluster, elsewhere, 3);
    cluster.begin(&[node]);
    let mut looks = 0;
    eventually(|| {
        if looks % 4 == 0 {
            ledger.log_out_all(cluster, elsewhere, 1);
        }
        looks += 1;
        let address = cluster[node].address();
        if try_raw(address, &get(&[])).is_err() {
            return false; // it does not accept yet
        }
        let ready = cluster.told_by(node).starts_with("ready");
        ledger.check_except_the_last_at(cluster, node, 1);
        ready
    });
    cluster.comes_up(node).unwrap();
    ledger.converges(cluster);
}

#[test]
fn a_restart_under_load_accepts_nothing_that_died_meanwhile() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "b", 3);
    cluster.stop("b");
    watch_while_it_starts(&mut cluster, &mut ledger, "b", "a");
    cluster.kill("b");
    watch_while_it_starts(&mut cluster, &mut ledger, "b", "a");
    cluster.kill("b");
    cluster.lose_journal("b");
    watch_while_it_starts(&mut cluster, &mut ledger, "b", "a");
}

#[test]
fn kill_dash_nine_in_the_middle_of_logouts_takes_none_of_them_back() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for journal_is_lost in [false, true] {
        let shortfalls = || cluster.metric("a", "doorward_ack_shortfalls_total");
        let before = shortfalls();
        let crowd = Crowd::at(cluster["a"].address(), &cluster.shop, 1000);
        crowd.comes_to(40);
        let acknowledged = crowd.answered(); // by another node, if none fell short
        let fell_short = shortfalls() > before;
        cluster.kill("a");
        let answered = crowd.goes_home();
        let is_lost = journal_is_lost && !fell_short;
        for token in if is_lost { acknowledged } else { answered } {
            ledger.buries(&token, "a");
        }
        if is_lost {
            for name in ["b", "c"] {
                eventually(|| ledger.missing_at(&cluster, name) == 0);
            }
            cluster.lose_journal("a");
        }
        cluster.start(&["a"]);
        ledger.converges(&cluster);
        cluster.form(&["a", "b", "c"]);
    }
}

/// Its answers wait for nobody, and what it answered last is still on its way when it is asked to stop: the other node
/// gets it all, or knows that it did not.
#[test]
fn who_says_goodbye_has_told_everything_first() {
    let plan = Cluster::of(&["a", "b"]).at("a", "ack", "\"local\"");
    let mut cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for condition in [Condition::Healthy, Condition::Slow(3000)] {
        cluster.between("a", "b", condition);
        let crowd = Crowd::at(cluster["a"].address(), &cluster.shop, 1000);
        crowd.comes_to(60);
        cluster.stop("a");
        for token in crowd.goes_home() {
            ledger.buries(&token, "a");
        }
        eventually(|| {
            let has_all = ledger.missing_at(&cluster, "b") == 0;
            has_all || condition != Condition::Healthy && cluster.told_by("b").starts_with("stale")
        });
        cluster.heal();
        cluster.start(&["a"]);
        cluster.form(&["a", "b"]);
        ledger.converges(&cluster);
    }
}

#[test]
fn a_node_that_crashes_again_and_again_ends_where_the_others_are() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for round in 0..5 {
        cluster.kill("c");
        ledger.log_out_all(&cluster, ["a", "b"][round % 2], 3);
        cluster.begin(&["c"]);
        if round % 2 == 0 {
            cluster.comes_up("c").unwrap();
            ledger.check_at(&cluster, "c");
        }
    }
    cluster.comes_up("c").unwrap();
    ledger.converges(&cluster);
    cluster.form(&["a", "b", "c"]);
}

#[test]
fn a_node_that_joins_later_gets_everything_first() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).furnish();
    let mut ledger = Ledger::default();
    cluster.found(&["a", "b"]);
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 20);
    ledger.log_out_all(&cluster, "b", 20);
    cluster.between("c", "a", Condition::Cut); // it knows only one of them
    watch_while_it_starts(&mut cluster, &mut ledger, "c", "b");
    cluster.heal();
    cluster.form(&["a", "b", "c"]);
    ledger.log_out_all(&cluster, "c", 2);
    ledger.converges(&cluster);
}
