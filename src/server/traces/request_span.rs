//! The span of a request: a new one below the caller's, or the first of a new trace.

use super::settings::TraceSettings;
use super::trace_context::TraceContext;

/// The span of a request that is traced.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    /// The trace, and the span itself.
    pub(crate) context: TraceContext,
    /// The caller's span.
    pub(crate) parent: Option<String>,
}

impl RequestSpan {
    /// Begins one, if the request is traced: the caller has said so, or there is none and the request is in the sample.
    pub(crate) fn begin(settings: &TraceSettings, caller: Option<&TraceContext>) -> Option<Self> {
        if caller.is_some_and(|caller| !caller.is_sampled) {
            return None;
        }
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let (own, rest) = random.split_at(8);
        let (draw, trace) = rest.split_at(8);
        let drawn = u64::from_le_bytes(draw.try_into().ok()?);
        let trace = match caller {
            Some(caller) => caller.trace.clone(),
            None if settings.sample.includes(drawn) => hex(trace),
            None => return None,
        };
        Some(Self {
            context: TraceContext {
                trace,
                span: hex(own),
                is_sampled: true,
            },
            parent: caller.map(|caller| caller.span.clone()),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes it
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{FetchUrl, Share};

    fn settings(sample: &str) -> TraceSettings {
        TraceSettings {
            to: FetchUrl::parse("http://127.0.0.1:4318/v1/traces").unwrap(),
            service: "doorward".to_owned(),
            sample: Share::parse(sample).unwrap(),
        }
    }

    fn caller(is_sampled: bool) -> TraceContext {
        TraceContext {
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            span: "00f067aa0ba902b7".to_owned(),
            is_sampled,
        }
    }

    #[test]
    fn the_caller_decides_and_else_the_sample() {
        for sample in ["0%", "100%"] {
            let settings = settings(sample);
            assert!(RequestSpan::begin(&settings, Some(&caller(false))).is_none());
            let span = RequestSpan::begin(&settings, Some(&caller(true))).unwrap();
            assert_eq!(span.context.trace, caller(true).trace);
            assert_eq!(span.parent.as_deref(), Some("00f067aa0ba902b7"));
            assert_ne!(span.context.span, caller(true).span);
            let first = RequestSpan::begin(&settings, None);
            assert_eq!(first.is_some(), sample == "100%");
        }
    }

    #[test]
    fn a_new_trace_has_ids_of_its_own_that_others_read() {
        let begun = || RequestSpan::begin(&settings("100%"), None).unwrap();
        let (one, other) = (begun(), begun());
        assert_ne!(one.context.trace, other.context.trace);
        let told = one.context.traceparent();
        assert_eq!(TraceContext::parse(&told), Some(one.context));
    }
}
