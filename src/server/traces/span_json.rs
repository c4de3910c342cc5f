//! Spans in the JSON of OTLP (OpenTelemetry Protocol 1, "JSON Protobuf Encoding"): ids in hexadecimal digits, 64-bit numbers as texts.

use serde_json::{Value, json};

use super::request_span::RequestSpan;
use crate::request::Refusal;
use crate::server::access_log::record::RequestRecord;

/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The span of a request that is over. It says no more than a line of the access log.
pub(super) fn span_of(span: &RequestSpan, record: &RequestRecord) -> Value {
    let begun_ns = u128::from(record.at_ms) * 1_000_000;
    let ended_ns = begun_ns + record.took.as_nanos();
    let mut told = json!({
        "traceId": span.context.trace,
        "spanId": span.context.span,
        "name": record.method,
        "kind": SERVER,
        "startTimeUnixNano": begun_ns.to_string(),
        "endTimeUnixNano": ended_ns.to_string(),
        "attributes": attributes_of(record),
        "status": {},
    });
    if let Some(parent) = &span.parent {
        told["parentSpanId"] = parent.as_str().into();
    }
    if record.status.is_none_or(|status| status >= 500) {
        told["status"] = json!({ "code": ERROR });
    }
    told
}

/// The names of OpenTelemetry's conventions for HTTP servers where it has one, and our own.
fn attributes_of(record: &RequestRecord) -> Vec<Value> {
    let text = |name: &str, value: Option<&str>| {
        value.map(|value| json!({ "key": name, "value": { "stringValue": value } }))
    };
    let client = record.client.map(|client| client.to_string());
    let version = record.protocol.trim_start_matches("HTTP/");
    let version = version
        .strip_suffix(".0")
        .filter(|it| *it != "1")
        .unwrap_or(version);
    let status = record.status.map(|status| {
        json!({ "key": "http.response.status_code", "value": { "intValue": status.to_string() } })
    });
    let refusal = record.refusal.or(record.would);
    let named = [
        text("http.request.method", Some(&record.method)),
        text("url.scheme", Some(record.scheme)),
        text("url.path", record.path.as_deref()),
        text("server.address", record.host.as_deref()),
        text("client.address", client.as_deref()),
        text("network.protocol.name", Some("http")),
        text("network.protocol.version", Some(version)),
        text("doorward.request", Some(&record.request)),
        text("doorward.verdict", Some(record.verdict.name())),
        text("doorward.reason", refusal.map(Refusal::name)),
        text("doorward.shop", record.shop.as_deref()),
        text("doorward.route", record.route.as_deref()),
        text("error.type", record.error.as_deref()),
    ];
    named.into_iter().chain([status]).flatten().collect()
}

/// What is sent to a collector: the spans, and which service of which node they are of.
pub(super) fn export_of(service: &str, node: Option<&str>, spans: &[Value]) -> Value {
    let attribute =
        |name: &str, value: &str| json!({ "key": name, "value": { "stringValue": value } });
    let version = env!("CARGO_PKG_VERSION");
    let mut resource = vec![
        attribute("service.name", service),
        attribute("service.version", version),
    ];
    resource.extend(node.map(|node| attribute("service.instance.id", node)));
    let scope = json!({ "name": "doorward", "version": version });
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::traces::trace_context::TraceContext;

    #[test]
    fn a_span_has_the_form_of_otlp() {
        let span = RequestSpan {
            context: TraceContext {
                trace: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
                span: "00f067aa0ba902b7".to_owned(),
                is_sampled: true,
            },
            parent: None,
        };
        let record = RequestRecord {
            at_ms: 1_700_000_000_123,
            took: Duration::from_micros(1_500),
            method: "GET".into(),
            protocol: "HTTP/2.0",
            status: Some(401),
            ..RequestRecord::default()
        };
        let told = span_of(&span, &record);
        assert_eq!(told["startTimeUnixNano"], "1700000000123000000");
        assert_eq!(told["endTimeUnixNano"], "1700000000124500000");
        assert_eq!((&told["kind"], &told["status"]), (&json!(2), &json!({})));
        let status = json!({ "key": "http.response.status_code", "value": { "intValue": "401" } });
        let version = json!({ "key": "network.protocol.version", "value": { "stringValue": "2" } });
        let attributes = told["attributes"].as_array().unwrap();
        assert!(
            attributes.contains(&status) && attributes.contains(&version),
            "{told}"
        );
        assert!(told.get("parentSpanId").is_none());
    }
}
