//! The spans of requests in distributed traces, and their export over OTLP.

pub(crate) mod request_span;
pub(crate) mod settings;
pub(crate) mod span_exporter;
mod span_json;
pub(crate) mod span_queue;
pub(crate) mod trace_context;
