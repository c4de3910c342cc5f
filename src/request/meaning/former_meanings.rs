//! The names of a shop's tokens under former configurations, honoured while an entry that was made under one is kept.
//!
//! A former meaning only finds revoked tokens: it makes nothing a credential, and no entry is made under it.

use std::time::Duration;

use serde_json::Value;

use super::shop_meaning::{PlaceText, ShopMeaning};
use crate::clock::UnixTime;
use crate::request::credential::{Place, trimmed};
use crate::request::introspection::IntrospectionResponse;
use crate::request::token::{
    Compact, Issuer, OperatorName, decode_object, has_jwt_shape, key_ring,
};
use crate::revocation::{Cause, Id, Identity, Meaning};

/// The former meanings that one shop honours.
#[derive(Default)]
pub(in crate::request) struct FormerMeanings {
    all: Vec<FormerMeaning>,
    /// The digest of their texts, and of when each was last used.
    digest: key_ring::FormersDigest,
    /// The places that are no longer configured, or are written differently now.
    places: Vec<Place>,
}

/// A former meaning that is honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Honoured {
    /// The name of the shop then.
    pub shop: String,
    /// The keys of the configuration that differ from those now.
    pub differs: Vec<&'static str>,
    /// When an entry was last made under it.
    pub used: UnixTime,
    /// Until when its last entry is kept.
    pub until: UnixTime,
}

/// A former meaning.
struct FormerMeaning {
    /// Its text in the journal.
    text: String,
    issuers: Vec<FormerIssuer>,
    main: usize,
    honoured: Honoured,
}

struct FormerIssuer {
    issuer: Issuer,
    /// The issuers of today whose tokens it named.
    successors: Successors,
}

/// The issuers of today whose tokens a former issuer named.
enum Successors {
    /// Those with one of the same keys, by their marks.
    WithKeys(Vec<u32>),
    /// All issuers of the shop: its keys were replaced.
    All,
    /// None: its keys are now those of another shop, or never were those of this one.
    None,
}

/// A former meaning does not name a token that was issued so long after its last use, except by its session. The span
/// covers [`Meaning::USED_EVERY`] and how far the clock of a shop may be ahead.
const NEW_AFTER: Duration = Duration::from_hours(25);

impl FormerMeanings {
    /// Selects the meanings that a shop honours beside its own. `others`: the meanings of the other shops of the configuration.
    pub(in crate::request) fn select(
        own: &ShopMeaning,
        others: &[ShopMeaning],
        meanings: &[Meaning],
        now: UnixTime,
    ) -> Self {
        let alive = meanings.iter().filter(|meaning| meaning.until >= now);
        let read = alive.filter_map(|meaning| Some((ShopMeaning::parse(&meaning.text)?, meaning)));
        let mut known: Vec<_> = read
            .filter(|(said, _)| said.names != own.names && own.may_receive_tokens_of(said, others))
            .collect();
        known.sort_by_key(|(_, meaning)| std::cmp::Reverse((meaning.used, meaning.until)));
        let mut digest = blake3::Hasher::new();
        let mut formers = Self::default();
        let mut texts: Vec<PlaceText> = own.names.places.clone();
        for (said, meaning) in known {
            let Some(issuers) = issuers_of(&said, own, others) else {
                continue;
            };
            digest.update(meaning.text.as_bytes());
            digest.update(&meaning.used.seconds().to_le_bytes());
            for place in &said.names.places {
                if !texts.contains(place) {
                    texts.push(place.clone());
                    formers.places.extend(place.to_former_place());
                }
            }
            formers.all.push(FormerMeaning {
                text: meaning.text.clone(),
                issuers,
                main: said.names.main,
                honoured: Honoured {
                    differs: own.names.differences(&said.names),
                    shop: said.shop,
                    used: meaning.used,
                    until: meaning.until,
                },
            });
        }
        if !formers.is_empty() {
            formers.digest = digest.finalize().into();
        }
        formers
    }

    /// Their digest, which tells them from others.
    pub(in crate::request) fn digest(&self) -> key_ring::FormersDigest {
        self.digest
    }

    /// Whether there is none, as in most shops.
    pub(in crate::request) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The places of one of them that are not configured now.
    pub(in crate::request) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The meanings, for the operator.
    pub(in crate::request) fn honoured(&self) -> impl Iterator<Item = &Honoured> {
        self.all.iter().map(|former| &former.honoured)
    }

    /// Their texts in the journal.
    pub(in crate::request) fn texts(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|former| former.text.as_str())
    }

    /// The former issuers whose tokens this shop still receives.
    fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        let issuers = self.all.iter().flat_map(|former| &former.issuers);
        let issuers = issuers.filter(|one| !matches!(one.successors, Successors::None));
        issuers.map(|one| &one.issuer)
    }

    /// Whether the shop still receives tokens of a former issuer that name their customer.
    pub(in crate::request) fn name_customers(&self) -> bool {
        let mut issuers = self.issuers();
        issuers.any(|one| !one.settings().algorithms.is_empty() || one.asked().is_some())
    }

    /// Whether a former issuer accepted this `iss`.
    pub(in crate::request) fn may_be_of(&self, issuer: &str) -> bool {
        self.issuers().any(|one| one.may_be_of(issuer))
    }

    /// The digests of all customers, one for each former token domain.
    pub(in crate::request) fn all_customers(&self) -> impl Iterator<Item = Id> {
        self.issuers().map(Issuer::all_customers)
    }

    /// The digests that refused the tokens that an operator names.
    pub(in crate::request) fn operator_digests(
        &self,
        named: OperatorName<'_>,
    ) -> impl Iterator<Item = Id> {
        self.issuers()
            .flat_map(move |one| one.operator_digests(named))
    }

    /// The former identities of a token that `issuer` has just verified, as far as they differ from `current`.
    pub(in crate::request) fn identities_of_verified(
        &self,
        issuer: &Issuer,
        token: &Compact<'_>,
        text: &str,
        current: &Identity,
    ) -> Vec<Identity> {
        let Ok(payload) = decode_object(token.payload) else {
            return Vec::new();
        };
        let mut identities = Vec::new();
        for former in &self.all {
            for one in former.issuers.iter().filter(|one| one.names(issuer)) {
                let Some(mut identity) = one.issuer.identity_unverified(token, &payload) else {
                    continue;
                };
                let known_from = former.honoured.used.plus(NEW_AFTER);
                let moments = [identity.issued_at, current.issued_at];
                let is_new = |at: &Option<UnixTime>| at.is_some_and(|at| at >= known_from);
                if moments.iter().all(is_new) {
                    // A revoked session stays revoked for tokens of any issue time.
                    identity
                        .groups
                        .retain(|group| group.cause == Cause::Session);
                    (identity.id, identity.window) = (current.id, current.window);
                }
                identities.push(identity);
            }
            let digests = former.digests(text, text);
            identities.extend(digests.into_iter().map(Identity::undated));
        }
        identities.retain_mut(|identity| identity.retain_news(current));
        identities
    }

    /// The former identities of an opaque token: by the claims in it, if it has the shape of a JWT. They are not verified, and
    /// can only make it a revoked token.
    pub(in crate::request) fn identities_of_opaque(&self, text: &str) -> Vec<Identity> {
        let Some((token, payload)) = parse_unverified(text).filter(|_| !self.is_empty()) else {
            return Vec::new();
        };
        let identities = self.issuers();
        let identities = identities.filter_map(|one| one.identity_unverified(&token, &payload));
        identities.collect()
    }

    /// The former identities of a token about which the shop said this. `id`: its id now.
    pub(in crate::request) fn identities_of_confirmed(
        &self,
        id: Id,
        said: &IntrospectionResponse,
    ) -> Vec<Identity> {
        let mains = self.all.iter().map(|former| &former.issuers[former.main]);
        let mains = mains.filter(|main| !matches!(main.successors, Successors::None));
        let identity = |main: &FormerIssuer| {
            let naming = &main.issuer;
            let read = naming.asked().map(|pointers| said.with_pointers(pointers));
            let read = read.as_ref().unwrap_or(said);
            let issuer = naming.settings().only_issuer();
            Identity {
                groups: naming.groups(issuer, None, read.subject.as_deref()),
                issued_at: read.issued_at,
                ..Identity::undated(id)
            }
        };
        mains.map(identity).collect()
    }

    /// The former digests of an opaque token: by this token key, by the former ones, and by the whole text.
    pub(in crate::request) fn digests(&self, text: &str, name: &str) -> impl Iterator<Item = Id> {
        self.all
            .iter()
            .flat_map(move |former| former.digests(text, name))
    }
}

impl FormerMeaning {
    fn main(&self) -> &Issuer {
        &self.issuers[self.main].issuer
    }

    fn digests(&self, text: &str, name: &str) -> [Id; 3] {
        let main = self.main();
        let part = main.settings().token_key(text);
        [trimmed(name), trimmed(part), text].map(|name| main.opaque_digest(name))
    }
}

impl FormerIssuer {
    /// Whether it named the tokens of this issuer.
    fn names(&self, issuer: &Issuer) -> bool {
        match &self.successors {
            Successors::WithKeys(marks) => {
                issuer.key_marks().iter().any(|mark| marks.contains(mark))
            }
            Successors::All => true,
            Successors::None => false,
        }
    }
}

/// The parts and the payload of an unverified JWT.
pub(in crate::request) fn parse_unverified(text: &str) -> Option<(Compact<'_>, Value)> {
    if !has_jwt_shape(text) {
        return None;
    }
    let token = Compact::parse(text).ok()?;
    let payload = decode_object(token.payload).ok()?;
    Some((token, payload))
}

fn issuers_of(
    said: &ShopMeaning,
    own: &ShopMeaning,
    others: &[ShopMeaning],
) -> Option<Vec<FormerIssuer>> {
    let follows = own.follows(said, others);
    let issuers = said.names.issuers.iter().zip(said.marks());
    let issuers = issuers.map(|(names, marks)| {
        let issuer = names.to_issuer()?;
        let is_own = own.has_mark_of(&marks);
        let has_left = |mark: &u32| {
            others
                .iter()
                .any(|other| other.has_mark_of(std::slice::from_ref(mark)))
        };
        let is_elsewhere = !marks.is_empty() && marks.iter().all(has_left);
        let successors = if is_own {
            Successors::WithKeys(marks)
        } else if is_elsewhere || !follows {
            Successors::None
        } else {
            Successors::All
        };
        Some(FormerIssuer { issuer, successors })
    });
    issuers.collect()
}

impl ShopMeaning {
    /// Whether this shop may receive tokens that a meaning named: it is the same shop, or has hosts or a key of that one. A
    /// key does not count where both shops had it then, each with logouts of its own.
    fn may_receive_tokens_of(&self, said: &Self, others: &[Self]) -> bool {
        if self.follows(said, others)
            || self.has_hosts_left_by(said)
            || said.has_hosts_left_by(self)
        {
            return true;
        }
        let mut marks = said.marks();
        marks.any(|marks| self.has_mark_of(&marks)) && !said.shared_keys_with(self)
    }

    /// Whether it is the same shop, apart from its keys: by its hosts and paths, or its token domain. The name counts for a shop that has
    /// moved to other paths, and for tokens without keys, and only if no other shop has taken its place: names may be swapped, or
    /// reused after a shop was removed.
    fn follows(&self, said: &Self, others: &[Self]) -> bool {
        let is_elsewhere = || others.iter().any(|other| other.shares_requests(said));
        self.shares_requests(said)
            || self.names.share_domain(&said.names)
            || self.has_moved_from(said, others)
            || (self.shop == said.shop
                && said.marks().all(|marks| marks.is_empty())
                && !is_elsewhere())
    }
}
