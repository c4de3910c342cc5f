//! The log levels of Pingora's modules.

use log::LevelFilter;

/// The modules of Pingora, and the level from which each may log where the operator wants this level.
///
/// Pingora logs its own start at `info`, and every customer who hangs up or fails a handshake at `error`, so any client
/// could fill the log. Metrics count both instead.
pub fn log_filters(level: LevelFilter) -> [(&'static str, LevelFilter); 8] {
    let loud = if level >= LevelFilter::Debug {
        LevelFilter::Error
    } else {
        LevelFilter::Off
    };
    let own = level.min(LevelFilter::Error);
    [
        ("pingora", own),
        ("pingora_core", own),
        ("pingora_core::apps", loud),
        // A connection that can't be used again is no error: another is opened.
        ("pingora_core::connectors", loud),
        ("pingora_core::protocols", loud),
        ("pingora_core::services", loud),
        ("pingora_pool", own),
        ("pingora_proxy", loud),
    ]
}
