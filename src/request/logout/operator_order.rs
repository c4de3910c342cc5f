//! What an operator's order revokes.

use std::sync::Arc;

use smallvec::SmallVec;

use super::order_target::{Named, Target, UnfitOrder};
use super::pasted_token::HIDDEN_CUSTOMER;
use super::rule::{Reach, Scope, revocation_of_opaque, revocations_of_verified};
use crate::clock::UnixTime;
use crate::request::credential::trimmed;
use crate::request::shop::Shop;
use crate::request::token::{
    Confirmed, Flaw, OperatorName, Token, TokenKind, Verified, Verifier, has_jwt_shape, jwts_in,
};
use crate::revocation::{
    Cause, Id, IdKind, Identity, Revocation, Revocations, Set, Source, Window,
};

/// An order at one shop: what it puts in force, and what that changes.
pub struct OperatorOrder {
    /// The id of the token, session, customer or shop in the log.
    pub id: Id,
    /// The entries to put in force.
    pub revocations: Vec<Revocation>,
    /// Whether it changes anything: whether the tokens were not refused before.
    pub is_news: bool,
    /// How many tokens in this node's caches it newly revokes.
    pub seen_tokens: usize,
    /// Notes for the operator: what was not found, or is not reached.
    pub notes: Vec<&'static str>,
}

/// A token in this node's caches, whose customer is known.
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

/// The entries of an order, before it is known what they change.
struct PlannedOrder {
    id: Id,
    revocations: Vec<Revocation>,
    /// The entries that a logout would have made. If all of them are in force, the order changes nothing.
    by_logout: Vec<Revocation>,
    /// Whether it names one token: the order changes nothing if all cached tokens of this name are refused.
    is_one: bool,
    notes: Vec<&'static str>,
}

impl Shop {
    /// The entries of an order, and what they would change. Puts nothing in force.
    ///
    /// # Errors
    ///
    /// Says why nothing can be done.
    pub fn operator_order(
        &self,
        target: &Target,
        revocations: &Revocations,
        now: UnixTime,
    ) -> Result<OperatorOrder, UnfitOrder> {
        let seen = self.seen_lately();
        match target {
            Target::Token(text) => self.order_for_token(text, revocations, now),
            Target::Jti(named) => {
                let plan = self.plan_id(named, now)?;
                Ok(plan.against(&seen, revocations, now))
            }
            Target::Session(named) => {
                let plan = self.plan_session(named, now)?;
                Ok(plan.against(&seen, revocations, now))
            }
            Target::Subject(named) => {
                let plan = self.plan_customer(named, &seen, now)?;
                Ok(plan.against(&seen, revocations, now))
            }
            Target::AllBefore(moment) => {
                let moment = UnixTime::from_seconds(*moment);
                if moment > now {
                    return Err(UnfitOrder::InFuture(now));
                }
                let plan = self.plan_cutoff(moment, now)?;
                Ok(plan.against(&seen, revocations, now))
            }
        }
    }

    /// The tokens in this node's caches that are verified or confirmed.
    fn seen_lately(&self) -> Vec<SeenToken> {
        let verified = self.verifier.remembered_tokens().into_iter();
        let confirmed = self.introspection_cache.all_active().into_iter();
        let verified = verified.map(SeenToken::Verified);
        verified
            .chain(confirmed.map(SeenToken::Confirmed))
            .collect()
    }

    fn order_for_token(
        &self,
        pasted: &str,
        revocations: &Revocations,
        now: UnixTime,
    ) -> Result<OperatorOrder, UnfitOrder> {
        let shown = self.parse_pasted(pasted, now)?;
        let settings = self.verifier.settings();
        let mut notes = Vec::new();
        let mut entries = match &shown.token {
            Ok(Token::Verified(token)) => {
                revocations_of_verified(token, Scope::Token, Reach::Always, self.clock.moment(now))
            }
            Ok(token @ (Token::Confirmed(_) | Token::Opaque(_) | Token::Inactive(_))) => {
                let identity = token.identity();
                vec![revocation_of_opaque(
                    identity,
                    Source::Verified,
                    settings,
                    now,
                )]
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
        let others: Vec<_> = others.map(|id| undated_token(*id, until)).collect();
        entries.extend(others);
        let Some(first) = entries.first() else {
            return Err(UnfitOrder::NotOneToken);
        };
        let is_news = shown.refused_by(revocations).is_none();
        if let Ok(token) = &shown.token
            && is_news
            && self.has_hidden_customer(token)
        {
            notes.push(HIDDEN_CUSTOMER);
        }
        Ok(OperatorOrder {
            id: first.id(),
            revocations: entries,
            is_news,
            seen_tokens: usize::from(is_news),
            notes,
        })
    }

    /// A token by its id, with any `iss` if none is named, and an opaque token with this token key.
    fn plan_id(&self, named: &Named, now: UnixTime) -> Result<PlannedOrder, UnfitOrder> {
        let mut plan = self.plan_named(IdKind::Token, "jti", named, now, undated_token)?;
        if self.takes_opaque() && named.issuer.is_none() {
            let until = self.verifier.settings().undated_until(now);
            let digests = self.digests_of(&named.name).unwrap_or_default();
            plan.revocations
                .extend(digests.into_iter().map(|id| undated_token(id, until)));
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

    /// A cutoff of a customer. It spares the second of the order, in which the customer may log in again; cached tokens that were
    /// issued in that second are revoked one by one.
    fn plan_customer(
        &self,
        named: &Named,
        seen: &[SeenToken],
        now: UnixTime,
    ) -> Result<PlannedOrder, UnfitOrder> {
        self.refuse_only_opaque()?;
        let shop_time = self.clock.shop_time(now);
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
            SeenToken::Verified(token) => {
                revocations_of_verified(token, Scope::Token, Reach::Always, moment)
            }
            SeenToken::Confirmed(token) => {
                vec![revocation_of_opaque(
                    &token.identity,
                    Source::Verified,
                    settings,
                    now,
                )]
            }
        });
        plan.revocations.extend(spared);
        self.note_unowned(&mut plan);
        Ok(plan)
    }

    fn plan_cutoff(&self, moment: UnixTime, now: UnixTime) -> Result<PlannedOrder, UnfitOrder> {
        self.refuse_only_opaque()?;
        let until = self.accepted_until_latest(now);
        let domains = self.verifier.all_customers();
        let cutoff = |id: &Id| Revocation::Cutoff {
            id: *id,
            not_before: self.clock.shop_time(moment),
            until,
        };
        let mut plan = PlannedOrder {
            id: domains[0],
            revocations: domains.iter().map(cutoff).collect(),
            by_logout: Vec::new(),
            is_one: false,
            notes: Vec::new(),
        };
        self.note_unowned(&mut plan);
        Ok(plan)
    }

    /// An entry for each digest of a name.
    fn plan_named(
        &self,
        kind: IdKind,
        what: &'static str,
        named: &Named,
        now: UnixTime,
        entry: impl Fn(Id, UnixTime) -> Revocation,
    ) -> Result<PlannedOrder, UnfitOrder> {
        let meant = name_spellings(what, &named.name)?;
        let issuer = named.issuer.as_deref().map(trimmed);
        if issuer == Some("") {
            return Err(UnfitOrder::Empty("issuer"));
        }
        if let Some(issuer) = issuer
            && !self.verifier.may_be_of(issuer)
        {
            return Err(UnfitOrder::UnknownIssuer(self.verifier.pinned_issuers()));
        }
        let until = self.accepted_until_latest(now);
        let entries = |ids: fn(&Verifier, OperatorName<'_>) -> Vec<Id>| {
            let named = meant.iter().map(|name| OperatorName { kind, issuer, name });
            let ids = named.flat_map(|named| ids(&self.verifier, named));
            ids.map(|id| entry(id, until)).collect::<Vec<_>>()
        };
        let revocations = entries(Verifier::operator_digests);
        let by_logout = entries(Verifier::logout_digests);
        let first = by_logout.first().or(revocations.first());
        Ok(PlannedOrder {
            id: first.map(Revocation::id).ok_or(UnfitOrder::OnlyOpaque)?,
            revocations,
            by_logout,
            is_one: kind == IdKind::Token,
            notes: Vec::new(),
        })
    }

    /// Until when a token that this shop issues now could be accepted.
    fn accepted_until_latest(&self, now: UnixTime) -> UnixTime {
        let life = self.verifier.longest_life();
        let latest = now.max(self.clock.shop_time(now));
        life.map_or(UnixTime::FOREVER, |life| latest.plus(life))
    }

    fn takes_opaque(&self) -> bool {
        let mut kinds = self.places.iter().map(|place| place.kind);
        self.verifier.kind() != TokenKind::Jwt || kinds.any(|kind| kind != TokenKind::Jwt)
    }

    /// Refuses orders about customers or times at shops whose tokens name neither.
    fn refuse_only_opaque(&self) -> Result<(), UnfitOrder> {
        self.verifier
            .name_customers()
            .then_some(())
            .ok_or(UnfitOrder::OnlyOpaque)
    }

    /// Notes that opaque tokens are not reached, unless the shop is asked about their customers.
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
}

impl PlannedOrder {
    /// Compares it with the revocations in force and with the cached tokens.
    fn against(mut self, seen: &[SeenToken], live: &Revocations, now: UnixTime) -> OperatorOrder {
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
        OperatorOrder {
            id: self.id,
            is_news: !is_old,
            seen_tokens: alive,
            revocations: self.revocations,
            notes: self.notes,
        }
    }
}

/// An entry for a token whose end is not known.
fn undated_token(id: Id, until: UnixTime) -> Revocation {
    Revocation::Token {
        id,
        window: Window::UNDATED,
        until,
        source: Source::Verified,
    }
}

/// The spellings of a name: without the white space around it, and as it was typed.
fn name_spellings<'n>(
    what: &'static str,
    text: &'n str,
) -> Result<SmallVec<[&'n str; 2]>, UnfitOrder> {
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
