//! Every reason for which a request is refused, and its details.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use doorward::request::{Flaw, Refusal};

use super::documented::{variants_of, words_of};
use super::page::{compare, head, page, row};

#[test]
fn every_reason_of_the_log_is_in_the_reference() {
    let mut out = page(
        "Log reasons",
        "`Refusal`, `Flaw` and `Cause`",
        "A request that Doorward answers instead of the shop has a line `refused` in the [log](../log.md) with a `reason`, and is counted in \
         `doorward_decisions_total{verdict=\"REASON\"}`. A preset may word the answer otherwise.",
    );
    let comments = variants_of("Refusal");
    let causes = variants_of("Cause");
    let (_, unknown) = causes.iter().find(|(name, _)| name == "Unknown").unwrap();
    let mut rows = BTreeMap::new();
    let mut seen = Vec::new();
    for refusal in Refusal::examples() {
        let shown = format!("{refusal:?}");
        let variant = shown.split([' ', '(', '{']).next().unwrap();
        let (_, comment) = comments.iter().find(|(name, _)| name == variant).unwrap();
        let is_about_issue = refusal.name() == "unknown_issue";
        let comment = if is_about_issue { unknown } else { comment };
        seen.push(variant.to_owned());
        let code = refusal.error_code().map(|code| format!(", `{code}`"));
        let status = format!("{}{}", refusal.status().as_u16(), code.unwrap_or_default());
        let advice = match refusal {
            Refusal::Unverifiable(_) => "See `detail` below",
            _ => refusal.advice(),
        };
        rows.insert(refusal.name(), (status, refusal.message(), comment, advice));
    }
    for (variant, _) in &comments {
        assert!(seen.contains(variant), "Refusal::examples has no {variant}");
    }
    head(
        &mut out,
        &[
            "reason",
            "status, error code",
            "meaning",
            "answer",
            "what to do",
        ],
    );
    for (name, (status, message, comment, advice)) in rows {
        let name = format!("`{name}`");
        row(&mut out, &[&name, &status, comment, message, advice]);
    }
    flaws(&mut out);
    details(
        &mut out,
        "`claim` where `detail` is `claim`",
        "Which claim cannot be read.",
        "ClaimName",
    );
    details(
        &mut out,
        "`found` where `detail` is `claim`",
        "What stands there instead.",
        "Unreadable",
    );
    details(
        &mut out,
        "`detail` of `revoked` and `unknown_issue`",
        "What the token was revoked by.",
        "Cause",
    );
    compare("log-reasons.md", &out);
}

/// What is wrong with a token that can't be verified, and what to do.
fn flaws(out: &mut String) {
    let intro = "What is wrong with the token. The customer is told none of this.";
    write!(out, "\n## `detail` of `unverifiable`\n\n{intro}\n").unwrap();
    head(out, &["word", "meaning", "what to do"]);
    for (word, comment) in words_of("Flaw") {
        let flaw = Flaw::EXAMPLES.into_iter().find(|flaw| flaw.name() == word);
        let flaw = flaw.unwrap_or_else(|| panic!("Flaw::EXAMPLES has no {word}"));
        let advice = Refusal::Unverifiable(flaw).advice();
        row(out, &[&format!("`{word}`"), &comment, advice]);
    }
}

fn details(out: &mut String, title: &str, intro: &str, name: &str) {
    write!(out, "\n## {title}\n\n{intro}\n").unwrap();
    head(out, &["word", "meaning"]);
    for (word, comment) in words_of(name) {
        row(out, &[&format!("`{word}`"), &comment]);
    }
}
