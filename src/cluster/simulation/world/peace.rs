//! The end of a world: everything is mended, and all machines come to know the same.

use super::state::{NodeLife, PATIENCE_MS, PEACE_MS, World};
use crate::clock::UnixTime;
use crate::cluster::simulation::ledger::LedgerEntry;
use crate::cluster::simulation::plan::Accident;
use crate::cluster::simulation::process::SimulatedProcess;
use crate::cluster::simulation::rogue;
use crate::revocation::{Id, Revocation, SyncPhase};

impl World {
    /// Everything is mended, and all machines come back but those that have left.
    pub(crate) fn make_peace(&mut self) {
        self.tell("peace");
        self.is_over = true;
        for machine in 0..self.machines.len() {
            let ahead_ms = i64::try_from(self.chance.between(0, 2_000)).unwrap() - 1_000;
            self.mend(machine);
            let one = &mut self.machines[machine];
            one.ahead_ms = ahead_ms;
            one.is_disk_failing = false;
            one.disk_ms = 1;
            let has_rogue = self.plan.accidents.contains(&Accident::Rogue);
            let quarantine = has_rogue.then(rogue::name).into_iter().collect();
            self.reconfigure(machine, quarantine);
        }
        for machine in 0..self.machines.len() {
            let one = &self.machines[machine];
            let is_needed = machine == 0 && self.plan.is_star;
            if one.process.is_none() && (is_needed || !one.has_left) {
                self.start(machine);
            }
        }
    }

    /// All come to know the same and are ready.
    pub(crate) fn settle(&mut self) {
        let known = self.known_somewhere();
        if !self.becomes_settled() {
            self.intervene();
            let is_settled = self.becomes_settled();
            assert!(is_settled, "peace does not come: {}", self.differences());
        }
        for machine in self.running() {
            let process = self.machines[machine].process.as_ref().unwrap();
            let held = self.ledger.held(&process.set);
            let lost = known.iter().find(|entry| !held.contains(entry));
            let lost = lost.map(|entry| self.ledger.revocation(*entry));
            assert_eq!(lost, None, "n{machine} has never heard of it");
            self.check_revivals(machine, &known);
            for revocation in process.mesh.revocations() {
                let is_made = self.ledger.allows(&revocation);
                assert!(
                    is_made,
                    "n{machine} holds {revocation:?}, which no node made"
                );
            }
        }
    }

    /// The newer of a revival and of the last end counts, here as everywhere.
    pub(crate) fn check_revivals(&self, machine: usize, known: &[LedgerEntry]) {
        let set = &self.machines[machine].process.as_ref().unwrap().set;
        set.let_revive(true);
        for number in 0..4 {
            let token = Id::from_bytes([number; 16]);
            let undated = Revocation::of_session(token, UnixTime::FOREVER);
            if let Some(lives) = self.ledger.is_revived(&token, known)
                && set.holds(&undated)
            {
                let is_dead = set.has_undated_token(&token);
                assert_eq!(is_dead, !lives, "n{machine} judges {token:?} otherwise");
            }
        }
        set.let_revive(false);
    }

    /// Whether it is so in time, and stays so when connections are given up that have been dead for some time.
    pub(crate) fn becomes_settled(&mut self) -> bool {
        let end_ms = self.now_ms + PEACE_MS;
        while self.now_ms < end_ms {
            self.pass(end_ms - self.now_ms, Self::is_settled);
            if self.is_settled() && !self.pass(PATIENCE_MS, |world| !world.is_settled()) {
                return true;
            }
        }
        false
    }

    /// What was answered and is known to a node or a disk that takes part in the end.
    pub(crate) fn known_somewhere(&self) -> Vec<LedgerEntry> {
        let mut known = Vec::new();
        for machine in self.running() {
            let one = &self.machines[machine];
            known.extend(self.ledger.held(&one.disk.set(self.now())));
            known.extend(self.ledger.held(&one.process.as_ref().unwrap().set));
        }
        known.sort_unstable();
        known.dedup();
        known
    }

    pub(crate) fn is_settled(&self) -> bool {
        if (0..self.machines.len()).any(|machine| !self.is_awake(machine)) {
            return false;
        }
        let mut processes = self.machines.iter().filter_map(|one| one.process.as_ref());
        let is_ready = |process: &SimulatedProcess| {
            process.state == SyncPhase::Ready
                || process.state == SyncPhase::Stale && self.is_somebody_missed(&process.why)
        };
        let Some(first) = processes.next() else {
            return true;
        };
        let same = first.set.summaries(UnixTime::EPOCH);
        let sums = |process: &SimulatedProcess| {
            let theirs = process.set.summaries(UnixTime::EPOCH);
            let all = theirs.iter().zip(&same);
            theirs.len() == same.len()
                && all.into_iter().all(|(theirs, same)| {
                    (theirs.bucket, theirs.count, theirs.sum) == (same.bucket, same.count, same.sum)
                })
        };
        is_ready(first) && processes.all(|process| is_ready(process) && sums(process))
    }

    /// Whether this is about a node that stays away, and no running node has heard its goodbye.
    pub(crate) fn is_somebody_missed(&self, why: &str) -> bool {
        let is_heard = |spot: &NodeLife| self.machines[spot.machine].life == spot.life;
        let mut missed = self
            .machines
            .iter()
            .filter(|one| why.contains(one.name.as_str()));
        // What is told late may sound like a sign of life from after the goodbye.
        let is_late = |accident: &Accident| {
            matches!(
                accident,
                Accident::Slow | Accident::Thin | Accident::Pause | Accident::Quarantine
            )
        };
        let may_be_late = self.plan.bus.is_some() || self.plan.accidents.iter().any(is_late);
        missed.any(|one| one.has_left && (may_be_late || !one.left_heard.iter().any(is_heard)))
    }

    /// The operator does what only the operator can do.
    pub(crate) fn intervene(&mut self) {
        let running = self.running();
        let is_ready = |world: &Self, machine: &usize| {
            let state = world.machines[*machine].process.as_ref().unwrap().state;
            matches!(state, SyncPhase::Ready | SyncPhase::Stale)
        };
        let nobody_is_ready = !running.iter().any(|machine| is_ready(self, machine));
        let somebody_is_away = running.len() < self.machines.len();
        let nobody_is_complete = !running
            .iter()
            .any(|machine| self.machines[*machine].disk.is_complete);
        assert!(
            nobody_is_ready && (nobody_is_complete || somebody_is_away),
            "peace does not come: {}",
            self.differences()
        );
        self.force(running[0]);
    }

    pub(crate) fn differences(&self) -> String {
        let told = self.running().into_iter().map(|machine| {
            let process = self.machines[machine].process.as_ref().unwrap();
            let count = process.mesh.revocations().len();
            format!(
                "n{machine} is {:?} with {count}: {}",
                process.state, process.why
            )
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Once all know the same nothing is sent any more but signs of life, and sums now and then.
    pub(crate) fn be_quiet(&mut self) {
        self.tell("quiet");
        self.is_quiet = true;
        self.reconciliations.clear();
        let quiet_ms = self.plan.quiet_ms;
        self.pass(quiet_ms, |_| false);
        for (link, reconciliations) in &self.reconciliations {
            assert!(
                *reconciliations <= 3,
                "{reconciliations} comparisons of link {link:?}"
            );
        }
        assert!(self.is_settled(), "{}", self.differences());
        for machine in self.running() {
            self.check_claims(machine);
            self.check_origins(machine);
        }
    }
}
