//! What is remembered of a logout: digests and times, never a token.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::clock::UnixTime;

/// A 128-bit digest that names one token, session, customer or token domain.
///
/// It is the prefix of BLAKE3 over an unambiguous input: the kind, then every part with its length
/// before it. It is equal on all nodes, so it holds no key; a part can't be confused with its neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 16]);

/// What an [`Id`] names. The number is part of the digest's input: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IdKind {
    /// A token by the id claim that its issuer gave it (`jti`, RFC 7519 section 4.1.7).
    Token = 1,
    /// A token without an id, by its signing input `header.payload`; or an opaque one, by all of it.
    Fingerprint = 2,
    /// A session (`sid`).
    Session = 3,
    /// A customer (`sub`).
    Subject = 4,
    /// All customers whose tokens are accepted in a token domain.
    TokenDomain = 5,
    /// A token that one cutoff spares: all of the customer's others ended with it.
    Spared = 6,
    /// A token that the shop has accepted where it demands one.
    Accepted = 7,
}

/// The input of a digest that needs no memory of its own: longer than nearly every id, session or opaque token.
const INLINE_BYTES: usize = 512;

/// Writes what is hashed: every part with its length before it, so that no two lists of parts look alike.
fn write_input(mut input: impl Write, kind: IdKind, parts: &[&[u8]]) -> io::Result<()> {
    input.write_all(b"doorward id 1")?;
    input.write_all(&[kind as u8])?;
    for part in parts {
        input.write_all(&(part.len() as u64).to_le_bytes())?;
        input.write_all(part)?;
    }
    Ok(())
}

impl Id {
    /// The digest of `parts`, for instance token domain, issuer and id.
    pub fn digest(kind: IdKind, parts: &[&[u8]]) -> Self {
        // In one piece, which is hashed in half the time that it takes piece by piece.
        let mut room = [0; INLINE_BYTES];
        let mut free = &mut room[..];
        let hash = if write_input(&mut free, kind, parts).is_ok() {
            let length = INLINE_BYTES - free.len();
            blake3::hash(&room[..length])
        } else {
            let mut hasher = blake3::Hasher::new();
            let _ = write_input(&mut hasher, kind, parts); // a hasher takes everything
            hasher.finalize()
        };
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        Self(id)
    }

    /// The digest by which a cutoff of this moment spares a token.
    ///
    /// The moment is part of it, so that a later logout of the customer ends this token, too. It is kept like a
    /// revoked id, in the same rows.
    pub fn spared(token: &Self, not_before: UnixTime) -> Self {
        let moment = not_before.seconds().to_le_bytes();
        Self::digest(IdKind::Spared, &[&token.0, &moment])
    }

    /// The digest by which it is known that the shop has accepted a token. It is kept like a revoked id, in the same
    /// rows, and refuses nothing.
    pub fn accepted(token: &Self) -> Self {
        Self::digest(IdKind::Accepted, &[&token.0])
    }

    /// The digest of a whole token domain.
    pub fn of_token_domain(domain: &str) -> Self {
        Self::digest(IdKind::TokenDomain, &[domain.as_bytes()])
    }

    /// The id whose digest is already known, for instance read from the journal.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The digest itself.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Id {
    /// The first two bytes: enough to tell two apart in a failing test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "Id({first:02x}{second:02x}…)")
    }
}

/// The ten minutes in which a token's own `expires_at` falls, rounded up.
///
/// Nothing else may name a token's window: a change of configuration must not move an entry away from
/// where the next check looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window(u32);

impl Window {
    /// How many seconds of end times share a window.
    const SECONDS: u64 = 600;

    /// Where ids are kept whose token has no `expires_at`, or whose `expires_at` is not known.
    pub const UNDATED: Self = Self(u32::MAX);

    /// The last `expires_at` that has a window, some 80,000 years from now.
    pub const LAST_MOMENT: UnixTime = UnixTime::from_seconds(Self::SECONDS * (u32::MAX as u64 - 1));

    /// The window of a token that expires then; `None` is a token that never says.
    pub fn of(expires_at: Option<UnixTime>) -> Self {
        let Some(end) = expires_at else {
            return Self::UNDATED;
        };
        let number = end.seconds().div_ceil(Self::SECONDS);
        Self(u32::try_from(number).map_or(u32::MAX - 1, |number| number.min(u32::MAX - 1)))
    }

    /// The last moment of it.
    pub const fn end(self) -> UnixTime {
        UnixTime::from_seconds(self.0 as u64 * Self::SECONDS)
    }

    /// The window with that number, as the journal wrote it.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number that the journal writes.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What an entry rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A verified token, or the operator.
    Verified,
    /// A credential that could not be verified. It names nothing but itself, and its entries count
    /// against the limit of the shop with this tag.
    Unverified(ShopTag),
}

/// A shop's short name in the journal: 32 bits of the digest of its name, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShopTag(u32);

impl ShopTag {
    /// The tag of the shop with this name.
    pub fn from_name(shop: &str) -> Self {
        let [a, b, c, d, ..] = *Id::of_token_domain(shop).bytes();
        Self(u32::from_le_bytes([a, b, c, d]).max(1))
    }
}

impl Source {
    /// The number that the journal writes: zero is a verified source.
    pub const fn number(self) -> u32 {
        match self {
            Self::Verified => 0,
            Self::Unverified(ShopTag(tag)) => tag,
        }
    }

    /// The source with that number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Verified,
            tag => Self::Unverified(ShopTag(tag)),
        }
    }
}

/// One thing to remember. Merging two is commutative, associative and idempotent: ids only come to the
/// set, and the later of two moments wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// This token is dead; or this session, whose tokens are dead whenever they were issued: it does not come back.
    Token {
        /// Which one.
        id: Id,
        /// Where a check looks for it.
        window: Window,
        /// Until when its token could be accepted anywhere; kept until then.
        until: UnixTime,
        /// What it rests on.
        source: Source,
    },
    /// Every token of this customer or token domain that was issued before a moment is dead.
    Cutoff {
        /// Which customer or token domain.
        id: Id,
        /// Tokens issued before this are dead.
        not_before: UnixTime,
        /// Until when such a token could be accepted anywhere; kept until then.
        until: UnixTime,
    },
    /// When something happened to a token or a customer, for tokens without an issue time.
    Date {
        /// Which token or customer.
        id: Id,
        /// What happened.
        kind: DateKind,
        /// When, by the clock of the node that saw it, in milliseconds since the epoch.
        at_ms: u64,
        /// Until when such a token could be accepted anywhere; kept until then.
        until: UnixTime,
    },
}

/// What a [`Revocation::Date`] is the date of. The numbers stand in journals and rows: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DateKind {
    /// A node saw the token for the first time. Of two the earlier counts.
    Seen = 1,
    /// An answer of the shop handed the token out. Of two the earlier counts.
    Issued = 2,
    /// An answer of the shop handed a dead token out again, and the operator lets it live. Of two the later counts.
    Revived = 3,
    /// The customer's tokens ended, or this token did. Of two the later counts.
    Ended = 4,
}

impl DateKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Seen, Self::Issued, Self::Revived, Self::Ended];

    /// The kind with that number.
    pub fn from_number(number: u8) -> Option<Self> {
        let is_it = |kind: &Self| *kind as u8 == number;
        Self::ALL.into_iter().find(is_it)
    }

    /// Whether of two dates the earlier counts.
    pub const fn is_earliest(self) -> bool {
        match self {
            Self::Seen | Self::Issued => true,
            Self::Revived | Self::Ended => false,
        }
    }
}

impl Revocation {
    /// What makes this cutoff spare a token; nothing, if it is none.
    pub fn sparing(&self, token: Id) -> Option<Self> {
        match *self {
            Self::Cutoff {
                not_before, until, ..
            } => Some(Self::Token {
                id: Id::spared(&token, not_before),
                window: Window::UNDATED,
                until,
                source: Source::Verified,
            }),
            Self::Token { .. } | Self::Date { .. } => None,
        }
    }

    /// What it is about.
    pub const fn id(&self) -> Id {
        match self {
            Self::Token { id, .. } | Self::Cutoff { id, .. } | Self::Date { id, .. } => *id,
        }
    }

    /// Until when it is kept.
    pub const fn until(&self) -> UnixTime {
        match self {
            Self::Token { until, .. } | Self::Cutoff { until, .. } | Self::Date { until, .. } => {
                *until
            }
        }
    }

    /// Whether it is about a token or a session, not about all that were issued before a moment.
    pub const fn is_token(&self) -> bool {
        matches!(self, Self::Token { .. })
    }

    /// The token and its source, if only an unverified credential speaks for it.
    pub const fn unverified_token(&self) -> Option<(Id, Source)> {
        match *self {
            Self::Token {
                id,
                source: source @ Source::Unverified(_),
                ..
            } => Some((id, source)),
            Self::Token { .. } | Self::Cutoff { .. } | Self::Date { .. } => None,
        }
    }

    /// The same token resting on this source, kept until then; other revocations are unchanged.
    #[must_use]
    pub const fn vouched(self, source: Source, until: UnixTime) -> Self {
        let Self::Token { id, window, .. } = self else {
            return self;
        };
        Self::Token {
            id,
            window,
            until,
            source,
        }
    }

    /// The end of a session.
    pub const fn of_session(id: Id, until: UnixTime) -> Self {
        Self::Token {
            id,
            window: Window::UNDATED,
            until,
            source: Source::Verified,
        }
    }
}

/// Entries that come into force together. In this order no innocent token is refused meanwhile: a cutoff needs the dates
/// and the spared tokens that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// Dates.
    Dates,
    /// Tokens, sessions, and tokens that a cutoff spares.
    Tokens,
    /// Cutoffs.
    Cutoffs,
}

impl Portion {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Dates, Self::Tokens, Self::Cutoffs];

    /// That of a revocation.
    pub const fn of(revocation: &Revocation) -> Self {
        match revocation {
            Revocation::Date { .. } => Self::Dates,
            Revocation::Token { .. } => Self::Tokens,
            Revocation::Cutoff { .. } => Self::Cutoffs,
        }
    }
}

/// Kept beyond the last moment of acceptance, against steps of the clock.
pub const MARGIN: Duration = Duration::from_hours(1);

/// How long a token is kept that was logged out and of which nothing shows that the shop ever knew it.
pub const UNCONFIRMED_LIFE: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_parts_cannot_be_confused_trap_8() {
        let one = Id::digest(IdKind::Token, &[b"ab", b"c"]);
        let two = Id::digest(IdKind::Token, &[b"a", b"bc"]);
        assert_ne!(one, two);
        assert_ne!(one, Id::digest(IdKind::Subject, &[b"ab", b"c"]));
    }

    /// Journals and other nodes know the digests of all versions: this one must never change.
    #[test]
    fn a_digest_is_the_prefix_of_blake3_over_kind_lengths_and_parts() {
        for length in [0, 1, 64, 500, 5_000] {
            let part = vec![b'x'; length];
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"doorward id 1\x02");
            for part in [&b"shop"[..], &part] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            let digest = hasher.finalize();
            let id = Id::digest(IdKind::Fingerprint, &[b"shop", &part]);
            assert_eq!(id.bytes(), &digest.as_bytes()[..16], "{length} bytes");
        }
        let known = Id::digest(IdKind::Token, &[b"main", b"", b"17"]);
        assert_eq!(format!("{known:?}"), "Id(c3d2…)");
    }

    #[test]
    fn a_window_is_named_by_the_end_rounded_up() {
        let at = |seconds| Window::of(Some(UnixTime::from_seconds(seconds)));
        assert_eq!(at(600), at(1));
        assert_ne!(at(600), at(601));
        assert_eq!(Window::of(None), Window::UNDATED);
        assert_ne!(Window::of(Some(UnixTime::FOREVER)), Window::UNDATED);
    }
}
