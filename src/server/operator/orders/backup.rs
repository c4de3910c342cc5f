//! Exports every revocation in force, and takes over what an export holds.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use log::{error, info};
use serde_json::json;

use super::pieces::{LongAnswer, PieceWriter};
use crate::clock::{self, UnixTime};
use crate::request::Gate;
use crate::revocation::{BackupHeader, BackupWriter, Id, Revocation, RevocationSnapshot, Row};
use crate::server::operator::control::{Control, ControlFailure, ControlResult, parse_order};
use crate::server::operator::order::PeerProcess;

/// The media type of an export.
const EXPORT: &str = "application/octet-stream";

/// How far a moment of an import may lie ahead of our clock.
const AHEAD_MAX: Duration = Duration::from_mins(10);

impl Control {
    /// Everything in force, at one moment.
    pub(in crate::server::operator) async fn export(
        &self,
        gate: &Gate,
        peer: PeerProcess,
    ) -> Result<LongAnswer, (StatusCode, ControlFailure)> {
        let unreadable = || {
            let why = "the journal can't be read; the log says why";
            (StatusCode::SERVICE_UNAVAILABLE, why.into())
        };
        let rows = gate.revocations().snapshot().await;
        let rows = rows.ok_or_else(unreadable)?;
        let header = BackupHeader {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.recorder.node.clone(),
            at: clock::now().to_string(),
            installation: self.installation(),
            token_domains: domains(gate).into_iter().collect(),
        };
        let PeerProcess { uid, pid } = peer;
        info!(by_uid = uid, by_pid = pid; "the revocations are exported");
        Ok(LongAnswer::made_by(EXPORT, move |out| {
            write(&header, &rows, out);
        }))
    }

    /// A name that all nodes of a cluster share, and no other installation.
    fn installation(&self) -> String {
        let name = Id::of_token_domain("\0installation"); // no token domain is called so
        self.log_key.name(&name).to_string()
    }

    /// Whether what an export holds would be looked up here.
    pub(in crate::server::operator) fn compare(&self, gate: &Gate, body: &[u8]) -> ControlResult {
        let header: BackupHeader = parse_order(body)?;
        let own = domains(gate);
        let known = header.token_domains.iter().filter(|one| own.contains(*one));
        Ok(json!({
            "same_installation": header.installation == self.installation(),
            "token_domains": header.token_domains.len(),
            "known_token_domains": known.count(),
        }))
    }

    /// Puts rows in force. They are on disk when this answers 200.
    pub(in crate::server::operator) async fn import(
        &self,
        gate: &Gate,
        body: &[u8],
        peer: PeerProcess,
    ) -> ControlResult {
        let rows = parse_rows(body, clock::now())?;
        let count = rows.len();
        let PeerProcess { uid, pid } = peer;
        let merged = gate.revocations().merge(rows).await;
        gate.honour_meanings(clock::now());
        let news = merged.map_err(|_| {
            error!(by_uid = uid, by_pid = pid, rows = count; "an import is in force, but not on disk");
            let why = "in force, but the journal could not be written: a restart would forget it. Import the file again";
            (StatusCode::SERVICE_UNAVAILABLE, why.into())
        })?;
        info!(by_uid = uid, by_pid = pid, rows = count, news; "imported revocations");
        Ok(json!({ "rows": count, "news": news }))
    }
}

fn write(header: &BackupHeader, rows: &RevocationSnapshot, out: &mut PieceWriter) {
    let Ok(mut writer) = BackupWriter::begin(header, &mut out.buffer) else {
        return;
    };
    let mut is_wanted = true;
    let read = rows.read(|row| {
        writer.push(row, &mut out.buffer);
        is_wanted = out.goes_on();
        is_wanted
    });
    match read {
        Ok(()) if is_wanted => writer.end(&mut out.buffer),
        Ok(()) => {}
        Err(error) => error!("the export ends early: {error}"), // without an end it is not taken for one
    }
}

/// The token domains of all shops, as digests.
fn domains(gate: &Gate) -> BTreeSet<String> {
    let issuers = gate.shops().iter().flat_map(|shop| shop.verifier.issuers());
    let digest = |domain: &str| {
        let id = Id::of_token_domain(domain);
        id.bytes().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // a String takes everything
            text
        })
    };
    issuers
        .map(|issuer| digest(&issuer.settings().token_domain))
        .collect()
}

fn parse_rows(body: &[u8], now: UnixTime) -> Result<Vec<Revocation>, (StatusCode, ControlFailure)> {
    let bad = |why: &str| (StatusCode::BAD_REQUEST, why.into());
    let (rows, rest) = body.as_chunks::<{ Row::BYTES }>();
    if !rest.is_empty() {
        return Err(bad("the rows are cut off"));
    }
    let row = |bytes: &[u8; Row::BYTES]| {
        let row = Row::from_bytes(*bytes).revocation();
        let row = row.ok_or_else(|| bad("a row is of a kind that this version does not know"))?;
        if is_ahead(&row, now) {
            let why = "an entry is of a moment that is still to come: the clock of the other machine was ahead, or this one is behind";
            return Err((StatusCode::UNPROCESSABLE_ENTITY, why.into()));
        }
        Ok(row)
    };
    rows.iter().map(row).collect()
}

/// A cutoff of the future would refuse tokens that are still to be issued.
fn is_ahead(row: &Revocation, now: UnixTime) -> bool {
    let last = now.plus(AHEAD_MAX);
    match row {
        Revocation::Token { .. } => false,
        Revocation::Cutoff { not_before, .. } => *not_before > last,
        Revocation::Date { at_ms, .. } => at_ms / 1_000 > last.seconds(),
    }
}
