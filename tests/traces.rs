//! Spans reach a collector, and the shop's calls are below ours.

#![allow(
    clippy::unwrap_used,
    reason = "a broken expectation is what a test has to report"
)]

mod support;

use serde_json::Value;
use support::places::OWN_LOGOUT;
use support::{Customer, Edge, Recorder, eventually, request, shop_table, stateless_bagisto};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn taken() -> Recorder {
    Recorder::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
}

fn traced(collector: &Recorder, table: &str, shop: &str) -> Edge {
    let address = collector.address();
    Edge::with(&format!(
        "traces = {{ to = \"http://{address}/v1/traces\", {table} }}\n{shop}"
    ))
}

/// The spans that a collector got, each with the resource that it came with.
fn spans_of(collector: &Recorder) -> Vec<(Value, Value)> {
    let mut spans = Vec::new();
    for bytes in collector.connections() {
        let text = String::from_utf8(bytes).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
        assert!(
            head.to_lowercase()
                .contains("content-type: application/json"),
            "{head}"
        );
        let Ok(told) = serde_json::from_str::<Value>(body) else {
            continue; // the rest is under way
        };
        let resource = &told["resourceSpans"][0]["resource"];
        let inner = told["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap();
        spans.extend(inner.iter().map(|span| (span.clone(), resource.clone())));
    }
    spans
}

fn said(span: &Value, name: &str) -> Option<String> {
    let mut attributes = span["attributes"].as_array().unwrap().iter();
    let found = attributes.find(|one| one["key"] == name)?;
    let value = found["value"].as_object().unwrap().values().next().unwrap();
    value.as_str().map(str::to_owned)
}

#[test]
fn a_traced_request_is_a_span_below_its_callers_and_above_the_shops() {
    let (shop, collector) = (stateless_bagisto(), taken());
    let edge = traced(&collector, "sample = \"0%\"", &shop_table(&shop));
    let alice = Customer::signed_in(&shop);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("Traceparent", &*parent), ("Tracestate", "vendor=1")];
    assert_eq!(
        edge.raw(&request("GET", "/?token=hidden", &headers, b"")),
        200
    );
    let seen = shop.seen().pop().unwrap();
    let sent = |name: &str| {
        let mut lines = seen.headers.iter();
        let line = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
        line.map(|(_, value)| value.clone())
    };
    eventually(|| spans_of(&collector).len() == 1);
    let (span, resource) = spans_of(&collector).remove(0);
    let own = span["spanId"].as_str().unwrap();
    assert_eq!(sent("traceparent"), Some(format!("00-{TRACE}-{own}-01")));
    assert_eq!(sent("tracestate").as_deref(), Some("vendor=1"));
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"]),
        (&TRACE.into(), &CALLER.into())
    );
    assert_eq!(
        said(&span, "http.response.status_code").as_deref(),
        Some("200")
    );
    assert_eq!(said(&span, "url.path").as_deref(), Some("/"));
    assert_eq!(
        said(&span, "doorward.verdict").as_deref(),
        Some("forwarded")
    );
    assert!(resource.to_string().contains("\"doorward\""), "{resource}");

    let bearer = format!("Bearer {}", alice.token());
    let bearer = [("Authorization", &*bearer), ("Traceparent", &*parent)];
    assert_eq!(edge.raw(&request("POST", OWN_LOGOUT, &bearer, b"")), 200);
    assert_eq!(
        edge.raw(&request("GET", "/api/shop/customers/profile", &bearer, b"")),
        401
    );
    eventually(|| spans_of(&collector).len() == 3);
    let spans = spans_of(&collector);
    let verdicts = spans
        .iter()
        .map(|(span, _)| said(span, "doorward.verdict").unwrap());
    let mut verdicts: Vec<_> = verdicts.collect();
    verdicts.sort();
    assert_eq!(verdicts, ["forwarded", "logout", "refused"]);
    assert!(!collector.has_heard(alice.token()) && !collector.has_heard("hidden"));
    assert!(collector.has_heard("revoked"));
}

#[test]
fn what_the_caller_does_not_trace_goes_on_as_it_came() {
    let (shop, collector) = (stateless_bagisto(), taken());
    let edge = traced(&collector, "sample = \"100%\"", &shop_table(&shop));
    let parent = format!("00-{TRACE}-{CALLER}-00");
    let untraced = [("Traceparent", &*parent), ("Tracestate", "vendor=1")];
    assert_eq!(edge.raw(&request("GET", "/untraced", &untraced, b"")), 404);
    let malformed = [("Traceparent", "00-zz-zz-01"), ("Tracestate", "vendor=2")];
    assert_eq!(edge.raw(&request("GET", "/begun", &malformed, b"")), 404);
    eventually(|| spans_of(&collector).len() == 1);
    let (span, _) = spans_of(&collector).remove(0);
    assert_eq!(said(&span, "url.path").as_deref(), Some("/begun"));
    assert!(span.get("parentSpanId").is_none());
    let lines = |place: usize, name: &str| {
        let seen = &shop.seen()[place];
        let mut lines = seen.headers.iter();
        let line = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
        line.map(|(_, value)| value.clone())
    };
    assert_eq!(lines(0, "traceparent"), Some(parent));
    assert_eq!(lines(0, "tracestate").as_deref(), Some("vendor=1"));
    assert!(
        lines(1, "traceparent")
            .unwrap()
            .contains(span["spanId"].as_str().unwrap())
    );
    assert_eq!(lines(1, "tracestate"), None);
}

#[test]
fn a_collector_that_fails_costs_no_request_and_is_told() {
    let shop = stateless_bagisto();
    let failing =
        Recorder::answering("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let edge = traced(&failing, "sample = \"100%\"", &shop_table(&shop));
    assert_eq!(edge.raw(&request("GET", "/", &[], b"")), 200);
    eventually(|| {
        edge.metrics()
            .contains("doorward_spans_dropped_total{reason=\"not_exported\"} 1")
    });
    let log = edge.log_lines().join("\n");
    assert!(
        log.contains("spans can't be exported") && log.contains("reason=503"),
        "{log}"
    );
}
