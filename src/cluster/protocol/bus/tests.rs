//! Tests of the mesh with a simulated bus.

use std::sync::Arc;
use std::time::Duration;

use super::{BusEnvelope, BusEvent, BusMessage, BusSender, SessionId};
use crate::cluster::protocol::frame::{Frame, Hello, Ping, ReconcileStep, VERSION};
use crate::cluster::protocol::mesh::{LinkId, Mesh, Now, Steps};
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::cluster::settings::StalePolicy;
use crate::revocation::{
    Id, NodeName, Origin, ReplicationLog, Revocation, Row, Set, Source, SumKey, SyncFinding,
    SyncPhase, VersionVector, Window,
};

const BY_CONNECTION: LinkId = 1;

/// The session of the node itself, and that of another one.
const OWN_SESSION: SessionId = 1;
const OTHER_SESSION: SessionId = 2;

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn at(seconds_tenths: u64) -> Now {
    Now {
        uptime_ms: 1_000_000 + seconds_tenths * 100,
        wall_ms: 1_790_000_000_000 + seconds_tenths * 100,
    }
}

fn origin(number: u8) -> Origin {
    Origin::bound([number; 8], "n")
}

fn row(number: u8) -> Row {
    Row::encode(&Revocation::Token {
        id: Id::from_bytes([number; 16]),
        window: Window::of(Some(at(36_000).wall())),
        until: at(72_000).wall(),
        source: Source::Verified,
    })
}

/// Node `m` with the journal of a node that knew everything, at a bus.
fn mesh(rules: ReadinessPolicy) -> Mesh {
    let set = Arc::new(Set::summed_under(
        SumKey::default(),
        Duration::from_hours(1),
    ));
    let replication_log = Arc::new(ReplicationLog::new(origin(13), &VersionVector::new()));
    let mesh = Mesh::new(node("m"), set, replication_log, rules, true, at(0));
    mesh.set_targets(&[], true, at(0));
    mesh.expect_bus(at(0));
    mesh.on_bus_event(BusEvent::SessionStarted(OWN_SESSION), at(0));
    written(&mesh, at(0));
    mesh
}

fn rules() -> ReadinessPolicy {
    ReadinessPolicy {
        on_stale: StalePolicy::Serve,
        on_isolated: StalePolicy::Refuse,
        bootstrap_timeout_ms: 5_000,
        new_cluster: false,
        quarantine: Vec::new(),
    }
}

fn ping(state: SyncPhase, now: Now) -> Ping {
    Ping {
        now_ms: now.wall_ms,
        stamp_ms: now.uptime_ms,
        state,
        is_complete: true,
        vector: VersionVector::new(),
        heartbeats: Vec::new(),
    }
}

fn check_server(mesh: &Mesh, now: Now) -> SyncFinding {
    mesh.tick(now).1
}

fn look_until(mesh: &Mesh, from: u64, to: u64) -> SyncFinding {
    let mut found = check_server(mesh, at(from));
    for moment in from..=to {
        found = check_server(mesh, at(moment));
    }
    found
}

fn read_all(mesh: &Mesh, now: Now) {
    let marked_ms = now.uptime_ms;
    mesh.on_bus_event(BusEvent::CaughtUp { marked_ms }, now);
}

/// An entry is written at once; the server's clock shows the time of day.
fn written(mesh: &Mesh, now: Now) {
    let (asked_ms, server_ms) = (now.uptime_ms, now.wall_ms);
    let written = BusEvent::Written {
        asked_ms,
        server_ms,
    };
    mesh.on_bus_event(written, now);
}

/// A broadcast of this session.
fn broadcast(from: &str, sender: BusSender, frame: Frame, now: Now) -> BusMessage {
    BusMessage {
        envelope: BusEnvelope {
            from: node(from),
            sender,
            to: None,
            age_ms: None,
            server_ms: now.wall_ms,
        },
        frame,
    }
}

/// The node's own ping is written and read at once.
fn delivers(mesh: &Mesh, now: Now) {
    let frame = mesh.stamped_for_bus(mesh.ping_by_bus(now), now);
    let own = broadcast("m", mesh.bus_sender(), frame, now);
    assert!(mesh.on_bus_message(own, now).is_ok());
}

#[test]
fn a_node_alone_is_ready_when_it_has_read_the_bus_and_listened() {
    let mesh = mesh(rules());
    let found = look_until(&mesh, 0, 40);
    assert_eq!(found.state, SyncPhase::Syncing);
    assert!(
        found.why.contains("the bus is not read yet"),
        "{}",
        found.why
    );
    read_all(&mesh, at(41));
    assert_eq!(look_until(&mesh, 41, 70).state, SyncPhase::Syncing);
    let found = check_server(&mesh, at(71));
    assert_eq!(
        (found.state, found.serves),
        (SyncPhase::Ready, true),
        "{}",
        found.why
    );
}

#[test]
fn a_node_alone_does_not_believe_a_bus_that_lost_something() {
    for (on_isolated, state) in [
        (StalePolicy::Refuse, SyncPhase::Syncing),
        (StalePolicy::Serve, SyncPhase::Ready),
    ] {
        let mesh = mesh(ReadinessPolicy {
            on_isolated,
            ..rules()
        });
        let steps = mesh.on_bus_event(BusEvent::EntriesLost, at(0));
        assert_eq!(steps.publish_after, Some(0));
        read_all(&mesh, at(0));
        assert_eq!(look_until(&mesh, 0, 49).state, SyncPhase::Syncing);
        let found = look_until(&mesh, 50, 60);
        assert_eq!(found.state, state, "{}", found.why);
    }
}

#[test]
fn a_node_that_stood_still_listens_again() {
    let mesh = mesh(rules());
    read_all(&mesh, at(0));
    assert_eq!(look_until(&mesh, 0, 30).state, SyncPhase::Ready);
    assert_eq!(check_server(&mesh, at(100)).state, SyncPhase::Syncing);
    assert_eq!(look_until(&mesh, 100, 140).state, SyncPhase::Syncing);
    read_all(&mesh, at(141));
    assert_eq!(look_until(&mesh, 141, 171).state, SyncPhase::Ready);
}

/// A node is heard on the bus; it says so itself.
fn is_heard(mesh: &Mesh, name: &str, state: SyncPhase, now: Now) -> Steps {
    delivers(mesh, now);
    let steps = pings(mesh, name, state, now);
    let opened = steps.opens.as_ref().map(|(_, opening)| opening);
    let opened = opened.unwrap();
    assert_eq!(opened.to.session_id, OTHER_SESSION);
    assert!(matches!(opened.greeting, Frame::Ping(_)));
    steps
}

/// Another node's ping is read.
fn pings(mesh: &Mesh, name: &str, state: SyncPhase, now: Now) -> Steps {
    let sender = BusSender {
        origin: Origin::bound([2; 8], name),
        session_id: OTHER_SESSION,
    };
    let frame = Frame::Ping(Ping {
        stamp_ms: now.wall_ms, // the server's clock shows that
        ..ping(state, now)
    });
    let message = broadcast(name, sender, frame, now);
    mesh.on_bus_message(message, now).unwrap()
}

/// The link by the bus to this node.
fn by_bus(mesh: &Mesh, name: &str) -> LinkId {
    let link = mesh.link_of(&node(name)).unwrap();
    assert!(!mesh.is_connected_to(&node(name)));
    link
}

/// The peer's answer to a comparison: there is no difference.
fn agrees(mesh: &Mesh, asked: &Steps, now: Now) {
    for (link, frame) in &asked.frames {
        if let Frame::Reconcile {
            number,
            step: ReconcileStep::Summaries { .. },
        } = frame
        {
            let step = ReconcileStep::Differences {
                vector: VersionVector::new(),
                summaries: Vec::new(),
            };
            let answer = Frame::Reconcile {
                number: *number,
                step,
            };
            mesh.on_message(*link, answer, now).unwrap();
        }
    }
}

#[test]
fn a_node_compares_with_whom_it_hears_on_the_bus() {
    let mesh = mesh(rules());
    let steps = is_heard(&mesh, "n", SyncPhase::Ready, at(1));
    assert!(steps.joined.is_some() && steps.closes.is_empty());
    let (steps, found) = mesh.tick(at(2));
    assert_eq!(found.why, "comparing with n");
    agrees(&mesh, &steps, at(3));
    let found = check_server(&mesh, at(4));
    assert_eq!(
        (found.state, found.why.as_str()),
        (SyncPhase::Ready, "compared with n")
    );
}

#[test]
fn nobody_is_asked_for_a_pong_on_the_bus() {
    let mesh = mesh(rules());
    is_heard(&mesh, "n", SyncPhase::Ready, at(1));
    let steps = pings(&mesh, "n", SyncPhase::Ready, at(11));
    assert!(steps.opens.is_none());
    let is_pong = |(_, frame): &(LinkId, Frame)| matches!(frame, Frame::Pong { .. });
    assert!(!steps.frames.iter().any(is_pong));
    let (steps, _) = mesh.tick(at(30));
    let mut said = steps.frames.iter();
    let has_ping = said.any(|(_, frame)| matches!(frame, Frame::Ping(_)));
    assert!(!has_ping, "the bus says it once, to all");
}

#[test]
fn a_silent_bus_makes_stale_until_sets_are_compared_again() {
    let mesh = mesh(rules());
    is_heard(&mesh, "n", SyncPhase::Ready, at(1));
    let (steps, _) = mesh.tick(at(2));
    agrees(&mesh, &steps, at(3));
    assert_eq!(look_until(&mesh, 4, 31).state, SyncPhase::Ready);
    let found = check_server(&mesh, at(34));
    assert_eq!(found.state, SyncPhase::Stale);
    assert!(
        found.why.starts_with("the bus is silent; n may"),
        "{}",
        found.why
    );
    delivers(&mesh, at(40));
    pings(&mesh, "n", SyncPhase::Ready, at(40));
    let (steps, found) = mesh.tick(at(41));
    assert_eq!(
        found.state,
        SyncPhase::Stale,
        "it may have taken logouts meanwhile"
    );
    agrees(&mesh, &steps, at(42));
    assert_eq!(check_server(&mesh, at(43)).state, SyncPhase::Ready);
}

/// Node `n` connects: it dials, or is dialed.
fn connects(mesh: &Mesh, is_dialed: bool, now: Now) -> Steps {
    mesh.connect(BY_CONNECTION, is_dialed, None, Vec::new(), now);
    let hello = Hello {
        version: VERSION,
        node: node("n"),
        origin: origin(2),
        ping: ping(SyncPhase::Ready, now),
    };
    mesh.on_message(BY_CONNECTION, Frame::Hello(hello), now)
        .unwrap()
}

#[test]
fn a_connection_outdoes_the_bus_whoever_called() {
    for is_dialed in [true, false] {
        let mesh = mesh(rules());
        is_heard(&mesh, "n", SyncPhase::Ready, at(1));
        let by_bus = by_bus(&mesh, "n");
        let steps = connects(&mesh, is_dialed, at(2));
        let closed: Vec<_> = steps.closes.iter().map(|(link, _)| *link).collect();
        assert_eq!(closed, [by_bus]);
        mesh.disconnect(by_bus);
        assert!(mesh.is_link_to(BY_CONNECTION, &node("n")));
        assert!(mesh.is_connected_to(&node("n")));
    }
}

#[test]
fn the_bus_outdoes_no_connection() {
    let mesh = mesh(rules());
    connects(&mesh, false, at(1));
    let steps = pings(&mesh, "n", SyncPhase::Ready, at(2));
    assert!(steps.opens.is_none());
    assert!(mesh.is_link_to(BY_CONNECTION, &node("n")));
}

/// A broadcast is read of a node that says to be this origin.
fn apply_broadcast(mesh: &Mesh, name: &str, own: u8, frame: Frame) -> Steps {
    let sender = BusSender {
        origin: origin(own),
        session_id: OTHER_SESSION,
    };
    let mut message = broadcast(name, sender, frame, at(10));
    message.envelope.age_ms = (name == "m").then_some(1_000); // of an earlier process
    mesh.on_bus_message(message, at(10)).unwrap()
}

fn delta(origin: Origin, first: u64, rows: &[u8]) -> Frame {
    Frame::Delta {
        origin,
        first,
        at_ms: 0,
        rows: rows.iter().map(|number| row(*number)).collect(),
    }
}

#[test]
fn a_new_session_of_a_node_is_another_link_even_if_its_rows_come_first() {
    let mesh = mesh(rules());
    is_heard(&mesh, "n", SyncPhase::Ready, at(1));
    let former = by_bus(&mesh, "n");
    let sender = BusSender {
        origin: Origin::bound([2; 8], "n"),
        session_id: OTHER_SESSION + 1,
    };
    let rows = delta(sender.origin, 1, &[1]);
    let steps = mesh.on_bus_message(broadcast("n", sender, rows, at(2)), at(2));
    assert!(steps.is_ok_and(|steps| steps.opens.is_none()));
    let frame = Frame::Ping(ping(SyncPhase::Ready, at(3)));
    let steps = mesh.on_bus_message(broadcast("n", sender, frame, at(3)), at(3));
    let opened = steps.unwrap().opens.unwrap().1;
    assert_eq!(opened.to.session_id, sender.session_id);
    assert_ne!(by_bus(&mesh, "n"), former);
}

#[test]
fn what_is_said_to_all_is_taken_in_once() {
    let mesh = mesh(rules());
    let steps = apply_broadcast(&mesh, "z", 7, delta(origin(7), 1, &[9]));
    assert_eq!(steps.imports[0].revocations.len(), 1);
    assert_eq!(steps.imports[0].progress.reached, [], "no node is origin 7");
    connects(&mesh, false, at(1)); // n is origin 2
    let steps = apply_broadcast(&mesh, "n", 2, delta(origin(2), 1, &[1, 2]));
    assert_eq!(steps.imports[0].revocations.len(), 2);
    assert_eq!(steps.imports[0].progress.reached, [(origin(2), 2)]);
    assert_eq!(mesh.revocations().len(), 3);
    assert!(
        apply_broadcast(&mesh, "n", 2, delta(origin(2), 1, &[1, 2]))
            .imports
            .is_empty()
    );
    let unnumbered = Frame::Unnumbered(vec![row(3)]);
    assert_eq!(apply_broadcast(&mesh, "n", 2, unnumbered).imports.len(), 1);
    assert_eq!(mesh.revocations().len(), 4);
    assert!(
        apply_broadcast(&mesh, "n", 2, Frame::CompareSets)
            .imports
            .is_empty()
    );
}

#[test]
fn a_node_that_finds_its_own_words_and_has_forgotten_them_is_another_origin() {
    let mesh = mesh(rules());
    let steps = apply_broadcast(&mesh, "m", 13, delta(origin(13), 1, &[1, 2]));
    assert!(steps.must_renew, "its journal is an older copy");
    assert_eq!(mesh.revocations().len(), 2);
}

#[test]
fn nobody_counts_for_another() {
    let mesh = mesh(rules());
    connects(&mesh, false, at(1)); // n is origin 2
    let steps = apply_broadcast(&mesh, "z", 2, delta(origin(2), 1, &[1]));
    assert_eq!(steps.imports[0].revocations.len(), 1, "it can only revoke");
    assert_eq!(mesh.replication_log.reached(&origin(2)), 0);
    apply_broadcast(&mesh, "n", 2, delta(origin(2), 1, &[2]));
    assert_eq!(mesh.replication_log.reached(&origin(2)), 1);
}
