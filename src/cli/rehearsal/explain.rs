//! `doorward explain`: what becomes of a request, or became of one, and why.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::RequestArguments;
use super::claims::LogNames;
use super::report::{print_json, print_lines};
use super::stations::{Ground, Station, advice, verdict_in_words};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::faults;
use crate::cli::operator::{self, Format, ProcessArguments};
use crate::config::Config;
use crate::request::Refusal;
use crate::revocation::Id;
use crate::server::{Rehearsal, Rehearsed, SampleRequest, SentRequest};

/// Which request is explained.
#[derive(Args)]
pub(in crate::cli) struct Explain {
    #[command(flatten)]
    process: ProcessArguments,
    /// The `X-Request-Id` of an answer: the running process tells what it decided
    #[arg(long, value_name = "ID", group = "what")]
    request_id: Option<String>,
    #[command(flatten)]
    request: RequestArguments,
    /// Ask the running process whether the tokens of the request are revoked
    #[arg(long, requires = "what", conflicts_with = "request_id")]
    running: bool,
    /// Fetch the keys that shops publish at `jwks_url`; nothing else is sent
    #[arg(long, requires = "what", conflicts_with = "request_id")]
    fetch_keys: bool,
    /// How it is told; left out: as text, and with --request-id as JSON
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
}

impl LogNames for Rehearsal {
    fn of(&self, id: &Id) -> String {
        self.name_of(id)
    }
}

/// Explains a request by its id, or judges one and tells its way.
pub(in crate::cli) fn explain(explain: &Explain) -> Result<(), CommandError> {
    if let Some(id) = &explain.request_id {
        let format = explain.format.unwrap_or(Format::Json);
        return operator::explain_by_id(&explain.process, id, format);
    }
    let Some(sample) = explain.request.sample()? else {
        let why = "which request? Give --request-id, --url, --curl or --har";
        return Err(CommandError::new(Exit::Usage, why));
    };
    let config = faults::load(explain.process.config())?;
    let Config {
        shops,
        server,
        sources,
        lines,
        ..
    } = config;
    let listen = server.listen.clone();
    let mut rehearsal = Rehearsal::new(server, shops).map_err(CommandError::failed)?;
    if explain.fetch_keys {
        rehearsal.fetch_keys().map_err(CommandError::failed)?;
    }
    let usage = |why| CommandError::new(Exit::Usage, why);
    let mut rehearsed = rehearsal.judge(&sample).map_err(usage)?;
    let shops = rehearsal.shops();
    let revoked = if explain.running {
        let shop = rehearsed.shop.and_then(|number| shops.get(number));
        let asked = shop
            .map(|shop| ask(explain, &rehearsal, &rehearsed, &shop.name))
            .transpose()?;
        let asked = asked.unwrap_or_default();
        rehearsed = rehearsal.judge(&sample).map_err(usage)?;
        asked
    } else {
        vec!["not asked: --running asks the process".to_owned()]
    };
    let ground = Ground {
        listen: &listen,
        shops: &shops,
        sources: &sources,
        lines: &lines,
        names: &rehearsal,
    };
    let explanation = Explanation {
        stations: ground.stations(&rehearsed),
        shop: rehearsed.shop.map(|number| shops[number].name.clone()),
        route: route_name(&rehearsed, &shops),
        sample: &sample,
        rehearsed,
        revoked,
    };
    match explain.format.unwrap_or(Format::Text) {
        Format::Json => print_json(&explanation.json()),
        Format::Text => print_lines(&explanation.lines()),
    }
    Ok(())
}

fn route_name(of: &Rehearsed, shops: &[std::sync::Arc<crate::request::Shop>]) -> Option<String> {
    let routes = shops.get(of.shop?)?.routes.routes();
    Some(routes.get(of.route?)?.name.clone())
}

/// Asks the running process about each token, and revokes here what is revoked there.
fn ask(
    explain: &Explain,
    rehearsal: &Rehearsal,
    rehearsed: &Rehearsed,
    shop: &str,
) -> Result<Vec<String>, CommandError> {
    let findings = rehearsed.findings.as_ref();
    let found = findings.and_then(|findings| findings.credentials.as_ref().ok());
    let mut told = Vec::new();
    for one in found.into_iter().flatten() {
        let answer = operator::inspect_token(&explain.process, shop, &one.text)?;
        let says = match answer["refused"].as_bool() {
            Some(true) => {
                let done = rehearsal.revoke_token(shop, &one.text);
                done.map_err(CommandError::failed)?.ok();
                let by = answer["revoked_by"].as_str().unwrap_or("flaw");
                format!("yes, by {by}")
            }
            Some(false) => "no".to_owned(),
            None => "not known: the shop must say whose it is".to_owned(),
        };
        told.push(format!("{}: {says}", one.label));
    }
    if told.is_empty() {
        told.push("no token to ask about".to_owned());
    }
    Ok(told)
}

struct Explanation<'a> {
    sample: &'a SampleRequest,
    rehearsed: Rehearsed,
    stations: Vec<Station>,
    revoked: Vec<String>,
    shop: Option<String>,
    route: Option<String>,
}

impl Explanation<'_> {
    fn scheme(&self) -> &'static str {
        if self.sample.is_encrypted {
            "https"
        } else {
            "http"
        }
    }

    fn lines(&self) -> Vec<String> {
        let of = &self.rehearsed;
        let host = of.host.as_deref().unwrap_or("no host");
        let mut lines = vec![format!("{} over {} to {host}", of.call, self.scheme())];
        let mut add = |name: &str, says: &str, at: Option<&str>| {
            let at = at.map(|at| format!("  [{at}]")).unwrap_or_default();
            lines.push(format!("  {name:<12} {says}{at}"));
        };
        for station in &self.stations {
            add(station.name, &station.says, station.at.as_deref());
        }
        for revoked in &self.revoked {
            add("revoked", revoked, None);
        }
        add("verdict", &verdict_in_words(of), None);
        if let Some(note) = self.note() {
            add("note", note, None);
        }
        if let Some(sent) = &of.sent {
            add("sent", &sent_in_words(sent), None);
        }
        if let Some(advice) = advice(of) {
            add("what to do", advice, None);
        }
        lines
    }

    /// What the verdict leaves open.
    fn note(&self) -> Option<&'static str> {
        let refusal = self.rehearsed.refusal?;
        if refusal == Refusal::Unconfirmed {
            return Some(
                "the shop would be asked about the token (introspection), and its answer decides; here it is not asked",
            );
        }
        let is_keyless = refusal == Refusal::KeysMissing;
        is_keyless.then_some("the keys are published at `jwks_url`: --fetch-keys fetches them")
    }

    fn json(&self) -> Value {
        let of = &self.rehearsed;
        let stations: Vec<_> = self.stations.iter().map(Station::json).collect();
        json!({
            "request": { "call": of.call, "scheme": self.scheme(), "host": of.host, "client": of.client },
            "stations": stations,
            "revoked": self.revoked,
            "verdict": of.verdict.name(),
            "status": of.status.map(|status| status.as_u16()),
            "shop": self.shop,
            "route": self.route,
            "reason": of.refusal.map(Refusal::name),
            "detail": of.refusal.and_then(Refusal::detail),
            "place": of.place,
            "would": of.would.map(Refusal::name),
            "note": self.note(),
            "what_to_do": advice(of),
            "sent": of.sent.as_ref().map(sent_in_json),
        })
    }
}

fn sent_in_words(sent: &SentRequest) -> String {
    let to = match &sent.upstream {
        Some(name) => format!("upstream {name} ({})", sent.servers.join(", ")),
        None => sent.servers.join(", "),
    };
    let mut says = format!("{} to {to}", sent.call);
    for (what, names) in [("sets", &sent.set), ("removes", &sent.removed)] {
        if !names.is_empty() {
            let _ = write!(says, "; {what} {}", names.join(", "));
        }
    }
    if sent.dead_cookies > 0 {
        let _ = write!(says, "; without {} dead cookies", sent.dead_cookies);
    }
    says
}

fn sent_in_json(sent: &SentRequest) -> Value {
    json!({
        "call": sent.call, "upstream": sent.upstream, "servers": sent.servers,
        "sets": sent.set, "removes": sent.removed, "dead_cookies": sent.dead_cookies,
    })
}
