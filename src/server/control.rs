//! The control socket: how `doorward revoke`, `inspect` and `reload` reach a running process.
//!
//! JSON over HTTP on a unix socket that only the process's own user may open. `POST /revoke` takes an
//! [`Order`] and puts it in force; `POST /inspect` takes one and only looks; `GET /inspect` counts;
//! `POST /reload` reads the configuration anew and answers when that is done; `GET /cluster` tells of the other
//! nodes; `POST /cluster/force-ready` has this one serve without them.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use log::{info, warn};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::exchange;
use super::operator::with_type;
use super::reload::{NotReloaded, Reloads};
use super::reload_record::Record;
use super::site::Served;
use crate::clock::{self, UnixTime};
use crate::request::{Gate, Shop, Target, Token};
use crate::revocation::gossip::Node;

/// Whom an operator means, at which shop.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The shop's name; `None`: all of them, where everybody is cut off.
    pub shop: Option<String>,
    /// Whom.
    pub target: Target,
}

/// Answers orders.
pub(super) struct Control {
    pub(super) served: Served,
    pub(super) reloads: Arc<Reloads>,
}

/// How long a command waits for its outcome.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest order: a token and a few names.
const ORDER_BYTES_MAX: usize = 64 << 10;

#[async_trait]
impl ServeHttp for Control {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let body = match read_body(session).await {
            Ok(body) => body,
            Err(why) => return answer(Err((StatusCode::BAD_REQUEST, why))),
        };
        let site = self.served.load_full();
        answer(match (&method, path.as_str()) {
            (&Method::GET, "/inspect") => Ok(count(&site.gate, &self.reloads.record)),
            (&Method::POST, "/inspect") => look(&site.gate, &body),
            (&Method::POST, "/revoke") => self.revoke(&site.gate, &body).await,
            (&Method::GET, "/cluster") => self.cluster(),
            (&Method::POST, "/cluster/force-ready") => self.force_ready(),
            (&Method::POST, "/reload") => reload(&self.reloads).await,
            _ => Err((
                StatusCode::NOT_FOUND,
                "POST /revoke, POST /reload, POST /inspect, GET /inspect, GET /cluster, \
                 POST /cluster/force-ready"
                    .to_owned(),
            )),
        })
    }
}

type Outcome = Result<Value, (StatusCode, String)>;

fn count(gate: &Gate, reloads: &Record) -> Value {
    let revocations = gate.revocations();
    let (counts, journal) = (revocations.counts(), revocations.journal());
    let shops = gate.shops().iter().map(|shop| {
        json!({
            "name": shop.name, "token_domain": shop.verifier.settings().token_domain,
            "keys": shop.verifier.key_count(), "clock_offset_s": shop.clock.offset_s(),
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revocations": {
            "tokens": counts.tokens, "undated_tokens": counts.undated,
            "cutoffs": counts.cutoffs, "windows": counts.windows,
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
    })
}

/// Whether a token would be refused, and why.
fn look(gate: &Gate, body: &[u8]) -> Outcome {
    let order = read(body)?;
    let shop = shop_of(gate, &order)?;
    let Target::Token(text) = &order.target else {
        return Err((
            StatusCode::BAD_REQUEST,
            "only a token can be looked up".to_owned(),
        ));
    };
    let token = match shop.read_by_hand(text, clock::now()) {
        Ok(token) => token,
        Err(flaw) => {
            return Ok(json!({ "verified": false, "flaw": flaw.name(), "refused": true }));
        }
    };
    let cause = gate.revocations().covers(token.identity());
    let (verified, expires_at) = match &token {
        Token::Verified(token) => (true, token.expires_at),
        Token::Confirmed(_) | Token::Opaque(_) | Token::Stranger(_) => (false, None),
    };
    Ok(json!({
        "verified": verified,
        "opaque": !verified,
        "expires_at": expires_at.map(|end| end.to_string()),
        "issued_at": token.identity().issued_at.map(|begin| begin.to_string()),
        "refused": cause.is_some(),
        "revoked_by": cause.map(crate::revocation::Cause::name),
    }))
}

impl Control {
    fn node(&self) -> Result<&Node, (StatusCode, String)> {
        let why = "this node is in no cluster: the configuration has no [cluster]";
        let node = self.reloads.node.as_deref();
        node.ok_or_else(|| (StatusCode::CONFLICT, why.to_owned()))
    }

    fn cluster(&self) -> Outcome {
        let status = serde_json::to_value(self.node()?.status());
        status.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    fn force_ready(&self) -> Outcome {
        self.node()?.force_ready();
        warn!("by the operator's order this node serves by what it knows");
        Ok(json!({ "forced": true }))
    }

    /// Where everybody is cut off, nothing that this node does not know matters any more.
    async fn revoke(&self, gate: &Gate, body: &[u8]) -> Outcome {
        let done = revoke(gate, body).await?;
        let order = read(body)?;
        if let (None, Some(node)) = (&order.shop, &self.reloads.node) {
            node.force_ready();
        }
        Ok(done)
    }
}

async fn revoke(gate: &Gate, body: &[u8]) -> Outcome {
    let order = read(body)?;
    let now = clock::now();
    let mut revocations = Vec::new();
    for shop in shops_of(gate, &order)? {
        let of_shop = shop.revocations_by_hand(&order.target, now);
        revocations.extend(of_shop.map_err(|flaw| {
            let why = format!("the token can't be verified: {}", flaw.name());
            (StatusCode::UNPROCESSABLE_ENTITY, why)
        })?);
    }
    let until = revocations
        .iter()
        .map(crate::revocation::Revocation::until)
        .max();
    let count = revocations.len();
    let written = gate.revocations().revoke(revocations).await;
    let shop = order.shop.as_deref().unwrap_or("all");
    info!(shop, revocations = count, durable = written.is_ok(); "revoked by hand");
    written.map_err(|_| {
        let why = "in force, but the journal could not be written: a restart would forget it";
        (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
    })?;
    let until = until.unwrap_or(UnixTime::EPOCH).to_string();
    Ok(json!({ "revoked": count, "kept_until": until }))
}

async fn reload(reloads: &Arc<Reloads>) -> Outcome {
    match reloads.reload_aside().await {
        Some(Ok(done)) => Ok(json!({ "shops": done.shops, "warnings": done.warnings })),
        Some(Err(why)) => Err((status_of(&why), why.to_string())),
        None => {
            let why =
                "error: the reload failed by a fault of doorward; the old configuration serves on";
            Err((StatusCode::INTERNAL_SERVER_ERROR, why.to_owned()))
        }
    }
}

/// The operator's command chooses its exit code by it.
fn status_of(why: &NotReloaded) -> StatusCode {
    match why {
        NotReloaded::Faults(_) => StatusCode::UNPROCESSABLE_ENTITY,
        NotReloaded::NeedsRestart(_) => StatusCode::CONFLICT,
        NotReloaded::NoKeys(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn read(body: &[u8]) -> Result<Order, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| {
        (
            StatusCode::BAD_REQUEST,
            format!(
                "not an order: line {} column {}",
                error.line(),
                error.column()
            ),
        )
    })
}

fn shop_of<'g>(gate: &'g Gate, order: &Order) -> Result<&'g Arc<Shop>, (StatusCode, String)> {
    let name = order.shop.as_deref().unwrap_or_default();
    gate.shop_named(name).ok_or_else(|| {
        let names: Vec<_> = gate.shops().iter().map(|shop| shop.name.as_str()).collect();
        let why = format!(
            "no shop is called {name:?}; there are: {}",
            names.join(", ")
        );
        (StatusCode::NOT_FOUND, why)
    })
}

/// The shop that is meant, or all of them.
fn shops_of<'g>(gate: &'g Gate, order: &Order) -> Result<Vec<&'g Arc<Shop>>, (StatusCode, String)> {
    match (&order.shop, &order.target) {
        (None, Target::AllBefore(_)) => Ok(gate.shops().iter().collect()),
        (None | Some(_), _) => Ok(vec![shop_of(gate, order)?]),
    }
}

async fn read_body(session: &mut ServerSession) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err("the order broke off".to_owned()),
        }
        if body.len() > ORDER_BYTES_MAX {
            return Err("the order is too long".to_owned());
        }
    }
}

fn answer(outcome: Outcome) -> Response<Vec<u8>> {
    let (status, value) = match outcome {
        Ok(value) => (StatusCode::OK, value),
        Err((status, why)) => (status, json!({ "error": why })),
    };
    with_type(status, "application/json", format!("{value}\n"))
}

/// Sends an order (or none, to have everything counted) to the process behind a control socket.
pub fn call(socket: &Path, path: &str, order: Option<&Order>) -> io::Result<(StatusCode, Value)> {
    let body = order.map(serde_json::to_vec).transpose()?;
    let method = if body.is_some() { "POST" } else { "GET" };
    send(socket, method, path, &body.unwrap_or_default())
}

/// Has the process behind a control socket read its configuration anew, and waits for the outcome: 200, 422
/// for a configuration with faults, 409 for one that needs a restart.
pub fn order_reload(socket: &Path) -> io::Result<(StatusCode, Value)> {
    send(socket, "POST", "/reload", b"")
}

/// Asks the process behind a control socket how its cluster fares, or has it serve by what it knows.
pub fn call_cluster(socket: &Path, is_forced: bool) -> io::Result<(StatusCode, Value)> {
    if is_forced {
        send(socket, "POST", "/cluster/force-ready", b"")
    } else {
        send(socket, "GET", "/cluster", b"")
    }
}

fn send(socket: &Path, method: &str, path: &str, body: &[u8]) -> io::Result<(StatusCode, Value)> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: doorward\r\n");
    let answer = exchange(stream, &head, body)?;
    Ok((answer.status(), serde_json::from_slice(answer.body())?))
}
