//! What goes into a support bundle beside the status: the last decisions and the last lines of the log.

use serde_json::{Value, json};

use crate::server::access_log::field::AccessField;
use crate::server::access_log::line::write_json;
use crate::server::log_tail::last_lines;
use crate::server::operator::control::Control;

/// How many decisions of each kind a bundle has.
const DECISIONS: usize = 200;

impl Control {
    /// The last decisions, the last lines of the log, and all metrics. None of them holds a credential.
    pub(in crate::server::operator) fn facts(&self) -> Value {
        let (forwarded, others) = self.recorder.decisions.latest(DECISIONS);
        let records = others.into_iter().chain(forwarded);
        let decisions = records.map(|record| {
            let mut text = String::new();
            write_json(&mut text, &record, &AccessField::all());
            serde_json::from_str::<Value>(&text).unwrap_or_default()
        });
        json!({
            "decisions": decisions.collect::<Vec<_>>(),
            "log": last_lines(),
            "metrics": self.status.metrics_text(),
        })
    }
}
