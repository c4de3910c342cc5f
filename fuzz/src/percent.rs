//! Percents, decoded apart from Doorward: what judges it must not share its faults.

/// As RFC 3986 section 2.1 has it; what is no percent-encoding stays.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let code = digit(at + 1)
            .zip(digit(at + 2))
            .filter(|_| text[at] == b'%');
        let code = code.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(code.unwrap_or(text[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    plain
}
