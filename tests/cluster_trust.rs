//! Who may be a node: whoever the cluster's authority certified and the operator has not put aside.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use doorward::clock;
use support::encrypted::Hello;
use support::{
    Authority, Cluster, Condition, GOSSIP, Identity, Ledger, Link, Name, PATIENCE, Rogue, certify,
    eventually, put,
};

const TLS12_ALONE: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// Nothing happens for as long as two rounds of repair and every reconnection take.
#[track_caller]
fn stays_so(mut so: impl FnMut() -> bool) {
    let since = clock::instant();
    eventually(|| {
        assert!(so(), "it did not stay so");
        clock::instant().duration_since(since).as_millis() > 2500
    });
}

#[track_caller]
fn accepts(cluster: &Cluster, node: Name, customer: &support::Customer) -> bool {
    customer.visit(&cluster[node], "/cart").status != 401
}

#[test]
fn a_node_of_another_authority_stays_outside() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).furnish();
    let stranger = Authority::new("somebody else's cluster");
    certify(&stranger, cluster.folder(), "c");
    let authority = put(cluster.folder(), "other.pem", &stranger.pem(), 0o644);
    let authority = format!("{authority:?}");
    cluster.configure("c", &[("ca_file", &authority), ("new_cluster", "true")]);
    let mut ledger = Ledger::default();
    cluster.found(&["a", "b"]);
    cluster.start(&["c"]);
    eventually(|| cluster.link("c", "a").bytes() > 0 && cluster.link("a", "c").bytes() > 0);
    cluster.comes_to("c", "ready"); // a cluster of its own
    let beyond = ledger.customer(&cluster);
    assert_eq!(beyond.log_out(&cluster["c"]), 200);
    stays_so(|| {
        let told = ["a", "b"].map(|name| cluster.told_by(name));
        let outside = told.iter().all(|told| told.starts_with("ready; 1 of 2"));
        outside
            && ["a", "b"]
                .iter()
                .all(|name| accepts(&cluster, name, &beyond))
    });
    assert!(
        cluster.told_by("c").contains("0 of 2"),
        "{}",
        cluster.told_by("c")
    );
    ledger.log_out_all(&cluster, "a", 1);
    eventually(|| ledger.missing_at(&cluster, "b") == 0);
    assert_eq!(ledger.missing_at(&cluster, "c"), 1, "it was told");
}

#[test]
fn who_shows_no_certificate_of_the_cluster_is_told_nothing() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let address = cluster["a"].address_of("gossip");
    let authority = &cluster.authority;
    let stranger = Authority::new("somebody else's cluster").issue_node(&["b"]);
    let expired = authority.issue_expired(&["b"]);
    let nameless = authority.issue_node(&["127.0.0.1"]);
    let strangers = [&stranger, &expired, &nameless, &Identity::of_nobody(&["b"])];
    for identity in [None].into_iter().chain(strangers.map(Some)) {
        let refused = Rogue::calls(address, authority.client(identity), "a", GOSSIP);
        eprintln!("{}", refused.err().expect("it is told nothing"));
    }
    let old = Hello {
        name: Some("a"),
        alpn: &[GOSSIP],
        versions: TLS12_ALONE,
    };
    assert!(old.try_to(address).is_err(), "TLS 1.2");
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut heard = Vec::new();
    drop(plain.read_to_end(&mut heard));
    assert!(!heard.starts_with(b"HTTP"), "{}", heard.escape_ascii());
    cluster.form(&["a", "b"]);
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
}

#[test]
fn only_those_who_are_allowed_are_peers() {
    let plan = Cluster::of(&["a", "b"]).at("a", "allow", "[\"c\"]");
    let mut cluster = plan.furnish();
    cluster.configure("a", &[("new_cluster", "true")]);
    cluster.start(&["a", "b"]);
    let mut ledger = Ledger::default();
    cluster.comes_to("a", "ready");
    eventually(|| cluster.logged("a", &["bears no name of `allow`"]));
    stays_so(|| cluster.told_by("a").starts_with("ready; 0 of") && !cluster.is_ready("b"));
    ledger.log_out_all(&cluster, "a", 1);
    cluster.configure("a", &[("allow", "[\"b\"]"), ("new_cluster", "true")]);
    cluster["a"].signal("HUP");
    cluster.form(&["a", "b"]);
    ledger.converges(&cluster);
    cluster.configure("a", &[("allow", "[\"c\"]"), ("new_cluster", "true")]);
    cluster["a"].signal("HUP");
    cluster.comes_to("a", "ready; 0 of"); // who stands there already is no exception
}

#[test]
fn a_node_in_quarantine_is_not_listened_to_until_it_is_let_out() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    let stays = ledger.spare(&cluster);
    cluster.configure("a", &[("quarantine", "[\"b\"]")]);
    cluster["a"].signal("HUP");
    eventually(|| cluster.logged("a", &["peer gone", "peer=b"]));
    let beyond = ledger.customer(&cluster);
    assert_eq!(beyond.log_out(&cluster["b"]), 200);
    stays_so(|| cluster.is_ready("a") && accepts(&cluster, "a", &beyond));
    assert!(accepts(&cluster, "a", &stays));
    ledger.log_out_all(&cluster, "a", 1);
    cluster.configure("a", &[]);
    cluster["a"].signal("HUP");
    ledger.buries(beyond.token(), "b");
    cluster.form(&["a", "b"]);
    ledger.converges(&cluster);
}

#[test]
fn certificates_are_renewed_and_peers_change_by_a_reload() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).furnish();
    cluster.configure("b", &[("peers", "[]")]);
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.found(&["a", "b"]);
    for name in ["a", "b"] {
        certify(&cluster.authority, cluster.folder(), name);
    }
    cluster.configure("b", &[]);
    for name in ["a", "b"] {
        cluster[name].signal("HUP");
        eventually(|| cluster.logged(name, &["reloaded"]));
    }
    cluster.partition(&["a"], &["b"]);
    eventually(|| cluster.told_by("a").contains("0 of"));
    cluster.heal();
    cluster.form(&["a", "b"]);
    cluster.start(&["c"]);
    cluster.form(&["a", "b", "c"]);
    ledger.log_out_all(&cluster, "c", 2);
    ledger.converges(&cluster);
}

/// As docs/cluster.md has it: both authorities, new certificates, the new authority alone; nobody is cut off meanwhile.
#[test]
fn the_authority_is_changed_by_three_rounds_of_reloads() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let new = Authority::new("the next authority");
    let round = |number: usize, change: &dyn Fn()| {
        change();
        for name in ["a", "b"] {
            cluster[name].signal("HUP");
            let reloads = |line: &&String| line.contains(" reloaded ");
            eventually(|| cluster[name].log_lines().iter().filter(reloads).count() == number);
        }
        cluster.between("a", "b", Condition::Cut);
        eventually(|| cluster.told_by("a").contains("0 of"));
        cluster.heal();
        cluster.form(&["a", "b"]);
    };
    let authorities = |pem: String| drop(put(cluster.folder(), "ca.pem", &pem, 0o644));
    round(1, &|| authorities(cluster.authority.pem() + &new.pem()));
    round(2, &|| {
        for name in ["a", "b"] {
            certify(&new, cluster.folder(), name);
        }
    });
    round(3, &|| authorities(new.pem()));
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
    let old = cluster.authority.issue_node(&["b"]);
    let address = cluster["a"].address_of("gossip");
    let refused = Rogue::calls(address, new.client(Some(&old)), "a", GOSSIP);
    assert!(refused.is_err(), "the old authority counts no more");
}

/// A name that stands for every node stands for this one, too.
#[test]
fn a_node_that_finds_itself_among_its_peers_does_not_wait_for_itself() {
    let mut cluster = Cluster::of(&["a", "b"]).furnish();
    let itself = Link::new();
    itself.lead_somewhere_soon();
    let port = |link: &Link| format!("localhost:{}", link.address().port());
    let peers = format!("{:?}", [port(cluster.link("a", "b")), port(&itself)]);
    cluster.configure("a", &[("peers", &peers), ("new_cluster", "true")]);
    cluster.begin(&["a", "b"]);
    itself.lead_to(cluster["a"].address_of("gossip"));
    for name in ["a", "b"] {
        cluster.comes_up(name).unwrap();
        cluster.comes_to(name, "ready; 1 of");
    }
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 2);
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
}
