//! Durations as an operator writes them.

use std::fmt;
use std::time::Duration;

/// Reads `250ms`, `90s`, `10m`, `1h` or `7d`: one whole number, one unit.
///
/// # Errors
///
/// Says what was expected, for the operator to read.
pub(crate) fn parse(text: &str) -> Result<Duration, NotADuration> {
    read(text).ok_or_else(|| NotADuration(text.to_owned()))
}

fn read(text: &str) -> Option<Duration> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_start);
    let count_ms = count.parse::<u64>().ok()?.checked_mul(unit_ms(unit)?)?;
    Some(Duration::from_millis(count_ms))
}

fn unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

/// A text that is no duration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotADuration(String);

impl fmt::Display for NotADuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.0.escape_debug();
        write!(
            f,
            "expected a duration such as 250ms, 90s, 10m, 1h or 7d, found `{found}`"
        )
    }
}

impl std::error::Error for NotADuration {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        let cases = [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn anything_else_says_what_was_expected() {
        let cases = [
            "",
            "5",
            "s",
            "-1s",
            "+1s",
            " 1s",
            "1 s",
            "1.5s",
            "1h30m",
            "1S",
            "5é",
            "18446744073709551615d",
        ];
        for text in cases {
            let fault = parse(text).unwrap_err().to_string();
            assert!(
                fault.starts_with("expected a duration such as 250ms"),
                "{text}"
            );
        }
    }
}
