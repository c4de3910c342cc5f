//! The trace that a request belongs to (W3C Trace Context). Without `traces` its headers go to the shop as they came.

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The flag of a request that is traced (section 3.2.2.5).
const SAMPLED: u8 = 1;

/// What `traceparent` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    /// 32 hexadecimal digits.
    pub(crate) trace: String,
    /// The caller's span: 16 hexadecimal digits.
    pub(crate) span: String,
    /// Whether the caller traces the request.
    pub(crate) is_sampled: bool,
}

impl TraceContext {
    /// Of a request; `None`: it has none, or several, or a malformed one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let only = match (lines.next(), lines.next()) {
            (Some(only), None) => only.to_str().ok()?,
            (None | Some(_), _) => return None,
        };
        Self::parse(only.trim())
    }

    /// As a header tells it.
    pub(crate) fn traceparent(&self) -> String {
        let flags = if self.is_sampled { "01" } else { "00" };
        format!("00-{}-{}-{flags}", self.trace, self.span)
    }

    /// `version "-" trace-id "-" parent-id "-" trace-flags` (section 3.2.2); later versions may go on.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut digits = |length: usize| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let part = parts.next()?;
            (part.len() == length && part.bytes().all(is_digit)).then_some(part)
        };
        let (version, trace, span, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
        let has_more = parts.next().is_some();
        let is_nothing = |id: &str| id.bytes().all(|byte| byte == b'0');
        let is_fit = version != "ff" && (version != "00" || !has_more);
        (is_fit && !is_nothing(trace) && !is_nothing(span)).then(|| Self {
            trace: trace.to_owned(),
            span: span.to_owned(),
            is_sampled: u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & SAMPLED != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trace_is_known_by_its_ids() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        for text in [
            format!("00-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-00"),
            format!("cc-{TRACE}-{SPAN}-00-what-comes"),
        ] {
            let context = TraceContext::parse(&text).unwrap();
            assert_eq!((&*context.trace, &*context.span), (TRACE, SPAN), "{text}");
            assert_eq!(context.is_sampled, text.ends_with("-01"), "{text}");
        }
        for text in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-{SPAN}-01"),
        ] {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_else_is_logged(text in ".{0,60}") {
            if let Some(context) = TraceContext::parse(&text) {
                prop_assert!(text.contains(&context.trace) && context.trace.len() == 32);
            }
        }
    }
}
