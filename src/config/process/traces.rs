//! `traces`: the spans of requests, for a collector.

use crate::config::reading::TomlTable;
use crate::request::{FetchUrl, Share};
use crate::server::TraceSettings;

/// What the service is called where the file says nothing.
const SERVICE: &str = "doorward";

/// Reads `traces`.
pub(super) fn read(root: &mut TomlTable<'_>) -> Option<TraceSettings> {
    let mut table = root.table("traces")?;
    let wanted = "the URL of a collector such as \"http://127.0.0.1:4318/v1/traces\"";
    let to = table.required_string_as("to", wanted, FetchUrl::parse);
    let service = table.string_as("service", service);
    let sample = table.string_as("sample", Share::parse);
    table.finish();
    Some(TraceSettings {
        to: to?,
        service: service.unwrap_or_else(|| SERVICE.to_owned()),
        sample: sample.unwrap_or(Share::ALL),
    })
}

fn service(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("the name of this service in traces, such as \"doorward\"");
    }
    Ok(text.to_owned())
}
