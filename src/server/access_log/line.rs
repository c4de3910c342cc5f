//! A line of the access log.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::field::AccessField;
use super::record::{FieldValue, RequestRecord};
use super::settings::{AccessLogFormat, AccessLogSettings};

/// The line of a request, with its end; `None`: it is not in the sample.
pub(super) fn line_of(settings: &AccessLogSettings, record: &RequestRecord) -> Option<String> {
    if record.is_ordinary() && !settings.sample.includes(drawn_by(&record.request)) {
        return None;
    }
    let mut line = String::with_capacity(512);
    match settings.format {
        AccessLogFormat::Json => write_json(&mut line, record, &settings.fields),
        AccessLogFormat::Combined => write_combined(&mut line, record, &settings.fields),
    }
    line.push('\n');
    Some(line)
}

/// A number by the id of a request: with the same id, each proxy on its way has a line of it or none.
fn drawn_by(request: &str) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&blake3::hash(request.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(number)
}

/// The fields that have a value, as an object.
pub(crate) fn write_json(line: &mut String, record: &RequestRecord, fields: &[AccessField]) {
    line.push('{');
    let mut is_first = true;
    for field in fields {
        let Some(value) = record.value(*field) else {
            continue;
        };
        if !is_first {
            line.push(',');
        }
        is_first = false;
        let _ = write!(line, "\"{}\":", field.name());
        let _ = match value {
            FieldValue::Text(text) => write!(line, "{}", Value::from(text.as_ref())),
            FieldValue::Number(number) => write!(line, "{number}"),
            FieldValue::Milliseconds(span) => write_ms(line, span),
        };
    }
    line.push('}');
}

fn write_ms(line: &mut String, span: Duration) -> std::fmt::Result {
    let micros = span.as_micros();
    write!(line, "{}.{:03}", micros / 1000, micros % 1000)
}

/// `client - - [time] "request" status bytes "referer" "user agent"`, then the fields as `name="value"`.
fn write_combined(line: &mut String, record: &RequestRecord, fields: &[AccessField]) {
    write_plain(line, record, AccessField::Client);
    let _ = write!(line, " - - [{}] \"", date(record.at_ms));
    for (number, field) in [
        AccessField::Method,
        AccessField::Path,
        AccessField::Protocol,
    ]
    .into_iter()
    .enumerate()
    {
        if number > 0 {
            line.push(' ');
        }
        write_plain(line, record, field);
    }
    line.push_str("\" ");
    write_plain(line, record, AccessField::Status);
    line.push(' ');
    write_plain(line, record, AccessField::Bytes);
    for field in [AccessField::Referer, AccessField::UserAgent] {
        line.push_str(" \"");
        write_plain(line, record, field);
        line.push('"');
    }
    for field in fields {
        if record.value(*field).is_some() {
            let _ = write!(line, " {}=\"", field.name());
            write_plain(line, record, *field);
            line.push('"');
        }
    }
}

/// A value whose quotes, backslashes and other bytes than printable ASCII are written as `\xHH`; `-`, if there is none.
fn write_plain(line: &mut String, record: &RequestRecord, field: AccessField) {
    let _ = match record.value(field) {
        None => write!(line, "-"),
        Some(FieldValue::Number(number)) => write!(line, "{number}"),
        Some(FieldValue::Milliseconds(span)) => write_ms(line, span),
        Some(FieldValue::Text(text)) => text.bytes().try_for_each(|byte| {
            let is_plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            if is_plain {
                line.write_char(char::from(byte))
            } else {
                write!(line, "\\x{byte:02X}")
            }
        }),
    };
}

/// A moment as Apache writes it: `30/Nov/2026:20:06:11 +0000`.
fn date(at_ms: u64) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(at_ms));
    let http = httpdate::fmt_http_date(moment.unwrap_or(UNIX_EPOCH)); // Mon, 30 Nov 2026 20:06:11 GMT
    let mut words = http.split(' ').skip(1);
    let mut word = || words.next().unwrap_or_default();
    format!("{}/{}/{}:{} +0000", word(), word(), word(), word())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::{Refusal, Share};
    use crate::server::access_log::record::RecordedVerdict;
    use crate::server::access_log::settings::AccessLogTarget;

    fn settings(format: AccessLogFormat, fields: &[AccessField]) -> AccessLogSettings {
        AccessLogSettings {
            format,
            to: AccessLogTarget::Stdout,
            fields: fields.to_vec(),
            sample: Share::ALL,
        }
    }

    fn record(path: &str, user_agent: &str) -> RequestRecord {
        RequestRecord {
            at_ms: 1_796_068_800_123,
            request: "7".to_owned(),
            client: Some([192, 0, 2, 7].into()),
            method: "GET".into(),
            path: Some(path.to_owned()),
            protocol: "HTTP/1.1",
            status: Some(401),
            bytes: Some(12),
            took: Duration::from_micros(1_234),
            verdict: RecordedVerdict::Refused,
            refusal: Some(Refusal::NoCredential),
            user_agent: Some(user_agent.to_owned()),
            ..RequestRecord::default()
        }
    }

    #[test]
    fn a_line_says_what_it_is_asked_for() {
        let fields = [
            AccessField::Time,
            AccessField::Status,
            AccessField::Duration,
            AccessField::Shop,
            AccessField::Reason,
        ];
        let record = record("/a\"b", "curl/8");
        assert_eq!(
            line_of(&settings(AccessLogFormat::Json, &fields), &record).as_deref(),
            Some(
                "{\"time\":\"2026-11-30T20:00:00.123Z\",\"status\":401,\"duration_ms\":1.234,\"reason\":\"no_credential\"}\n"
            )
        );
        assert_eq!(
            line_of(&settings(AccessLogFormat::Combined, &fields[3..]), &record).as_deref(),
            Some(
                "192.0.2.7 - - [30/Nov/2026:20:00:00 +0000] \"GET /a\\x22b HTTP/1.1\" 401 12 \"-\" \"curl/8\" reason=\"no_credential\"\n"
            )
        );
    }

    #[test]
    fn what_is_refused_is_in_every_sample() {
        let none = AccessLogSettings {
            sample: Share::parse("0%").unwrap(),
            ..settings(AccessLogFormat::Json, &AccessField::all())
        };
        let mut record = record("/", "");
        assert!(line_of(&none, &record).is_some());
        record.verdict = RecordedVerdict::Forwarded;
        assert!(line_of(&none, &record).is_none());
        record.status = Some(502);
        assert!(line_of(&none, &record).is_some());
    }

    proptest! {
        #[test]
        fn no_value_ends_a_line_or_leaves_its_place(path in ".{0,40}", user_agent in "(?s).{0,40}") {
            let record = record(&path, &user_agent);
            let json = line_of(&settings(AccessLogFormat::Json, &AccessField::all()), &record).unwrap();
            prop_assert_eq!(json.matches('\n').count(), 1);
            let read: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read["user_agent"].as_str().unwrap_or_default(), user_agent);
            let combined = line_of(&settings(AccessLogFormat::Combined, &[]), &record).unwrap();
            prop_assert_eq!(combined.matches('"').count(), 6);
            prop_assert!(combined.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
