//! The session with a peer: what is known of one connection to it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::failure_detector::{KnownUntil, SILENCE_MAX_MS};
use super::frame::{Frame, Heartbeat, Ping};
use super::membership::NODES_MAX;
use super::peer_clock::{PeerClock, difference};
use super::peer_view::PeerView;
use super::reconciliation::{Reconciliation, ReconciliationResponder};
use crate::revocation::{NodeName, Origin, SyncPhase, VersionVector};

/// How often every node says that it is alive, and what it knows: what goes from node to node, over a way of 600 ms, is
/// to be younger than five seconds at its end.
pub(crate) const PING_EVERY_MS: u64 = 500;

/// For how long a comparison may be under way that a peer has forgotten.
const FORGOTTEN_AFTER_MS: u64 = 1_000;

/// How often rows of one origin are asked for on one connection.
const REQUEST_EVERY_MS: u64 = 500;

/// How many pings of a peer are remembered that are ahead of what is known here.
const AHEAD_MAX: usize = 16;

/// How often sets are compared although nothing seems to be missing.
const RECONCILE_EVERY_MS: u64 = 30_000;

/// The shortest time between two comparisons on one connection.
const RECONCILE_PAUSE_MS: u64 = 500;

/// After which time without progress a comparison is begun anew.
const RECONCILE_PATIENCE_MS: u64 = 20_000;

/// Beyond how many origins it is forgotten when they were asked for.
const REQUESTED_MAX: usize = 4096;

/// What carries the frames of two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// A connection of their own.
    Connection,
    /// The bus, since they have no connection.
    Bus,
}

/// A connection to another node.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, known at another time"
)]
pub(crate) struct PeerSession {
    pub(crate) is_dialed: bool,
    pub(crate) kind: LinkKind,
    /// The address that was dialed.
    pub(crate) target: Option<SocketAddr>,
    /// The names of the peer's certificate; empty where there are none.
    pub(crate) names: Vec<NodeName>,
    /// The identity of the peer, once it has greeted.
    pub(crate) peer: Option<PeerId>,
    /// It was told to go: what it says until it is gone does not count.
    pub(crate) is_refused: bool,
    pub(crate) last_message_ms: u64,
    pinged_ms: u64,
    pub(crate) state: SyncPhase,
    pub(crate) is_complete: bool,
    pub(crate) vector: VersionVector,
    /// The vector of the ping before: what was known then should have come by now.
    pub(crate) older_vector: VersionVector,
    /// The nodes that the peer hears, and has heard without a break, until a goodbye if there was one; and how long before
    /// its last ping, with the stamp of that.
    hears: (u64, Vec<Heartbeat>),
    /// The pings of which not all is known here yet, the oldest first.
    ahead: VecDeque<Ahead>,
    /// The clock of the peer's stamps.
    clock: PeerClock,
    /// How far the peer's time of day is ahead of ours.
    pub(crate) offset_ms: Option<i64>,
    pub(crate) reconciliation: Option<Reconciliation>,
    /// When the last comparison was begun that came to its end.
    pub(crate) agreed_ms: Option<u64>,
    /// Where the peer stood then.
    pub(crate) agreed_with: SyncPhase,
    began_ms: Option<u64>,
    begun_count: u32,
    pub(crate) is_reconciliation_due: bool,
    /// The peer has revocations of its own that only a comparison can bring.
    pub(crate) is_lacking: bool,
    pub(crate) answering: ReconciliationResponder,
    /// When rows of an origin were asked for.
    requested_ms: HashMap<Origin, u64>,
    /// How much is known of what the peer relays of other nodes: it holds for this connection only.
    relayed: VersionVector,
    /// Whether a comparison has come to its end: what is relayed is counted from there on.
    pub(crate) is_compared: bool,
    /// The comparison that is under way has brought something.
    pub(crate) has_news: bool,
    /// The peer tells of origins that did not introduce themselves here: it is between us and others.
    pub(crate) is_relay: bool,
    /// The log has said that the peer sent rows of another node.
    pub(crate) is_foreign_noted: bool,
    /// How many certificates are examined for the peer still.
    pub(crate) certificates_left: usize,
    pub(crate) budget: RowBudget,
}

/// What a peer said of itself and others, and what must come before that is true of this node, too.
struct Ahead {
    stamp_ms: u64,
    /// What the peer knew and this node does not.
    lacking: Vec<(Origin, u64)>,
    heartbeats: Vec<Heartbeat>,
}

/// All that the peer knew at a moment of our clock is known here, and so is what it had heard of others until then.
pub(crate) struct CaughtUp {
    pub(crate) at_ms: u64,
    pub(crate) heartbeats: Vec<Heartbeat>,
}

/// The node at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerId {
    pub(crate) node: NodeName,
    pub(crate) origin: Origin,
}

impl PeerSession {
    pub(crate) fn new(
        is_dialed: bool,
        target: Option<SocketAddr>,
        names: Vec<NodeName>,
        now_ms: u64,
    ) -> Self {
        Self {
            is_dialed,
            kind: LinkKind::Connection,
            target,
            names,
            peer: None,
            is_refused: false,
            last_message_ms: now_ms,
            pinged_ms: now_ms,
            state: SyncPhase::Starting,
            is_complete: false,
            vector: VersionVector::new(),
            older_vector: VersionVector::new(),
            hears: (0, Vec::new()),
            ahead: VecDeque::new(),
            clock: PeerClock::default(),
            offset_ms: None,
            reconciliation: None,
            agreed_ms: None,
            agreed_with: SyncPhase::Starting,
            began_ms: None,
            begun_count: first_number(now_ms),
            is_reconciliation_due: is_dialed,
            is_lacking: false,
            answering: ReconciliationResponder::default(),
            requested_ms: HashMap::new(),
            relayed: VersionVector::new(),
            is_compared: false,
            has_news: false,
            is_relay: false,
            is_foreign_noted: false,
            certificates_left: 4 * NODES_MAX,
            budget: RowBudget::full(now_ms),
        }
    }

    /// The peer as far as it decides where this node stands.
    pub(crate) fn view(&self) -> Option<PeerView> {
        let peer = self.peer.as_ref()?;
        Some(PeerView {
            node: peer.node.clone(),
            state: self.state,
            is_complete: self.is_complete,
            agreed_with: self.agreed_ms.map(|_| self.agreed_with),
            offset_ms: self.offset_ms,
        })
    }

    /// Takes in a ping of the peer. Of what it knows this is `known` here, but for this node's own.
    pub(crate) fn on_ping(&mut self, ping: Ping, own: Origin, known: &VersionVector) {
        let reached = |origin: &Origin| {
            let counted = known.get(origin).copied().unwrap_or_default();
            counted.max(self.relayed(origin))
        };
        let is_lacking =
            |(origin, there): &(&Origin, &u64)| **origin != own && **there > reached(origin);
        let lacking = ping.vector.iter().filter(is_lacking);
        let ahead = Ahead {
            stamp_ms: ping.stamp_ms,
            lacking: lacking.map(|(origin, there)| (*origin, *there)).collect(),
            heartbeats: ping.heartbeats.clone(),
        };
        if self.ahead.len() >= AHEAD_MAX {
            self.ahead.pop_back(); // the oldest is known soonest, the newest says most
        }
        self.ahead.push_back(ahead);
        let is_fresh =
            |heard: &Heartbeat| heard.has_left || u64::from(heard.ago_ms) <= SILENCE_MAX_MS;
        let mut hears = ping.heartbeats;
        hears.retain(is_fresh);
        self.hears = (ping.stamp_ms, hears);
        self.state = ping.state;
        self.is_complete = ping.is_complete;
        self.older_vector = std::mem::replace(&mut self.vector, ping.vector);
        let vector = &self.vector;
        self.relayed.retain(|origin, _| vector.contains_key(origin));
        // What is counted stays known when its origin ends: the peer may tell of that origin for longer.
        for (origin, counted) in known {
            if self.vector.contains_key(origin) {
                self.relays(*origin, *counted);
            }
        }
    }

    /// The peer's answer to a ping.
    pub(crate) fn on_pong(
        &mut self,
        asked_ms: u64,
        (stamp_ms, wall_there_ms): (u64, u64),
        (now_ms, wall_ms): (u64, u64),
    ) {
        if stamp_ms == 0 {
            return; // an earlier version answers
        }
        self.clock.answered(asked_ms, stamp_ms, now_ms);
        let halfway_ms = now_ms.saturating_sub(asked_ms) / 2;
        let then_ms = wall_ms.saturating_sub(halfway_ms);
        self.offset_ms = Some(difference(wall_there_ms, then_ms));
    }

    /// The newest ping of the peer of which all is known here by now, if it is a new one.
    pub(crate) fn caught_up(
        &mut self,
        reached: impl Fn(&Origin) -> u64,
        now_ms: u64,
    ) -> Option<CaughtUp> {
        self.moment_of(0, now_ms)?; // no ping has a moment before clocks are compared
        let relayed = &self.relayed;
        let known = |origin: &Origin| {
            let relayed = relayed.get(origin).copied().unwrap_or_default();
            reached(origin).max(relayed)
        };
        for ahead in &mut self.ahead {
            ahead
                .lacking
                .retain(|(origin, there)| known(origin) < *there);
        }
        let place = self
            .ahead
            .iter()
            .rposition(|ahead| ahead.lacking.is_empty())?;
        let Ahead {
            stamp_ms,
            heartbeats,
            ..
        } = self.ahead.drain(..=place).next_back()?;
        let at_ms = self.moment_of(stamp_ms, now_ms)?;
        Some(CaughtUp { at_ms, heartbeats })
    }

    /// The moment of a stamp of the peer's by our clock, or an earlier one; `None`: clocks were not compared yet.
    fn moment_of(&self, stamp_ms: u64, now_ms: u64) -> Option<u64> {
        match self.kind {
            LinkKind::Connection => self.clock.no_later_than(stamp_ms, now_ms),
            LinkKind::Bus => Some(stamp_ms.min(now_ms)), // it is our moment already
        }
    }

    /// The same as exactly as is known, for measuring.
    pub(crate) fn about(&self, stamp_ms: u64, now_ms: u64) -> Option<u64> {
        match self.kind {
            LinkKind::Connection => self.clock.about(stamp_ms, now_ms),
            LinkKind::Bus => Some(stamp_ms.min(now_ms)),
        }
    }

    /// How long a question and its answer take on this connection, in milliseconds; `None`: that is not known.
    pub(crate) fn round_trip_ms(&self) -> Option<u64> {
        self.clock.round_trip_ms()
    }

    /// The nodes of which the peer knows everything: itself, those it hears, and those that said goodbye; and until when.
    pub(crate) fn spoken_for(&self, now_ms: u64) -> Vec<KnownUntil> {
        let own = self.peer.iter().map(|peer| KnownUntil {
            node: peer.node.clone(),
            until_ms: now_ms,
        });
        let (stamp_ms, hears) = &self.hears;
        let said_ms = self.moment_of(*stamp_ms, now_ms);
        let others = said_ms.into_iter().flat_map(|said_ms| {
            hears.iter().map(move |heard| KnownUntil {
                node: heard.node.clone(),
                until_ms: said_ms.saturating_sub(u64::from(heard.ago_ms)),
            })
        });
        own.chain(others).collect()
    }

    /// Whether it is time to say that one is alive.
    pub(crate) fn is_ping_due(&mut self, now_ms: u64) -> bool {
        let is_due = now_ms.saturating_sub(self.pinged_ms) >= PING_EVERY_MS;
        if is_due {
            self.pinged_ms = now_ms;
        }
        is_due
    }

    /// Whether sets are to be compared now, since `is_needed`, or because nothing was compared for long.
    pub(crate) fn is_reconciliation_due(&self, is_needed: bool, now_ms: u64) -> bool {
        let since = |then: Option<u64>| then.map_or(u64::MAX, |then| now_ms.saturating_sub(then));
        let is_busy = self.reconciliation.is_some() && since(self.began_ms) < RECONCILE_PATIENCE_MS;
        let is_old = self.is_dialed && since(self.began_ms) >= RECONCILE_EVERY_MS;
        let wanted = is_needed || self.is_reconciliation_due || is_old;
        self.peer.is_some() && wanted && !is_busy && since(self.began_ms) >= RECONCILE_PAUSE_MS
    }

    /// The number of the next comparison: odd on one side and even on the other.
    pub(crate) fn next_number(&mut self, now_ms: u64) -> u32 {
        self.begun_count = self.begun_count.wrapping_add(1);
        self.began_ms = Some(now_ms);
        self.is_reconciliation_due = false;
        (self.begun_count << 1) | u32::from(self.is_dialed)
    }

    /// The peer has begun anew what it says here: it will not end a comparison that was under way for long.
    pub(crate) fn peer_began_anew(&mut self, now_ms: u64) {
        let since = |began_ms| now_ms.saturating_sub(began_ms);
        let is_under_way = self.reconciliation.is_some();
        if is_under_way
            && self
                .began_ms
                .is_none_or(|began| since(began) > FORGOTTEN_AFTER_MS)
        {
            self.reconciliation = None;
            self.is_reconciliation_due = true;
        }
    }

    /// Our clock was set forward by so much: what was compared until now does not count.
    pub(crate) fn clock_stepped(&mut self, step_ms: i64) {
        self.offset_ms = self
            .offset_ms
            .map(|offset_ms| offset_ms.saturating_sub(step_ms));
        self.reconciliation = None;
        self.agreed_ms = None;
        self.is_reconciliation_due = true;
    }

    /// Whether a comparison with that number was begun here.
    pub(crate) fn is_our_number(&self, number: u32) -> bool {
        number & 1 == u32::from(self.is_dialed)
    }

    /// The comparison with that number, if it is the one that is going on.
    pub(crate) fn our_reconciliation(&mut self, number: u32) -> Option<&mut Reconciliation> {
        self.reconciliation
            .as_mut()
            .filter(|reconciliation| reconciliation.number == number)
    }

    /// How much is known of an origin that the peer relays.
    pub(crate) fn relayed(&self, origin: &Origin) -> u64 {
        self.relayed.get(origin).copied().unwrap_or_default()
    }

    /// So much is known of an origin that the peer relays.
    pub(crate) fn relays(&mut self, origin: Origin, reached: u64) {
        let known = self.relayed.entry(origin).or_default();
        *known = reached.max(*known);
    }

    /// Everything that the peer knew when it compared is known.
    pub(crate) fn compared(&mut self, vector: &VersionVector) {
        self.is_compared = true;
        for (origin, reached) in vector {
            self.relays(*origin, *reached);
        }
    }

    /// Whether rows of an origin were asked for here.
    pub(crate) fn has_requested(&self, origin: &Origin) -> bool {
        self.requested_ms.contains_key(origin)
    }

    /// Asks for rows of an origin, unless that was done a moment ago.
    pub(crate) fn request_rows(
        &mut self,
        origin: Origin,
        after: u64,
        now_ms: u64,
    ) -> Option<Frame> {
        if self.requested_ms.len() >= REQUESTED_MAX {
            let is_fresh = |asked: u64| now_ms.saturating_sub(asked) < RECONCILE_PATIENCE_MS;
            self.requested_ms.retain(|_, asked| is_fresh(*asked));
        }
        let asked = self.requested_ms.get(&origin);
        if asked.is_some_and(|asked| now_ms.saturating_sub(*asked) < REQUEST_EVERY_MS) {
            return None;
        }
        self.requested_ms.insert(origin, now_ms);
        Some(Frame::RequestRows { origin, after })
    }
}

/// Where a connection's comparisons are counted from: no two connections to a node have one number, for a bus can bring
/// what was said to the one while there is the other already.
fn first_number(now_ms: u64) -> u32 {
    let comparisons_at_most = now_ms / RECONCILE_PAUSE_MS;
    u32::try_from(comparisons_at_most & u64::from(u32::MAX >> 1)).unwrap_or_default()
}

/// How many rows a peer may still send.
pub(crate) struct RowBudget {
    rows: u64,
    filled_ms: u64,
}

/// How many rows a second a node takes from each peer in the long run: twice what one node journals.
const ROWS_A_SECOND: u64 = 20_000;

/// How many it takes at once.
const ROWS_AT_ONCE: u64 = 4_000_000;

impl RowBudget {
    pub(crate) fn full(now_ms: u64) -> Self {
        Self {
            rows: ROWS_AT_ONCE,
            filled_ms: now_ms,
        }
    }

    /// Takes so many, and tells for how long nothing more is to be read, in milliseconds.
    pub(crate) fn spend(&mut self, rows: u64, now_ms: u64) -> u64 {
        let since = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let filled = self.rows.saturating_add(since * ROWS_A_SECOND / 1_000);
        self.rows = filled.min(ROWS_AT_ONCE);
        let over = rows.saturating_sub(self.rows);
        self.rows = self.rows.saturating_sub(rows);
        over * 1_000 / ROWS_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_connections_have_a_comparison_of_the_same_number() {
        let mut one = PeerSession::new(true, None, Vec::new(), 1_000_000);
        let mut now_ms = 1_000_000;
        let mut last = 0;
        for _ in 0..100 {
            last = one.next_number(now_ms);
            now_ms += RECONCILE_PAUSE_MS;
        }
        let mut other = PeerSession::new(true, None, Vec::new(), now_ms);
        let next = other.next_number(now_ms);
        assert!(next > last && other.is_our_number(next));
    }

    /// Two nodes do not forget the former origins of a third one at the same moment.
    #[test]
    fn what_was_counted_is_not_lacking_when_its_origin_has_ended_here() {
        let [own, former] = [1, 2].map(|byte| Origin::from_bytes([byte; 16]));
        let ping = |stamp_ms, reached| Ping {
            now_ms: 0,
            stamp_ms,
            state: SyncPhase::Ready,
            is_complete: true,
            vector: VersionVector::from([(former, reached)]),
            heartbeats: Vec::new(),
        };
        let mut session = PeerSession::new(true, None, Vec::new(), 1_000);
        session.on_pong(1_000, (1_000, 0), (1_000, 0));
        session.compared(&VersionVector::from([(former, 5)]));
        session.on_ping(
            ping(1_100, 10),
            own,
            &VersionVector::from([(own, 0), (former, 10)]),
        );
        let said_ms = |caught_up: Option<CaughtUp>| caught_up.map(|caught_up| caught_up.at_ms);
        assert_eq!(said_ms(session.caught_up(|_| 10, 1_200)), Some(1_100));
        session.on_ping(ping(1_600, 10), own, &VersionVector::from([(own, 0)]));
        assert_eq!(session.relayed(&former), 10);
        assert_eq!(said_ms(session.caught_up(|_| 0, 1_700)), Some(1_600));
        session.on_ping(ping(2_100, 11), own, &VersionVector::from([(own, 0)]));
        assert_eq!(said_ms(session.caught_up(|_| 0, 2_200)), None);
    }

    #[test]
    fn who_sends_too_much_is_read_more_slowly() {
        let mut budget = RowBudget::full(0);
        assert_eq!(budget.spend(ROWS_AT_ONCE, 0), 0);
        assert_eq!(budget.spend(20_000, 0), 1_000);
        assert_eq!(budget.spend(20_000, 1_000), 0);
        assert_eq!(budget.spend(8_192, 1_000_000), 0);
    }
}
