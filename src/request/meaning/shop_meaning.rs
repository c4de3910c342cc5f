//! What the names of a shop's tokens mean, as a text for the journal: the claims they are read from, and where tokens stand.

use http::HeaderName;
use jsonwebtoken::Algorithm;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::request::credential::{
    Carrier, Decoding, Fold, NamePattern, Occasions, Place, PlaceCounts, Spelling,
};
use crate::request::introspection::ResponsePointers;
use crate::request::payload::Pointer;
use crate::request::token::{Claims, Issuer, TokenKind, TokenSettings};

/// What the names of one shop's tokens mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::request) struct ShopMeaning {
    /// The name of the shop.
    pub(in crate::request) shop: String,
    /// Its hosts; empty: all that no other shop claims.
    pub(in crate::request) hosts: Vec<String>,
    /// The paths that it claims of them; empty: every path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::request) paths: Vec<String>,
    /// The hosts of the other shops, if it has all remaining ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::request) beside: Vec<String>,
    /// What shops before it claim of its hosts: each a host and a path, or a path of every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::request) taken: Vec<String>,
    /// The token domains of other shops that have a key of this one and share no logouts with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::request) keyed: Vec<String>,
    /// The first mark of the keys of each issuer: see [`Issuer::key_marks`].
    pub(in crate::request) keys: Vec<Option<u32>>,
    /// The further marks of each issuer; empty: no issuer has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::request) more_keys: Vec<Vec<u32>>,
    /// The meaning proper.
    pub(in crate::request) names: Names,
}

/// The part of a meaning by which two are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::request) struct Names {
    pub(in crate::request) issuers: Vec<IssuerNames>,
    /// The position of the issuer of opaque tokens.
    pub(in crate::request) main: usize,
    pub(in crate::request) places: Vec<PlaceText>,
}

/// How the tokens of one issuer are named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::request) struct IssuerNames {
    domain: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    own_hosts: Vec<String>,
    algorithms: Vec<Algorithm>,
    issuers: Vec<String>,
    key_ids: Vec<String>,
    claims: Claims,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opaque_pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<ResponsePointers>,
}

/// Where tokens stand, and how they are written there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::request) struct PlaceText {
    carrier: CarrierText,
    kind: TokenKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decode: Vec<Decoding>,
    #[serde(default, skip_serializing_if = "is_plain")]
    fold: Fold,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_plain(fold: &Fold) -> bool {
    *fold == Fold::default()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CarrierText {
    Schemed(String, Vec<String>),
    Raw(String),
    Cookie(String, Vec<String>),
    Query(String),
    Json(Pointer),
    Form(String),
    GraphQl(String),
    Path,
    Subprotocol(String),
}

impl ShopMeaning {
    /// The meaning of these issuers and places, without the shop's name and hosts. `main`: see [`Names`].
    pub(in crate::request) fn from_issuers(
        (issuers, main): (&[Issuer], usize),
        places: &[Place],
    ) -> Self {
        let marks = issuers.iter().map(Issuer::key_marks);
        let (keys, mut more_keys): (Vec<_>, Vec<_>) = marks
            .map(|marks| {
                let more = marks.iter().skip(1).copied().collect::<Vec<_>>();
                (marks.first().copied(), more)
            })
            .unzip();
        if more_keys.iter().all(Vec::is_empty) {
            more_keys.clear();
        }
        Self {
            shop: String::new(),
            hosts: Vec::new(),
            paths: Vec::new(),
            beside: Vec::new(),
            taken: Vec::new(),
            keyed: Vec::new(),
            keys,
            more_keys,
            names: Names {
                issuers: issuers.iter().map(IssuerNames::from_issuer).collect(),
                main,
                places: places.iter().map(PlaceText::from_place).collect(),
            },
        }
    }

    /// Reads a text of the journal; `None`: it is none that this version can read.
    pub(in crate::request) fn parse(text: &str) -> Option<Self> {
        let read: Self = serde_json::from_str(text).ok()?;
        let is_whole = read.names.main < read.names.issuers.len()
            && read.keys.len() == read.names.issuers.len()
            && [0, read.keys.len()].contains(&read.more_keys.len());
        is_whole.then_some(read)
    }

    /// The marks of the keys of each issuer.
    pub(in crate::request) fn marks(&self) -> impl Iterator<Item = Vec<u32>> {
        let keys = self.keys.iter().enumerate();
        keys.map(|(at, first)| {
            let more = self.more_keys.get(at).into_iter().flatten();
            first.iter().chain(more).copied().collect()
        })
    }

    /// Whether one of its issuers has one of these marks.
    pub(in crate::request) fn has_mark_of(&self, marks: &[u32]) -> bool {
        self.marks().flatten().any(|mark| marks.contains(&mark))
    }

    /// The text for the journal.
    pub(in crate::request) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // strings and numbers: it can't fail
    }
}

impl Names {
    /// The keys of the configuration that differ from another meaning.
    pub(in crate::request) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut told = Vec::new();
        let mut tell = |word, differs: bool| {
            if differs && !told.contains(&word) {
                told.push(word);
            }
        };
        let pairs = self.issuers.iter().zip(&other.issuers);
        tell("issuers", self.issuers.len() != other.issuers.len());
        for (one, two) in pairs {
            tell("token_domain", one.domain != two.domain);
            tell("hosts", one.own_hosts != two.own_hosts);
            tell("algorithms", one.algorithms != two.algorithms);
            tell("issuer", one.issuers != two.issuers);
            tell("kid", one.key_ids != two.key_ids);
            tell("claims", one.claims != two.claims);
            tell("opaque_pattern", one.opaque_pattern != two.opaque_pattern);
            tell("ask", one.asked != two.asked);
        }
        tell("kind", self.main != other.main);
        tell("credential", self.places != other.places);
        told
    }
}

impl IssuerNames {
    fn from_issuer(issuer: &Issuer) -> Self {
        let settings = issuer.settings();
        Self {
            domain: settings.token_domain.clone(),
            own_hosts: issuer.own_hosts().to_vec(),
            algorithms: settings.algorithms.clone(),
            issuers: settings.issuers.clone(),
            key_ids: settings.key_ids.clone(),
            claims: settings.claims.clone(),
            opaque_pattern: settings.opaque_pattern.as_ref().map(Regex::to_string),
            asked: issuer.asked().cloned(),
        }
    }

    /// An issuer that names tokens so. It verifies none.
    pub(in crate::request) fn to_issuer(&self) -> Option<Issuer> {
        let pattern = self.opaque_pattern.as_deref().map(Regex::new);
        let settings = TokenSettings {
            opaque_pattern: pattern.transpose().ok()?,
            ..TokenSettings::for_names_only(
                self.domain.clone(),
                self.algorithms.clone(),
                self.issuers.clone(),
                self.key_ids.clone(),
                self.claims.clone(),
            )
        };
        let mut issuer = Issuer::for_names_only(settings, self.asked.clone());
        issuer.own_domain(self.own_hosts.clone());
        Some(issuer)
    }
}

impl PlaceText {
    pub(in crate::request) fn from_place(place: &Place) -> Self {
        Self {
            carrier: CarrierText::from_carrier(&place.carrier),
            kind: place.kind,
            pattern: place.spelling.pattern.as_ref().map(Regex::to_string),
            decode: place.spelling.decode.clone(),
            fold: place.spelling.fold,
        }
    }

    /// A place whose tokens are only looked up in the revocations.
    pub(in crate::request) fn to_former_place(&self) -> Option<Place> {
        let pattern = self.pattern.as_deref().map(Regex::new);
        Some(Place {
            carrier: self.carrier.to_carrier()?,
            kind: match self.kind {
                TokenKind::Opaque => TokenKind::Opaque,
                TokenKind::Jwt | TokenKind::Auto => TokenKind::Auto, // its keys may be gone
            },
            at: Occasions::NONE,
            spelling: Spelling {
                pattern: pattern.transpose().ok()?,
                decode: self.decode.clone(),
                fold: self.fold,
            },
            counts: PlaceCounts::default(),
        })
    }
}

impl CarrierText {
    fn from_carrier(carrier: &Carrier) -> Self {
        match carrier {
            Carrier::Schemed { name, schemes } => Self::Schemed(name.to_string(), schemes.clone()),
            Carrier::Raw(name) => Self::Raw(name.to_string()),
            Carrier::Cookie { name, join } => {
                let join = join.iter().map(ToString::to_string);
                Self::Cookie(name.to_string(), join.collect())
            }
            Carrier::Query(name) => Self::Query(name.clone()),
            Carrier::Json(pointer) => Self::Json(pointer.clone()),
            Carrier::Form(name) => Self::Form(name.clone()),
            Carrier::GraphQl(name) => Self::GraphQl(name.clone()),
            Carrier::Path => Self::Path,
            Carrier::Subprotocol(name) => Self::Subprotocol(name.to_string()),
        }
    }

    fn to_carrier(&self) -> Option<Carrier> {
        let header = |name: &str| HeaderName::try_from(name).ok();
        let pattern = |name: &String| NamePattern::parse(name).ok();
        Some(match self {
            Self::Schemed(name, schemes) => Carrier::Schemed {
                name: header(name)?,
                schemes: schemes.clone(),
            },
            Self::Raw(name) => Carrier::Raw(header(name)?),
            Self::Cookie(name, join) => Carrier::Cookie {
                name: pattern(name)?,
                join: join.iter().map(pattern).collect::<Option<_>>()?,
            },
            Self::Query(name) => Carrier::Query(name.clone()),
            Self::Json(pointer) => Carrier::Json(pointer.clone()),
            Self::Form(name) => Carrier::Form(name.clone()),
            Self::GraphQl(name) => Carrier::GraphQl(name.clone()),
            Self::Path => Carrier::Path,
            Self::Subprotocol(name) => Carrier::Subprotocol(pattern(name)?),
        })
    }
}

impl ShopMeaning {
    /// Whether a shop of one of the token domains of this one had a key of it, too.
    pub(in crate::request) fn shared_keys_with(&self, now: &Self) -> bool {
        let mut issuers = now.names.issuers.iter();
        issuers.any(|one| self.keyed.contains(&one.domain))
    }
}

impl Names {
    /// Whether both have tokens of one token domain.
    pub(in crate::request) fn share_domain(&self, other: &Self) -> bool {
        let domain = |one: &IssuerNames| (one.domain.clone(), one.own_hosts.clone());
        let mut domains = other.issuers.iter().map(domain);
        domains.any(|there| self.issuers.iter().any(|one| domain(one) == there))
    }
}
