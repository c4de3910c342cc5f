//! A share of all, such as `20%`.

use std::fmt;

/// A share of all, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

const WANTED: &str = "a share such as 20% or 0.5%, at most 100%";

impl Share {
    /// All.
    pub const ALL: Self = Self(1_000_000);

    /// Reads a percentage, with up to four digits behind the point.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const DIGITS: usize = 4;
        let percent = text.strip_suffix('%').ok_or(WANTED)?;
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > DIGITS {
            return Err(WANTED);
        }
        let whole: u32 = whole.parse().map_err(|_| WANTED)?;
        let part: u32 = format!("{part:0<DIGITS$}").parse().map_err(|_| WANTED)?;
        let millionths = whole
            .checked_mul(10_000)
            .and_then(|all| all.checked_add(part));
        millionths
            .map(Self)
            .filter(|share| *share <= Self::ALL)
            .ok_or(WANTED)
    }

    /// This share of a number, rounded down.
    pub fn of(self, number: u64) -> u64 {
        let share = u128::from(number) * u128::from(self.0) / u128::from(Self::ALL.0);
        u64::try_from(share).unwrap_or(number)
    }

    /// Whether a number that is drawn evenly from all 64-bit numbers falls into it.
    pub fn includes(self, drawn: u64) -> bool {
        u128::from(drawn) * u128::from(Self::ALL.0) < u128::from(self.0) << u64::BITS
    }
}

/// As it is written.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000, self.0 % 10_000);
        if part == 0 {
            return write!(f, "{whole}%");
        }
        let part = format!("{part:04}");
        write!(f, "{whole}.{}%", part.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentages_are_read_as_operators_write_them() {
        for (text, of_million) in [
            ("0%", 0),
            ("0.0001%", 1),
            ("0.5%", 5_000),
            ("20%", 200_000),
            ("33.3333%", 333_333),
            ("100%", 1_000_000),
        ] {
            let share = Share::parse(text).unwrap();
            assert_eq!(share.of(1_000_000), of_million, "{text}");
            assert_eq!(share.to_string(), text);
        }
        for unfit in [
            "",
            "%",
            "20",
            "0.1",
            "-1%",
            "101%",
            "100.1%",
            "1e2%",
            "1.%",
            ".5%",
            "0.00001%",
            "99999999999%",
            "5 %",
        ] {
            assert!(Share::parse(unfit).is_err(), "{unfit}");
        }
    }

    proptest! {
        #[test]
        fn as_many_numbers_fall_into_a_share_as_it_says(share in 0_u32..=1_000_000) {
            let share = Share(share);
            let last = u64::MAX / 1000;
            let drawn = (0..1000).map(|step| step * last + last / 2);
            let included = drawn.filter(|drawn| share.includes(*drawn)).count();
            let expected = f64::from(share.0) / 1000.0;
            let included = f64::from(u32::try_from(included).unwrap());
            prop_assert!((included - expected).abs() <= 1.0, "{included} of 1000, not {expected}");
            prop_assert_eq!(share.includes(u64::MAX), share == Share::ALL);
        }
    }
}
