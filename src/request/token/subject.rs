//! The name of a customer, as routes write it into headers and addresses.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// A customer's name, as a verified token or the shop says it. No log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(Box<str>);

/// What is encoded in a header: what could end a line or a value, or is not ASCII.
const IN_HEADER: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\')
    .add(b'<')
    .add(b'>')
    .add(b'{')
    .add(b'}')
    .add(b'^')
    .add(b'`');

/// What stays as it is in an address: what is not reserved (RFC 3986 section 2.3).
const IN_ADDRESS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Subject {
    /// Percent-encoded for a header.
    pub fn in_header(&self) -> String {
        utf8_percent_encode(&self.0, IN_HEADER).to_string()
    }

    /// Percent-encoded for any part of an address.
    pub fn in_address(&self) -> String {
        utf8_percent_encode(&self.0, IN_ADDRESS).to_string()
    }
}

impl From<String> for Subject {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_names_stand_as_they_are() {
        for name in [
            "3",
            "0b7e3f6c-2d7e-4f4e-9a53-9d2f2f0d8d8a",
            "auth0|64f1",
            "alice@example.com",
            "gid://shopify/Customer/7",
            "VXNlcjox==",
            "b/3~1x",
        ] {
            assert_eq!(Subject::from(name.to_owned()).in_header(), name);
        }
        let odd = Subject::from("a, b;é\r\nx: y%".to_owned());
        assert_eq!(odd.in_header(), "a%2C%20b%3B%C3%A9%0D%0Ax:%20y%25");
        assert_eq!(odd.in_address(), "a%2C%20b%3B%C3%A9%0D%0Ax%3A%20y%25");
        assert_eq!(format!("{odd:?}"), "Subject(..)");
    }

    proptest! {
        #[test]
        fn whatever_a_token_says_is_one_value_that_can_be_decoded(name in any::<String>()) {
            let subject = Subject::from(name.clone());
            for written in [subject.in_header(), subject.in_address()] {
                prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
                let read = percent_encoding::percent_decode_str(&written).decode_utf8().unwrap();
                prop_assert_eq!(read, name.as_str());
            }
        }
    }
}
