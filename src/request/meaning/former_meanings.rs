//! What a shop's tokens were called under former configurations, as long as an entry lives that was made under one.
//!
//! A former meaning can only find a dead token: it makes nothing a credential, and no entry is made under it.

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
    /// Which they are, and when each was last used.
    digest: key_ring::FormersDigest,
    /// Where tokens stood and stand no more, or were written otherwise.
    places: Vec<Place>,
}

/// A former meaning that is honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Honoured {
    /// The shop that it was said of.
    pub shop: String,
    /// What it says otherwise than the shop does now: keys of the configuration.
    pub differs: Vec<&'static str>,
    /// When an entry was last made under it.
    pub used: UnixTime,
    /// Until when the last of its entries is kept.
    pub until: UnixTime,
}

/// One of them.
struct FormerMeaning {
    /// What the journal says of it.
    text: String,
    issuers: Vec<FormerIssuer>,
    main: usize,
    honoured: Honoured,
}

struct FormerIssuer {
    issuer: Issuer,
    /// Whose tokens it is about.
    successors: Successors,
}

/// The issuers whose tokens a former issuer named.
#[derive(Clone, Copy)]
enum Successors {
    /// Those with the same keys.
    WithKeys(Option<u32>),
    /// All of the shop: its keys were exchanged.
    All,
    /// None: its keys verify for another shop now, or never did for this one.
    None,
}

/// A token that says that it was issued so long after a meaning was last used was never named by it, except by its
/// session. Beside [`Meaning::USED_EVERY`], how far a shop's clock may be ahead where its tokens are taken.
const NEW_AFTER: Duration = Duration::from_hours(25);

impl FormerMeanings {
    /// What a shop honours of these meanings beside its own; `others` are those of the shops that are served with it.
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

    /// Tells them from others.
    pub(in crate::request) fn digest(&self) -> key_ring::FormersDigest {
        self.digest
    }

    /// Whether there is none, as mostly.
    pub(in crate::request) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Where tokens stood under one of them, and do not now.
    pub(in crate::request) fn places(&self) -> &[Place] {
        &self.places
    }

    /// All of them.
    pub(in crate::request) fn honoured(&self) -> impl Iterator<Item = &Honoured> {
        self.all.iter().map(|former| &former.honoured)
    }

    /// Their texts in the journal.
    pub(in crate::request) fn texts(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|former| former.text.as_str())
    }

    /// The issuers whose tokens come here still.
    fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        let issuers = self.all.iter().flat_map(|former| &former.issuers);
        let issuers = issuers.filter(|one| !matches!(one.successors, Successors::None));
        issuers.map(|one| &one.issuer)
    }

    /// Whether tokens that named their customer come here still.
    pub(in crate::request) fn name_customers(&self) -> bool {
        let mut issuers = self.issuers();
        issuers.any(|one| !one.settings().algorithms.is_empty() || one.asked().is_some())
    }

    /// Whether a token with this `iss` was good.
    pub(in crate::request) fn may_be_of(&self, issuer: &str) -> bool {
        self.issuers().any(|one| one.may_be_of(issuer))
    }

    /// All customers whose tokens were good.
    pub(in crate::request) fn all_customers(&self) -> impl Iterator<Item = Id> {
        self.issuers().map(Issuer::all_customers)
    }

    /// Everything by which the tokens were refused that an operator names.
    pub(in crate::request) fn operator_digests(
        &self,
        named: OperatorName<'_>,
    ) -> impl Iterator<Item = Id> {
        self.issuers()
            .flat_map(move |one| one.operator_digests(named))
    }

    /// What a token was called that `issuer` has just verified, beside `current`.
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
                    // A session does not come back, whenever its tokens were issued.
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

    /// What a text was called that is taken for an opaque token: by the names in it, if it has the shape of a JWT. They
    /// are not verified, and so can only make it the dead token that it says it is.
    pub(in crate::request) fn identities_of_opaque(&self, text: &str) -> Vec<Identity> {
        let Some((token, payload)) = parse_unverified(text).filter(|_| !self.is_empty()) else {
            return Vec::new();
        };
        let identities = self.issuers();
        let identities = identities.filter_map(|one| one.identity_unverified(&token, &payload));
        identities.collect()
    }

    /// What a token was called of which the shop says this; `id` is what it is called now.
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

    /// The digests of an opaque token of this text, known by this name or by what was its name under each of them.
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
    /// Whether it named the tokens of this issuer of today.
    fn names(&self, issuer: &Issuer) -> bool {
        match self.successors {
            Successors::WithKeys(mark) => issuer.key_mark() == mark,
            Successors::All => true,
            Successors::None => false,
        }
    }
}

/// The parts of a text that may be a JWT.
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
    let issuers = said.names.issuers.iter().zip(&said.keys);
    let issuers = issuers.map(|(names, mark)| {
        let issuer = names.to_issuer()?;
        let is_own = mark.is_some() && own.keys.contains(mark);
        let is_elsewhere = mark.is_some() && others.iter().any(|other| other.keys.contains(mark));
        let successors = if is_own {
            Successors::WithKeys(*mark)
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
    /// Whether tokens that another meaning named may come to this shop: it is the same shop, or has hosts that it left, or a
    /// key of it. A key proves nothing while another shop is the one that said it: that one's logouts are its own.
    fn may_receive_tokens_of(&self, said: &Self, others: &[Self]) -> bool {
        if self.follows(said, others)
            || self.has_hosts_left_by(said)
            || said.has_hosts_left_by(self)
        {
            return true;
        }
        let has_key = |mark: &Option<u32>| mark.is_some() && self.keys.contains(mark);
        said.keys.iter().any(has_key) && !others.iter().any(|other| other.follows(said, &[]))
    }

    /// Whether it is the same shop for all that can be seen but its keys. The name alone says so of tokens without keys, as long
    /// as no other shop has the hosts of before: names may be exchanged, and taken from a shop that is no more.
    fn follows(&self, said: &Self, others: &[Self]) -> bool {
        let is_elsewhere = || others.iter().any(|other| other.shares_host(said));
        self.shares_host(said)
            || (self.hosts.is_empty() && said.hosts.is_empty())
            || self.names.share_domain(&said.names)
            || (self.shop == said.shop && said.keys.iter().all(Option::is_none) && !is_elsewhere())
    }

    fn shares_host(&self, other: &Self) -> bool {
        self.hosts.iter().any(|host| other.hosts.contains(host))
    }

    /// Whether it has all hosts that are left, and one of another's is among them.
    fn has_hosts_left_by(&self, other: &Self) -> bool {
        let is_left = |host: &String| !self.beside.contains(host);
        self.hosts.is_empty() && other.hosts.iter().any(is_left)
    }
}
