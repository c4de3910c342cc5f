//! What is told of a token: never its text, and its customer, session and id under the short names of the log.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::request::{Refusal, TokenReading, Verified, loggable_text};
use crate::revocation::Id;

/// How tokens and customers are named in logs.
pub(super) trait LogNames {
    /// The short name.
    fn of(&self, id: &Id) -> String;
}

/// A reason as docs/reasons.md has it, with its detail.
pub(super) fn reason(refusal: Refusal) -> String {
    let claim = refusal.claim();
    let claim = claim.map(|(claim, found)| format!(" ({claim} is {found})"));
    let detail = refusal.detail().map(|detail| format!(" {detail}"));
    let (detail, claim) = (detail.unwrap_or_default(), claim.unwrap_or_default());
    format!("{}{detail}{claim}", refusal.name())
}

/// What a verified token says.
pub(super) fn verified(
    token: &Verified,
    text: &str,
    names: &dyn LogNames,
    now: UnixTime,
) -> String {
    let read = TokenReading::parse(text, &token.settings).unwrap_or_default();
    let mut parts = vec![signed_with(&read)];
    parts.extend(
        read.issuer
            .as_deref()
            .map(|issuer| format!("iss {}", shown(issuer))),
    );
    parts.extend(
        token
            .subject
            .map(|id| format!("customer {}", names.of(&id))),
    );
    parts.extend(token.session.map(|id| format!("session {}", names.of(&id))));
    parts.extend(
        token
            .not_before
            .filter(|begin| *begin > now)
            .map(|begin| format!("not valid for another {}", span(begin.since(now)))),
    );
    parts.push(match token.expires_at {
        None => "never expires".to_owned(),
        Some(end) if end > now => format!("expires in {}", span(end.since(now))),
        Some(end) => format!("expired {} ago", span(now.since(end))),
    });
    parts.join(", ")
}

/// Its algorithm, and the key that it names.
pub(super) fn signed_with(read: &TokenReading) -> String {
    let algorithm = read
        .algorithm
        .as_deref()
        .map_or("no algorithm".into(), shown);
    match &read.key_id {
        Some(key) => format!("{algorithm} by key {}", shown(key)),
        None => algorithm,
    }
}

/// A text of a token for a terminal.
pub(super) fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 100;
    let text = loggable_text(text);
    let short: String = text.chars().take(CHARACTERS_MAX).collect();
    short.escape_debug().to_string()
}

/// A span in its two largest units.
pub(super) fn span(span: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    let parts: Vec<_> = text.split(' ').take(2).collect();
    parts.join(" ")
}
