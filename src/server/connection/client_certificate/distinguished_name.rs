//! Distinguished names as text (RFC 4514): no two names have the same text.

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The types that have a name of their own (RFC 4514 section 3), and `emailAddress`, as OpenSSL writes it.
const TYPES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.5", "serialNumber"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// `CN=Alice,O=Example`: the last part of the name comes first. Only printable ASCII.
pub(super) fn text_of(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| {
        let attributes: Vec<_> = part.iter().map(attribute).collect();
        attributes.join("+")
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let known = TYPES.iter().find(|(known, _)| *known == oid);
    match (known, attribute.as_str()) {
        (Some((_, name)), Ok(value)) => format!("{name}={}", escaped(value)),
        (Some(_) | None, _) => format!("{oid}=#{}", hexadecimal(attribute.as_slice())),
    }
}

/// Section 2.4; what is not printable ASCII is written byte by byte.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let is_at_edge = byte == b' ' && (at == 0 || at == last) || byte == b'#' && at == 0;
        if is_at_edge || br#"",+;<=>\"#.contains(&byte) {
            text.push('\\');
            text.push(char::from(byte));
        } else if matches!(byte, b' '..=b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\{byte:02X}");
        }
    }
    text
}

/// The bytes in hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_not_pass_for_another_part() {
        for (value, text) in [
            ("Alice", "Alice"),
            ("Alice,O=Admins", r"Alice\,O\=Admins"),
            ("a+b\"c\\d<e>f;g", r#"a\+b\"c\\d\<e\>f\;g"#),
            (" a ", r"\ a\ "),
            (" ", r"\ "),
            ("#a#", r"\#a#"),
            ("Zoë\n", r"Zo\C3\AB\0A"),
            ("", ""),
        ] {
            assert_eq!(escaped(value), text, "{value:?}");
        }
    }
}
