//! `[error_pages]`: the pages of the operator in the place of refusals.

use std::sync::Arc;

use http::StatusCode;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::reading::file::File;
use crate::request::{ErrorPage, ErrorPages};

/// The longest page: each refusal to a browser sends it.
const PAGE_BYTES_MAX: usize = 128 << 10;

/// Reads `error_pages`, over those of the process.
pub(crate) fn read(
    table: &mut TomlTable<'_>,
    beneath: Option<&Arc<ErrorPages>>,
) -> Arc<ErrorPages> {
    let mut pages = ErrorPages {
        beneath: beneath.cloned(),
        ..ErrorPages::default()
    };
    let Some(mut table) = table.table("error_pages") else {
        return beneath.cloned().unwrap_or_default();
    };
    for key in table.keys() {
        match (key, status(key)) {
            ("4xx", _) => pages.client = read_page(&mut table, key),
            ("5xx", _) => pages.server = read_page(&mut table, key),
            (_, Some(status)) => {
                let page = read_page(&mut table, key);
                pages.exact.extend(page.map(|page| (status, page)));
            }
            (_, None) => {
                table.ignore(key); // a file of that name is none of ours
                let fault =
                    Fault::error(format!("no status of an error: `{}`", key.escape_debug()));
                table.report_at(
                    key,
                    fault.label("expected 4xx, 5xx, or a number from 400 to 599"),
                );
            }
        }
    }
    table.finish();
    Arc::new(pages)
}

fn read_page(table: &mut TomlTable<'_>, key: &str) -> Option<ErrorPage> {
    let named = table.string(key)?;
    let file = File::read(&named)?;
    if file.bytes().len() > PAGE_BYTES_MAX {
        file.report(file.error("it is longer than 128 KiB"));
        return None;
    }
    let Ok(text) = str::from_utf8(file.bytes()) else {
        file.report(file.error("it is not UTF-8"));
        return None;
    };
    Some(ErrorPage::parse(text))
}

fn status(key: &str) -> Option<StatusCode> {
    let status = StatusCode::from_bytes(key.as_bytes()).ok()?;
    (status.is_client_error() || status.is_server_error()).then_some(status)
}
