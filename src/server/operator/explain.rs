//! What was decided about a request, by its id: for `doorward explain --request-id`.

use serde_json::{Value, json};

use super::recorder::Recorder;
use crate::cluster::Node;
use crate::request::Refusal;
use crate::revocation::Revocations;
use crate::server::access_log::field::AccessField;
use crate::server::access_log::line::write_json;
use crate::server::access_log::record::RequestRecord;

/// The decisions about requests with this id, the newest first. There are several where a trusted proxy gave it twice.
pub(super) fn decisions(
    recorder: &Recorder,
    revocations: &Revocations,
    node: Option<&Node>,
    request: &str,
) -> Vec<Value> {
    let found = recorder.decisions.find(request).into_iter();
    let explained = found.map(|record| explain(recorder, revocations, node, &record));
    explained.collect()
}

fn explain(
    recorder: &Recorder,
    revocations: &Revocations,
    node: Option<&Node>,
    record: &RequestRecord,
) -> Value {
    let mut text = String::new();
    write_json(&mut text, record, &AccessField::all());
    let mut told: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(refusal) = record.refusal.or(record.would) {
        told["what_to_do"] = refusal.advice().into();
        if let Refusal::Revoked { by, .. } = refusal {
            let ending = recorder.endings.of(&by);
            told["revoked"] = match ending {
                Some(ending) => {
                    let mut told = ending.to_json();
                    told["node"] = recorder.node.clone().into();
                    told
                }
                None => {
                    json!({ "node": node.and_then(|node| node.name_of_origin(revocations.origin_of(&by)?)) })
                }
            };
        }
    }
    told
}
