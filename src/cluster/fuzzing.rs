//! A node with state that takes any bytes from a peer, for fuzz/ alone, which has no other access to frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::settings::StalePolicy;
use crate::cluster::protocol::frame::{
    Frame, Goodbye, Heartbeat, Hello, Ping, ReconcileStep, VERSION,
};
use crate::cluster::protocol::membership::ORIGINS_A_NODE;
use crate::cluster::protocol::mesh::{LinkId, Mesh, Now};
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::revocation::{
    Bucket, Id, Identity, NodeName, Origin, ReplicationLog, Revocation, Row, Set, Source, Sum,
    Summary, SyncPhase, VersionVector, Window,
};

/// The origin of a node.
fn origin_of(name: &str) -> Origin {
    Origin::bound([1; 8], name)
}

const HONEST_LINK: LinkId = 1;
const ROGUE_LINK: LinkId = 2;

/// How often the honest node sends a heartbeat.
const STEP_MS: u64 = 500;

/// How old the newest heartbeat of it may be.
const AGE_MAX_MS: u64 = 1_500;

/// Node `a`, which has revocations of its own and of node `b`, to which it is linked; and peer `c`, which sends any bytes.
pub struct FuzzNode {
    mesh: Mesh,
    set: Arc<Set>,
    replication_log: Arc<ReplicationLog>,
    revoked: Vec<Revocation>,
    now: Now,
    state: SyncPhase,
    is_linked: bool,
}

fn rules(quarantine: &[&str]) -> ReadinessPolicy {
    ReadinessPolicy {
        on_stale: StalePolicy::Refuse,
        on_isolated: StalePolicy::Refuse,
        bootstrap_timeout_ms: 1_000,
        new_cluster: false,
        quarantine: quarantine.iter().map(|name| named(name)).collect(),
    }
}

fn named(name: &str) -> NodeName {
    match NodeName::parse(name) {
        Ok(name) => name,
        Err(expected) => panic!("{name} is not {expected}"),
    }
}

impl FuzzNode {
    /// A node that is ready, on this day.
    ///
    /// # Panics
    ///
    /// When the node does not become ready: the fuzz target itself is wrong.
    pub fn begin() -> Self {
        let now = Now {
            uptime_ms: 5_000_000,
            wall_ms: 1_790_000_000_000,
        };
        let until = now.wall().plus(Duration::from_hours(9));
        let token = |number: u8| Revocation::Token {
            id: Id::from_bytes([number; 16]),
            window: Window::of(Some(until)),
            until: until.plus(Duration::from_hours(2)),
            source: Source::Verified,
        };
        let (own, honest) = (token(1), token(2));
        let set = Arc::new(Set::default());
        let replication_log = Arc::new(ReplicationLog::new(origin_of("a"), &VersionVector::new()));
        set.insert(&own, now.wall());
        replication_log.append_own([Row::encode(&own)], now.uptime_ms);
        let (set_of_mesh, history_of_mesh) = (Arc::clone(&set), Arc::clone(&replication_log));
        let mesh = Mesh::new(
            named("a"),
            set_of_mesh,
            history_of_mesh,
            rules(&[]),
            true,
            now,
        );
        mesh.set_targets(&[], true, now);
        let mut rehearsal = Self {
            mesh,
            set,
            replication_log,
            revoked: vec![own, honest],
            now,
            state: SyncPhase::Starting,
            is_linked: true,
        };
        rehearsal.meets(HONEST_LINK, "b");
        let first = hello("b", origin_of("b"), now, &[]);
        let delta = Frame::Delta {
            origin: origin_of("b"),
            first: 1,
            at_ms: now.uptime_ms,
            rows: vec![Row::encode(&honest)],
        };
        for frame in [first, delta] {
            let steps = rehearsal.mesh.on_message(HONEST_LINK, frame, now);
            assert!(steps.is_ok_and(|steps| steps.closes.is_empty()));
        }
        rehearsal.passes(2_000);
        assert_eq!(rehearsal.state, SyncPhase::Ready);
        rehearsal.meets(ROGUE_LINK, "c");
        rehearsal.passes(100);
        rehearsal
    }

    fn meets(&self, link: LinkId, name: &str) {
        let names = vec![named(name)];
        let _hello = self.mesh.connect(link, false, None, names, self.now);
    }

    /// The peer sends these bytes. An invalid frame ends the connection; the next frame opens another one.
    pub fn hears(&mut self, bytes: &[u8]) {
        if !std::mem::replace(&mut self.is_linked, true) {
            self.meets(ROGUE_LINK, "c");
        }
        let is_refused = match Frame::decode(&Bytes::copy_from_slice(bytes)) {
            Ok(Some(frame)) => {
                let steps = self.mesh.on_message(ROGUE_LINK, frame, self.now);
                steps.map_or(true, |steps| {
                    steps.closes.iter().any(|(link, _)| *link == ROGUE_LINK)
                })
            }
            Ok(None) => false,
            Err(_) => true,
        };
        if is_refused {
            self.is_linked = false;
            self.mesh.disconnect(ROGUE_LINK);
        }
    }

    /// Time passes, in which the honest node sends heartbeats, answers, and finds no difference.
    pub fn passes(&mut self, ms: u64) {
        let end_ms = self.now.uptime_ms + ms;
        while self.now.uptime_ms < end_ms {
            let step_ms = STEP_MS.min(end_ms - self.now.uptime_ms);
            self.now.uptime_ms += step_ms;
            self.now.wall_ms += step_ms;
            let alive = Frame::Ping(Ping {
                vector: VersionVector::from([(origin_of("b"), 1)]),
                ..ping(self.now, &[])
            });
            let _answers = self.mesh.on_message(HONEST_LINK, alive, self.now);
            let (steps, found) = self.mesh.tick(self.now);
            self.state = found.state;
            for answer in steps.frames.iter().filter_map(|said| self.answer(said)) {
                let _steps = self.mesh.on_message(HONEST_LINK, answer, self.now);
            }
        }
    }

    /// The answer of the honest node to a message for it.
    fn answer(&self, (link, said): &(LinkId, Frame)) -> Option<Frame> {
        if *link != HONEST_LINK {
            return None;
        }
        if let Frame::Reconcile {
            number,
            step: ReconcileStep::Summaries { .. },
        } = said
        {
            let step = ReconcileStep::Differences {
                vector: VersionVector::from([(origin_of("b"), 1)]),
                summaries: Vec::new(),
            };
            let number = *number;
            return Some(Frame::Reconcile { number, step });
        }
        let Frame::Ping(ping) = said else {
            return None;
        };
        Some(Frame::Pong {
            asked_ms: ping.stamp_ms,
            stamp_ms: self.now.uptime_ms,
            now_ms: self.now.wall_ms,
        })
    }

    /// Checks what the node promises, whatever it received.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub fn is_sound(&self) {
        for revocation in &self.revoked {
            let Revocation::Token { id, window, .. } = *revocation else {
                continue;
            };
            let identity = Identity {
                id,
                window,
                groups: std::iter::empty().collect(),
                issued_at: None,
                former: Box::default(),
            };
            assert!(
                self.set.covers(&identity).is_some(),
                "a logout is forgotten"
            );
        }
        let counted = self.replication_log.vector();
        assert!(
            counted.len() <= 3 + ORIGINS_A_NODE,
            "{counted:?} is counted"
        );
        assert!(
            counted.contains_key(&origin_of("b")),
            "an honest node is forgotten"
        );
        let said = Frame::Ping(self.mesh.ping(self.now));
        assert_eq!(Frame::decode(&said.encode()), Ok(Some(said)));
        for peer in self.mesh.status(self.now) {
            let name = peer.node.as_str();
            assert!(name == "b" || name == "c", "{name} was invented");
            let is_late = name == "b" && peer.silent_ms > AGE_MAX_MS;
            assert!(!is_late, "an honest node is known late: {peer:?}");
        }
        let is_settled = matches!(self.state, SyncPhase::Ready | SyncPhase::Stale);
        assert!(is_settled, "a ready node is {:?}", self.state);
    }

    /// The operator puts the peer into quarantine: nothing is left of it.
    ///
    /// # Panics
    ///
    /// When something is left of it.
    pub fn quarantines(&mut self) {
        let _hung_up = self.mesh.reconfigure(rules(&["c"]));
        self.mesh.disconnect(ROGUE_LINK);
        self.is_linked = false;
        self.passes(100);
        self.is_sound();
        let mut counted = self.replication_log.vector();
        counted.retain(|origin, _| {
            *origin != self.replication_log.own().0 && *origin != origin_of("b")
        });
        assert!(counted.is_empty(), "{counted:?} is left of a rogue");
        let peers = self.mesh.status(self.now);
        assert!(peers.iter().all(|peer| peer.node.as_str() == "b"));
        assert_eq!(self.state, SyncPhase::Ready, "a rogue is missed");
    }

    /// A frame of every kind, as a peer may send it: the hello first.
    pub fn frames() -> Vec<Vec<u8>> {
        let now = Self::begin().now;
        let rows = vec![Row::from_bytes([1; Row::BYTES])];
        let told = [("b", 0), ("ghost", 4_000)];
        let vector = VersionVector::from([
            (origin_of("a"), 1),
            (origin_of("b"), 9),
            (origin_of("c"), 1),
            (Origin::from_bytes([9; 16]), 7),
        ]);
        let mut frames = vec![
            hello("c", origin_of("c"), now, &told),
            Frame::Ping(Ping {
                vector: vector.clone(),
                ..ping(now, &told)
            }),
            Frame::Pong {
                asked_ms: now.uptime_ms,
                stamp_ms: now.uptime_ms,
                now_ms: now.wall_ms,
            },
            Frame::Delta {
                origin: origin_of("c"),
                first: 1,
                at_ms: now.uptime_ms,
                rows: rows.clone(),
            },
            Frame::Unnumbered(rows),
            Frame::Ack {
                origin: origin_of("a"),
                reached: 1,
            },
            Frame::RequestRows {
                origin: origin_of("a"),
                after: 0,
            },
            Frame::CompareSets,
            Frame::Goodbye(Goodbye::Leaving),
            Frame::Certificates(vec![vec![Bytes::from_static(b"no certificate")]]),
        ];
        frames.extend(steps_of_a_comparison(now, vector));
        frames.iter().map(|frame| frame.encode().to_vec()).collect()
    }
}

fn steps_of_a_comparison(now: Now, vector: VersionVector) -> impl Iterator<Item = Frame> {
    let bucket = Bucket::Window(Window::from_number(2_983_387));
    let summaries = vec![Summary {
        bucket,
        count: 3,
        sum: Sum(4, 5),
        until: now.wall(),
    }];
    let steps = [
        ReconcileStep::Summaries {
            beyond: now.wall(),
            summaries: summaries.clone(),
        },
        ReconcileStep::Differences { vector, summaries },
        ReconcileStep::SendAll { bucket },
        ReconcileStep::Negotiate {
            bucket,
            message: Bytes::from_static(&[0x61, 0, 0, 2, 0]),
        },
        ReconcileStep::Fetch {
            bucket,
            items: vec![[1; 32]],
        },
        ReconcileStep::Rows {
            bucket,
            rows: vec![Row::from_bytes([1; Row::BYTES])],
            is_last: true,
        },
    ];
    let number = 0x00fe_ed01;
    steps
        .into_iter()
        .map(move |step| Frame::Reconcile { number, step })
}

fn ping(now: Now, told: &[(&str, u32)]) -> Ping {
    let told = told.iter().map(|(name, ago_ms)| Heartbeat {
        node: named(name),
        ago_ms: *ago_ms,
        has_left: false,
    });
    Ping {
        now_ms: now.wall_ms,
        stamp_ms: now.uptime_ms,
        state: SyncPhase::Ready,
        is_complete: true,
        vector: VersionVector::new(),
        heartbeats: told.collect(),
    }
}

fn hello(name: &str, origin: Origin, now: Now, told: &[(&str, u32)]) -> Frame {
    Frame::Hello(Hello {
        version: VERSION,
        node: named(name),
        origin,
        ping: ping(now, told),
    })
}
