//! Numbers of bytes as an operator writes them.

/// Reads `512B`, `64KiB`, `10MiB` or `2GiB`: one whole number, one unit.
pub(crate) fn parse(text: &str) -> Result<u64, &'static str> {
    read(text).ok_or("a size such as 512B, 64KiB, 10MiB or 2GiB")
}

fn read(text: &str) -> Option<u64> {
    let unit_start = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_start);
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("10MiB", 10_485_760),
            ("2GiB", 2_147_483_648),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for unfit in [
            "",
            "10",
            "MiB",
            "1.5MiB",
            "10 MiB",
            "10MB",
            "10mib",
            "-1B",
            "99999999999GiB",
        ] {
            assert!(parse(unfit).is_err(), "{unfit}");
        }
    }
}
