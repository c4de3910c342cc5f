//! The limits on how often requests are served.

use std::time::Duration;

use http::HeaderName;

use super::cookie_name::cookie_name;
use super::header::header_name;
use crate::clients::Rate;
use crate::config::fault::Fault;
use crate::config::reading::{TextOrTable, TomlTable};
use crate::request::{LimitedBy, RequestLimit};

/// The most times in a rate, and the largest burst.
const TIMES_MAX: u32 = 1_000_000;

/// A header and a cookie have names, so that these are made when they are read.
type MakeLimitedBy = fn() -> LimitedBy;

const BY: &[(&str, MakeLimitedBy)] = &[
    ("client", || LimitedBy::Client),
    ("subject", || LimitedBy::Subject),
    ("token", || LimitedBy::Token),
];

/// Reads the limit of a route.
pub(crate) fn read_limit(route: &mut TomlTable<'_>) -> Option<RequestLimit> {
    let mut table = route.table("limit")?;
    let rate = read_rate(&mut table);
    let by = match table.string_or_table("by") {
        Some(TextOrTable::Text(text)) => text.choose("by", BY).map(|by| by()),
        Some(TextOrTable::Table(of)) => read_by(of),
        None => Some(LimitedBy::default()),
    };
    table.finish();
    Some(RequestLimit {
        rate: rate?,
        by: by?,
    })
}

/// Reads a limit of `[shop.limits]`.
pub(crate) fn read_named(limits: &mut TomlTable<'_>, key: &str) -> Option<Rate> {
    let mut table = limits.table(key)?;
    let rate = read_rate(&mut table);
    table.finish();
    rate
}

fn read_by(mut table: TomlTable<'_>) -> Option<LimitedBy> {
    let header: Option<HeaderName> = table.string_as("header", header_name);
    let cookie = table.string_as("cookie", cookie_name);
    if header.is_some() == cookie.is_some() && table.lacks("header") == table.lacks("cookie") {
        table.report_here(Fault::error("expected a `header` or a `cookie`"));
    }
    table.finish();
    let of_cookie = || cookie.map(LimitedBy::Cookie);
    header.map(LimitedBy::Header).or_else(of_cookie)
}

/// Reads `rate` and `burst`. Without `burst`, as many as the rate says may come at once.
fn read_rate(table: &mut TomlTable<'_>) -> Option<Rate> {
    let expected = "a rate such as 10/s, 600/m or 1000/h";
    let rate = table.required_string_as("rate", expected, rate);
    let burst = table.integer("burst", 1..=TIMES_MAX);
    let (times, span) = rate?;
    Some(Rate::new(times, span, burst.unwrap_or(times)))
}

fn rate(text: &str) -> Result<(u32, Duration), &'static str> {
    let read = || {
        let (times, unit) = text.split_once('/')?;
        let is_plain = times.bytes().all(|byte| byte.is_ascii_digit());
        let times = times
            .parse()
            .ok()
            .filter(|times| is_plain && (1..=TIMES_MAX).contains(times))?;
        let span = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return None,
        };
        Some((times, span))
    };
    read().ok_or("a rate of 1 to 1000000 times such as 10/s, 600/m or 1000/h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_span() {
        assert_eq!(rate("10/s"), Ok((10, Duration::from_secs(1))));
        assert_eq!(rate("600/m"), Ok((600, Duration::from_mins(1))));
        assert_eq!(rate("1000000/h"), Ok((1_000_000, Duration::from_hours(1))));
        for text in [
            "",
            "10",
            "10/",
            "/s",
            "0/s",
            "1000001/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "10/d",
            "10 /s",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
