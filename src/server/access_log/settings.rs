//! What the access log says, and where it goes.

use std::path::PathBuf;

use super::field::AccessField;
use crate::request::Share;

/// `access_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// How a line is written.
    pub format: AccessLogFormat,
    /// Where it goes.
    pub to: AccessLogTarget,
    /// What it says, in this order.
    pub fields: Vec<AccessField>,
    /// The share of the forwarded requests that have a line. All others have one.
    pub sample: Share,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// A JSON object.
    Json,
    /// The Combined Log Format of Apache and nginx, then the fields as `name="value"`.
    Combined,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// The journal of systemd, by this socket.
    Journald(PathBuf),
    /// A file, to which they are appended.
    File(PathBuf),
}
