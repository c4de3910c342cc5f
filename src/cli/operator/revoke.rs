//! `doorward revoke`: revokes by hand.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use clap::Args;
use serde_json::Value;

use super::format::{Format, JsonFormat};
use super::order::{call, print_answer, refuse_long};
use super::process::{ProcessArguments, no_answer, socket_of};
use super::token_file::read_token;
use crate::cli::exit::{CommandError, Exit};
use crate::clock;
use crate::request::{Named, Target};
use crate::server::{self, ControlOrder};

/// What is revoked.
#[derive(Args)]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    process: ProcessArguments,
    /// The shop's name; without one, `--all-before` means all shops
    #[arg(long, required_unless_present = "all_before")]
    shop: Option<String>,
    #[command(flatten)]
    target: RevokeTargets,
    /// Only tokens with this `iss`; left out: of any issuer
    #[arg(long)]
    issuer: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before all customers are cut off; needed where standard input is no terminal
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: JsonFormat,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct RevokeTargets {
    /// The token in this file, alone or with the header or cookie around it; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// The token with this id claim
    #[arg(long)]
    jti: Option<String>,
    /// Every token of this customer issued until now
    #[arg(long)]
    subject: Option<String>,
    /// Every token of this session
    #[arg(long)]
    session: Option<String>,
    /// Every token issued before a moment: `now`, or such as 2026-11-21T02:00:00Z or 2026-11-21T04:00:00+02:00, not in the future. Opaque tokens do
    /// not say when they were issued and are not reached. Nothing takes it back.
    #[arg(long, value_name = "TIME")]
    all_before: Option<String>,
}

/// Revokes what the arguments name.
pub(in crate::cli) fn revoke(revoke: Revoke) -> Result<(), CommandError> {
    let names = [
        ("shop", &revoke.shop),
        ("issuer", &revoke.issuer),
        ("jti", &revoke.target.jti),
        ("subject", &revoke.target.subject),
        ("session", &revoke.target.session),
        ("all-before", &revoke.target.all_before),
    ];
    refuse_long(names)?;
    let (target, is_now) = target_of(revoke.target, revoke.issuer)?;
    let socket = socket_of(&revoke.process)?;
    let mut order = ControlOrder {
        shop: revoke.shop,
        target,
        dry_run: revoke.dry_run,
    };
    let cuts_off = matches!(order.target, Target::AllBefore(_));
    if cuts_off && !revoke.dry_run && !revoke.yes && !is_confirmed(&socket, &mut order)? {
        return Err(CommandError::failed("nothing was revoked"));
    }
    if is_now {
        order.target = Target::AllBefore(clock::now().seconds());
    }
    call(&socket, "/revoke", Some(&order), revoke.format.format)
}

/// Prints what the order would do, and asks whether to go on.
fn is_confirmed(socket: &Path, order: &mut ControlOrder) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        let why = "--all-before ends every login, and standard input is no terminal to confirm it: nothing was revoked\n  \
                   help: say --yes if it is meant, or --dry-run to see what it would do";
        return Err(CommandError::new(Exit::Usage, why));
    }
    order.dry_run = true;
    let tried = server::call(socket, "/revoke", Some(order));
    order.dry_run = false;
    let (status, answer) = tried.map_err(|error| no_answer(socket, &error))?;
    if !status.is_success() {
        print_answer(status.as_u16(), &answer, Format::Json)?;
    }
    let asked = question(order.shop.as_deref(), &answer);
    write!(io::stderr(), "{asked}").map_err(CommandError::failed)?;
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .map_err(CommandError::failed)?;
    Ok(is_yes(&line))
}

/// The question before all customers are logged out.
fn question(shop: Option<&str>, tried: &Value) -> String {
    let whose = shop.map_or("all shops".to_owned(), |shop| format!("shop {shop}"));
    let seen = tried["seen_tokens"].as_u64().unwrap_or_default();
    let notes = tried["notes"].as_array().into_iter().flatten();
    let notes = notes.filter_map(Value::as_str);
    let notes: String = notes.flat_map(|note| ["note: ", note, "\n"]).collect();
    format!(
        "{notes}Every token of {whose} that was issued before that moment is refused from now on; of those seen lately, \
         {seen}.\nCustomers have to log in again, and nothing takes it back. Go on? [y/N] "
    )
}

fn is_yes(line: &str) -> bool {
    ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str())
}

/// What the arguments name, and whether that is every token until now.
fn target_of(
    targets: RevokeTargets,
    issuer: Option<String>,
) -> Result<(Target, bool), CommandError> {
    let named = |name| Named { name, issuer };
    let target = if let Some(file) = targets.token {
        Target::Token(read_token(&file)?)
    } else if let Some(name) = targets.jti {
        Target::Jti(named(name))
    } else if let Some(name) = targets.subject {
        Target::Subject(named(name))
    } else if let Some(name) = targets.session {
        Target::Session(named(name))
    } else {
        let text = targets.all_before.unwrap_or_default();
        let text = text.trim();
        return Ok((Target::AllBefore(moment(text)?), text == "now"));
    };
    Ok((target, false))
}

fn moment(text: &str) -> Result<u64, CommandError> {
    if text == "now" {
        return Ok(clock::now().seconds());
    }
    let moment = in_utc(text).and_then(|(utc, ahead_s)| {
        let moment = humantime::parse_rfc3339(&utc).ok()?;
        let since = moment.duration_since(UNIX_EPOCH).ok()?;
        since.as_secs().checked_add_signed(-ahead_s)
    });
    moment.ok_or_else(|| {
        let why = format!(
            "--all-before {text}: expected `now`, or a time with its zone, such as 2026-11-21T02:00:00Z (in UTC) or \
             2026-11-21T04:00:00+02:00"
        );
        CommandError::new(Exit::Usage, why)
    })
}

/// A time as if it were in UTC, and how many seconds its zone is ahead of that; `None`: it says no zone.
fn in_utc(text: &str) -> Option<(String, i64)> {
    let (local, ahead_s) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => zone_of(text)?,
    };
    let is_alone = !local.contains('Z'); // the parser would read no further
    is_alone.then(|| (format!("{local}Z"), ahead_s))
}

/// A time without its zone, such as `+02:00`, and how many seconds that is ahead of UTC.
fn zone_of(text: &str) -> Option<(&str, i64)> {
    let (local, zone) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |digits: &str, end: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number: i64 = digits.parse().ok().filter(|_| is_number)?;
        (number < end).then_some(number)
    };
    let ahead_s = number(hours, 24)? * 3_600 + number(minutes, 60)? * 60;
    match zone.as_bytes()[0] {
        b'+' => Some((local, ahead_s)),
        b'-' => Some((local, -ahead_s)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_clear_yes_cuts_everybody_off() {
        for yes in ["y\n", "Y", " yes \n", "YES"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no", "yes?", "yesterday", "j"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn the_question_says_whose_tokens_and_what_is_not_reached() {
        let tried = json!({ "seen_tokens": 3, "notes": ["shop a: opaque"] });
        let asked = question(None, &tried);
        assert!(asked.starts_with("note: shop a: opaque\nEvery token of all shops"));
        assert!(asked.contains("seen lately, 3.") && asked.ends_with("[y/N] "));
        assert!(question(Some("main"), &tried).contains("of shop main"));
    }
}
