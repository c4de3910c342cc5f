//! The tokens of test cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::cases::CaseToken;
use super::sample_error::SampleError;
use crate::clock;
use crate::request::Shop;

/// The tokens of a file in this folder, by their names.
pub(super) fn read(
    tokens: &BTreeMap<String, CaseToken>,
    shops: &[Arc<Shop>],
    folder: &Path,
) -> Result<BTreeMap<String, String>, SampleError> {
    let read = tokens.iter().map(|(name, token)| {
        let text = text_of(token, shops, folder);
        let text = text.map_err(|why| SampleError::new(format!("token `{name}`: {why}")));
        Ok((name.clone(), text?))
    });
    read.collect()
}

fn text_of(token: &CaseToken, shops: &[Arc<Shop>], folder: &Path) -> Result<String, SampleError> {
    match (&token.sign, &token.file, &token.text) {
        (Some(claims), None, None) => signed(claims, shop_of(token, shops)?),
        (None, Some(file), None) => {
            let path = folder.join(file);
            let failed = |error| SampleError::new(format!("{}: {error}", path.display()));
            let text = fs::read_to_string(&path).map_err(failed)?;
            Ok(text.trim().to_owned())
        }
        (None, None, Some(text)) => Ok(text.clone()),
        (Some(_) | None, Some(_) | None, Some(_) | None) => {
            Err(SampleError::new("it has one of `sign`, `file` and `text`"))
        }
    }
}

/// The shop whose token it is.
pub(super) fn shop_of<'s>(
    token: &CaseToken,
    shops: &'s [Arc<Shop>],
) -> Result<&'s Arc<Shop>, SampleError> {
    let mut all = shops.iter();
    let found = match &token.shop {
        Some(name) => all.find(|shop| shop.name == *name),
        None => all.next(),
    };
    found.ok_or_else(|| SampleError::new("no shop has this name"))
}

fn signed(claims: &toml::Table, shop: &Shop) -> Result<String, SampleError> {
    let issuers = shop.verifier.issuers();
    let unfit = |error: serde_json::Error| SampleError::new(error.to_string());
    let mut claims: Map<String, Value> =
        serde_json::from_value(serde_json::to_value(claims).map_err(unfit)?).map_err(unfit)?;
    for name in ["exp", "iat", "nbf"] {
        if let Some(value) = claims.get_mut(name)
            && let Some(text) = value.as_str()
        {
            *value = moment(text)?.into();
        }
    }
    let found = issuers.iter().find_map(|issuer| {
        let (settings, mut claims) = (issuer.settings(), claims.clone());
        for (name, pinned) in [("iss", &settings.issuers), ("aud", &settings.audiences)] {
            if let (Some(first), false) = (pinned.first(), claims.contains_key(name)) {
                claims.insert(name.to_owned(), first.as_str().into());
            }
        }
        issuer.mint(&Value::Object(claims))
    });
    found.ok_or_else(|| {
        SampleError::new(format!(
            "shop {} has no secret to sign with: only HS256, HS384 and HS512 have one; give `file`",
            shop.name
        ))
    })
}

/// A span from now: `+1h`, `-5m`.
fn moment(text: &str) -> Result<u64, SampleError> {
    let now = clock::now();
    let (is_past, span) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(span), _) => (true, span),
        (None, Some(span)) => (false, span),
        (None, None) => {
            return Err(SampleError::new(
                "a time is a number, or a span such as `-5m` or `+1h`",
            ));
        }
    };
    let span = humantime::parse_duration(span.trim());
    let span = span.map_err(|why| SampleError::new(format!("`{}`: {why}", text.escape_debug())))?;
    let moment = if is_past {
        now.minus(span)
    } else {
        now.plus(span)
    };
    Ok(moment.seconds())
}
