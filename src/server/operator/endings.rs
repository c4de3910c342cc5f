//! What this node has revoked lately: when, by which rule, and by which request.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock::UnixTime;
use crate::revocation::{Id, Revocation};

/// How many entries are remembered.
const KEPT: usize = 10_000;

/// What revoked something.
#[derive(Debug)]
pub(crate) struct Ending {
    /// When.
    pub(crate) at: UnixTime,
    /// The call of the logout rule, or the order of the operator.
    pub(crate) rule: String,
    /// The shop; `None`: the operator meant all.
    pub(crate) shop: Option<String>,
    /// The request, if it was one.
    pub(crate) request: Option<String>,
}

/// The last entries that this node has made itself.
#[derive(Default)]
pub(crate) struct Endings(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<Id, Arc<Ending>>,
    order: VecDeque<Id>,
}

impl Endings {
    /// These were revoked. What is known of an entry stays: it was revoked before.
    pub(crate) fn note(&self, revocations: &[Revocation], ending: Ending) {
        let ending = Arc::new(ending);
        let mut kept = self.0.lock();
        for revocation in revocations {
            let id = match revocation {
                Revocation::Token { id, .. } => *id,
                // A cutoff moves on with each logout.
                Revocation::Cutoff { id, .. } => {
                    kept.by_id.remove(id);
                    *id
                }
                Revocation::Date { .. } => continue,
            };
            if kept.by_id.contains_key(&id) {
                continue;
            }
            kept.by_id.insert(id, Arc::clone(&ending));
            kept.order.push_back(id);
            if kept.order.len() > KEPT
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.by_id.remove(&oldest);
            }
        }
    }

    /// What revoked this.
    pub(crate) fn of(&self, id: &Id) -> Option<Arc<Ending>> {
        self.0.lock().by_id.get(id).cloned()
    }
}

impl Ending {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "at": self.at.to_string(), "rule": self.rule, "shop": self.shop, "request": self.request,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::{Source, Window};

    fn ending(rule: &str) -> Ending {
        Ending {
            at: UnixTime::EPOCH,
            rule: rule.to_owned(),
            shop: None,
            request: None,
        }
    }

    fn token(number: usize) -> Revocation {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        Revocation::Token {
            id: Id::from_bytes(id),
            window: Window::UNDATED,
            until: UnixTime::FOREVER,
            source: Source::Verified,
        }
    }

    #[test]
    fn the_first_logout_of_a_token_is_what_revoked_it_and_old_ones_are_forgotten() {
        let endings = Endings::default();
        endings.note(&[token(0)], ending("first"));
        endings.note(&[token(0)], ending("second"));
        assert_eq!(endings.of(&token(0).id()).unwrap().rule, "first");
        for number in 1..=KEPT {
            endings.note(&[token(number)], ending("later"));
        }
        assert!(endings.of(&token(0).id()).is_none());
        assert!(endings.of(&token(1).id()).is_some());
    }
}
