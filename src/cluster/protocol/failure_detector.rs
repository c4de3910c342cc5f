//! The failure detector: when each node was last heard, directly or by way of others.

use std::collections::BTreeMap;

use super::bus::BUS_SILENCE_MAX_MS;
use super::frame::Heartbeat;
use super::membership::NODES_MAX;
use crate::revocation::NodeName;

/// For how long a node may not be heard before its logouts may be missing here.
pub(crate) const SILENCE_MAX_MS: u64 = 5_000;

/// The silence after which a node is no longer expected back: a day.
const FORGET_MS: u64 = 24 * 3_600_000;

/// How many nodes are remembered: more is no cluster that we could be in.
const NODES_KEPT: usize = NODES_MAX;

/// A node, and until when what it did is known to the node that vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownUntil {
    pub(crate) node: NodeName,
    pub(crate) until_ms: u64,
}

/// The other nodes.
#[derive(Default)]
pub(crate) struct FailureDetector(BTreeMap<NodeName, NodeRecord>);

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, known at another time"
)]
struct NodeRecord {
    /// Until when all that it did is known here, by its own stamps or by those of others who know it.
    known_until_ms: u64,
    has_left: bool,
    /// It was there at `known_until_ms`, and what it had done until then may not be known here yet.
    is_presumed: bool,
    /// When it said goodbye, if it did.
    left_ms: u64,
    /// It sent a message of its own here, and was not only mentioned by others.
    has_spoken: bool,
    /// Its own message came by the bus, and not by a connection.
    is_by_bus: bool,
    /// Others report that it has left: what it did is known to them, and not here yet.
    is_leaving: bool,
    /// It was silent for so long that its logouts may be missing, until sets are compared again.
    is_missed: bool,
    /// From when it was heard again after that, or when it was told to have left.
    back_ms: u64,
}

impl FailureDetector {
    /// It is there. What it did is to be known here soon; of one that was here before that counts from before.
    pub(crate) fn met(&mut self, node: &NodeName, is_by_bus: bool, now_ms: u64) {
        let is_new = self.0.get(node).is_none_or(|record| record.has_left);
        if let Some(record) = self.record_of(node) {
            record.is_by_bus = is_by_bus;
            record.has_spoken = true;
            if is_new {
                record.note_heard(now_ms, now_ms);
                record.is_presumed = true;
            }
        }
    }

    /// All that it did until then is known here, as its own message says.
    pub(crate) fn on_heartbeat(&mut self, node: &NodeName, at_ms: u64, now_ms: u64) {
        if let Some(record) = self.record_of(node) {
            record.has_spoken = true;
            record.note_heard(at_ms, now_ms);
        }
    }

    /// The bus delivers nothing any more: a node that was heard there, and not otherwise since, may take logouts that
    /// are not known here.
    pub(crate) fn miss_nodes_on_bus(&mut self, now_ms: u64) {
        for record in self.0.values_mut() {
            let is_silent = now_ms.saturating_sub(record.known_until_ms) > BUS_SILENCE_MAX_MS;
            if record.is_by_bus && is_silent && !record.has_left {
                record.is_missed = true;
                record.back_ms = 0;
            }
        }
    }

    /// It said then that it stops.
    pub(crate) fn left(&mut self, node: &NodeName, at_ms: u64) {
        if let Some(record) = self.record_of(node) {
            record.known_until_ms = record.known_until_ms.max(at_ms);
            record.left_ms = at_ms;
            record.has_spoken = true;
            record.has_left = true;
            record.is_leaving = false;
            record.is_missed = false; // it had no logouts left to send
        }
    }

    /// What another node said then of those that it heard, and all that it knew then is known here. Of a node that
    /// no node hears one learns only where one `is_awaited`: else the operator has taken it out. A name that was never
    /// heard here counts only if it `is_real`.
    pub(crate) fn apply_advertised(
        &mut self,
        heartbeats: &[Heartbeat],
        is_real: impl Fn(&NodeName) -> bool,
        is_awaited: bool,
        said_ms: u64,
        now_ms: u64,
    ) {
        for one in heartbeats {
            if !self.0.contains_key(&one.node) && !is_real(&one.node) {
                continue;
            }
            let at_ms = said_ms.saturating_sub(u64::from(one.ago_ms));
            let limit_ms = if is_awaited || self.0.contains_key(&one.node) {
                FORGET_MS
            } else {
                SILENCE_MAX_MS
            };
            if now_ms - at_ms >= limit_ms {
                continue;
            }
            let Some(record) = self.record_of(&one.node) else {
                continue;
            };
            if one.has_left {
                record.leave(at_ms, now_ms);
            } else {
                record.note_heard(at_ms, now_ms);
            }
        }
    }

    /// A node's own message was found on the bus, from before this node's session there. It shows that the node was there,
    /// and not that what it did is known here.
    pub(crate) fn on_earlier_heartbeat(&mut self, heartbeat: &Heartbeat, now_ms: u64) {
        let is_new = !self.0.contains_key(&heartbeat.node);
        if is_new || heartbeat.has_left {
            let told = std::slice::from_ref(heartbeat);
            self.apply_advertised(told, |_| true, true, now_ms, now_ms);
        }
        if let Some(record) = self.0.get_mut(&heartbeat.node) {
            record.has_spoken = true;
            record.is_presumed |= is_new;
            // Of a node that came back after its goodbye and fell silent again, logouts may be missing.
            let at_ms = now_ms.saturating_sub(u64::from(heartbeat.ago_ms));
            if !heartbeat.has_left && at_ms > record.left_ms {
                record.has_left = false;
                record.is_leaving = false;
            }
        }
    }

    fn record_of(&mut self, node: &NodeName) -> Option<&mut NodeRecord> {
        if !self.0.contains_key(node) {
            if self.0.len() >= NODES_KEPT {
                self.forget_one_that_left()?;
            }
            self.0.insert(node.clone(), NodeRecord::default());
        }
        self.0.get_mut(node)
    }

    /// Makes room; `None`: there is none, since no node has left.
    fn forget_one_that_left(&mut self) -> Option<()> {
        let left = self.0.iter().filter(|(_, record)| record.has_left);
        let oldest = left.min_by_key(|(_, record)| record.known_until_ms);
        let oldest = oldest.map(|(node, _)| node.clone())?;
        self.0.remove(&oldest).map(|_| ())
    }

    /// Forgets the names that were never heard here and are not real any more.
    pub(crate) fn keep_real(&mut self, is_real: impl Fn(&NodeName) -> bool) {
        self.0
            .retain(|node, record| record.has_spoken || is_real(node));
    }

    /// Whether a node is there, or is awaited.
    pub(crate) fn has(&self, node: &NodeName) -> bool {
        self.0.get(node).is_some_and(|record| !record.has_left)
    }

    /// The operator has changed the peers: a node that is silent, and is none of these, is no longer awaited.
    pub(crate) fn keep(&mut self, awaited: &[NodeName], now_ms: u64) {
        self.0.retain(|node, record| {
            let silent_ms = now_ms.saturating_sub(record.known_until_ms);
            silent_ms <= SILENCE_MAX_MS || awaited.contains(node)
        });
    }

    /// Marks nodes that are silent for too long, and forgets those that are gone for good or in quarantine.
    pub(crate) fn mark_silent(&mut self, quarantine: &[NodeName], now_ms: u64) {
        self.0.retain(|node, record| {
            let silent_ms = now_ms.saturating_sub(record.known_until_ms);
            if silent_ms > SILENCE_MAX_MS && !record.has_left {
                record.is_missed = true;
                if !record.is_leaving {
                    record.back_ms = 0;
                }
            }
            silent_ms < FORGET_MS && !quarantine.contains(node)
        });
    }

    /// The node that was silent for longest of those whose logouts may be missing, and for how long.
    pub(crate) fn missed(&self, now_ms: u64) -> Option<(&NodeName, u64)> {
        let missed = self.0.iter().filter(|(_, record)| record.is_missed);
        let silent =
            missed.map(|(node, record)| (node, now_ms.saturating_sub(record.known_until_ms)));
        silent.max_by_key(|(_, silent_ms)| *silent_ms)
    }

    /// Whether a comparison with a node that vouches for these would bring what is missing of a node.
    pub(crate) fn is_comparison_due(&self, spoken_for: &[KnownUntil], now_ms: u64) -> bool {
        let is_due = |known: &KnownUntil| {
            let record = self.0.get(&known.node);
            record.is_some_and(|record| {
                (record.is_missed || record.is_leaving) && record.is_covered(known, now_ms)
            })
        };
        spoken_for.iter().any(is_due)
    }

    /// Sets were compared with a node that vouched for these when that began: what they had done is known.
    pub(crate) fn compared(&mut self, spoken_for: &[KnownUntil], began_ms: u64) {
        for known in spoken_for {
            if let Some(record) = self.0.get_mut(&known.node)
                && record.is_covered(known, began_ms)
            {
                record.is_missed = false;
                record.has_left |= std::mem::take(&mut record.is_leaving);
            }
        }
    }

    /// How many there are that have not left.
    pub(crate) fn present(&self) -> usize {
        self.0.values().filter(|record| !record.has_left).count()
    }

    /// What is told to others: nothing of a node of which it is not certain yet until when its work is known.
    pub(crate) fn advertised(&self, now_ms: u64) -> Vec<Heartbeat> {
        let mut heartbeats = self.heartbeats(now_ms);
        heartbeats.retain(|one| {
            let record = self.0.get(&one.node);
            record.is_some_and(|record| !record.is_presumed || record.is_missed)
        });
        heartbeats
    }

    /// Until when the work of each node is known.
    pub(crate) fn heartbeats(&self, now_ms: u64) -> Vec<Heartbeat> {
        let heartbeat_of = |(node, record): (&NodeName, &NodeRecord)| {
            // A goodbye that is told on is not younger for that: else two nodes would tell each other for ever.
            let known_ms = if record.has_left {
                record.left_ms
            } else {
                record.known_until_ms
            };
            let mut ago_ms = now_ms.saturating_sub(known_ms);
            if record.is_missed || record.is_leaving {
                // It may be back, and what it did meanwhile is not known here: no node can learn that from this one yet.
                ago_ms = ago_ms.max(SILENCE_MAX_MS + 1);
            }
            Heartbeat {
                node: node.clone(),
                ago_ms: u32::try_from(ago_ms).unwrap_or(u32::MAX),
                has_left: record.has_left && !record.is_missed,
            }
        };
        self.0.iter().map(heartbeat_of).collect()
    }
}

impl NodeRecord {
    /// It said goodbye to others then. Reports are delayed, so that another node may seem to have heard it after that; a
    /// node that is really back is heard again and again.
    fn leave(&mut self, at_ms: u64, now_ms: u64) {
        if at_ms + SILENCE_MAX_MS <= self.known_until_ms {
            return;
        }
        self.known_until_ms = self.known_until_ms.max(at_ms);
        if !self.has_left && !self.is_leaving {
            self.left_ms = at_ms;
            self.is_leaving = true;
            self.back_ms = now_ms;
        }
    }

    /// Whether a comparison that begins now brings all that it did until it was back, and not only what it did before it
    /// was gone: the last that the other node heard of it may be older than that. A node that said goodbye did nothing since.
    fn is_covered(&self, known: &KnownUntil, now_ms: u64) -> bool {
        let until_ms = if self.is_leaving {
            now_ms
        } else {
            known.until_ms
        };
        self.back_ms > 0 && self.back_ms <= until_ms
    }

    /// It was heard then; a node that was away for long and is back must be compared with.
    fn note_heard(&mut self, at_ms: u64, now_ms: u64) {
        if at_ms <= self.known_until_ms {
            return;
        }
        self.known_until_ms = at_ms;
        self.is_presumed = false;
        if now_ms.saturating_sub(at_ms) > SILENCE_MAX_MS {
            return; // another node misses it: that is no sign of life
        }
        self.has_left = false;
        self.is_leaving = false;
        if self.is_missed && self.back_ms == 0 {
            self.back_ms = at_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn known(name: &str, until_ms: u64) -> KnownUntil {
        KnownUntil {
            node: node(name),
            until_ms,
        }
    }

    fn by_bus(detector: &mut FailureDetector, name: &str, now_ms: u64) {
        detector.met(&node(name), true, now_ms);
        detector.on_heartbeat(&node(name), now_ms, now_ms);
    }

    fn missed(detector: &mut FailureDetector, now_ms: u64) -> Option<String> {
        detector.mark_silent(&[], now_ms);
        detector.missed(now_ms).map(|(node, _)| node.to_string())
    }

    #[test]
    fn who_is_silent_is_missed_until_sets_were_compared() {
        let mut detector = FailureDetector::default();
        detector.on_heartbeat(&node("b"), 1_000, 1_000);
        assert_eq!(missed(&mut detector, 6_000), None);
        assert_eq!(missed(&mut detector, 6_001).as_deref(), Some("b"));
        detector.compared(&[known("b", 6_500)], 6_500);
        assert!(!detector.is_comparison_due(&[known("b", 6_600)], 6_600));
        detector.on_heartbeat(&node("b"), 7_000, 7_000);
        assert!(detector.is_comparison_due(&[known("b", 7_000)], 7_000));
        assert!(!detector.is_comparison_due(&[known("c", 7_000)], 7_000));
        assert_eq!(missed(&mut detector, 7_100).as_deref(), Some("b"));
        detector.compared(&[known("b", 6_999)], 6_999);
        detector.compared(&[known("c", 7_050)], 7_050);
        assert_eq!(missed(&mut detector, 7_100).as_deref(), Some("b"));
        detector.compared(&[known("b", 7_050)], 7_050);
        assert_eq!(missed(&mut detector, 7_100), None);
    }

    #[test]
    fn whoever_is_there_and_tells_nothing_new_is_missed() {
        let mut detector = FailureDetector::default();
        detector.met(&node("b"), false, 1_000);
        detector.met(&node("b"), false, 4_000); // again
        detector.on_heartbeat(&node("b"), 900, 5_500); // which it said long ago
        assert_eq!(missed(&mut detector, 6_000), None);
        assert_eq!(missed(&mut detector, 6_001).as_deref(), Some("b"));
    }

    #[test]
    fn who_said_goodbye_is_not_missed() {
        let mut detector = FailureDetector::default();
        detector.on_heartbeat(&node("b"), 1_000, 1_000);
        detector.left(&node("b"), 1_500);
        assert_eq!(missed(&mut detector, 60_000), None);
        assert_eq!(detector.present(), 0);
        detector.on_heartbeat(&node("b"), 61_000, 61_000);
        assert_eq!(detector.present(), 1);
        assert_eq!(missed(&mut detector, 70_000).as_deref(), Some("b"));
    }

    #[test]
    fn a_node_that_came_back_to_the_bus_after_its_goodbye_and_fell_silent_is_missed() {
        let mut detector = FailureDetector::default();
        by_bus(&mut detector, "b", 1_000);
        detector.left(&node("b"), 20_000 - 9_000);
        let earlier = Heartbeat {
            node: node("b"),
            ago_ms: 8_000,
            has_left: false,
        };
        detector.on_earlier_heartbeat(&earlier, 20_000);
        assert_eq!(missed(&mut detector, 20_000).as_deref(), Some("b"));
        detector.left(&node("b"), 20_000 - 7_000);
        assert_eq!(missed(&mut detector, 20_000), None);
    }

    #[test]
    fn with_the_bus_those_are_missed_who_were_heard_there() {
        let mut detector = FailureDetector::default();
        by_bus(&mut detector, "b", 1_000);
        by_bus(&mut detector, "c", 1_000);
        detector.met(&node("c"), false, 1_100);
        detector.on_heartbeat(&node("c"), 1_100, 1_100);
        by_bus(&mut detector, "d", 1_000);
        detector.left(&node("d"), 1_200);
        by_bus(&mut detector, "e", 1_000);
        let told = Heartbeat {
            node: node("e"),
            ago_ms: 100,
            has_left: false,
        };
        detector.apply_advertised(&[told], |_| true, false, 4_000, 4_000);
        detector.miss_nodes_on_bus(4_001);
        assert_eq!(missed(&mut detector, 4_001).as_deref(), Some("b"));
        by_bus(&mut detector, "b", 4_100);
        detector.compared(&[known("b", 4_200)], 4_200);
        assert_eq!(missed(&mut detector, 4_300), None);
    }

    #[test]
    fn who_said_goodbye_to_others_is_missed_until_sets_were_compared_with_those() {
        let c = node("c");
        let mut detector = FailureDetector::default();
        detector.on_heartbeat(&c, 1_000, 1_000);
        assert_eq!(missed(&mut detector, 7_000).as_deref(), Some("c"));
        let told = detector.heartbeats(7_000).remove(0);
        let left = Heartbeat {
            ago_ms: 3_000,
            has_left: true,
            ..told
        };
        detector.apply_advertised(&[left], |_| true, false, 8_000, 8_000);
        assert!(
            !detector.heartbeats(8_000)[0].has_left,
            "others can't learn from us what it did"
        );
        let spoken_for = [known("b", 8_100), known("c", 5_000)];
        assert!(detector.is_comparison_due(&spoken_for, 8_100));
        detector.compared(&spoken_for, 8_100);
        assert_eq!(missed(&mut detector, 60_000), None);
        assert!(detector.heartbeats(60_000)[0].has_left);
    }

    /// The last report of another node on a node that was gone for both does not tell what was done meanwhile.
    #[test]
    fn who_is_back_is_missed_until_somebody_was_compared_with_who_heard_it_since() {
        let mut detector = FailureDetector::default();
        detector.on_heartbeat(&node("c"), 1_000, 1_000);
        assert_eq!(missed(&mut detector, 6_001).as_deref(), Some("c"));
        detector.on_heartbeat(&node("c"), 6_500, 6_500);
        let before = [known("a", 6_600), known("c", 1_000)];
        assert!(!detector.is_comparison_due(&before, 6_600));
        detector.compared(&before, 6_600);
        assert_eq!(missed(&mut detector, 6_700).as_deref(), Some("c"));
        let since = [known("a", 6_800), known("c", 6_500)];
        assert!(detector.is_comparison_due(&since, 6_800));
        detector.compared(&since, 6_800);
        assert_eq!(missed(&mut detector, 6_900), None);
    }

    #[test]
    fn who_is_heard_by_others_is_not_missed() {
        let mut detector = FailureDetector::default();
        detector.on_heartbeat(&node("c"), 1_000, 1_000);
        let told = |ago_ms| Heartbeat {
            node: node("c"),
            ago_ms,
            has_left: false,
        };
        detector.apply_advertised(&[told(900)], |_| true, false, 6_000, 6_000);
        assert_eq!(missed(&mut detector, 10_000), None);
        detector.apply_advertised(&[told(9_000)], |_| true, false, 10_000, 10_000);
        assert_eq!(missed(&mut detector, 10_200).as_deref(), Some("c"));
        detector.mark_silent(&[node("c")], 10_300);
        assert_eq!(missed(&mut detector, 10_300), None, "it is in quarantine");
    }

    #[test]
    fn a_name_that_was_never_heard_makes_nobody_stale_attacks_b11() {
        let mut detector = FailureDetector::default();
        detector.on_heartbeat(&node("b"), 1_000, 1_000);
        let told = |name, ago_ms| Heartbeat {
            node: node(name),
            ago_ms,
            has_left: false,
        };
        let all = [told("b", 100), told("ghost", 100), told("c", 100)];
        detector.apply_advertised(&all, |name| *name == node("c"), true, 2_000, 2_000);
        assert_eq!(detector.present(), 2);
        assert!(detector.has(&node("c")) && !detector.has(&node("ghost")));
    }

    #[test]
    fn who_left_makes_room_and_who_is_missed_does_not() {
        let mut detector = FailureDetector::default();
        for number in 0..NODES_KEPT as u64 {
            let at_ms = 1_000 + number;
            detector.on_heartbeat(&node(&format!("n{number}")), at_ms, at_ms);
        }
        detector.on_heartbeat(&node("late"), 9_000, 9_000);
        assert!(!detector.has(&node("late")), "all are there");
        detector.left(&node("n5"), 9_000);
        detector.left(&node("n3"), 9_001);
        detector.on_heartbeat(&node("late"), 9_002, 9_002);
        assert!(detector.has(&node("late")));
        assert_eq!(detector.heartbeats(9_002).len(), NODES_KEPT);
        assert!(
            detector
                .heartbeats(9_002)
                .iter()
                .all(|heard| heard.node != node("n5"))
        );
    }

    /// Two nodes report a dead one to each other every second, over a slow link.
    fn missed_after_ms(delay_ms: u64) -> Option<u64> {
        let names = [node("a"), node("b")];
        let mut both = [FailureDetector::default(), FailureDetector::default()];
        let died_ms = 10_000;
        for detector in &mut both {
            detector.on_heartbeat(&node("c"), died_ms, died_ms);
        }
        let mut told = Vec::new();
        for now_ms in died_ms..died_ms + 60_000 {
            for (one, detector) in both.iter_mut().enumerate() {
                if now_ms % 1_000 == delay_ms * one as u64 % 1_000 {
                    told.push((
                        now_ms + delay_ms,
                        1 - one,
                        now_ms,
                        detector.heartbeats(now_ms),
                    ));
                }
                detector.mark_silent(&[], now_ms);
            }
            for (_, to, said_ms, heard) in told.extract_if(.., |(at_ms, ..)| *at_ms == now_ms) {
                let is_other = |name: &NodeName| *name != names[to];
                both[to].apply_advertised(&heard, is_other, false, said_ms, now_ms);
            }
            if both
                .iter()
                .all(|detector| detector.missed(now_ms).is_some())
            {
                return Some(now_ms - died_ms);
            }
        }
        None
    }

    #[test]
    fn nobody_lives_on_in_what_others_tell_each_other() {
        for delay_ms in [0, 1, 40, 300, 500, 999] {
            let missed = missed_after_ms(delay_ms);
            assert_eq!(missed, Some(SILENCE_MAX_MS + 1), "{delay_ms} ms");
        }
        assert_eq!(missed_after_ms(4_000), Some(SILENCE_MAX_MS + 1));
    }
}
