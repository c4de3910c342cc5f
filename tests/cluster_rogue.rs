//! A node that says what no node would, or speaks another version: nobody is harmed by more than a login.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock;
use doorward::revocation::Id;
use serde_json::json;
use support::gossip::{self, FOREVER, Origin};
use support::{Cluster, Customer, GOSSIP, Ledger, Rogue, eventually};

/// The origin of c.
fn own() -> Origin {
    gossip::origin_for("c", 7)
}

/// Somebody whom the cluster's authority certified as c calls a, and nothing was said yet.
#[track_caller]
fn rogue(cluster: &Cluster) -> Rogue {
    let identity = cluster.authority.issue_node(&["c"]);
    let tls = cluster.authority.client(Some(&identity));
    let address = cluster["a"].address_of("gossip");
    Rogue::calls(address, tls, "a", GOSSIP).unwrap()
}

/// An origin that nobody is.
fn invented(number: u32) -> Origin {
    let mut origin = [0xee; 16];
    origin[..4].copy_from_slice(&number.to_le_bytes());
    origin
}

/// As `rogue`, where both have said hello; the origin of a.
#[track_caller]
fn introduced(cluster: &Cluster, version: u16) -> (Rogue, Origin) {
    let mut rogue = rogue(cluster);
    rogue.says(&gossip::hello(version, "c", own(), &[]));
    let hello = rogue.hears().expect("a hangs up");
    (rogue, gossip::origin_of(&hello))
}

/// Waits until everything of the rogue's up to this number was acknowledged.
#[track_caller]
fn has_told(rogue: &mut Rogue, reached: u64) {
    loop {
        let frame = rogue.hears().expect("a hangs up");
        if gossip::acknowledged(&frame, own()) == Some(reached) {
            return;
        }
    }
}

#[test]
fn nobody_is_locked_out_for_ever() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let (mut rogue, _) = introduced(&cluster, 1);
    let everybody = *Id::of_token_domain("main").bytes();
    rogue.says(&gossip::delta(
        own(),
        1,
        &[gossip::cutoff(&everybody, FOREVER, FOREVER)],
    ));
    has_told(&mut rogue, 1);
    let now = clock::now().seconds();
    let holder = |issued_at: u64, id: &str| {
        let claims = json!({ "sub": 1, "jti": id, "iat": issued_at, "exp": now + 20_000 });
        Customer::holding(&cluster.shop, cluster.shop.sign(&claims))
    };
    let (today, soon) = (holder(now, "1"), holder(now + 700, "2"));
    for name in ["a", "b"] {
        eventually(|| today.visit(&cluster[name], "/cart") == 401);
        assert_ne!(
            soon.visit(&cluster[name], "/cart"),
            401,
            "whoever logs in a little later"
        );
    }
    assert!(cluster.metric("a", "doorward_peer_capped_total") >= 1.0);
    rogue.says(&gossip::goodbye());
}

/// A version of the protocol itself: nothing is known of what its frames say.
#[test]
fn a_node_of_another_protocol_version_is_refused_and_the_log_says_so() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let identity = cluster.authority.issue_node(&["c"]);
    let address = cluster["a"].address_of("gossip");
    for protocol in ["doorward-gossip/2", "h2"] {
        let tls = cluster.authority.client(Some(&identity));
        let refused = Rogue::calls(address, tls, "a", protocol);
        assert!(refused.is_err(), "{protocol}");
    }
    let words = [
        "rejected cluster connection",
        "it speaks another version of the protocol between nodes",
    ];
    eventually(|| cluster.logged("a", &words));
    cluster.form(&["a", "b"]);
}

#[test]
fn another_version_is_understood_as_far_as_it_goes() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let (mut rogue, _) = introduced(&cluster, 999);
    rogue.says(&[200, 1, 2, 3]);
    rogue.says(&[gossip::ping(&[]), b"and something that is new".to_vec()].concat());
    let unknown = gossip::row(99, &[1; 16], 2, 3);
    let harmless = gossip::row(
        1,
        &[2; 16],
        u64::from(u32::MAX),
        clock::now().seconds() + 60,
    );
    rogue.says(&gossip::delta(own(), 1, &[unknown, harmless, unknown]));
    has_told(&mut rogue, 3);
    assert!(
        cluster.told_by("a").contains("2 of"),
        "{}",
        cluster.told_by("a")
    );
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
    rogue.says(&gossip::goodbye());
    rogue.is_hung_up_on();
    cluster.comes_to("a", "ready; 1 of");
}

#[test]
fn who_talks_nonsense_is_hung_up_on() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let everybody = *Id::of_token_domain("main").bytes();
    let cutoff = gossip::cutoff(&everybody, clock::now().seconds() + 60, FOREVER);
    let delta = gossip::delta(own(), 1, &[cutoff]);
    let hello = |name: &str| gossip::hello(1, name, own(), &[]);
    let openings = [
        vec![delta.clone()],
        vec![gossip::ping(&[]), delta.clone()],
        vec![hello("b"), delta.clone()],
        vec![hello("a"), delta.clone()],
        vec![hello("nobody"), delta.clone()],
        vec![hello("../../etc"), delta.clone()],
        vec![hello("c")[..30].to_vec(), delta.clone()],
        vec![vec![], delta.clone()],
        vec![vec![1]],
        vec![hello("c"), hello("c"), delta.clone()],
        vec![
            hello("c"),
            gossip::loose(&[])[..1].to_vec(),
            vec![4],
            delta.clone(),
        ],
        vec![hello("c"), delta[..delta.len() - 1].to_vec()],
    ];
    for (number, opening) in openings.into_iter().enumerate() {
        let mut rogue = rogue(&cluster);
        eprintln!("opening {number}");
        for frame in &opening {
            rogue.says(frame);
        }
        rogue.is_hung_up_on();
    }
    let mut rogue = rogue(&cluster);
    rogue.says_raw(&u32::MAX.to_be_bytes());
    rogue.is_hung_up_on();
    let (mut rogue, _) = introduced(&cluster, 1);
    rogue.says(&gossip::goodbye()); // or it would be missed
    rogue.is_hung_up_on();
    cluster.form(&["a", "b"]);
    ledger.check(&cluster); // nobody was cut off
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
}

/// Whoever claims to know more of a than a does makes a another origin, as a restored backup would; nothing is lost.
#[test]
fn who_claims_to_know_everything_already_keeps_nothing_from_the_others() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    let (mut rogue, origin) = introduced(&cluster, 1);
    rogue.says(&gossip::ping(&[(origin, u64::MAX), (own(), u64::MAX)]));
    ledger.log_out_all(&cluster, "a", 3);
    ledger.converges(&cluster);
    rogue.says(&gossip::ping(&[(origin, u64::MAX)]));
    rogue.says(&gossip::goodbye());
    rogue.is_hung_up_on();
    ledger.log_out_all(&cluster, "a", 3);
    ledger.log_out_all(&cluster, "b", 3);
    ledger.converges(&cluster);
    cluster.kill("a");
    cluster.start(&["a"]);
    ledger.check(&cluster);
    ledger.converges(&cluster);
}

/// Nothing of the origins that it invents is counted, told or written down.
#[test]
fn a_peer_that_invents_origins_introduces_its_own_alone_attacks_a13() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
    let (mut rogue, _) = introduced(&cluster, 1);
    let harmless = gossip::row(1, &[2; 16], u64::from(u32::MAX), clock::now().seconds());
    for number in 0..4_200 {
        rogue.says(&gossip::delta(invented(number), 1, &[harmless]));
    }
    let known: Vec<_> = (0..4_000).map(|number| (invented(number), 7)).collect();
    rogue.says(&gossip::ping(&known));
    rogue.says(&gossip::delta(own(), 1, &[harmless]));
    has_told(&mut rogue, 1);
    let foreign = cluster.metric("a", "doorward_peer_foreign_total");
    assert!(foreign >= 4_000.0, "{foreign}"); // what it was asked for meanwhile is not among them
    assert!(cluster.logged(
        "a",
        &["sent rows of an origin that is not its own", "peer=c"]
    ));
    rogue.says(&gossip::goodbye());
    rogue.is_hung_up_on();
    cluster.form(&["a", "b"]);
    ledger.log_out_all(&cluster, "a", 2);
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
    cluster.restart_in_turn(&["a", "b"]);
    ledger.converges(&cluster);
}

/// It begins anew a hundred times, names nodes that never were, and is gone without a goodbye.
#[test]
fn a_quarantine_leaves_nothing_of_a_rogue_attacks_a13() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "b", 2);
    for number in 0..100 {
        let mut rogue = rogue(&cluster);
        let ghosts = [("ghost", 100), ("n1", 4_000)];
        rogue.says(&gossip::hello_naming(
            "c",
            gossip::origin_for("c", number),
            &ghosts,
        ));
        rogue.hears().expect("a hangs up");
    }
    cluster.comes_to("a", "stale"); // c was there
    let told = cluster.told_by("a");
    assert!(!told.contains("ghost"), "{told}");
    for name in ["a", "b"] {
        cluster.configure(name, &[("quarantine", "[\"c\"]")]);
        cluster[name].signal("HUP");
    }
    cluster.form(&["a", "b"]);
    ledger.log_out_all(&cluster, "a", 2);
    cluster.restart_in_turn(&["a", "b"]);
    ledger.converges(&cluster);
}

#[test]
fn a_name_that_was_never_there_makes_no_node_stale_attacks_b11() {
    let cluster = Cluster::of(&["a", "b"]);
    let cluster = cluster.everywhere("on_stale", "\"refuse\"").start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let mut rogue = rogue(&cluster);
    let ghosts = [("ghost", 0), ("old", 4_900), ("older", 60_000)];
    rogue.says(&gossip::hello_naming("c", own(), &ghosts));
    rogue.hears().expect("a hangs up");
    rogue.says(&gossip::goodbye());
    rogue.is_hung_up_on();
    let since = clock::instant();
    eventually(|| {
        for name in ["a", "b"] {
            assert!(cluster.is_ready(name), "{}", cluster.told_by(name));
        }
        clock::instant().duration_since(since).as_secs() >= 7
    });
    ledger.check(&cluster);
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
}

/// It says so before that node does, which is not connected here yet, and numbers what it was never told of.
#[test]
fn who_claims_the_origin_of_another_node_first_does_not_get_it_attacks_a13() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let identity = cluster.authority.issue_node(&["c"]);
    let tls = cluster.authority.client(Some(&identity));
    let address = cluster["b"].address_of("gossip");
    let mut at_b = Rogue::calls(address, tls, "b", GOSSIP).unwrap();
    let of_b = gossip::origin_of(&at_b.hears().expect("b hangs up"));
    drop(at_b);
    cluster.partition(&["a"], &["b"]);
    cluster.kill("a");
    cluster.lose_journal("a"); // which knows b
    cluster.start(&["a"]);
    let harmless = gossip::row(1, &[2; 16], u64::from(u32::MAX), clock::now().seconds());
    for origin in [of_b, [7; 16]] {
        let mut at_a = rogue(&cluster);
        at_a.says(&gossip::hello(1, "c", origin, &[(origin, 1_000)]));
        at_a.says(&gossip::delta(origin, 1, &vec![harmless; 1_000]));
        at_a.is_hung_up_on();
        eventually(|| cluster.logged("a", &["refused: c is an origin that was not made for it"]));
    }
    ledger.log_out_all(&cluster, "b", 2);
    cluster.heal();
    cluster.form(&["a", "b"]);
    ledger.converges(&cluster);
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
    assert!(!cluster.logged("b", &["it is an older copy"]));
}

/// Only once is a node believed to have an older copy of its journal.
#[test]
fn who_says_again_and_again_that_a_journal_is_old_keeps_no_node_busy() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for _ in 0..5 {
        let mut rogue = rogue(&cluster);
        let hello = rogue.hears().expect("a hangs up");
        let knows = [(gossip::origin_of(&hello), FOREVER)];
        rogue.says(&gossip::hello(1, "c", own(), &knows));
        rogue.says(&gossip::goodbye());
        rogue.is_hung_up_on();
    }
    cluster.form(&["a", "b"]);
    let lines = cluster["a"].log_lines();
    let renewed = lines
        .iter()
        .filter(|line| line.contains("it is an older copy"));
    assert_eq!(renewed.count(), 1);
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
}
