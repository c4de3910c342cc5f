//! What is known of one connection to another node.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::frame::{Frame, Heard, Ping};
use super::members::{Known, SILENCE_MAX_MS};
use super::round::{Answering, Round};
use super::settings::NodeName;
use super::view::View;
use crate::revocation::State;
use crate::revocation::history::{Origin, Vector};

/// How often every node says that it is alive.
pub(super) const PING_EVERY_MS: u64 = 1_000;

/// How often sets are compared although nothing seems to be missing.
const ROUND_EVERY_MS: u64 = 30_000;

/// The shortest time between two comparisons on one connection.
const ROUND_PAUSE_MS: u64 = 500;

/// After which time without progress a comparison is begun anew.
const ROUND_PATIENCE_MS: u64 = 20_000;

/// What carries what two nodes say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
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
pub(super) struct Talk {
    pub(super) is_dialed: bool,
    pub(super) way: Way,
    /// The address that was dialed.
    pub(super) target: Option<SocketAddr>,
    /// The names of the peer's certificate; empty where there are none.
    pub(super) names: Vec<NodeName>,
    /// Who the peer is, once it has said so.
    pub(super) peer: Option<Peer>,
    /// It was told to go: what it says until it is gone does not count.
    pub(super) is_refused: bool,
    pub(super) heard_ms: u64,
    pinged_ms: u64,
    pub(super) state: State,
    pub(super) is_complete: bool,
    pub(super) vector: Vector,
    /// The vector of the ping before: what was known then should have come by now.
    pub(super) older_vector: Vector,
    /// Whom the peer hears, and has heard without a break, until a goodbye if there was one; and when it heard them last.
    hears: Vec<Known>,
    /// How far the peer's clock is ahead of ours.
    pub(super) offset_ms: Option<i64>,
    pub(super) round: Option<Round>,
    /// When the last comparison was begun that came to its end.
    pub(super) agreed_ms: Option<u64>,
    /// Where the peer stood then.
    pub(super) agreed_with: State,
    began_ms: Option<u64>,
    rounds: u32,
    pub(super) is_round_due: bool,
    /// The peer has revocations of its own that only a comparison can bring.
    pub(super) is_lacking: bool,
    pub(super) answering: Answering,
    /// Up to which number one's own rows are known to have arrived.
    pub(super) acked: u64,
    /// When rows of an origin were asked for.
    wanted_ms: HashMap<Origin, u64>,
    pub(super) bucket: Bucket,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) node: NodeName,
    pub(super) origin: Origin,
}

impl Talk {
    pub(super) fn new(
        is_dialed: bool,
        target: Option<SocketAddr>,
        names: Vec<NodeName>,
        now_ms: u64,
    ) -> Self {
        Self {
            is_dialed,
            way: Way::Connection,
            target,
            names,
            peer: None,
            is_refused: false,
            heard_ms: now_ms,
            pinged_ms: now_ms,
            state: State::Starting,
            is_complete: false,
            vector: Vector::new(),
            older_vector: Vector::new(),
            hears: Vec::new(),
            offset_ms: None,
            round: None,
            agreed_ms: None,
            agreed_with: State::Starting,
            began_ms: None,
            rounds: first_round(now_ms),
            is_round_due: is_dialed,
            is_lacking: false,
            answering: Answering::default(),
            acked: 0,
            wanted_ms: HashMap::new(),
            bucket: Bucket::full(now_ms),
        }
    }

    /// The peer as far as it decides where this node stands.
    pub(super) fn view(&self) -> Option<View> {
        let peer = self.peer.as_ref()?;
        Some(View {
            node: peer.node.clone(),
            state: self.state,
            is_complete: self.is_complete,
            agreed_with: self.agreed_ms.map(|_| self.agreed_with),
            offset_ms: self.offset_ms,
        })
    }

    /// The peer says where it stands.
    pub(super) fn hear(&mut self, ping: Ping, now_ms: u64) {
        let is_fresh = |heard: &&Heard| heard.has_left || u64::from(heard.ago_ms) <= SILENCE_MAX_MS;
        let fresh = ping.heard.iter().filter(is_fresh);
        let known = |heard: &Heard| Known {
            node: heard.node.clone(),
            until_ms: now_ms.saturating_sub(u64::from(heard.ago_ms)),
        };
        self.hears = fresh.map(known).collect();
        self.state = ping.state;
        self.is_complete = ping.is_complete;
        self.older_vector = std::mem::replace(&mut self.vector, ping.vector);
    }

    /// The nodes of which the peer knows everything: itself, whom it hears, and who has said goodbye; and until when.
    pub(super) fn spoken_for(&self, now_ms: u64) -> Vec<Known> {
        let own = self.peer.iter().map(|peer| Known {
            node: peer.node.clone(),
            until_ms: now_ms,
        });
        own.chain(self.hears.iter().cloned()).collect()
    }

    /// Whether it is time to say that one is alive.
    pub(super) fn is_ping_due(&mut self, now_ms: u64) -> bool {
        let is_due = now_ms.saturating_sub(self.pinged_ms) >= PING_EVERY_MS;
        if is_due {
            self.pinged_ms = now_ms;
        }
        is_due
    }

    /// Whether sets are to be compared now, since `is_needed`, or because nothing was compared for long.
    pub(super) fn is_round_due(&self, is_needed: bool, now_ms: u64) -> bool {
        let since = |then: Option<u64>| then.map_or(u64::MAX, |then| now_ms.saturating_sub(then));
        let is_busy = self.round.is_some() && since(self.began_ms) < ROUND_PATIENCE_MS;
        let is_old = self.is_dialed && since(self.began_ms) >= ROUND_EVERY_MS;
        let wanted = is_needed || self.is_round_due || is_old;
        self.peer.is_some() && wanted && !is_busy && since(self.began_ms) >= ROUND_PAUSE_MS
    }

    /// The number of the next comparison: odd on one side and even on the other.
    pub(super) fn next_round(&mut self, now_ms: u64) -> u32 {
        self.rounds = self.rounds.wrapping_add(1);
        self.began_ms = Some(now_ms);
        self.is_round_due = false;
        (self.rounds << 1) | u32::from(self.is_dialed)
    }

    /// The peer has begun anew what it says here: it will not end a comparison that was under way for long.
    pub(super) fn peer_began_anew(&mut self, now_ms: u64) {
        let since = |began_ms| now_ms.saturating_sub(began_ms);
        let is_under_way = self.round.is_some();
        if is_under_way
            && self
                .began_ms
                .is_none_or(|began| since(began) > PING_EVERY_MS)
        {
            self.round = None;
            self.is_round_due = true;
        }
    }

    /// Our clock was set forward by so much: what was compared until now does not count.
    pub(super) fn clock_stepped(&mut self, step_ms: i64) {
        self.offset_ms = self
            .offset_ms
            .map(|offset_ms| offset_ms.saturating_sub(step_ms));
        self.round = None;
        self.agreed_ms = None;
        self.is_round_due = true;
    }

    /// Whether a comparison with that number was begun here.
    pub(super) fn is_our_round(&self, round: u32) -> bool {
        round & 1 == u32::from(self.is_dialed)
    }

    /// The comparison with that number, if it is the one that is going on.
    pub(super) fn our_round(&mut self, number: u32) -> Option<&mut Round> {
        self.round.as_mut().filter(|round| round.number == number)
    }

    /// Asks for rows of an origin, unless that was done a moment ago.
    pub(super) fn want(&mut self, origin: Origin, after: u64, now_ms: u64) -> Option<Frame> {
        let asked = self.wanted_ms.get(&origin);
        if asked.is_some_and(|asked| now_ms.saturating_sub(*asked) < PING_EVERY_MS / 2) {
            return None;
        }
        self.wanted_ms.insert(origin, now_ms);
        Some(Frame::Want { origin, after })
    }
}

/// Where a connection's comparisons are counted from: no two connections to a node have one number, for a bus can bring
/// what was said to the one while there is the other already.
fn first_round(now_ms: u64) -> u32 {
    let comparisons_at_most = now_ms / ROUND_PAUSE_MS;
    u32::try_from(comparisons_at_most & u64::from(u32::MAX >> 1)).unwrap_or_default()
}

/// How many rows a peer may still send.
pub(super) struct Bucket {
    rows: u64,
    filled_ms: u64,
}

/// How many rows a second a node takes from each peer in the long run: twice what one node journals.
const ROWS_A_SECOND: u64 = 20_000;

/// How many it takes at once.
const ROWS_AT_ONCE: u64 = 4_000_000;

impl Bucket {
    pub(super) fn full(now_ms: u64) -> Self {
        Self {
            rows: ROWS_AT_ONCE,
            filled_ms: now_ms,
        }
    }

    /// Takes so many, and tells for how long nothing more is to be read, in milliseconds.
    pub(super) fn take(&mut self, rows: u64, now_ms: u64) -> u64 {
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
        let mut one = Talk::new(true, None, Vec::new(), 1_000_000);
        let mut now_ms = 1_000_000;
        let mut last = 0;
        for _ in 0..100 {
            last = one.next_round(now_ms);
            now_ms += ROUND_PAUSE_MS;
        }
        let mut other = Talk::new(true, None, Vec::new(), now_ms);
        let next = other.next_round(now_ms);
        assert!(next > last && other.is_our_round(next));
    }

    #[test]
    fn who_sends_too_much_is_read_more_slowly() {
        let mut bucket = Bucket::full(0);
        assert_eq!(bucket.take(ROWS_AT_ONCE, 0), 0);
        assert_eq!(bucket.take(20_000, 0), 1_000);
        assert_eq!(bucket.take(20_000, 1_000), 0);
        assert_eq!(bucket.take(8_192, 1_000_000), 0);
    }
}
