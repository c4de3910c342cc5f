//! Whether this process should get customers, and what an operator should know of it.

use crate::clock;
use crate::cluster::Node;
use crate::request::{Issuer, Shop};
use crate::revocation::State as Standing;
use crate::server::process::notify::Notify;
use crate::server::process::traffic::Traffic;
use crate::server::reload_record::Record;
use crate::server::snapshot::Site;

/// One thing that was looked at.
pub(crate) struct Check {
    what: String,
    found: String,
    state: State,
}

/// What it means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Good,
    /// Not as it should be, but no other process would do better.
    Odd,
    /// Customers should go elsewhere.
    Bad,
}

/// What readiness depends on.
pub(crate) struct Looked<'a> {
    pub(crate) site: &'a Site,
    pub(crate) traffic: &'a Traffic,
    pub(crate) notify: &'a Notify,
    pub(crate) reloads: &'a Record,
    pub(crate) node: Option<&'a Node>,
}

impl Looked<'_> {
    /// Everything, the gravest first.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.process(), self.journal()];
        checks.extend(self.node.map(|node| self.cluster(node)));
        checks.push(self.configuration());
        for shop in self.site.gate.shops() {
            checks.extend(keys_of(shop));
            checks.extend(places_of(shop));
            checks.extend(self.servers_of(shop));
        }
        checks.push(self.revocations());
        checks
    }

    fn process(&self) -> Check {
        let (found, state) = if self.traffic.is_draining() {
            ("draining", State::Bad)
        } else if self.notify.has_been_ready() {
            ("serving", State::Good)
        } else {
            ("starting", State::Bad)
        };
        Check::of("process", found, state)
    }

    /// Without it what is revoked is still refused, but no logout can be answered.
    fn journal(&self) -> Check {
        if self.site.gate.revocations().journal().is_writable() {
            Check::of("journal", "writable", State::Good)
        } else {
            Check::of("journal", "can't be written", State::Bad)
        }
    }

    /// While other nodes may know more, customers with credentials are sent away.
    fn cluster(&self, node: &Node) -> Check {
        let (status, counts) = (node.status(), node.counts());
        let all = counts.connected + counts.missing;
        let mut found = format!("{}; {} of {all} peers", status.state, counts.connected);
        if !status.why.is_empty() {
            found = format!("{found}; {}", status.why);
        }
        let standing = self.site.gate.revocations().standing();
        let state = match (standing.serves(clock::now()), standing.state()) {
            (false, _) => State::Bad,
            (true, Standing::Stale) => State::Odd,
            (true, _) => State::Good,
        };
        Check::of("cluster", found, state)
    }

    fn configuration(&self) -> Check {
        let at = self.reloads.last_good_at();
        if self.reloads.is_last_good() {
            Check::of("configuration", format!("of {at}"), State::Good)
        } else {
            let found = format!("the last reload failed; that of {at} serves on");
            Check::of("configuration", found, State::Odd)
        }
    }

    fn servers_of(&self, shop: &Shop) -> Option<Check> {
        let servers = self.site.upstreams.get(&shop.name)?.servers();
        let well = servers
            .iter()
            .filter(|one| one.state() == "healthy")
            .count();
        let told = servers
            .iter()
            .map(|one| format!("{} {}", one.label, one.state()));
        let told: Vec<_> = told.collect();
        let state = if well > 0 { State::Good } else { State::Odd };
        let what = format!("servers of shop {}", shop.name);
        Some(Check::of(what, told.join(", "), state))
    }

    fn revocations(&self) -> Check {
        let counts = self.site.gate.revocations().counts();
        let tokens = counts.tokens + counts.undated;
        let found = format!("{tokens} tokens, {} cutoffs", counts.cutoffs);
        Check::of("revocations", found, State::Good)
    }
}

/// A shop whose keys were never fetched has no token that could be verified.
fn keys_of(shop: &Shop) -> impl Iterator<Item = Check> {
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

fn keys_of_issuer(what: String, issuer: &Issuer) -> Check {
    let keys = issuer.ring().state();
    if !issuer.has_keys() {
        let failure = keys.failure.unwrap_or("not yet");
        return Check::of(what, format!("never fetched: {failure}"), State::Bad);
    }
    match keys.failure {
        Some(failure) => {
            let found = format!("{}; the last fetch failed: {failure}", keys.count);
            Check::of(what, found, State::Odd)
        }
        None => Check::of(what, keys.count.to_string(), State::Good),
    }
}

/// A place in which tokens are looked for, and that never held one, protects nothing.
fn places_of(shop: &Shop) -> impl Iterator<Item = Check> {
    shop.places.iter().map(|place| {
        let (tokens, unreadable) = (place.counts.tokens(), place.counts.unreadable());
        let what = format!("place of shop {}, {}", shop.name, place.label());
        let found = format!("{tokens} tokens, {unreadable} other values");
        if place.counts.is_vain() {
            let found = format!("{found}: it seems to protect nothing");
            return Check::of(what, found, State::Odd);
        }
        Check::of(what, found, State::Good)
    })
}

impl Check {
    fn of(what: impl Into<String>, found: impl Into<String>, state: State) -> Self {
        Self {
            what: what.into(),
            found: found.into(),
            state,
        }
    }

    /// Whether customers should go elsewhere for it.
    pub(crate) fn is_bad(&self) -> bool {
        self.state == State::Bad
    }

    /// One line: `+` is good, `!` is odd, `-` is bad.
    pub(crate) fn line(&self) -> String {
        let sign = match self.state {
            State::Good => '+',
            State::Odd => '!',
            State::Bad => '-',
        };
        format!("[{sign}] {}: {}\n", self.what, self.found)
    }
}
