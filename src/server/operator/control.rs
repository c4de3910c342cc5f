//! The control endpoint: what `doorward revoke`, `inspect` and `reload` ask of a running process.
//!
//! JSON over HTTP on a unix socket that only the process's own user may open. `POST /revoke` takes an
//! [`ControlOrder`] and puts it in force; `POST /inspect` takes one and only looks; `GET /inspect` counts;
//! `POST /explain` tells what was decided about a request; `GET /readyz` tells whether the process is ready, and why not;
//! `POST /reload` reads the configuration anew and answers when that is done; `GET /cluster` tells of the other
//! nodes; `POST /cluster/force-ready` makes this one serve without them; `GET /meanings` lists what names meant when
//! entries were made. `GET /status` tells everything about the process; `GET /revocations` lists what is in force,
//! `GET /revocations/export` copies it, and `POST /revocations/import` takes a copy over; `POST /log` and `POST /drain`
//! steer the process.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use log::{info, warn};
use pingora::protocols::http::ServerSession;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::decisions::KEPT;
use super::endings::Ending;
use super::explain::decisions;
use super::listener::with_type;
use super::log_id::LogKey;
use super::order::{ControlOrder, PeerProcess};
use super::orders::LongAnswer;
use super::readiness::{ReadinessCheck, ReadinessReport};
use super::recorder::Recorder;
use super::status::StatusSources;
use crate::clock::{self, UnixTime};
use crate::cluster::Node;
use crate::request::{Gate, OperatorOrder, Shop, Target, UnfitOrder};
use crate::revocation::Revocation;
use crate::server::reload::{ReloadError, Reloader};
use crate::server::reload_record::ReloadRecord;
use crate::server::snapshot::{SharedSnapshot, Snapshot};

/// Answers orders.
pub(crate) struct Control {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) reloads: Arc<Reloader>,
    pub(crate) log_key: LogKey,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) status: Arc<StatusSources>,
}

/// An answer to an order.
pub(crate) enum ControlAnswer {
    /// It is there.
    Whole(Response<Vec<u8>>),
    /// It comes piece by piece.
    LongAnswer(LongAnswer),
}

/// The longest order: a token in its carrier and a few names, with up to six bytes of JSON for one byte.
const ORDER_BYTES_MAX: usize = 1 << 20;

impl Control {
    /// Carries out the order of a request.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        session: &mut ServerSession,
        peer: PeerProcess,
    ) -> ControlAnswer {
        let head = session.req_header();
        let (method, uri) = (head.method.clone(), head.uri.clone());
        let body = match read_body(session).await {
            Ok(body) => body,
            Err(failed) => return ControlAnswer::Whole(answer(Err(failed))),
        };
        match (&method, uri.path()) {
            (&Method::GET, "/revocations") => {
                let shop = shop_in(uri.query().unwrap_or_default());
                ControlAnswer::LongAnswer(self.list(shop))
            }
            (&Method::GET, "/revocations/export") => {
                let snapshot = self.snapshot.load_full();
                match self.export(&snapshot.gate, peer).await {
                    Ok(pieces) => ControlAnswer::LongAnswer(pieces),
                    Err(failed) => ControlAnswer::Whole(answer(Err(failed))),
                }
            }
            (_, path) => ControlAnswer::Whole(self.carry_out(&method, path, &body, peer).await),
        }
    }

    async fn carry_out(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
        peer: PeerProcess,
    ) -> Response<Vec<u8>> {
        let snapshot = self.snapshot.load_full();
        answer(match (method, path) {
            (&Method::GET, "/inspect") => Ok(count(&snapshot.gate, &self.reloads.record)),
            (&Method::GET, "/readyz") => Ok(self.readiness(&snapshot)),
            (&Method::GET, "/meanings") => Ok(meanings_of(&snapshot.gate)),
            (&Method::POST, "/inspect") => self.look(&snapshot.gate, body),
            (&Method::POST, "/revoke") => self.revoke(&snapshot.gate, body, peer).await,
            (&Method::GET, "/cluster") => self.cluster(),
            (&Method::POST, "/cluster/force-ready") => self.force_ready(peer),
            (&Method::POST, "/explain") => self.explain(&snapshot.gate, body),
            (&Method::POST, "/reload") => self.reload(peer).await,
            (&Method::GET, "/status") => Ok(self.status.document()),
            (&Method::GET, "/facts") => Ok(self.facts()),
            (&Method::POST, "/revocations/compare") => self.compare(&snapshot.gate, body),
            (&Method::POST, "/revocations/import") => {
                self.import(&snapshot.gate, body, peer).await
            }
            (&Method::POST, "/log") => Self::set_log_level(body, peer),
            (&Method::POST, "/drain") => self.drain(body, peer),
            _ => Err((
                StatusCode::NOT_FOUND,
                "POST /revoke, POST /reload, POST /inspect, POST /explain, POST /log, POST /drain, \
                 POST /revocations/import, POST /revocations/compare, GET /status, GET /facts, GET /revocations, \
                 GET /revocations/export, GET /inspect, GET /readyz, GET /meanings, GET /cluster, POST /cluster/force-ready"
                    .into(),
            )),
        })
    }
}

pub(super) type ControlResult = Result<Value, (StatusCode, ControlFailure)>;

/// Why an order was not carried out.
pub(super) struct ControlFailure {
    why: String,
    /// Further fields of the answer.
    details: Map<String, Value>,
}

impl<T: Into<String>> From<T> for ControlFailure {
    fn from(why: T) -> Self {
        Self {
            why: why.into(),
            details: Map::new(),
        }
    }
}

fn count(gate: &Gate, reloads: &ReloadRecord) -> Value {
    let revocations = gate.revocations();
    let (counts, journal) = (revocations.counts(), revocations.journal());
    let shops = gate.shops().iter().map(|shop| {
        let servers = shop.clock.servers().into_iter().map(|one| {
            json!({
                "address": one.address.to_string(), "clock_offset_s": one.offset_s,
                "disbelieved": one.disbelieved,
            })
        });
        json!({
            "name": shop.name, "token_domain": shop.verifier.settings().token_domain,
            "keys": shop.verifier.key_count(), "clock_offset_s": shop.clock.offset_s(),
            "servers": servers.collect::<Vec<_>>(),
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revocations": {
            "tokens": counts.tokens, "undated_tokens": counts.undated,
            "cutoffs": counts.cutoffs, "windows": counts.windows,
            "seen": counts.seen, "issued": counts.issued, "revived": counts.revived,
        },
        "journal": {
            "writable": journal.is_writable(), "commits": journal.commits(),
            "written": journal.written(), "failures": journal.failures(),
        },
        "reloads": {
            "last_good": reloads.is_last_good(), "last_good_at": reloads.last_good_at().to_string(),
            "succeeded": reloads.succeeded(), "failed": reloads.failed(),
        },
        "shops": shops.collect::<Vec<_>>(),
        "former_meanings": honoured_at(gate),
    })
}

/// The meanings under which entries are in force, for `check`, which compares them with another configuration.
fn meanings_of(gate: &Gate) -> Value {
    let meanings = gate.revocations().meanings().into_iter();
    let meanings = meanings.map(|meaning| {
        json!([
            meaning.text,
            meaning.used.seconds(),
            meaning.until.seconds()
        ])
    });
    meanings.collect()
}

/// The former meanings of names that shops honour.
fn honoured_at(gate: &Gate) -> Vec<Value> {
    gate.honour_meanings(clock::now());
    let told = |shop: &Arc<Shop>| {
        let name = shop.name.clone();
        let honoured = shop.honoured().into_iter();
        honoured.map(move |former| {
            json!({
                "shop": name, "of": former.shop, "differs": former.differs,
                "used": former.used.to_string(), "until": former.until.to_string(),
            })
        })
    };
    gate.shops().iter().flat_map(told).collect()
}

/// What an order revokes, at all of its shops.
#[derive(Default)]
struct OrderPlan {
    revocations: Vec<Revocation>,
    /// The meanings of the names in them that the journal does not have yet.
    meant: Vec<Revocation>,
    /// The log ids of the targets.
    names: Vec<String>,
    news: usize,
    old: usize,
    seen_tokens: usize,
    notes: Vec<String>,
}

impl OrderPlan {
    fn add(&mut self, shop: &Shop, done: OperatorOrder, log_key: &LogKey) {
        self.revocations.extend(done.revocations);
        self.names.push(log_key.name(&done.id).to_string());
        self.news += usize::from(done.is_news);
        self.old += usize::from(!done.is_news);
        self.seen_tokens += done.seen_tokens;
        let notes = done.notes.iter();
        let notes = notes.map(|note| format!("shop {}: {note}", shop.name));
        self.notes.extend(notes);
    }
}

impl Control {
    /// The checks of readiness that fail.
    fn readiness(&self, snapshot: &Snapshot) -> Value {
        let checks = ReadinessReport {
            snapshot,
            traffic: &self.status.traffic,
            notify: &self.reloads.notify,
            reloads: &self.reloads.record,
            node: self.reloads.node.as_deref(),
        }
        .checks();
        let failed = checks.iter().filter(|check| check.is_bad());
        let failed: Vec<_> = failed.map(ReadinessCheck::line).collect();
        json!({ "ready": failed.is_empty(), "failed": failed })
    }

    fn node(&self) -> Result<&Node, (StatusCode, ControlFailure)> {
        let why = "this node is in no cluster: the configuration has no [cluster]";
        let node = self.reloads.node.as_deref();
        node.ok_or_else(|| (StatusCode::CONFLICT, why.into()))
    }

    /// What was decided about a request.
    fn explain(&self, gate: &Gate, body: &[u8]) -> ControlResult {
        let wanted: RequestWanted = parse_order(body)?;
        let node = self.reloads.node.as_deref();
        let (id, revocations) = (wanted.request_id.trim(), gate.revocations());
        let found = decisions(&self.recorder, revocations, node, id);
        if found.is_empty() {
            let why = format!(
                "no request with this id is among the last {KEPT} that were forwarded or the last {KEPT} others of this node; \
                 every node remembers its own, since its start"
            );
            return Err((StatusCode::NOT_FOUND, why.into()));
        }
        Ok(json!({ "request_id": id, "node": self.recorder.node, "decisions": found }))
    }

    fn cluster(&self) -> ControlResult {
        let status = serde_json::to_value(self.node()?.status());
        status.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into()))
    }

    fn force_ready(&self, peer: PeerProcess) -> ControlResult {
        self.node()?.force_ready();
        let PeerProcess { uid, pid } = peer;
        warn!(by_uid = uid, by_pid = pid; "the operator ordered this node to serve with the revocations that it has");
        Ok(json!({ "forced": true }))
    }

    /// After a cutoff of every shop, revocations that this node has missed no longer matter.
    async fn revoke(&self, gate: &Gate, body: &[u8], peer: PeerProcess) -> ControlResult {
        let order: ControlOrder = parse_order(body)?;
        let PeerProcess { uid, pid } = peer;
        let what = order.target.name();
        // An unknown shop's name is not logged: it may be a token in the wrong place.
        let named = order.shop.as_deref();
        let shop = named.filter(|name| gate.shop_named(name).is_some());
        let shop = shop.or(named.is_none().then_some("all"));
        let plan = match self.plan(gate, &order) {
            Ok(plan) => plan,
            Err((code, failure)) => {
                let status = code.as_u16();
                info!(by_uid = uid, by_pid = pid, shop, what, status; "a revocation by hand was refused");
                return Err((code, failure));
            }
        };
        let log_name = plan.names.join(",");
        let (news, old, seen_tokens) = (plan.news, plan.old, plan.seen_tokens);
        let kept_until = plan.revocations.iter().map(Revocation::until).max();
        let kept_until = kept_until.unwrap_or(UnixTime::EPOCH).to_string();
        let mut told = json!({
            "already_revoked": old, "seen_tokens": seen_tokens, "kept_until": kept_until,
            "log_name": log_name, "notes": plan.notes,
        });
        if order.dry_run {
            info!(by_uid = uid, by_pid = pid, shop, what, log_name = log_name.as_str(), news, old, seen_tokens; "dry run of a revocation by hand");
            told["would_revoke"] = news.into();
            told["dry_run"] = true.into();
            return Ok(told);
        }
        let set = gate.revocations();
        let ended = plan.revocations.clone();
        let written = match &order.target {
            // The moment may be in the past, and tokens without a date may be older.
            Target::AllBefore(_) => set.revoke([plan.meant, plan.revocations].concat()).await,
            Target::Token(_) | Target::Jti(_) | Target::Session(_) | Target::Subject(_) => {
                set.revoke_now(plan.meant, plan.revocations).await
            }
        };
        let durable = written.is_ok();
        self.recorder.endings.note(
            &ended,
            Ending {
                at: clock::now(),
                rule: format!("doorward revoke: {what}"),
                shop: order.shop.clone(),
                request: None,
            },
        );
        info!(by_uid = uid, by_pid = pid, shop, what, log_name = log_name.as_str(), news, old, seen_tokens, durable; "revoked by hand");
        written.map_err(|_| {
            let why = "in force, but the journal could not be written: a restart would forget it";
            (StatusCode::SERVICE_UNAVAILABLE, why.into())
        })?;
        if let (None, Some(node)) = (&order.shop, &self.reloads.node) {
            node.force_ready();
        }
        told["revoked"] = news.into();
        Ok(told)
    }

    /// What an order would do. A shop that can't carry out an order for all shops is noted.
    fn plan(
        &self,
        gate: &Gate,
        order: &ControlOrder,
    ) -> Result<OrderPlan, (StatusCode, ControlFailure)> {
        let now = clock::now();
        let mut plan = OrderPlan::default();
        for shop in shops_of(gate, order)? {
            refuse_token_of_another(gate, shop, &order.target, now)?;
            match shop.operator_order(&order.target, gate.revocations(), now) {
                Ok(done) => {
                    let meant = gate.meanings_before(shop, &done.revocations, now);
                    plan.meant.extend(meant);
                    plan.add(shop, done, &self.log_key);
                }
                Err(why @ UnfitOrder::OnlyOpaque) if order.shop.is_none() => {
                    plan.notes.push(format!("shop {}: {why}", shop.name));
                }
                Err(why) => return Err(unfit(&why)),
            }
        }
        Ok(plan)
    }

    async fn reload(&self, peer: PeerProcess) -> ControlResult {
        let PeerProcess { uid, pid } = peer;
        info!(by_uid = uid, by_pid = pid; "a reload was ordered");
        match self.reloads.reload_aside().await {
            Some(Ok(done)) => Ok(json!({
                "shops": done.shops, "changed": done.changed, "needs_restart": [], "warnings": done.warnings,
                "former_meanings": done.former_meanings,
            })),
            Some(Err(why)) => Err((status_of(&why), failure_of(&why))),
            None => {
                let why = "error: the reload failed because of a bug in Doorward; the old configuration stays in use";
                Err((StatusCode::INTERNAL_SERVER_ERROR, why.into()))
            }
        }
    }
}

/// Refuses a token of another shop: here nothing would look it up.
fn refuse_token_of_another(
    gate: &Gate,
    shop: &Shop,
    target: &Target,
    now: UnixTime,
) -> Result<(), (StatusCode, ControlFailure)> {
    let Target::Token(text) = target else {
        return Ok(());
    };
    if shop.verifies(text, now) {
        return Ok(());
    }
    let mut others = gate.shops().iter();
    let other = others.find(|other| other.name != shop.name && other.verifies(text, now));
    match other {
        None => Ok(()),
        Some(other) => {
            let why = format!(
                "the token can't be verified at this shop; it is one of shop {}",
                other.name
            );
            Err((StatusCode::UNPROCESSABLE_ENTITY, why.into()))
        }
    }
}

/// The status, from which the operator's command takes its exit code: a wrong order, or one that can't be carried out.
pub(super) fn unfit(why: &UnfitOrder) -> (StatusCode, ControlFailure) {
    let status = match why {
        UnfitOrder::Empty(_)
        | UnfitOrder::NotOneToken
        | UnfitOrder::WholeToken(_)
        | UnfitOrder::InFuture(_) => StatusCode::BAD_REQUEST,
        UnfitOrder::Unverifiable(_) | UnfitOrder::UnknownIssuer(_) | UnfitOrder::OnlyOpaque => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    (status, why.to_string().into())
}

/// The answer to a reload that failed.
fn failure_of(why: &ReloadError) -> ControlFailure {
    let mut failure = ControlFailure::from(why.to_string());
    if let ReloadError::NeedsRestart { keys, changed } = why {
        failure
            .details
            .insert("needs_restart".to_owned(), json!(keys));
        failure.details.insert("changed".to_owned(), json!(changed));
    }
    failure
}

/// The status, from which the operator's command takes its exit code.
fn status_of(why: &ReloadError) -> StatusCode {
    match why {
        ReloadError::Faults(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ReloadError::NeedsRestart { .. } => StatusCode::CONFLICT,
        ReloadError::NoKeys(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The request that is to be explained.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestWanted {
    request_id: String,
}

pub(super) fn parse_order<T: DeserializeOwned>(
    body: &[u8],
) -> Result<T, (StatusCode, ControlFailure)> {
    serde_json::from_slice(body).map_err(|error| {
        (
            StatusCode::BAD_REQUEST,
            format!(
                "not an order: line {} column {}",
                error.line(),
                error.column()
            )
            .into(),
        )
    })
}

pub(super) fn shop_of<'g>(
    gate: &'g Gate,
    order: &ControlOrder,
) -> Result<&'g Arc<Shop>, (StatusCode, ControlFailure)> {
    let name = order.shop.as_deref().unwrap_or_default().trim();
    gate.shop_named(name).ok_or_else(|| {
        let names: Vec<_> = gate.shops().iter().map(|shop| shop.name.as_str()).collect();
        let why = format!(
            "no shop is called {name:?}; there are: {}",
            names.join(", ")
        );
        (StatusCode::NOT_FOUND, why.into())
    })
}

/// The shop that is meant, or all of them.
fn shops_of<'g>(
    gate: &'g Gate,
    order: &ControlOrder,
) -> Result<Vec<&'g Arc<Shop>>, (StatusCode, ControlFailure)> {
    match (&order.shop, &order.target) {
        (None, Target::AllBefore(_)) => Ok(gate.shops().iter().collect()),
        (None | Some(_), _) => Ok(vec![shop_of(gate, order)?]),
    }
}

/// The shop that a query names.
fn shop_in(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let shop = pairs.find(|(name, _)| name == "shop");
    shop.map(|(_, shop)| shop.into_owned())
}

async fn read_body(session: &mut ServerSession) -> Result<Vec<u8>, (StatusCode, ControlFailure)> {
    let bad = |why: &str| Err((StatusCode::BAD_REQUEST, why.into()));
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return bad("the connection closed before the end of the order"),
        }
        if body.len() > ORDER_BYTES_MAX {
            return bad("the order is too long");
        }
    }
}

fn answer(outcome: ControlResult) -> Response<Vec<u8>> {
    let (status, value) = match outcome {
        Ok(value) => (StatusCode::OK, value),
        Err((status, failure)) => {
            let mut told = failure.details;
            told.insert("error".to_owned(), failure.why.into());
            (status, Value::Object(told))
        }
    };
    with_type(status, "application/json", format!("{value}\n"))
}
