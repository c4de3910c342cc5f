//! The log of the process on standard error: a line an event, values as `key=value`.

use std::io::{self, Write as _};

use crate::clock;
use crate::server;

/// Logs from now on, at this level.
pub(super) fn start(level: log::LevelFilter) {
    let mut builder = env_logger::Builder::new();
    // A reload may change the level, so the logger itself lets everything through.
    builder.filter_level(log::LevelFilter::Trace);
    for (module, level) in server::log_filters(level) {
        builder.filter_module(module, level);
    }
    let has_priorities = server::is_journal(io::stderr());
    builder
        .format(move |out, record| {
            let mut line = Vec::with_capacity(256);
            write_line(&mut line, record)?;
            server::note_log_line(&line);
            if has_priorities {
                return write_with_priority(out, record.level(), &line);
            }
            out.write_all(&line)
        })
        .init();
    log::set_max_level(level);
}

/// A line, with its end.
fn write_line(out: &mut impl io::Write, record: &log::Record<'_>) -> io::Result<()> {
    write!(
        out,
        "{} {:5} {}",
        clock::now(),
        record.level(),
        record.args()
    )?;
    record
        .key_values()
        .visit(&mut KeyValues(out))
        .map_err(io::Error::other)?;
    writeln!(out)
}

/// The same for the journal of systemd, which makes an entry of each line: each begins with its priority (sd-daemon(3)).
fn write_with_priority(out: &mut impl io::Write, level: log::Level, text: &[u8]) -> io::Result<()> {
    let priority = match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        write!(out, "<{priority}>")?;
        out.write_all(line)?;
    }
    Ok(())
}

/// Writes ` key=value` for every pair that has a value.
struct KeyValues<'a, W>(&'a mut W);

impl<'kvs, W: io::Write> log::kv::VisitSource<'kvs> for KeyValues<'_, W> {
    fn visit_pair(
        &mut self,
        key: log::kv::Key<'kvs>,
        value: log::kv::Value<'kvs>,
    ) -> Result<(), log::kv::Error> {
        let text = value.to_string();
        let plain = !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if text == "None" {
            return Ok(());
        }
        let written = if plain {
            write!(self.0, " {key}={text}")
        } else {
            write!(self.0, " {key}={text:?}")
        };
        written.map_err(log::kv::Error::from)
    }
}
