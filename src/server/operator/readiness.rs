//! Readiness: whether this process should get customers, check by check.

use crate::clock;
use crate::cluster::Node;
use crate::request::{AwaitedSuccess, Issuer, Shop};
use crate::revocation::SyncPhase;
use crate::server::process::notify::Notify;
use crate::server::process::traffic::Traffic;
use crate::server::reload_record::ReloadRecord;
use crate::server::snapshot::Snapshot;

/// The result of one check.
pub(crate) struct ReadinessCheck {
    what: String,
    found: String,
    state: CheckState,
}

/// What a result means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckState {
    /// As it should be.
    Good,
    /// Not as it should be, but no other process would do better.
    Odd,
    /// Customers should go elsewhere.
    Bad,
}

/// What the checks look at.
pub(crate) struct ReadinessReport<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) traffic: &'a Traffic,
    pub(crate) notify: &'a Notify,
    pub(crate) reloads: &'a ReloadRecord,
    pub(crate) node: Option<&'a Node>,
}

impl ReadinessReport<'_> {
    /// All checks, the gravest first.
    pub(crate) fn checks(&self) -> Vec<ReadinessCheck> {
        let mut checks = vec![self.process(), self.journal()];
        checks.extend(self.node.map(|node| self.cluster(node)));
        checks.push(self.configuration());
        for shop in self.snapshot.gate.shops() {
            checks.extend(keys_of(shop));
            checks.extend(unaccepted_of(shop));
            checks.extend(places_of(shop));
            checks.extend(observed_of(shop));
            checks.extend(unjudged_of(shop));
            checks.extend(self.servers_of(shop));
        }
        checks.push(self.revocations());
        checks
    }

    fn process(&self) -> ReadinessCheck {
        let (found, state) = if self.traffic.is_draining() {
            ("draining", CheckState::Bad)
        } else if self.notify.has_been_ready() {
            ("serving", CheckState::Good)
        } else {
            ("starting", CheckState::Bad)
        };
        ReadinessCheck::new("process", found, state)
    }

    /// With a journal that can't be written revoked tokens are still refused, but no logout can be answered.
    fn journal(&self) -> ReadinessCheck {
        if self.snapshot.gate.revocations().journal().is_writable() {
            ReadinessCheck::new("journal", "writable", CheckState::Good)
        } else {
            ReadinessCheck::new("journal", "can't be written", CheckState::Bad)
        }
    }

    /// Until this node is in sync, requests with credentials are answered 503.
    fn cluster(&self, node: &Node) -> ReadinessCheck {
        let (status, counts) = (node.status(), node.counts());
        let all = counts.connected + counts.missing;
        let mut found = format!("{}; {} of {all} peers", status.state, counts.connected);
        if !status.why.is_empty() {
            found = format!("{found}; {}", status.why);
        }
        let sync_state = self.snapshot.gate.revocations().sync_state();
        let state = match (sync_state.serves(clock::now()), sync_state.state()) {
            (false, _) => CheckState::Bad,
            (true, SyncPhase::Stale) => CheckState::Odd,
            (true, _) => CheckState::Good,
        };
        ReadinessCheck::new("cluster", found, state)
    }

    fn configuration(&self) -> ReadinessCheck {
        let at = self.reloads.last_good_at();
        if self.reloads.is_last_good() {
            ReadinessCheck::new("configuration", format!("of {at}"), CheckState::Good)
        } else {
            let found = format!("the last reload failed; that of {at} stays in use");
            ReadinessCheck::new("configuration", found, CheckState::Odd)
        }
    }

    fn servers_of(&self, shop: &Shop) -> Option<ReadinessCheck> {
        let servers = self.snapshot.pools.of_shop(&shop.name)?.servers();
        let well = servers
            .iter()
            .filter(|one| ["healthy", "untried"].contains(&one.state()))
            .count();
        let told = servers
            .iter()
            .map(|one| format!("{} {}", one.label, one.state()));
        let told: Vec<_> = told.collect();
        let state = if well > 0 {
            CheckState::Good
        } else {
            CheckState::Odd
        };
        let what = format!("servers of shop {}", shop.name);
        Some(ReadinessCheck::new(what, told.join(", "), state))
    }

    fn revocations(&self) -> ReadinessCheck {
        let counts = self.snapshot.gate.revocations().counts();
        let tokens = counts.tokens + counts.undated;
        let found = format!("{tokens} tokens, {} cutoffs", counts.cutoffs);
        ReadinessCheck::new("revocations", found, CheckState::Good)
    }
}

/// A shop whose keys were never fetched has no token that could be verified.
fn keys_of(shop: &Shop) -> impl Iterator<Item = ReadinessCheck> {
    let issuers = shop.verifier.issuers();
    issuers.iter().enumerate().map(|(place, issuer)| {
        let what = if issuers.len() == 1 {
            format!("keys of shop {}", shop.name)
        } else {
            format!("keys of shop {}, issuer {}", shop.name, place + 1)
        };
        keys_of_issuer(what, issuer)
    })
}

fn keys_of_issuer(what: String, issuer: &Issuer) -> ReadinessCheck {
    let keys = issuer.ring().state();
    if !issuer.has_keys() {
        let failure = keys.failure.unwrap_or("not yet");
        return ReadinessCheck::new(what, format!("never fetched: {failure}"), CheckState::Bad);
    }
    match keys.failure {
        Some(failure) => {
            let found = format!("{}; the last fetch failed: {failure}", keys.count);
            ReadinessCheck::new(what, found, CheckState::Odd)
        }
        None => ReadinessCheck::new(what, keys.count.to_string(), CheckState::Good),
    }
}

/// Tokens came, and none was accepted: the key, the issuer or a clock is probably wrong.
fn unaccepted_of(shop: &Shop) -> impl Iterator<Item = ReadinessCheck> {
    shop.verifier.awaited().filter_map(|awaited| {
        let none = awaited.record.none_accepted()?;
        let issuer = awaited.issuer;
        let issuer = issuer.map_or(String::new(), |number| format!(", issuer {number}"));
        let what = format!("tokens of shop {}{issuer}", shop.name);
        let found = match awaited.success {
            AwaitedSuccess::Verified => "has verified since the start or since its keys changed",
            AwaitedSuccess::Timely => "was within its time since the start",
        };
        let end = if awaited.is_forwarded {
            ": they are forwarded all the same"
        } else {
            ""
        };
        let found = format!("none {found}; {none}{end}");
        Some(ReadinessCheck::new(what, found, CheckState::Odd))
    })
}

/// A configured place that never held a token protects nothing.
fn places_of(shop: &Shop) -> impl Iterator<Item = ReadinessCheck> {
    shop.places.iter().map(|place| {
        let (tokens, unreadable) = (place.counts.tokens(), place.counts.unreadable());
        let what = format!("place of shop {}, {}", shop.name, place.label());
        let found = format!("{tokens} tokens, {unreadable} other values");
        if place.counts.is_vain() {
            let found = format!("{found}: it seems to protect nothing");
            return ReadinessCheck::new(what, found, CheckState::Odd);
        }
        ReadinessCheck::new(what, found, CheckState::Good)
    })
}

/// What is only observed protects nothing.
fn observed_of(shop: &Shop) -> Option<ReadinessCheck> {
    let found = shop.observed_in_words()?;
    let what = format!("credentials of shop {}", shop.name);
    let found = format!("{found}: nothing is refused for them");
    Some(ReadinessCheck::new(what, found, CheckState::Odd))
}

/// Where no credential is examined, nothing is protected either.
fn unjudged_of(shop: &Shop) -> Option<ReadinessCheck> {
    let routes: Vec<_> = shop.unjudged_routes().map(|one| &*one.name).collect();
    let routes = (!routes.is_empty()).then(|| routes.join(", "))?;
    let what = format!("enforcement of shop {}", shop.name);
    let found = format!("off on the routes {routes}: customers who logged out still have access");
    Some(ReadinessCheck::new(what, found, CheckState::Odd))
}

impl ReadinessCheck {
    fn new(what: impl Into<String>, found: impl Into<String>, state: CheckState) -> Self {
        Self {
            what: what.into(),
            found: found.into(),
            state,
        }
    }

    /// Whether customers should go elsewhere.
    pub(crate) fn is_bad(&self) -> bool {
        self.state == CheckState::Bad
    }

    /// For the status document.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let state = match self.state {
            CheckState::Good => "good",
            CheckState::Odd => "odd",
            CheckState::Bad => "bad",
        };
        serde_json::json!({ "what": self.what, "found": self.found, "state": state })
    }

    /// One line: `+` good, `!` odd, `-` bad.
    pub(crate) fn line(&self) -> String {
        let sign = match self.state {
            CheckState::Good => '+',
            CheckState::Odd => '!',
            CheckState::Bad => '-',
        };
        format!("[{sign}] {}: {}\n", self.what, self.found)
    }
}
