//! `access_log`: one line for each request.

use std::path::Path;

use crate::config::fault::Fault;
use crate::config::reading::{TomlTable, TomlText};
use crate::request::Share;
use crate::server::{AccessField, AccessLogFormat, AccessLogSettings, AccessLogTarget};

const FORMATS: &[(&str, AccessLogFormat)] = &[
    ("json", AccessLogFormat::Json),
    ("combined", AccessLogFormat::Combined),
];

/// The socket of the journal of systemd (systemd-journald.service(8)).
const JOURNALD_SOCKET: &str = "/run/systemd/journal/socket";

const TARGETS: &str = "\"stdout\", \"journald\", or the path of a file with a slash in it, such as /var/log/doorward/access.log";

/// Reads `access_log`.
pub(super) fn read(root: &mut TomlTable<'_>) -> Option<AccessLogSettings> {
    let mut table = root.table("access_log")?;
    let format = table.choice("format", FORMATS);
    let to = table.required_string("to", TARGETS);
    let to = to.and_then(|text| target(&text));
    let fields = table.strings("fields");
    let fields = fields.map(|texts| fields_of(&texts));
    let sample = table.string_as("sample", Share::parse);
    table.finish();
    let format = format.unwrap_or(AccessLogFormat::Json);
    Some(AccessLogSettings {
        format,
        to: to?,
        fields: fields.unwrap_or_else(|| match format {
            AccessLogFormat::Json => AccessField::all(),
            AccessLogFormat::Combined => Vec::new(),
        }),
        sample: sample.unwrap_or(Share::ALL),
    })
}

fn target(text: &TomlText<'_>) -> Option<AccessLogTarget> {
    match text.as_str() {
        "stdout" => Some(AccessLogTarget::Stdout),
        "journald" => Some(AccessLogTarget::Journald(JOURNALD_SOCKET.into())),
        other => match other.strip_prefix("journald:") {
            Some(socket) => Some(AccessLogTarget::Journald(socket.into())),
            None => file(text),
        },
    }
}

/// A file. Its folder may be made by the service manager at the start.
fn file(text: &TomlText<'_>) -> Option<AccessLogTarget> {
    text.parse_as(|text| {
        let is_fit = text.contains('/') && !text.ends_with('/') && !text.contains('\0');
        is_fit.then_some(()).ok_or(TARGETS)
    })?;
    let path = text.path()?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let folder = folder.display();
        let fault = Fault::warning(format!("there is no folder {folder}"));
        let help = "create it for the user of the service, or set `LogsDirectory=doorward` in its unit for /var/log/doorward";
        text.report(fault.help(help));
    }
    Some(AccessLogTarget::File(path))
}

fn fields_of(texts: &[TomlText<'_>]) -> Vec<AccessField> {
    let mut fields = Vec::with_capacity(texts.len());
    for text in texts {
        let Some(field) = text.choose("fields", &AccessField::NAMED) else {
            continue;
        };
        if fields.contains(&field) {
            text.report(Fault::error("the field stands twice"));
        }
        fields.push(field);
    }
    fields
}
