//! The sums of a rehearsal: how many requests had which outcome, with a few examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::request::{FoundPurpose, Refusal, Shop};
use crate::server::{Rehearsed, RehearsedVerdict};

/// How many examples each outcome has.
const EXAMPLES_MAX: usize = 3;

/// What requests have in common: their number is bounded by the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TallyGroup {
    outcome: &'static str,
    reason: Option<String>,
    shop: Option<String>,
    route: Option<String>,
}

/// How many there are, and the first of them.
#[derive(Debug, Default)]
struct TallyCount {
    requests: u64,
    examples: Vec<(u64, String)>,
    advice: Option<&'static str>,
}

/// The sums of a rehearsal.
#[derive(Debug, Default)]
pub(super) struct Tally {
    groups: BTreeMap<TallyGroup, TallyCount>,
    /// How many requests there were.
    pub(super) requests: u64,
    /// How many lines or entries were no requests, and the first of them.
    pub(super) unread: u64,
    first_unread: Option<u64>,
    /// How many had no host.
    pub(super) without_host: u64,
}

impl Tally {
    /// A request of this line or entry was judged. `has_credentials`: its credentials are known.
    pub(super) fn note(
        &mut self,
        number: u64,
        of: &Rehearsed,
        shops: &[Arc<Shop>],
        has_credentials: bool,
    ) {
        self.requests += 1;
        let shop = of.shop.and_then(|number| shops.get(number));
        let route = shop.and_then(|shop| shop.routes.routes().get(of.route?));
        let (outcome, refusal) = outcome_of(of, has_credentials);
        let reason = refusal.map(|refusal| match refusal.detail() {
            Some(detail) => format!("{} {detail}", refusal.name()),
            None => refusal.name().to_owned(),
        });
        let group = TallyGroup {
            outcome,
            reason,
            shop: shop.map(|shop| shop.name.clone()),
            route: route.map(|route| route.name.clone()),
        };
        let count = self.groups.entry(group).or_default();
        count.requests += 1;
        count.advice = refusal.map(Refusal::advice);
        if count.examples.len() < EXAMPLES_MAX {
            count.examples.push((number, shortened(&of.call)));
        }
    }

    /// A line or an entry was no request.
    pub(super) fn note_unread(&mut self, number: u64) {
        self.unread += 1;
        self.first_unread.get_or_insert(number);
    }

    /// How many would be refused, by what is known of them.
    pub(super) fn refused(&self) -> u64 {
        let refused = self
            .groups
            .iter()
            .filter(|(group, _)| group.outcome == "refused");
        refused.map(|(_, count)| count.requests).sum()
    }

    fn sorted(&self) -> Vec<(&TallyGroup, &TallyCount)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, count)| std::cmp::Reverse(count.requests));
        groups
    }

    /// `unit`: what a number counts, `line` or `entry`.
    pub(super) fn lines(&self, unit: &str) -> Vec<String> {
        let mut lines = vec![format!(
            "{} requests, {} of them refused; nothing was sent",
            self.requests,
            self.refused()
        )];
        for (group, count) in self.sorted() {
            let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let (shop, route) = (dash(&group.shop), dash(&group.route));
            let reason = group.reason.as_deref().unwrap_or_default();
            let outcome = format!("{} {reason}", group.outcome);
            let outcome = outcome.trim();
            lines.push(format!(
                "{:>9}  {outcome:<36}  shop {shop}, route {route}",
                count.requests
            ));
            let examples = count.examples.iter();
            lines.extend(examples.map(|(at, call)| format!("             {unit} {at}: {call}")));
            let advice = count.advice.iter();
            lines.extend(advice.map(|advice| format!("             what to do: {advice}")));
        }
        if let Some(first) = self.first_unread {
            lines.push(format!(
                "{:>9}  not read: no request that could be sent (the first is {unit} {first})",
                self.unread
            ));
        }
        if self.without_host > 0 {
            lines.push(format!(
                "{:>9}  not judged: the log does not say the host (--host names one)",
                self.without_host
            ));
        }
        lines
    }

    pub(super) fn json(&self) -> Value {
        let groups = self.sorted().into_iter().map(|(group, count)| {
            let examples = count.examples.iter();
            let examples = examples.map(|(at, call)| json!({ "at": at, "call": call }));
            json!({
                "outcome": group.outcome, "reason": group.reason, "shop": group.shop, "route": group.route,
                "requests": count.requests, "examples": examples.collect::<Vec<_>>(), "what_to_do": count.advice,
            })
        });
        json!({
            "requests": self.requests, "refused": self.refused(), "unread": self.unread,
            "without_host": self.without_host, "groups": groups.collect::<Vec<_>>(),
        })
    }
}

/// What is known of a request: without its credentials, only that it needs one.
fn outcome_of(of: &Rehearsed, has_credentials: bool) -> (&'static str, Option<Refusal>) {
    let purpose = of.findings.as_ref().map(|findings| findings.purpose);
    if !has_credentials {
        match purpose {
            Some(Ok(FoundPurpose::OwnLogout | FoundPurpose::Logout(_))) => {
                return ("logout, if its credential is good", None);
            }
            Some(Ok(FoundPurpose::Refresh(_))) => {
                return ("refresh, if its credential is good", None);
            }
            Some(
                Ok(FoundPurpose::Preflight | FoundPurpose::Script | FoundPurpose::Visit) | Err(_),
            )
            | None => {}
        }
        if of.refusal == Some(Refusal::NoCredential) {
            return ("needs a credential", None);
        }
    }
    if of.would.is_some() {
        return ("forwarded, only observed", of.would);
    }
    match of.verdict {
        RehearsedVerdict::Refused | RehearsedVerdict::Closed => ("refused", of.refusal),
        RehearsedVerdict::Forwarded
        | RehearsedVerdict::Logout
        | RehearsedVerdict::Redirected
        | RehearsedVerdict::Answered => (of.verdict.name(), None),
    }
}

fn shortened(call: &str) -> String {
    const BYTES_MAX: usize = 120;
    call[..call.floor_char_boundary(BYTES_MAX)]
        .escape_debug()
        .to_string()
}
