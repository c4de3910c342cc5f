//! Where a shop hands out tokens: at a login, a refresh, a registration. Its answer dates them.

use std::borrow::Cow;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName};
use serde_json::Value;
use smallvec::SmallVec;

use super::call::Call;
use super::claims::name_of;
use super::credential::NamePattern;
use super::gate::Gate;
use super::inquiry::Testimony;
use super::json::{self, Pointer};
use super::request_view::RequestView;
use super::set_cookie::SetCookie;
use super::shop::Shop;
use super::token::Token;
use crate::clock::UnixTime;
use crate::revocation::{Cause, Id, Identity, MARGIN};

/// A call that hands out tokens, and where they stand in its answer.
#[derive(Debug)]
pub struct MintRule {
    /// How it is called.
    pub call: Call,
    /// Where they stand in a JSON answer.
    pub pointers: Vec<Pointer>,
    /// The headers of the answer that carry one.
    pub headers: Vec<HeaderName>,
    /// The cookies of the answer that carry one.
    pub cookies: Vec<NamePattern>,
    /// Where a JSON answer names the customer.
    pub subject: Option<Pointer>,
}

/// What becomes of a dead token that the shop hands out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReissue {
    /// It stays dead.
    #[default]
    Refuse,
    /// It lives again, until the next logout.
    Revive,
}

/// The tokens of an answer, as text.
#[derive(Default)]
pub struct AnswerTokens {
    texts: Vec<String>,
    customer: Option<String>,
}

/// What an answer hands out.
#[derive(Default)]
pub struct HandedOut {
    /// Tokens that say nothing of their issue, and until when their dates are needed.
    pub dated: Vec<(Id, UnixTime)>,
    /// Tokens that are dead, and until when one could be accepted.
    pub dead: Vec<(Id, UnixTime)>,
    /// Tokens that were handed out or seen before, where an answer does not say whose: a logout of their customer's may have
    /// ended them, and until when one could be accepted.
    pub again: Vec<(Id, UnixTime)>,
    /// Whether their customer has logged out, as far as is known: then other nodes must know of them before the
    /// customer does.
    pub is_awaited: bool,
}

/// How many texts of one answer are examined; no login hands out as many tokens.
const TEXTS_MAX: usize = 64;

/// No token that is worth anything is shorter.
const TOKEN_BYTES_MIN: usize = 16;

impl MintRule {
    /// Whether tokens may stand in the body of the answer.
    pub fn reads_body(&self) -> bool {
        !self.pointers.is_empty()
    }

    /// The tokens in the head of an answer.
    pub fn tokens_of_head(&self, headers: &HeaderMap, now: UnixTime) -> AnswerTokens {
        let named = self.headers.iter();
        let lines = named.flat_map(|name| headers.get_all(name));
        let lines = lines.filter_map(|line| line.to_str().ok());
        let mut texts: Vec<String> = lines.map(str::to_owned).collect();
        for line in headers.get_all(SET_COOKIE) {
            let cookie = line.to_str().ok().and_then(SetCookie::read);
            let Some(cookie) = cookie.filter(|cookie| cookie.sets(now)) else {
                continue;
            };
            if self.cookies.iter().any(|name| name.matches(cookie.name)) {
                texts.push(cookie.value.trim_matches('"').to_owned());
            }
        }
        texts.truncate(TEXTS_MAX);
        AnswerTokens {
            texts,
            customer: None,
        }
    }

    /// The tokens in the body of an answer, which may be a token alone; `None`: it is no JSON.
    pub fn tokens_of_body(&self, body: &[u8]) -> Option<AnswerTokens> {
        let said = json::parse_answer(body)?;
        let one = std::slice::from_ref(&said);
        let answers = said.as_array().map_or(one, Vec::as_slice); // of a batch of GraphQL there are several
        let mut texts = Vec::new();
        texts.extend(said.as_str().map(str::to_owned)); // the token alone
        for answer in answers {
            let found = self.pointers.iter();
            let found = found.flat_map(|pointer| pointer.find_all(answer));
            texts.extend(found.filter_map(Value::as_str).map(str::to_owned));
        }
        if texts.is_empty() && self.call.graphql.is_some() {
            // The client may have called the fields by other names.
            for answer in answers {
                strings_of(answer, &mut texts);
            }
        }
        texts.truncate(TEXTS_MAX);
        let subject = self.subject.as_ref();
        let customer = subject.and_then(|subject| answers.iter().find_map(|one| subject.find(one)));
        Some(AnswerTokens {
            texts,
            customer: customer.and_then(name_of),
        })
    }
}

/// The texts of a JSON value that could be tokens.
fn strings_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if text.len() >= TOKEN_BYTES_MIN && !text.contains(char::is_whitespace) {
                texts.push(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings_of(item, texts)),
        Value::Object(members) => members.values().for_each(|one| strings_of(one, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Shop {
    /// The rule of a call that hands out tokens, if a request is one.
    pub(super) fn mint_rule(&self, view: &RequestView<'_>) -> Option<&std::sync::Arc<MintRule>> {
        self.mints.iter().find(|rule| rule.call.claims(view))
    }

    /// The token in what an answer says of it: behind its scheme, where it has one.
    fn without_scheme<'t>(&self, text: &'t str) -> &'t str {
        let Some((scheme, rest)) = text.split_once(' ') else {
            return text;
        };
        let mut carriers = self.places.iter().map(|place| &place.carrier);
        let is_scheme = carriers.any(|carrier| {
            let mut schemes = carrier.schemes().unwrap_or_default().iter();
            schemes.any(|one| one.eq_ignore_ascii_case(scheme))
        });
        if is_scheme { rest.trim() } else { text }
    }

    /// Under which names a text of an answer is known when it comes back as a token, until when that may be, and whether it
    /// must be dated.
    fn minted(
        &self,
        text: &str,
        customer: Option<&str>,
        now: UnixTime,
    ) -> SmallVec<[(Identity, UnixTime, bool); 2]> {
        let shop_time = self.clock.at(now);
        let settings = self.verifier.settings();
        let read = self.verifier.read(self.verifier.kind(), text, now);
        if let Ok(Token::Verified(token)) = read {
            let until = token.settings.accepted_until(&token, shop_time);
            let identity = token.identity.clone();
            let is_dated = identity.issued_at.is_none();
            return SmallVec::from_iter([(identity, until.plus(MARGIN), is_dated)]);
        }
        let inquiry = settings.inquiry.as_ref();
        let is_dated = inquiry.is_some_and(|asked| asked.issued_at.is_none());
        let until = settings.undated_until(shop_time);
        let digests = self.digests_of(text).unwrap_or_default();
        let known = digests.into_iter();
        let said = Testimony::of_customer(customer);
        let known = known.map(|id| {
            let identity = self.verifier.confirmed(&Identity::undated(id), &said);
            (identity, until, is_dated)
        });
        known.collect()
    }
}

impl Gate {
    /// What an answer of a shop hands out.
    pub fn handed_out(&self, shop: &Shop, tokens: &AnswerTokens, now: UnixTime) -> HandedOut {
        let revocations = self.revocations();
        let customer = tokens.customer.as_deref();
        let mut handed_out = HandedOut::default();
        for text in &tokens.texts {
            for text in spellings_of(text) {
                let text = shop.without_scheme(&text);
                for (identity, until, is_dated) in shop.minted(text, customer, now) {
                    shop.confirmations.forget(&identity.id);
                    match revocations.covers(&identity) {
                        Some(Cause::Unknown) | None if !is_dated => {}
                        Some(Cause::Unknown) | None => {
                            let names_customer =
                                |group: &crate::revocation::Group| group.cause == Cause::Subject;
                            handed_out.is_awaited |= if identity.groups.iter().any(names_customer) {
                                revocations.has_cutoff_of(&identity)
                            } else {
                                if revocations.has_cutoffs() && revocations.is_dated(&identity) {
                                    let names = identity.names();
                                    handed_out.again.extend(names.map(|id| (*id, until)));
                                }
                                revocations.has_cutoffs()
                            };
                            handed_out.dated.push((identity.id, until));
                        }
                        Some(_) => {
                            let names = identity.names();
                            handed_out.dead.extend(names.map(|id| (*id, until)));
                        }
                    }
                }
            }
        }
        handed_out
    }
}

/// A text as it stands, and as it is read where it is percent-encoded.
fn spellings_of(text: &str) -> SmallVec<[Cow<'_, str>; 2]> {
    let mut spellings: SmallVec<[Cow<'_, str>; 2]> = SmallVec::new();
    spellings.push(Cow::Borrowed(text));
    if text.contains('%')
        && let Ok(decoded) = percent_encoding::percent_decode_str(text).decode_utf8()
        && decoded != text
    {
        spellings.push(decoded);
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{GraphQlCondition, PathPattern};
    use http::Method;

    fn rule(pointer: &str, graphql: &[&str]) -> MintRule {
        let fields: Vec<_> = graphql.iter().map(|field| (*field).to_owned()).collect();
        MintRule {
            call: Call {
                methods: vec![Method::POST],
                paths: vec![PathPattern::parse("/login").unwrap()],
                conditions: Vec::new(),
                graphql: (!fields.is_empty()).then(|| GraphQlCondition::new(fields, &[])),
            },
            pointers: vec![Pointer::parse(pointer).unwrap()],
            headers: vec![HeaderName::from_static("x-token")],
            cookies: vec![NamePattern::parse("sid_*").unwrap()],
            subject: Some(Pointer::parse("/id").unwrap()),
        }
    }

    #[test]
    fn tokens_are_found_where_the_rule_says() {
        let rule = rule("/data/token", &[]);
        let found = rule
            .tokens_of_body(br#"{"data":{"token":"abc"},"id":7}"#)
            .unwrap();
        assert_eq!(
            (found.texts, found.customer),
            (vec!["abc".to_owned()], Some("7".to_owned()))
        );
        assert_eq!(rule.tokens_of_body(b"\"abc\"").unwrap().texts, ["abc"]);
        assert!(rule.tokens_of_body(b"<html>").is_none());
        assert!(rule.tokens_of_body(b"{}").unwrap().texts.is_empty());
    }

    #[test]
    fn fields_of_graphql_may_be_called_otherwise() {
        let rule = rule("/data/login/accessToken", &["login"]);
        let aliased =
            br#"[{"data":{"l":{"t":"abcdefghijklmnopqrst","name":"Jo Doe of Somewhere"}}}]"#;
        let found = rule.tokens_of_body(aliased).unwrap();
        assert_eq!(found.texts, ["abcdefghijklmnopqrst"]);
    }

    #[test]
    fn headers_and_cookies_are_read_as_a_browser_does() {
        let rule = rule("/token", &[]);
        let mut headers = HeaderMap::new();
        headers.append("x-token", "abc".parse().unwrap());
        for line in [
            "sid_1=def; Path=/; HttpOnly",
            "sid_2=gone; Max-Age=0",
            "theme=dark",
        ] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        let found = rule.tokens_of_head(&headers, UnixTime::from_seconds(1_790_000_000));
        assert_eq!(found.texts, ["abc", "def"]);
    }
}
