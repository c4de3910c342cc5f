//! How clients stay with a server: by which cookie, and under which secret.

use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::config::rules::cookie_name::cookie_name;
use crate::server::Sticky;

/// Reads `sticky` of a table about balancing.
pub(super) fn read(balance: &mut TomlTable<'_>) -> Option<Sticky> {
    let mut table = balance.table("sticky")?;
    let expected = "the name of a cookie that only Doorward uses";
    let cookie = table.required_string_as("cookie", expected, cookie_name);
    let secret = table.required_string("secret_file", "the path of a file with random bytes");
    table.finish();
    let secret = secret.and_then(|text| read_secret(&text));
    Some(Sticky::new(cookie?, &secret?))
}

fn read_secret(named: &TomlText<'_>) -> Option<Vec<u8>> {
    let file = File::read_secret(named)?;
    let secret = file.bytes().trim_ascii().to_vec();
    if secret.len() < Sticky::SECRET_BYTES_MIN {
        let fault = file.error("the secret has fewer than 16 bytes");
        file.report(fault.help("openssl rand -hex 32"));
        return None;
    }
    Some(secret)
}
