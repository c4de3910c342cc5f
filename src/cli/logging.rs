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
    builder
        .format(|out, record| {
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
        })
        .init();
    log::set_max_level(level);
}

/// Writes ` key=value` for every pair that has a value.
struct KeyValues<'a>(&'a mut env_logger::fmt::Formatter);

impl<'kvs> log::kv::VisitSource<'kvs> for KeyValues<'_> {
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
