//! Who may speak on the bus, what may be said there, and what an operator is told when it does not work.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock;
use support::gossip::{FOREVER, cutoff, delta, goodbye, loose, ping};
use support::{Authority, Cluster, Ledger, Name, Plan, RedisServer, STREAM, eventually, put};

fn on_the_bus(names: &[Name], bus: &str) -> Plan {
    let plan = Cluster::of(names).everywhere("peers", "[]");
    plan.everywhere("bus", bus)
}

/// The user that docs/cluster.md describes.
const USER: &str = "doorward:hunter2@";

#[track_caller]
fn shares(cluster: &Cluster) {
    let mut ledger = Ledger::default();
    ledger.spare(cluster);
    for name in cluster.running() {
        ledger.log_out_all(cluster, name, 3);
        ledger.converges(cluster);
    }
}

fn never_says(cluster: &Cluster, name: Name, secret: &str) -> bool {
    !cluster[name]
        .log_lines()
        .iter()
        .any(|line| line.contains(secret))
}

#[test]
fn the_rights_that_the_documentation_gives_are_enough() {
    let docs = include_str!("../docs/cluster.md");
    let given = docs.lines().find(|line| line.starts_with("user doorward "));
    let given = given.expect("docs/cluster.md has the user");
    let bus = RedisServer::strict(&given.replace("PASSWORD", "hunter2"));
    let cluster = on_the_bus(&["a", "b"], &bus.bus(USER)).start();
    shares(&cluster);
    bus.ask(&["FLUSHALL"]);
    shares(&cluster);
    for name in ["a", "b"] {
        assert!(never_says(&cluster, name, "hunter2"));
        assert!(!cluster.logged(name, &["no permissions"]));
    }
}

#[test]
fn a_password_that_is_wrong_is_said_to_be_and_not_said() {
    let bus = RedisServer::strict("user doorward on >hunter2 ~* -@all");
    let plan = on_the_bus(&["a"], &bus.bus("doorward:hunter3@"));
    let mut cluster = plan.furnish();
    cluster.start(&["a"]);
    let complaint = [
        "the bus can't be reached",
        "it refuses the user or the password",
    ];
    eventually(|| cluster.logged("a", &complaint));
    assert!(never_says(&cluster, "a", "hunter"));
    let mut ledger = Ledger::default();
    let customer = ledger.customer(&cluster);
    assert_eq!(
        customer.visit(&cluster["a"], "/cart"),
        503,
        "nobody knows what was revoked"
    );
    let cut_off = ["revoke", "--all-before", "2000-01-01T00:00:00Z", "--yes"];
    let cut_off = cluster["a"].command(&cut_off);
    assert_eq!(cut_off.code, Some(0), "{cut_off:?}");
    cluster.comes_to("a", "ready");
    ledger.log_out_all(&cluster, "a", 2);
    ledger.check(&cluster);
}

#[test]
fn rights_that_are_missing_are_named() {
    let rights = "user doorward on >hunter2 ~doorward:gossip:1* -@all +xread +xinfo|stream +info";
    let bus = RedisServer::strict(rights);
    let mut cluster = on_the_bus(&["a"], &bus.bus(USER)).furnish();
    cluster.start(&["a"]);
    eventually(|| {
        cluster.logged(
            "a",
            &["the bus can't be reached", "no permissions to run", "xadd"],
        )
    });
    assert!(never_says(&cluster, "a", "hunter2"));
}

#[test]
fn a_node_without_its_bus_serves_as_on_isolated_says() {
    let mut bus = RedisServer::start();
    let plan = on_the_bus(&["a", "b"], &bus.bus(""));
    let mut cluster = plan.at("b", "on_isolated", "\"serve\"").start();
    let mut ledger = Ledger::default();
    let alive = ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    ledger.converges(&cluster);
    for name in ["a", "b"] {
        cluster.kill(name);
    }
    bus.kill();
    cluster.start(&["a", "b"]);
    cluster.comes_to("b", "ready; 0 of 0 peers; no ready node was found");
    let since = clock::instant();
    eventually(|| {
        assert_eq!(alive.visit(&cluster["a"], "/cart"), 503);
        clock::instant().duration_since(since).as_secs() >= 3
    });
    let told = cluster.told_by("a");
    assert!(
        told.starts_with("syncing") && told.contains("the bus is not read yet"),
        "{told}"
    );
    ledger.check(&cluster);
    bus.start_again();
    ledger.converges(&cluster);
    cluster.form(&["a", "b"]);
}

#[test]
fn the_bus_speaks_tls_to_those_who_can_verify_it() {
    let authority = Authority::new("an authority of servers");
    let bus = RedisServer::encrypted(&authority.issue(&["127.0.0.1"]));
    let other = Authority::new("somebody else's");
    let mut cluster = on_the_bus(&["a", "b", "c"], &bus.bus("")).furnish();
    let mut files = Vec::new();
    for (file, authority) in [("redis.pem", &authority), ("other.pem", &other)] {
        let path = put(cluster.folder(), file, &authority.pem(), 0o644);
        files.push(format!("{path:?}"));
    }
    cluster.configure("a", &[("bus_ca_file", &files[0]), ("new_cluster", "true")]);
    cluster.configure("b", &[("bus_ca_file", &files[0])]);
    cluster.configure("c", &[("bus_ca_file", &files[1])]);
    cluster.start(&["a", "b", "c"]);
    cluster.form(&["a", "b"]);
    let complaint = [
        "the bus can't be reached",
        "none of the authorities",
        "bus_ca_file",
    ];
    eventually(|| cluster.logged("c", &complaint));
    assert!(!cluster.is_ready("c"));
    cluster.stop("c");
    shares(&cluster);
}

#[test]
fn a_server_of_another_name_is_not_spoken_with() {
    let authority = Authority::new("an authority of servers");
    let bus = RedisServer::encrypted(&authority.issue(&["redis.internal"]));
    let mut cluster = on_the_bus(&["a"], &bus.bus("")).furnish();
    let file = put(cluster.folder(), "redis.pem", &authority.pem(), 0o644);
    cluster.configure("a", &[("bus_ca_file", &format!("{file:?}"))]);
    cluster.start(&["a"]);
    eventually(|| cluster.logged("a", &["the bus can't be reached", "for another name"]));
}

/// The fields of an entry, as a stranger may write them.
struct Stranger<'b> {
    bus: &'b RedisServer,
    key: String,
}

impl Stranger<'_> {
    #[track_caller]
    fn writes(&self, fields: &[(&str, &[u8])]) {
        let mut command: Vec<&[u8]> = vec![b"XADD", self.key.as_bytes(), b"*"];
        for (name, value) in fields {
            command.extend([name.as_bytes(), value]);
        }
        self.bus.ask_bytes(&command);
    }

    #[track_caller]
    fn says(&self, from: &str, frame: &[u8]) {
        let fields: [(&str, &[u8]); 4] = [
            ("from", from.as_bytes()),
            ("origin", &[9; 16]),
            ("session", &[7; 8]),
            ("frame", frame),
        ];
        self.writes(&fields);
    }
}

#[track_caller]
fn skipped(cluster: &Cluster, name: Name) -> f64 {
    cluster.metric(name, "doorward_bus_skipped_total")
}

#[test]
fn what_no_node_has_written_is_skipped_and_counted() {
    let bus = RedisServer::start();
    let cluster = on_the_bus(&["a", "b"], &bus.bus("")).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for key in [STREAM.to_owned(), format!("{STREAM}:a")] {
        let stranger = Stranger { bus: &bus, key };
        let origin: &[u8] = &[9; 16];
        for fields in [
            &[("mood", b"bad".as_slice())][..],
            &[
                ("from", b"z".as_slice()),
                ("origin", b"short"),
                ("session", &[7; 8]),
            ],
            &[
                ("from", b"\xff\xfe".as_slice()),
                ("origin", origin),
                ("session", &[7; 8]),
            ],
            &[
                ("from", b"../z".as_slice()),
                ("origin", origin),
                ("session", &[7; 8]),
            ],
            &[
                ("from", b"z".as_slice()),
                ("origin", origin),
                ("session", &[]),
            ],
        ] {
            stranger.writes(fields);
        }
    }
    let stranger = Stranger {
        bus: &bus,
        key: STREAM.to_owned(),
    };
    let huge = vec![4; 4 << 20];
    let digests = [&[9][..], &[0; 16]].concat();
    for frame in [&b""[..], b"\x02\x00", b"\x04\x04", &digests, &huge] {
        stranger.says("z", frame);
        stranger.says("b", frame); // it may call itself whatever it likes
    }
    stranger.says("z", b"\xee of a later version");
    ledger.log_out_all(&cluster, "a", 2);
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
    // What claims to be of the node itself is not counted where it makes sense.
    eventually(|| skipped(&cluster, "a") >= 20.0 && skipped(&cluster, "b") >= 14.0);
    let before = skipped(&cluster, "b");
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
    assert!(
        skipped(&cluster, "b") <= before,
        "its neighbours make sense"
    );
    for name in ["a", "b"] {
        assert!(cluster.metric(name, "doorward_bus_resets_total") < 1.0);
    }
}

#[test]
fn an_entry_that_is_too_large_to_be_read_is_passed_over() {
    let bus = RedisServer::start();
    let mut cluster = on_the_bus(&["a", "b"], &bus.bus("")).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let huge = vec![b'x'; 100 << 20];
    for key in [STREAM, "doorward:gossip:1:b"] {
        ledger.log_out_all(&cluster, "a", 1);
        bus.ask_bytes(&[b"XADD", key.as_bytes(), b"*", b"frame", &huge]);
        ledger.log_out_all(&cluster, "a", 1);
        eventually(|| cluster.logged("b", &["too large", "passed over"]));
        ledger.converges(&cluster);
    }
    assert!(skipped(&cluster, "b") >= 2.0);
    cluster.kill("b");
    ledger.log_out_all(&cluster, "a", 1);
    cluster.start(&["b"]);
    cluster.form(&["a", "b"]);
    ledger.log_out_all(&cluster, "b", 1);
    ledger.converges(&cluster);
}

/// Whoever may write to the bus may be a node. It can revoke, within limits, and take nothing back.
#[test]
fn a_stranger_who_may_write_can_revoke_too_much_and_bring_nothing_back() {
    let bus = RedisServer::start();
    let cluster = on_the_bus(&["a", "b"], &bus.bus("")).start();
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
    let stranger = Stranger {
        bus: &bus,
        key: STREAM.to_owned(),
    };
    stranger.says("z", &ping(&[([9; 16], 2)]));
    let far = cutoff(&[5; 16], FOREVER, FOREVER);
    stranger.says("z", &delta([9; 16], 1, &[far]));
    stranger.says("z", &loose(&[far]));
    stranger.says("z", &delta([8; 16], 1, &[far])); // of another one
    stranger.says("z", &goodbye());
    for name in ["a", "b"] {
        eventually(|| cluster.metric(name, "doorward_peer_capped_total") >= 1.0);
        eventually(|| skipped(&cluster, name) >= 1.0);
    }
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
}
