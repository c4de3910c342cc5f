//! `doorward check --token`: would this token pass, and what does it say.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::claims::{self, reason, shown, signed_with};
use super::report::{print_json, print_lines};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::operator::{Format, read_token};
use crate::clock::{self, UnixTime};
use crate::config::Config;
use crate::request::{
    Flaw, Issuer, Refusal, Shop, Token, TokenReading, TokenSettings, algorithm_name,
};
use crate::server::Rehearsal;

/// The token that is checked.
#[derive(Args)]
pub(in crate::cli) struct TokenArguments {
    /// Say whether the token in this file would pass, and why not; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "probe", "fix_permissions"])]
    pub(in crate::cli) token: Option<PathBuf>,
    /// The shop that should accept the token; without it, any may
    #[arg(long, requires = "token")]
    shop: Option<String>,
}

/// What one shop makes of a token.
struct Judged {
    shop: String,
    at: String,
    /// `None`: it passes.
    refusal: Option<Refusal>,
    /// Its short name in logs, where it has one.
    name: Option<String>,
    /// What it is and says.
    says: String,
    hints: Vec<String>,
}

/// Says what each shop makes of a token; an error, if it passes nowhere.
pub(in crate::cli) fn check_token(
    config: Config,
    arguments: &TokenArguments,
    format: Format,
) -> Result<(), CommandError> {
    let Some(file) = &arguments.token else {
        return Ok(());
    };
    let text = read_token(file)?;
    let sources = config.sources;
    let rehearsal = Rehearsal::new(config.server, config.shops).map_err(CommandError::failed)?;
    let shops = rehearsal.shops();
    let now = clock::now();
    let wanted = arguments.shop.as_deref();
    let named = shops.iter().zip(&sources);
    let named = named.filter(|(shop, _)| wanted.is_none_or(|name| name == shop.name));
    let mut judged = Vec::new();
    for (shop, sources) in named {
        let at = sources.lines.key("token").unwrap_or(sources.lines.table());
        judged.push(judge(&rehearsal, &shops, (shop, at), &text, now)?);
    }
    if judged.is_empty() {
        let why = format!(
            "no shop is called `{}`",
            wanted.unwrap_or_default().escape_debug()
        );
        return Err(CommandError::new(Exit::Usage, why));
    }
    let passes = judged.iter().any(|one| one.refusal.is_none());
    match format {
        Format::Json => {
            let shops: Vec<_> = judged.iter().map(Judged::json).collect();
            print_json(&json!({ "passes": passes, "shops": shops }));
        }
        Format::Text => {
            let lines: Vec<_> = judged.iter().flat_map(Judged::lines).collect();
            print_lines(&lines);
        }
    }
    if passes {
        Ok(())
    } else {
        Err(CommandError::printed(Exit::Failed))
    }
}

fn judge(
    rehearsal: &Rehearsal,
    shops: &[Arc<Shop>],
    (shop, at): (&Shop, &str),
    text: &str,
    now: UnixTime,
) -> Result<Judged, CommandError> {
    let pasted = shop.parse_pasted(text, now);
    let pasted = pasted.map_err(|why| CommandError::new(Exit::Usage, why))?;
    let (token, text) = (&pasted.token, pasted.text.as_str());
    let timely = token.as_ref().map_err(|flaw| Refusal::from(*flaw));
    let refusal = timely
        .and_then(|token| shop.refuse_out_of_time(token, now))
        .err();
    let named = token.as_ref().ok().filter(|_| rehearsal.has_log_names());
    let name = named.map(|token| rehearsal.name_of(&token.identity().id));
    let says = match token {
        Ok(Token::Verified(token)) => claims::verified(token, text, rehearsal, now),
        Ok(Token::Confirmed(_) | Token::Inactive(_)) => "opaque, and known to the shop".to_owned(),
        Ok(Token::Opaque(_)) => opaque(shop, text),
        Err(_) => unverified(shop, text, now),
    };
    let hints = match (token, refusal) {
        (Err(flaw), _) => hints_on(*flaw, (shop, shops), text, now),
        (Ok(_), Some(_)) => vec![clock_hint(now)],
        (Ok(_), None) => Vec::new(),
    };
    Ok(Judged {
        shop: shop.name.clone(),
        at: at.to_owned(),
        refusal,
        name,
        says,
        hints,
    })
}

fn opaque(shop: &Shop, text: &str) -> String {
    if TokenReading::parse(text, shop.verifier.settings()).is_some() && shop.verifier.can_verify() {
        return "a JWT that can't be verified: it is forwarded as an opaque token \
            (`unverifiable = \"forward\"`), and a logout reaches this token alone"
            .to_owned();
    }
    let asked = shop.verifier.settings().introspection.is_some();
    let asked = if asked {
        ", and the shop is asked about it (introspection)"
    } else {
        ""
    };
    format!("opaque: known by its text alone{asked}")
}

/// What a token claims that is not verified.
fn unverified(shop: &Shop, text: &str, now: UnixTime) -> String {
    let Some(read) = TokenReading::parse(text, shop.verifier.settings()) else {
        return format!(
            "not a JWT that can be read, of {} characters",
            text.chars().count()
        );
    };
    let mut parts = vec![signed_with(&read)];
    parts.extend(
        read.issuer
            .as_deref()
            .map(|issuer| format!("iss {}", shown(issuer))),
    );
    if !read.audiences.is_empty() {
        parts.push(format!("aud {}", list(&read.audiences)));
    }
    let has = [
        (read.has_subject, "a customer"),
        (read.has_session, "a session"),
        (read.has_id, "an id"),
    ];
    let has: Vec<_> = has
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, what)| *what)
        .collect();
    if !has.is_empty() {
        parts.push(format!("names {}", has.join(", ")));
    }
    parts.extend(read.expires_at.map(|end| {
        let end = UnixTime::from_seconds(end);
        if end > now {
            format!("expires in {}", claims::span(end.since(now)))
        } else {
            format!("expired {} ago", claims::span(now.since(end)))
        }
    }));
    format!("unverified, it claims: {}", parts.join(", "))
}

/// The usual mistakes that make a token fail so.
fn hints_on(
    flaw: Flaw,
    (shop, shops): (&Shop, &[Arc<Shop>]),
    text: &str,
    now: UnixTime,
) -> Vec<String> {
    let issuers = shop.verifier.issuers();
    let settings = issuers.iter().map(Issuer::settings);
    let read = TokenReading::parse(text, shop.verifier.settings()).unwrap_or_default();
    let mut hints = Vec::new();
    match flaw {
        Flaw::Signature => {
            let mut mistakes = issuers
                .iter()
                .filter_map(|issuer| issuer.secret_mistake(text));
            hints.push(match mistakes.next() {
                Some(mistake) => mistake.help().to_owned(),
                None => "the algorithm fits and the signature does not: the key here is not the one that signed it".to_owned(),
            });
        }
        Flaw::Issuer => {
            let expected = settings
                .flat_map(|one| one.issuers.clone())
                .collect::<Vec<_>>();
            hints.push(differs("iss", &expected, read.issuer.as_slice()));
        }
        Flaw::Audience => {
            let expected = settings
                .flat_map(|one| one.audiences.clone())
                .collect::<Vec<_>>();
            hints.push(differs("aud", &expected, &read.audiences));
        }
        Flaw::UnpinnedAlgorithm | Flaw::Algorithm => {
            hints.push(differs(
                "alg",
                &algorithms(settings),
                read.algorithm.as_slice(),
            ));
        }
        Flaw::UnknownKey => {
            let expected = settings
                .flat_map(|one| one.key_ids.clone())
                .collect::<Vec<_>>();
            hints.push(differs("kid", &expected, read.key_id.as_slice()));
        }
        Flaw::NoKeys | Flaw::KeyPending => {
            hints.push("the keys are published at `jwks_url`, and are not fetched here".to_owned());
        }
        Flaw::IssuedInFuture => hints.push(clock_hint(now)),
        Flaw::Malformed
        | Flaw::TooLong
        | Flaw::Critical
        | Flaw::Type
        | Flaw::Claim(..)
        | Flaw::NotJwt
        | Flaw::Inactive
        | Flaw::NoCustomer => {}
    }
    let mut others = shops.iter();
    let other = others.find(|other| other.name != shop.name && other.verifies(text, now));
    hints.extend(other.map(|other| format!("shop {} verifies it: is it that shop's?", other.name)));
    hints
}

fn algorithms<'s>(settings: impl Iterator<Item = &'s TokenSettings>) -> Vec<String> {
    let all = settings.flat_map(|one| one.algorithms.iter());
    all.map(|one| algorithm_name(*one).to_owned()).collect()
}

fn differs(claim: &str, expected: &[String], found: &[String]) -> String {
    let expected = if expected.is_empty() {
        "one that a key here fits".to_owned()
    } else {
        list(expected)
    };
    let found = if found.is_empty() {
        "none".to_owned()
    } else {
        list(found)
    };
    format!("`{claim}`: expected {expected}, and the token has {found}")
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| shown(text)).collect();
    texts.join(", ")
}

fn clock_hint(now: UnixTime) -> String {
    format!("the clock here says {now}: compare it with the shop's")
}

impl Judged {
    fn verdict(&self) -> String {
        match self.refusal {
            None => "passes".to_owned(),
            Some(refusal) => format!("refused: {}", reason(refusal)),
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "shop {}: {}  [{}]",
            self.shop,
            self.verdict(),
            self.at
        )];
        lines.push(format!("  {}", self.says));
        let name = self.name.iter();
        lines.extend(name.map(|name| format!("  its name in logs: {name}")));
        lines.extend(self.hints.iter().map(|hint| format!("  hint: {hint}")));
        let advice = self.refusal.map(Refusal::advice);
        lines.extend(advice.map(|advice| format!("  what to do: {advice}")));
        lines
    }

    fn json(&self) -> Value {
        json!({
            "shop": self.shop, "at": self.at, "passes": self.refusal.is_none(), "says": self.says,
            "reason": self.refusal.map(Refusal::name), "detail": self.refusal.and_then(Refusal::detail),
            "log_name": self.name, "hints": self.hints, "what_to_do": self.refusal.map(Refusal::advice),
        })
    }
}
