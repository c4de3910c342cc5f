//! The weights by which a client says what it prefers (RFC 9110 section 12.4.2).

/// How much a client likes something, in thousandths.
pub(in crate::request) type Weight = u16;

/// Without a weight.
const FULL: Weight = 1000;

/// The weight among these parameters. One that can't be read is none at all: nothing is sent that a client may not want.
pub(in crate::request) fn weight_in<'p>(mut parameters: impl Iterator<Item = &'p str>) -> Weight {
    let weight = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_weight = name.trim().eq_ignore_ascii_case("q");
        is_weight.then(|| read_weight(value.trim()))
    });
    weight.unwrap_or(FULL)
}

fn read_weight(text: &str) -> Weight {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_fit = part.len() <= 3 && part.bytes().all(|one| one.is_ascii_digit());
    let thousandths = format!("{part:0<3}").parse::<Weight>();
    match (whole, thousandths) {
        ("1", Ok(0)) if is_fit => FULL,
        ("0", Ok(thousandths)) if is_fit => thousandths,
        (_, Ok(_) | Err(_)) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_from_0_to_1_with_three_digits_at_most() {
        for (parameters, weight) in [
            ("", 1000),
            ("level=1", 1000),
            ("q=1", 1000),
            ("q=1.000", 1000),
            ("level=1; Q = 0.5 ", 500),
            ("q=0.001", 1),
            ("q=0.25;q=1", 250),
            ("q=0", 0),
            ("q=1.5", 0),
            ("q=1.001", 0),
            ("q=2", 0),
            ("q=0.0004", 0),
            ("q=-1", 0),
            ("q=.5", 0),
            ("q=", 0),
            ("q=0.+1", 0),
        ] {
            assert_eq!(weight_in(parameters.split(';')), weight, "{parameters}");
        }
    }
}
