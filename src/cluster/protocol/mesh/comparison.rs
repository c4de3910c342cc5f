//! Comparisons of whole sets with a peer.

use std::sync::atomic::Ordering;

use super::state::Mesh;
use super::steps::{LinkId, Now, Steps};
use crate::clock::UnixTime;
use crate::cluster::protocol::frame::{Frame, InvalidFrame, ReconcileStep};
use crate::cluster::protocol::peer_session::{PeerId, PeerSession};
use crate::cluster::protocol::reconciliation::Reconciliation;
use crate::revocation::{Bucket, Import, Progress, Row, Summary, item_of};

impl Mesh {
    /// Begins a comparison with a peer.
    pub(super) fn begin_reconciliation(&self, session: &mut PeerSession, now: Now) -> Frame {
        let number = session.next_number(now.uptime_ms);
        // What one of the two drops a minute before the other is no difference. A clock that is ahead must
        // not leave out what is in force.
        let behind_ms = session.offset_ms.unwrap_or_default().min(0);
        let wall_ms = now.wall_ms.saturating_add_signed(behind_ms);
        let beyond = UnixTime::from_seconds(wall_ms / 1_000 + 60);
        let there = (session.state, session.spoken_for(now.uptime_ms));
        let (reconciliation, frame) =
            Reconciliation::begin(number, there, &self.set, beyond, now.uptime_ms);
        session.reconciliation = Some(reconciliation);
        frame
    }

    /// A step of a comparison that is going on.
    pub(super) fn on_reconcile_step(
        &self,
        session: &mut PeerSession,
        number: u32,
        step: ReconcileStep,
        steps: &mut Steps,
        now: Now,
    ) -> Result<Vec<Frame>, InvalidFrame> {
        match step {
            ReconcileStep::Summaries { beyond, summaries } => {
                self.keep_windows(&summaries, now);
                let vector = self.replication_log.vector();
                let (own, _) = self.replication_log.own();
                self.advertise(own, vector.get(&own).copied().unwrap_or_default());
                let answering = &mut session.answering;
                let differences = answering.compare(number, beyond, &summaries, vector, &self.set);
                Ok(vec![differences])
            }
            ReconcileStep::Differences { vector, summaries } => {
                self.keep_windows(&summaries, now);
                if !summaries.is_empty() {
                    self.exchanged.repairs.fetch_add(1, Ordering::Relaxed);
                }
                let reconciliation = session.our_reconciliation(number);
                reconciliation.map_or(Ok(Vec::new()), |reconciliation| {
                    reconciliation.differ(vector, summaries, &self.set)
                })
            }
            ReconcileStep::SendAll { bucket } => {
                Ok(session.answering.send_all(number, bucket, &self.set))
            }
            ReconcileStep::Fetch { bucket, items } => {
                Ok(session.answering.fetch(number, bucket, &items, &self.set))
            }
            ReconcileStep::Negotiate { bucket, message } if session.is_our_number(number) => {
                let reconciliation = session.our_reconciliation(number);
                reconciliation.map_or(Ok(Vec::new()), |reconciliation| {
                    reconciliation.reconcile(bucket, &message, &self.set)
                })
            }
            ReconcileStep::Negotiate { bucket, message } => {
                let answering = &mut session.answering;
                let answer = answering.reconcile(number, bucket, &message, &self.set)?;
                Ok(vec![answer])
            }
            ReconcileStep::Rows {
                bucket,
                rows,
                is_last,
            } => {
                steps.pause_ms = self.pause_for(&mut session.budget, rows.len(), now);
                let import = self.apply_rows(&rows, now);
                session.has_news |= import.is_some();
                steps.imports.extend(import);
                let revocations = rows.iter().filter_map(Row::revocation);
                let items: Vec<_> = revocations.map(|one| item_of(&one)).collect();
                let reconciliation = session.our_reconciliation(number);
                reconciliation.map_or(Ok(Vec::new()), |reconciliation| {
                    reconciliation.rows(bucket, items.into_iter(), is_last, &self.set)
                })
            }
        }
    }

    /// A comparison that is over: what either knew both know now. Of an origin's numbers its own node alone is believed.
    pub(super) fn settle_reconciliation(
        &self,
        link: LinkId,
        session: &mut PeerSession,
        peer: &PeerId,
        steps: &mut Steps,
    ) {
        let Some(vector) = session
            .reconciliation
            .as_ref()
            .and_then(Reconciliation::agreed)
            .cloned()
        else {
            return;
        };
        let Some(reconciliation) = session.reconciliation.take() else {
            return;
        };
        session.is_lacking &= session.is_reconciliation_due;
        session.agreed_ms = Some(reconciliation.began_ms);
        session.agreed_with = reconciliation.peer_state;
        let mut seen = self.seen.lock();
        seen.failure_detector
            .compared(&reconciliation.spoken_for, reconciliation.began_ms);
        let is_settled = seen.readiness.is_settled();
        drop(seen);
        session.compared(&vector);
        let reached = vector.get(&peer.origin).copied().unwrap_or_default();
        if self.replication_log.adopt(peer.origin, reached) {
            steps.imports.push(Import::noting(Progress {
                reached: vec![(peer.origin, reached)],
                ..Progress::default()
            }));
        }
        let has_news = std::mem::take(&mut session.has_news);
        if has_news && session.is_relay && is_settled {
            let others = self.other_links(link).into_iter();
            steps
                .frames
                .extend(others.map(|other| (other, Frame::CompareSets)));
        }
    }

    /// Whether something is known to be missing here that the peer has. While this node is not ready, one comparison
    /// with a peer that stands where it stood then is enough.
    pub(super) fn is_comparison_needed(&self, session: &PeerSession, now: Now) -> bool {
        let seen = self.seen.lock();
        if seen.readiness.is_settled() {
            let (spoken_for, now_ms) = (session.spoken_for(now.uptime_ms), now.uptime_ms);
            return seen.failure_detector.is_comparison_due(&spoken_for, now_ms);
        }
        session.agreed_ms.is_none() || session.agreed_with != session.state
    }

    /// No vector tells any more what a node in quarantine revoked before, and a peer may lack some of it.
    pub(super) fn compare_with_all(&self) {
        for (_, session) in self.sessions() {
            session.lock().is_reconciliation_due = true;
        }
    }

    pub(super) fn keep_windows(&self, summaries: &[Summary], now: Now) {
        for summary in summaries {
            if let Bucket::Window(window) = summary.bucket {
                let until = self.limits.until(summary.until, now.wall());
                self.set.keep_window(window, until, now.wall());
            }
        }
    }
}
