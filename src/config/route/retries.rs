//! When a request is sent again.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::switched::{Switched, switched};
use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{Retries, RetryCause, Share};

/// The attempts and the budget where nothing else is said.
const ATTEMPTS: u8 = 2;
const BUDGET: &str = "20%";

const CAUSES: [(&str, RetryCause); 3] = [
    ("connect", RetryCause::Connect),
    ("reset", RetryCause::Reset),
    ("timeout", RetryCause::Timeout),
];

/// Reads `retries`; where it is left out, it is as the shop says.
pub(super) fn read(
    table: &mut TomlTable<'_>,
    of_shop: Option<&Arc<Retries>>,
) -> Option<Arc<Retries>> {
    match switched(table, "retries") {
        Switched::LeftOut => of_shop.map(Arc::clone),
        Switched::Off => None,
        Switched::On => Some(Arc::new(Retries {
            attempts: ATTEMPTS,
            on: RetryCause::USUAL.to_vec(),
            budget: Share::parse(BUDGET).ok()?,
        })),
        Switched::Written => {
            let mut written = table.table("retries")?;
            let attempts = written.integer("attempts", 2..=10);
            let on = read_causes(&mut written);
            let budget = match written.string("budget") {
                Some(text) => text.parse_as(Share::parse),
                None => Share::parse(BUDGET).ok(),
            };
            written.finish();
            Some(Arc::new(Retries {
                attempts: attempts.unwrap_or(ATTEMPTS),
                on: on.unwrap_or(RetryCause::USUAL.to_vec()),
                budget: budget?,
            }))
        }
    }
}

fn read_causes(table: &mut TomlTable<'_>) -> Option<Vec<RetryCause>> {
    let written = table.scalars("on")?;
    let mut causes = Vec::new();
    for (value, spot) in written {
        match cause_of(&value) {
            Some(cause) => causes.push(cause),
            None => table.report(
                Fault::error("unknown `on`")
                    .label(
                        "expected \"connect\", \"reset\", \"timeout\", or a status from 400 to 599",
                    )
                    .at(&spot),
            ),
        }
    }
    Some(causes)
}

fn cause_of(value: &Value) -> Option<RetryCause> {
    if let Some(name) = value.as_str() {
        let mut known = CAUSES.iter();
        return known
            .find(|(known, _)| *known == name)
            .map(|(_, cause)| *cause);
    }
    let code = value.as_u64().filter(|code| (400..=599).contains(code))?;
    let status = StatusCode::from_u16(u16::try_from(code).ok()?);
    status.ok().map(RetryCause::Status)
}
