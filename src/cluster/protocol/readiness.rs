//! When a node may judge credentials: what it must have learnt from others first.

use super::discovery::Reachability;
use super::failure_detector::FailureDetector;
use super::peer_view::PeerView;
use crate::cluster::settings::StalePolicy;
use crate::revocation::{NodeName, SyncFinding, SyncPhase};

/// How far a clock may be off those of the other nodes.
const SKEW_MAX_MS: u64 = 30_000;

/// Beyond this the operator is warned.
pub(crate) const SKEW_WARNING_MS: u64 = 2_000;

/// Why a node is ready whose `new_cluster` made it so.
const FIRST_OF_ALL: &str = "this is the first node of all";

/// What the operator decided.
#[derive(Clone, Debug)]
pub(crate) struct ReadinessPolicy {
    pub(crate) on_stale: StalePolicy,
    pub(crate) on_isolated: StalePolicy,
    pub(crate) bootstrap_timeout_ms: u64,
    pub(crate) new_cluster: bool,
    pub(crate) quarantine: Vec<NodeName>,
}

/// What is known so far.
pub(crate) struct SyncProgress {
    /// Whether this node's journal ever held everything that was in force.
    is_complete: bool,
    /// Since when everything is known; `None`: it is not yet.
    settled_ms: Option<u64>,
    is_forced: bool,
    since_ms: u64,
    state: SyncPhase,
    /// Why it was settled.
    because: String,
}

impl SyncProgress {
    /// Of a node that knows what its journal says.
    pub(crate) fn at_start(is_complete: bool, now_ms: u64) -> Self {
        Self {
            is_complete,
            settled_ms: None,
            is_forced: false,
            since_ms: now_ms,
            state: SyncPhase::Syncing,
            because: String::new(),
        }
    }

    pub(crate) fn state(&self) -> SyncPhase {
        self.state
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether everything was known once since the start.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled_ms.is_some()
    }

    /// Since when everything is known; `None`: it is not.
    pub(crate) fn settled_ms(&self) -> Option<u64> {
        self.settled_ms
    }

    /// Since when it counts what is known.
    pub(crate) fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// What was known counts no more.
    pub(crate) fn begin_anew(&mut self, now_ms: u64) {
        self.settled_ms = None;
        self.is_forced = false;
        self.since_ms = now_ms;
        self.state = SyncPhase::Syncing;
    }

    /// The operator says that enough is known.
    pub(crate) fn force(&mut self) {
        self.is_forced = true;
    }

    /// Where this node stands.
    pub(crate) fn update(
        &mut self,
        rules: &ReadinessPolicy,
        views: &[PeerView],
        reached: Reachability,
        detector: &FailureDetector,
        now_ms: u64,
    ) -> SyncFinding {
        let skew_ms = median(views.iter().filter_map(|view| view.offset_ms).collect());
        let skew_ms = skew_ms.filter(|skew_ms| skew_ms.unsigned_abs() > SKEW_MAX_MS);
        // Of two nodes it is unknown which one is wrong: a node that is ready stays so.
        if self.is_settled() && skew_ms.is_some() && views.len() > 1 {
            self.begin_anew(now_ms);
        }
        if !self.is_settled() {
            let may = match skew_ms {
                Some(skew_ms) if !self.is_forced => Knowledge::Lacking(off_by(skew_ms)),
                Some(_) | None => self.knows_enough(rules, views, reached, now_ms),
            };
            match may {
                Knowledge::Enough(because) => self.because = because,
                Knowledge::Lacking(why) => {
                    self.state = SyncPhase::Syncing;
                    return SyncFinding {
                        state: SyncPhase::Syncing,
                        serves: false,
                        why,
                        stale_s: 0,
                    };
                }
            }
            self.settled_ms = Some(now_ms);
            self.is_complete = true;
        }
        let missed = detector.missed(now_ms);
        let found = match missed {
            None => SyncFinding {
                state: SyncPhase::Ready,
                serves: true,
                why: if self.because == FIRST_OF_ALL && rules.new_cluster {
                    format!("{FIRST_OF_ALL}: remove `new_cluster`, it has done its work")
                } else {
                    self.because.clone()
                },
                stale_s: 0,
            },
            Some((node, silent_ms)) => SyncFinding {
                state: SyncPhase::Stale,
                serves: rules.on_stale == StalePolicy::Serve,
                why: {
                    let is_silent = reached.bus.is_some_and(|bus| bus.is_silent);
                    let silent = if is_silent { "the bus is silent; " } else { "" };
                    format!("{silent}{node} may have taken logouts that are not known here")
                },
                stale_s: silent_ms / 1_000,
            },
        };
        self.state = found.state;
        found
    }

    /// Why everything is known that was in force, or why not.
    fn knows_enough(
        &self,
        rules: &ReadinessPolicy,
        views: &[PeerView],
        reached: Reachability,
        now_ms: u64,
    ) -> Knowledge {
        let knew_all = |state: SyncPhase| matches!(state, SyncPhase::Ready | SyncPhase::Stale);
        let has_agreed = |view: &&PeerView| view.agreed_with.is_some_and(knew_all);
        if let Some(view) = views.iter().find(has_agreed) {
            return Knowledge::Enough(format!("compared with {}", view.node));
        }
        if self.is_forced {
            return Knowledge::Enough("by the operator's order".to_owned());
        }
        if let Some(view) = views.iter().find(|view| knew_all(view.state)) {
            return Knowledge::Lacking(format!("comparing with {}", view.node));
        }
        let has_waited = now_ms.saturating_sub(self.since_ms) >= rules.bootstrap_timeout_ms;
        let some_complete = self.is_complete || views.iter().any(|view| view.is_complete);
        if !some_complete {
            let all_tried = reached.all_tried && reached.is_bus_heard();
            let may_begin = rules.new_cluster && (all_tried || has_waited);
            return if may_begin {
                Knowledge::Enough(FIRST_OF_ALL.to_owned())
            } else {
                Knowledge::Lacking(nothing_known(reached))
            };
        }
        let all_agreed = views.iter().all(|view| view.agreed_with.is_some());
        let is_complete = reached.all_linked && reached.is_bus_heard() && all_agreed;
        // Alone on a bus that does not continue from this node's last position, it is unknown what was missed.
        let is_vouched_for = !views.is_empty() || !reached.is_bus_lacking();
        let is_complete = is_complete && is_vouched_for;
        let policy_allows = has_waited && rules.on_isolated == StalePolicy::Serve && all_agreed;
        if is_complete {
            return Knowledge::Enough(match views.len() {
                0 if reached.bus.is_some() => {
                    "the journal is complete, and no other node is on the bus".to_owned()
                }
                0 => "the journal is complete, and there are no peers".to_owned(),
                others => format!("compared with all {others} peers"),
            });
        }
        if self.is_complete && policy_allows {
            return Knowledge::Enough(
                "no ready node was found, and `on_isolated` is \"serve\"".to_owned(),
            );
        }
        let bus = match reached.bus {
            Some(bus) if !bus.is_every_node_heard => ", and the bus is not read yet",
            Some(bus) if bus.lacks_some => ", and the bus has lost what was said meanwhile",
            Some(_) | None => "",
        };
        let waiting = format!(
            "no node is ready, and {} of {} peers are heard{bus}",
            views.len(),
            reached.others.max(views.len()),
        );
        Knowledge::Lacking(if has_waited {
            format!(
                "{waiting}; bring the others back, or let this node serve without them: \
                 `doorward cluster force-ready`"
            )
        } else {
            waiting
        })
    }
}

/// Whether everything is known that was in force, and why, for the operator to read.
enum Knowledge {
    Enough(String),
    Lacking(String),
}

impl Reachability {
    /// Whether every node on the bus was heard.
    fn is_bus_heard(&self) -> bool {
        self.bus.is_none_or(|bus| bus.is_every_node_heard)
    }

    /// Whether the bus lost something that this node had not read.
    fn is_bus_lacking(&self) -> bool {
        self.bus.is_some_and(|bus| bus.lacks_some)
    }
}

fn off_by(skew_ms: i64) -> String {
    let seconds = skew_ms.unsigned_abs() / 1_000;
    let way = if skew_ms > 0 { "behind" } else { "ahead of" };
    format!("the clock is {seconds} s {way} those of the other nodes")
}

fn nothing_known(reached: Reachability) -> String {
    if reached.others > 0 && !reached.all_linked || !reached.is_bus_heard() {
        return "waiting for a node that knows what was revoked".to_owned();
    }
    "no node has a journal that was ever complete: for the very first start of a cluster set \
     `new_cluster = true` on one node; if journals were lost, cut off everybody who was logged in before \
     with `doorward revoke --all-before now`"
        .to_owned()
}

/// The middle one; of two in the middle the one nearer to zero.
pub(crate) fn median(mut offsets_ms: Vec<i64>) -> Option<i64> {
    offsets_ms.sort_unstable();
    let high = offsets_ms.get(offsets_ms.len() / 2).copied()?;
    if offsets_ms.len() % 2 == 1 {
        return Some(high);
    }
    let low = offsets_ms.get(offsets_ms.len() / 2 - 1).copied()?;
    Some(if low.unsigned_abs() < high.unsigned_abs() {
        low
    } else {
        high
    })
}
