//! A node that says what no node would, or speaks another version: nobody is harmed by more than a login.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock;
use doorward::revocation::Id;
use serde_json::json;
use support::gossip::{self, FOREVER, Origin};
use support::{Cluster, Customer, GOSSIP, Ledger, Rogue, eventually};

const ORIGIN: Origin = [7; 16];

/// Somebody whom the cluster's authority certified as c calls a, and nothing was said yet.
#[track_caller]
fn rogue(cluster: &Cluster) -> Rogue {
    let identity = cluster.authority.issue_node(&["c"]);
    let tls = cluster.authority.client(Some(&identity));
    let address = cluster["a"].address_of("gossip");
    let rogue = Rogue::calls(address, tls, "a", GOSSIP).unwrap();
    assert_eq!(rogue.status, 200);
    rogue
}

/// As `rogue`, where both have said hello; the origin of a.
#[track_caller]
fn introduced(cluster: &Cluster, version: u16) -> (Rogue, Origin) {
    let mut rogue = rogue(cluster);
    rogue.says(&gossip::hello(version, "c", ORIGIN, &[]));
    let hello = rogue.hears().expect("a hangs up");
    (rogue, gossip::origin_of(&hello))
}

/// Waits until everything of the rogue's up to this number was acknowledged.
#[track_caller]
fn has_told(rogue: &mut Rogue, reached: u64) {
    loop {
        let frame = rogue.hears().expect("a hangs up");
        if gossip::acknowledged(&frame, ORIGIN) == Some(reached) {
            return;
        }
    }
}

#[test]
fn nobody_is_locked_out_for_ever() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let (mut rogue, _) = introduced(&cluster, 1);
    let everybody = *Id::of_realm("main").bytes();
    rogue.says(&gossip::delta(
        ORIGIN,
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
    rogue.says(&gossip::delta(ORIGIN, 1, &[unknown, harmless, unknown]));
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
    let everybody = *Id::of_realm("main").bytes();
    let cutoff = gossip::cutoff(&everybody, clock::now().seconds() + 60, FOREVER);
    let delta = gossip::delta(ORIGIN, 1, &[cutoff]);
    let hello = |name: &str| gossip::hello(1, name, ORIGIN, &[]);
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
    rogue.says(&gossip::ping(&[(origin, u64::MAX), (ORIGIN, u64::MAX)]));
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
