//! Which lines of a configuration a report must not show: those that may hold a secret.
//!
//! A line is shown only if all keys on it are known to hold none. Keys that are unknown, misspelt or the operator's own, such
//! as names of headers, are not.

use std::ops::Range;

/// The keys and tables that hold no secret.
const PLAIN: &[&str] = &[
    "access_log",
    "ack",
    "acme",
    "active",
    "address",
    "agreed",
    "algorithm",
    "algorithms",
    "allow",
    "allow_short_secret",
    "answer",
    "answer_body",
    "ask",
    "at",
    "attempts",
    "audience",
    "authority",
    "backup",
    "balance",
    "base",
    "body_limit",
    "body_timeout",
    "bootstrap_timeout",
    "budget",
    "burst",
    "bus_ca_file",
    "by",
    "ca_file",
    "cache",
    "cache_ttl",
    "cart",
    "cert_file",
    "certificate",
    "challenge",
    "check",
    "claim",
    "claims",
    "clear_cookies",
    "client_ca_file",
    "client_certificate",
    "client_key",
    "clock_offset_max",
    "cluster",
    "code",
    "compress",
    "confirms",
    "confirms_token",
    "connect",
    "connections",
    "connections_per_client",
    "content_type",
    "control",
    "cookie",
    "cookies",
    "credential",
    "cross_site",
    "data_dir",
    "dead_cookie",
    "decode",
    "defaults",
    "delay",
    "deny",
    "directory",
    "domain",
    "drain",
    "eject_after",
    "eject_for",
    "email",
    "enabled",
    "enforce",
    "error_pages",
    "exact_slash",
    "examine",
    "examine_bodies",
    "expires_at",
    "failed_verifications",
    "fields",
    "file",
    "fold",
    "form",
    "format",
    "forward_credentials",
    "from",
    "get_override",
    "good",
    "graphql",
    "h2c",
    "hash",
    "hash_from",
    "header",
    "header_bytes",
    "header_timeout",
    "headers",
    "health",
    "healthy_after",
    "host",
    "hosts",
    "hsts",
    "http2",
    "id",
    "idle",
    "ignore_case",
    "include",
    "include_subdomains",
    "initial",
    "insecure",
    "interval",
    "introspection",
    "issued_at",
    "issuer",
    "join",
    "json",
    "jwks_ca_file",
    "jwks_cooldown",
    "jwks_file",
    "jwks_refresh",
    "jwks_url",
    "keep",
    "keepalive",
    "key_file",
    "kid",
    "kind",
    "leeway",
    "level",
    "limit",
    "limits",
    "listen",
    "log",
    "logout",
    "logouts",
    "max_age",
    "max_token_lifetime",
    "message",
    "method",
    "methods",
    "min_size",
    "mint",
    "minus",
    "mirror",
    "missing",
    "mode",
    "name",
    "new_cluster",
    "node",
    "not",
    "observe",
    "on",
    "on_isolated",
    "on_reissue",
    "on_stale",
    "only_with",
    "opaque_pattern",
    "operator",
    "operator_hosts",
    "operator_listen",
    "origins",
    "own_logout",
    "own_paths",
    "partitioned",
    "path",
    "path_style",
    "paths",
    "pattern",
    "peers",
    "persisted",
    "preload",
    "prefix",
    "preset",
    "proxy_protocol",
    "public_key_file",
    "quarantine",
    "query",
    "queue",
    "queue_timeout",
    "rate",
    "read",
    "read_ahead_bytes",
    "read_ahead_bytes_per_client",
    "realm",
    "redirect",
    "redirect_hosts",
    "redirect_port",
    "refresh",
    "refresh_window",
    "refusal",
    "remove",
    "request",
    "resolve_every",
    "respond",
    "response",
    "retries",
    "revocable_with",
    "revoke",
    "revoke_all",
    "revoke_when",
    "rewrite",
    "route",
    "sample",
    "schemes",
    "secret_file",
    "secret_files",
    "send_rate_min",
    "server_name",
    "servers",
    "service",
    "session",
    "shape",
    "shop",
    "silence",
    "slow_start",
    "split",
    "split_by",
    "status",
    "streams",
    "strip_prefix",
    "subject",
    "subprotocol",
    "target_bytes",
    "terms_of_service_agreed",
    "timeout",
    "timeouts",
    "tls",
    "to",
    "token",
    "token_domain",
    "token_endpoint",
    "traces",
    "trusted_proxies",
    "types",
    "unhealthy_after",
    "unit",
    "unknown_hash",
    "unknown_issue_time",
    "unread_body",
    "unverifiable",
    "unverified_entries",
    "unverified_per_client_minute",
    "upstream",
    "upstream_host",
    "upstream_http2",
    "upstream_limits",
    "upstream_proxy_protocol",
    "upstream_tls",
    "verify",
    "weight",
    "when",
    "write",
];

/// The tables whose keys are names of the operator's, and whose values may be secret under any name.
const NAMED_BY_OPERATOR: [&str; 4] = ["cookies", "header", "headers", "query"];

/// Whether one of these lines may hold a secret, or a part of one.
pub(super) fn hides(text: &str, lines: &Range<usize>) -> bool {
    let (mut start, mut reading) = (0, Reading::default());
    for line in text.split_inclusive('\n') {
        let is_hidden = reading.take(line);
        let end = start + line.len();
        if is_hidden && start <= lines.end && lines.start < end {
            return true;
        }
        start = end;
    }
    false
}

/// A text without the lines that may hold a secret.
pub(in crate::config) fn without_secrets(text: &str) -> String {
    let mut reading = Reading::default();
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| {
            if reading.take(line) {
                "# (a line that may hold a secret)\n"
            } else {
                line
            }
        })
        .collect()
}

/// The part of a line that can be shown of an entry whose value can't: its key and the `=`.
pub(super) fn key_of_entry(line: &str) -> Option<&str> {
    let end = line.find('=')?;
    opens_entry(line).then(|| &line[..=end])
}

/// How far a text was read. It is read line by line and as text, for a file with a syntax fault must not leak either.
#[derive(Default)]
struct Reading {
    /// Whether the table is one of which nothing is shown.
    is_table_hidden: bool,
    /// Whether the entry is one of which nothing is shown.
    is_entry_hidden: bool,
    /// How many brackets of the entry are open.
    depth: usize,
}

impl Reading {
    /// Takes the next line, and says whether it must be hidden.
    fn take(&mut self, line: &str) -> bool {
        let bare = line.trim().trim_start_matches(['#', ' ']);
        if line.trim_start().starts_with('#') {
            return self.is_entry_hidden
                || self.is_table_hidden
                || !is_plain_entry(bare) && bare.contains('=');
        }
        if let Some(header) = header_of(line) {
            self.depth = 0;
            self.is_table_hidden = !is_plain_header(header);
            self.is_entry_hidden = self.is_table_hidden;
            return self.is_entry_hidden;
        }
        let ends_entry = self.depth == 0 && opens_entry(line);
        let continues = !self.is_entry_hidden || ends_entry;
        let fits = match bare.chars().next() {
            None => continues,
            Some('"' | '\'' | '[' | ']' | '{' | '}' | ',') if !bare.contains('=') => {
                continues && self.depth > 0 && !names_user(bare)
            }
            Some(_) => continues && is_plain_entry(bare),
        };
        self.is_entry_hidden = self.is_table_hidden || !fits;
        let count = |brackets: [char; 2]| line.matches(brackets).count();
        self.depth = (self.depth + count(['[', '{'])).saturating_sub(count([']', '}']));
        self.is_entry_hidden && !bare.is_empty()
    }
}

/// The keys in the header of a table.
fn header_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let header = line.trim_start_matches('[');
    let is_header =
        header.len() < line.len() && header.starts_with(|c: char| c.is_ascii_alphabetic());
    is_header.then(|| header.split(']').next().unwrap_or_default())
}

fn is_plain_header(header: &str) -> bool {
    let mut names = names_of(header);
    names.all(|name| is_plain(name) && !NAMED_BY_OPERATOR.contains(&name))
}

/// Whether all keys of a line are known to hold no secret, and no URL on it has a password.
fn is_plain_entry(line: &str) -> bool {
    let mut pieces: Vec<&str> = line.split('=').collect();
    let last = pieces.pop().unwrap_or_default();
    if pieces.is_empty() {
        pieces.push(first_word(last));
    }
    let key = |piece: &&str| {
        piece
            .rsplit(['{', ',', '['])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let keys: Vec<_> = pieces.iter().map(key).collect();
    let names: Vec<_> = keys.iter().flat_map(|key| names_of(key)).collect();
    let outer = names.split_last().map_or(&[][..], |(_, outer)| outer);
    let is_table = |name: &&str| NAMED_BY_OPERATOR.contains(name);
    let opens_table = last.trim_start().starts_with('{');
    let is_opened = opens_table && names.last().is_some_and(is_table);
    names.iter().all(|name| is_plain(name))
        && !outer.iter().any(is_table)
        && !is_opened
        && !names_user(line)
}

/// Whether a URL has a user name, and perhaps a password.
fn names_user(line: &str) -> bool {
    let rest = line.split_once("://").map(|(_, rest)| rest);
    let has_both = |text: &str| {
        let user = text.split_once('@').map(|(user, _)| user);
        user.is_some_and(|user| user.contains(':') && !user.contains(char::is_whitespace))
    };
    rest.is_some_and(|rest| rest.contains('@')) || line.split(['"', '\'']).any(has_both)
}

/// The names in a dotted key.
fn names_of(key: &str) -> impl Iterator<Item = &str> {
    key.split('.')
        .map(|name| name.trim_matches([' ', '\t', '"', '\'']))
}

/// Numbers are statuses, and items of arrays.
fn is_plain(name: &str) -> bool {
    let is_value =
        name.bytes().all(|byte| byte.is_ascii_digit()) || ["true", "false"].contains(&name);
    is_value || PLAIN.contains(&name)
}

fn first_word(line: &str) -> &str {
    let end = line.find(|c| !is_key_char(c) || c == ' ');
    &line[..end.unwrap_or(line.len())]
}

/// Whether a line surely begins something new, so that a secret above it has ended.
fn opens_entry(line: &str) -> bool {
    if header_of(line).is_some() {
        return true;
    }
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let closes_text = line.contains("\"\"\"") || line.contains("'''");
    let has_value = !value.trim().is_empty() && !value.starts_with('=');
    !key.trim().is_empty() && key.chars().all(is_key_char) && has_value && !closes_text
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ' | '\t')
}
