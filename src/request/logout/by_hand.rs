//! What an operator revokes or looks up by hand.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::rule::{Reach, Scope, of_opaque, of_verified};
use crate::clock::UnixTime;
use crate::request::credential::{Carrier, cookie_value, is_no_text, trimmed};
use crate::request::shop::Shop;
use crate::request::token::{
    Confirmed, Flaw, OperatorName, Token, TokenKind, Verified, Verifier, has_jwt_shape, jwts_in,
};
use crate::revocation::{
    Cause, Id, IdKind, Identity, Revocation, Revocations, Set, Source, Window,
};

/// What an operator means. Exactly one, in the JSON of the control socket.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// The token in this text.
    Token(String),
    /// The token with this id claim.
    Jti(Named),
    /// Every token of this session.
    Session(Named),
    /// Every token of this customer issued until now.
    Subject(Named),
    /// Every token of the token domain issued before this moment, in seconds since the epoch.
    AllBefore(u64),
}

/// A name as a token carries it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The claim's value.
    pub name: String,
    /// The token's `iss`; `None`: of any issuer.
    pub issuer: Option<String>,
}

impl Target {
    /// The word for the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Jti(_) => "jti",
            Self::Session(_) => "session",
            Self::Subject(_) => "subject",
            Self::AllBefore(_) => "all_before",
        }
    }
}

/// An order at one shop: what it puts in force, and what that changes.
pub struct ByHand {
    /// What the log calls the token, session, customer or shop by.
    pub id: Id,
    /// What is put in force.
    pub revocations: Vec<Revocation>,
    /// Whether the token, session, customer or shop is refused from now on, and was not before.
    pub is_news: bool,
    /// How many tokens that this node has seen lately are refused from now on, and were not before.
    pub seen_tokens: usize,
    /// What was not found, or is not reached.
    pub notes: Vec<&'static str>,
}

/// Why an order can't be carried out. Nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitOrder {
    /// The operator names nothing.
    Empty(&'static str),
    /// The text is more than one token.
    NotOneToken,
    /// A whole token where only its id, session or customer is expected.
    WholeToken(&'static str),
    /// The token is proved to be bad.
    Unverifiable(Flaw),
    /// No token of this issuer is good here; those that are.
    UnknownIssuer(Vec<String>),
    /// The moment is later than this one.
    InFuture(UnixTime),
    /// The shop's tokens are opaque: they say nothing of customers, sessions and times.
    OnlyOpaque,
}

impl fmt::Display for UnfitOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(what) => write!(f, "the {what} is empty"),
            Self::NotOneToken => f.write_str(
                "this is not one token: give the token alone, or the header or cookie that carries it",
            ),
            Self::WholeToken(what) => write!(
                f,
                "a {what} is expected, and this is a whole token: give it with --token, in a file or on standard input"
            ),
            Self::Unverifiable(flaw) => write!(
                f,
                "the token can't be verified: {}; as it is, it is refused already. Is it a token of this shop?",
                flaw.name()
            ),
            Self::UnknownIssuer(known) => write!(
                f,
                "no token of this issuer is good at this shop; its issuers are: {}",
                known.join(", ")
            ),
            Self::InFuture(now) => write!(
                f,
                "the moment is in the future: every login until then would be refused, and nothing takes that back. \
                 It is {now}; say `now`, or an earlier moment"
            ),
            Self::OnlyOpaque => f.write_str(
                "the tokens of this shop are opaque: they do not say whose they are or when they were issued. \
                 Revoke them one by one with --token, or end them in the shop",
            ),
        }
    }
}

/// What is to be said of a token that is not known to be refused, where [`Shop::has_hidden_owner`] holds.
pub const HIDDEN_OWNER: &str = "this node does not know whose this token is: the shop has not said so lately. Whether the end of \
    its customer's logins, or of all logins, refuses it can't be told without asking the shop; a request with the token asks";

/// A token that the operator shows us.
pub struct Shown {
    /// What it is, or what is wrong with it.
    pub token: Result<Token, Flaw>,
    /// What it is revoked by wherever it is read otherwise: as an opaque token, or by a part of it.
    digests: SmallVec<[Id; 4]>,
}

impl Shown {
    /// Why it is refused, if it is.
    pub fn refused_by(&self, revocations: &Revocations) -> Option<Cause> {
        let token = self.token.as_ref().ok();
        let covered = token.and_then(|token| revocations.covers(token.identity()));
        let mut digests = self.digests.iter();
        let is_dead = |id: &Id| revocations.has_undated_token(id);
        covered.or_else(|| digests.any(is_dead).then_some(Cause::Token))
    }
}

/// A token of which this node knows whose it is.
enum SeenToken {
    Verified(Arc<Verified>),
    Confirmed(Arc<Confirmed>),
}

impl SeenToken {
    fn identity(&self) -> &Identity {
        match self {
            Self::Verified(token) => &token.identity,
            Self::Confirmed(token) => &token.identity,
        }
    }
}

/// What an order is about, before it is known what it changes.
struct PlannedOrder {
    id: Id,
    revocations: Vec<Revocation>,
    /// What a logout would have revoked. If all of it is in force, the order is no news.
    by_logout: Vec<Revocation>,
    /// Whether one token is meant: it is no news if all that were seen under its name are refused.
    is_one: bool,
    notes: Vec<&'static str>,
}

impl Shop {
    /// What an order puts in force, and what that changes. Nothing is changed by asking.
    ///
    /// # Errors
    ///
    /// Says why nothing can be done.
    pub fn by_hand(
        &self,
        target: &Target,
        revocations: &Revocations,
        now: UnixTime,
    ) -> Result<ByHand, UnfitOrder> {
        let seen = self.seen_lately();
        match target {
            Target::Token(text) => self.token_by_hand(text, revocations, now),
            Target::Jti(named) => {
                let plan = self.plan_id(named, now)?;
                Ok(plan.among(&seen, revocations, now))
            }
            Target::Session(named) => {
                let plan = self.plan_session(named, now)?;
                Ok(plan.among(&seen, revocations, now))
            }
            Target::Subject(named) => {
                let plan = self.plan_customer(named, &seen, now)?;
                Ok(plan.among(&seen, revocations, now))
            }
            Target::AllBefore(moment) => {
                let moment = UnixTime::from_seconds(*moment);
                if moment > now {
                    return Err(UnfitOrder::InFuture(now));
                }
                let plan = self.plan_cutoff(moment, now)?;
                Ok(plan.among(&seen, revocations, now))
            }
        }
    }

    /// The tokens of this node's memory that say whose they are, or of which the shop said it.
    fn seen_lately(&self) -> Vec<SeenToken> {
        let verified = self.verifier.remembered_tokens().into_iter();
        let confirmed = self.introspection_cache.all_active().into_iter();
        let verified = verified.map(SeenToken::Verified);
        verified
            .chain(confirmed.map(SeenToken::Confirmed))
            .collect()
    }

    /// Reads a token that the operator shows us: alone, or as it stands in a header, a cookie or a parameter.
    ///
    /// # Errors
    ///
    /// Says why it is not one token.
    pub fn shown(&self, pasted: &str, now: UnixTime) -> Result<Shown, UnfitOrder> {
        let whole = self.token_in(pasted)?;
        let is_alone = !whole.contains(char::is_whitespace);
        let mut jwts = jwts_in(whole);
        jwts.dedup();
        let text = match jwts.as_slice() {
            _ if is_alone && has_jwt_shape(whole) => whole,
            [only] => only,
            [] if is_alone && !whole.starts_with(['{', '[']) => whole,
            [] | [_, ..] => return Err(UnfitOrder::NotOneToken),
        };
        let token = self.read_by_hand(text, now);
        let token = token.map(|token| self.with_owner(token));
        let is_opaque_too = self
            .places
            .iter()
            .any(|place| place.kind == TokenKind::Opaque);
        let mut digests = SmallVec::new();
        if is_opaque_too || !matches!(token, Ok(Token::Verified(_))) {
            for text in [whole, text, &cookie_value(whole.into())] {
                digests.extend(self.digests_of(text).unwrap_or_default());
            }
            digests.sort_unstable();
            digests.dedup();
        }
        Ok(Shown { token, digests })
    }

    fn read_by_hand(&self, text: &str, now: UnixTime) -> Result<Token, Flaw> {
        let cookie = cookie_value(text.into());
        let parts = self
            .places
            .iter()
            .filter(|place| place.spelling.pattern.is_some());
        for place in parts {
            if let Ok(Some(key)) = place.spelling.key(&cookie)
                && *key != *cookie
            {
                return Ok(self.verifier.opaque(&cookie, &key));
            }
        }
        let kind = self.verifier.kind();
        let kind = if kind == TokenKind::Jwt {
            TokenKind::Auto
        } else {
            kind
        };
        self.verifier.token_of(kind, text, now)
    }

    /// Whether a text is a token that verifies at this shop.
    pub fn verifies(&self, pasted: &str, now: UnixTime) -> bool {
        let shown = self.shown(pasted, now);
        shown.is_ok_and(|shown| matches!(shown.token, Ok(Token::Verified(_))))
    }

    fn token_by_hand(
        &self,
        pasted: &str,
        revocations: &Revocations,
        now: UnixTime,
    ) -> Result<ByHand, UnfitOrder> {
        let shown = self.shown(pasted, now)?;
        let settings = self.verifier.settings();
        let mut notes = Vec::new();
        let mut entries = match &shown.token {
            Ok(Token::Verified(token)) => {
                of_verified(token, Scope::Token, Reach::Always, self.clock.moment(now))
            }
            Ok(token @ (Token::Confirmed(_) | Token::Opaque(_) | Token::Inactive(_))) => {
                let identity = token.identity();
                vec![of_opaque(identity, Source::Verified, settings, now)]
            }
            Err(flaw) if flaw.is_undecided() || matches!(flaw, Flaw::NoKeys | Flaw::KeyPending) => {
                notes.push("no key here can judge this token: it is revoked by its digest");
                Vec::new()
            }
            Err(flaw) => return Err(UnfitOrder::Unverifiable(*flaw)),
        };
        let until = settings.undated_until(now);
        let digests = shown.digests.iter();
        let others = digests.filter(|id| entries.iter().all(|entry| entry.id() != **id));
        let others: Vec<_> = others.map(|id| dead(*id, until)).collect();
        entries.extend(others);
        let Some(first) = entries.first() else {
            return Err(UnfitOrder::NotOneToken);
        };
        let is_news = shown.refused_by(revocations).is_none();
        if let Ok(token) = &shown.token
            && is_news
            && self.has_hidden_owner(token)
        {
            notes.push(HIDDEN_OWNER);
        }
        Ok(ByHand {
            id: first.id(),
            revocations: entries,
            is_news,
            seen_tokens: usize::from(is_news),
            notes,
        })
    }

    /// A token by its id, whatever its `iss` is if none is said, and an opaque one that is known by such a part.
    fn plan_id(&self, named: &Named, now: UnixTime) -> Result<PlannedOrder, UnfitOrder> {
        let mut plan = self.plan_named(IdKind::Token, "jti", named, now, dead)?;
        if self.takes_opaque() && named.issuer.is_none() {
            let until = self.verifier.settings().undated_until(now);
            let digests = self.digests_of(&named.name).unwrap_or_default();
            plan.revocations
                .extend(digests.into_iter().map(|id| dead(id, until)));
        }
        Ok(plan)
    }

    fn plan_session(&self, named: &Named, now: UnixTime) -> Result<PlannedOrder, UnfitOrder> {
        if !(self.verifier.can_verify() || self.verifier.formers().name_customers()) {
            return Err(UnfitOrder::OnlyOpaque);
        }
        let mut plan = self.plan_named(
            IdKind::Session,
            "session",
            named,
            now,
            Revocation::of_session,
        )?;
        self.note_opaque(&mut plan);
        Ok(plan)
    }

    /// The cutoff spares the second of the order, in which the customer may log in again. What was seen before the order
    /// ends all the same.
    fn plan_customer(
        &self,
        named: &Named,
        seen: &[SeenToken],
        now: UnixTime,
    ) -> Result<PlannedOrder, UnfitOrder> {
        self.refuse_only_opaque()?;
        let shop_time = self.clock.at(now);
        let cutoff = |id, until| Revocation::Cutoff {
            id,
            not_before: shop_time,
            until,
        };
        let mut plan = self.plan_named(IdKind::Subject, "subject", named, now, cutoff)?;
        let ids: Vec<Id> = plan.revocations.iter().map(Revocation::id).collect();
        let is_theirs = |token: &&SeenToken| {
            let mut groups = token.identity().groups.iter();
            groups.any(|group| group.cause == Cause::Subject && ids.contains(&group.id))
        };
        let is_spared = |token: &&SeenToken| {
            let issued_at = token.identity().issued_at;
            issued_at.is_some_and(|begin| begin >= shop_time)
        };
        let spared = seen.iter().filter(is_theirs).filter(is_spared);
        let moment = self.clock.moment(now);
        let settings = self.verifier.settings();
        let spared = spared.flat_map(|token| match token {
            SeenToken::Verified(token) => of_verified(token, Scope::Token, Reach::Always, moment),
            SeenToken::Confirmed(token) => {
                vec![of_opaque(&token.identity, Source::Verified, settings, now)]
            }
        });
        plan.revocations.extend(spared);
        self.note_unowned(&mut plan);
        Ok(plan)
    }

    fn plan_cutoff(&self, moment: UnixTime, now: UnixTime) -> Result<PlannedOrder, UnfitOrder> {
        self.refuse_only_opaque()?;
        let until = self.kept_until(now);
        let realms = self.verifier.all_customers();
        let cutoff = |id: &Id| Revocation::Cutoff {
            id: *id,
            not_before: self.clock.at(moment),
            until,
        };
        let mut plan = PlannedOrder {
            id: realms[0],
            revocations: realms.iter().map(cutoff).collect(),
            by_logout: Vec::new(),
            is_one: false,
            notes: Vec::new(),
        };
        self.note_unowned(&mut plan);
        Ok(plan)
    }

    /// Everything by which those of a name are known, `entry` made of each.
    fn plan_named(
        &self,
        kind: IdKind,
        what: &'static str,
        named: &Named,
        now: UnixTime,
        entry: impl Fn(Id, UnixTime) -> Revocation,
    ) -> Result<PlannedOrder, UnfitOrder> {
        let meant = names_of(what, &named.name)?;
        let issuer = named.issuer.as_deref().map(trimmed);
        if issuer == Some("") {
            return Err(UnfitOrder::Empty("issuer"));
        }
        if let Some(issuer) = issuer
            && !self.verifier.may_be_of(issuer)
        {
            return Err(UnfitOrder::UnknownIssuer(self.verifier.pinned_issuers()));
        }
        let until = self.kept_until(now);
        let entries = |ids: fn(&Verifier, OperatorName<'_>) -> Vec<Id>| {
            let named = meant.iter().map(|name| OperatorName { kind, issuer, name });
            let ids = named.flat_map(|named| ids(&self.verifier, named));
            ids.map(|id| entry(id, until)).collect::<Vec<_>>()
        };
        let revocations = entries(Verifier::named_by_hand);
        let by_logout = entries(Verifier::named_by_logout);
        let first = by_logout.first().or(revocations.first());
        Ok(PlannedOrder {
            id: first.map(Revocation::id).ok_or(UnfitOrder::OnlyOpaque)?,
            revocations,
            by_logout,
            is_one: kind == IdKind::Token,
            notes: Vec::new(),
        })
    }

    /// Until when a token of this shop could be accepted.
    fn kept_until(&self, now: UnixTime) -> UnixTime {
        let life = self.verifier.longest_life();
        let latest = now.max(self.clock.at(now));
        life.map_or(UnixTime::FOREVER, |life| latest.plus(life))
    }

    fn takes_opaque(&self) -> bool {
        let mut kinds = self.places.iter().map(|place| place.kind);
        self.verifier.kind() != TokenKind::Jwt || kinds.any(|kind| kind != TokenKind::Jwt)
    }

    /// Where no token says whose it is, an order about customers or times would do nothing.
    fn refuse_only_opaque(&self) -> Result<(), UnfitOrder> {
        self.verifier
            .name_customers()
            .then_some(())
            .ok_or(UnfitOrder::OnlyOpaque)
    }

    /// Where the shop is asked whose opaque tokens are, orders about customers and times reach them.
    fn note_unowned(&self, plan: &mut PlannedOrder) {
        if self.verifier.settings().introspection.is_none() {
            self.note_opaque(plan);
        }
    }

    fn note_opaque(&self, plan: &mut PlannedOrder) {
        if self.takes_opaque() {
            plan.notes.push(
                "opaque tokens do not say whose they are or when they were issued, and are not reached: \
                 revoke them with --token, or end them in the shop",
            );
        }
    }

    /// The token in what an operator pastes: without white space, quotes, and what stands before it in a request.
    fn token_in<'t>(&self, pasted: &'t str) -> Result<&'t str, UnfitOrder> {
        let mut text = unquoted(pasted);
        let mut holds_cookies = false;
        if let Some((name, value)) = text.split_once(':')
            && self.is_header(name.trim())
        {
            text = unquoted(value);
            holds_cookies = name.trim().to_ascii_lowercase().ends_with("cookie");
        }
        match self.value_in(text) {
            Some(value) => text = unquoted(value),
            None if holds_cookies => return Err(UnfitOrder::NotOneToken),
            None => {}
        }
        if let Some((word, rest)) = text.split_once(char::is_whitespace)
            && self.is_scheme(word)
        {
            text = unquoted(rest);
        }
        if is_no_text(text) || self.is_scheme(text) {
            return Err(UnfitOrder::Empty("token"));
        }
        Ok(text)
    }

    fn is_header(&self, name: &str) -> bool {
        let carriers = self.places.iter().map(|place| &place.carrier);
        let ours = carriers.filter_map(Carrier::header);
        let ours = ours.map(http::HeaderName::as_str);
        let mut names = ["authorization", "cookie", "set-cookie"]
            .into_iter()
            .chain(ours);
        names.any(|known| name.eq_ignore_ascii_case(known))
    }

    fn is_scheme(&self, word: &str) -> bool {
        let carriers = self.places.iter().map(|place| &place.carrier);
        let ours = carriers.filter_map(Carrier::schemes).flatten();
        let ours = ours.map(String::as_str);
        let mut known = ["Bearer", "DPoP", "JWT", "Token"].into_iter().chain(ours);
        known.any(|scheme| word.eq_ignore_ascii_case(scheme))
    }

    /// The value behind `name=`, where a cookie or parameter of that name carries a token.
    fn value_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        let is_ours = |name: &str| {
            let mut carriers = self.places.iter().map(|place| &place.carrier);
            carriers.any(|carrier| {
                let mut cookies = carrier.cookies();
                carrier.parameter() == Some(name) || cookies.any(|cookie| cookie.matches(name))
            })
        };
        let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| is_ours(name.trim()))?;
        Some(value)
    }
}

impl PlannedOrder {
    /// What it changes for the tokens that were seen, and in all.
    fn among(mut self, seen: &[SeenToken], live: &Revocations, now: UnixTime) -> ByHand {
        let planned = Set::default();
        for revocation in &self.revocations {
            planned.insert(revocation, now);
        }
        let is_meant = |token: &&SeenToken| planned.covers(token.identity()).is_some();
        let meant: Vec<_> = seen.iter().filter(is_meant).collect();
        let is_alive = |token: &&&SeenToken| live.covers(token.identity()).is_none();
        let alive = meant.iter().filter(is_alive).count();
        let holds = |revocations: &[Revocation]| {
            !revocations.is_empty() && revocations.iter().all(|it| live.holds(it))
        };
        let is_dead = self.is_one && !meant.is_empty() && alive == 0;
        let is_old = is_dead || holds(&self.revocations) || holds(&self.by_logout);
        if meant.is_empty() {
            self.notes
                .push("no such token was seen here lately; one that comes is refused");
        }
        ByHand {
            id: self.id,
            is_news: !is_old,
            seen_tokens: alive,
            revocations: self.revocations,
            notes: self.notes,
        }
    }
}

/// A token without an end, or a part of one.
fn dead(id: Id, until: UnixTime) -> Revocation {
    Revocation::Token {
        id,
        window: Window::UNDATED,
        until,
        source: Source::Verified,
    }
}

/// What an operator may mean by a name: without the white space around it, and as it is.
fn names_of<'n>(what: &'static str, text: &'n str) -> Result<SmallVec<[&'n str; 2]>, UnfitOrder> {
    let name = trimmed(text);
    if name.is_empty() {
        return Err(UnfitOrder::Empty(what));
    }
    if has_jwt_shape(name) || !jwts_in(name).is_empty() {
        return Err(UnfitOrder::WholeToken(what));
    }
    let mut names = SmallVec::from_slice(&[name]);
    if name != text {
        names.push(text);
    }
    Ok(names)
}

/// A text without white space and quotes around it.
fn unquoted(text: &str) -> &str {
    let text = trimmed(text);
    let inside = ['"', '\'', '`'].into_iter().find_map(|quote| {
        let inside = text.strip_prefix(quote)?;
        inside.strip_suffix(quote)
    });
    inside.map_or(text, trimmed)
}
