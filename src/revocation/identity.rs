//! By what a token can be refused: its own digests, its session, its customer, its token domain.

use smallvec::SmallVec;

use super::entry::{Id, Window};
use crate::clock::UnixTime;

/// Everything by which one token can be refused.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The token itself.
    pub id: Id,
    /// The window of its own `expires_at`.
    pub window: Window,
    /// Its session, customer and token domain, as far as a verified token names them.
    pub groups: SmallVec<[Group; 8]>,
    /// When it was issued, on the shop's clock. `None`: it does not say, and counts as issued when a node first dated it.
    pub issued_at: Option<UnixTime>,
    /// What it was called when entries were made that are still in force, as far as that is something else.
    pub former: Box<[Identity]>,
}

impl Identity {
    /// What is known by this digest only.
    pub fn undated(id: Id) -> Self {
        Self {
            id,
            window: Window::UNDATED,
            groups: SmallVec::new(),
            issued_at: None,
            former: Box::default(),
        }
    }

    /// The token's own digests, former ones included.
    pub(super) fn ids(&self) -> impl Iterator<Item = &Id> {
        let former = self.former.iter().map(|former| &former.id);
        std::iter::once(&self.id).chain(former)
    }

    /// The entry by which it is refused for this cause, as far as the cause tells.
    pub(super) fn entry_of(&self, cause: Cause) -> Id {
        let wanted = match cause {
            Cause::Token => return self.id,
            Cause::Unknown => Cause::Subject,
            Cause::Session | Cause::Subject | Cause::TokenDomain => cause,
        };
        let mut groups = self.groups.iter();
        let group = groups.find(|group| group.cause == wanted);
        group.map_or(self.id, |group| group.id)
    }

    /// Every name of the token itself, former ones included.
    pub fn names(&self) -> impl Iterator<Item = &Id> {
        let all = std::iter::once(self).chain(&self.former);
        all.flat_map(|one| {
            let groups = one.groups.iter();
            let others = groups.filter(|group| group.cause == Cause::Token);
            std::iter::once(&one.id).chain(others.map(|group| &group.id))
        })
    }

    /// All that it can be refused by, former names included.
    pub(super) fn all_names(&self) -> impl Iterator<Item = &Id> {
        let all = std::iter::once(self).chain(&self.former);
        all.flat_map(|one| std::iter::once(&one.id).chain(one.groups.iter().map(|group| &group.id)))
    }

    /// Keeps what `other` does not say of the token, too; whether that is anything.
    pub fn retain_news(&mut self, other: &Self) -> bool {
        let is_known = |group: &Group| other.groups.iter().any(|one| one.id == group.id);
        self.groups.retain(|group| !is_known(group));
        let known = [other.id].into_iter();
        let mut known = known.chain(other.groups.iter().map(|group| group.id));
        let is_same = (self.id, self.window) == (other.id, other.window)
            || self.window == Window::UNDATED && known.any(|id| id == self.id);
        !is_same || !self.groups.is_empty()
    }
}

/// What else a token is refused by: another name of its own, or what a cutoff can name.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its digest.
    pub id: Id,
    /// What it is; shown to the operator.
    pub cause: Cause,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was revoked itself.
    Token,
    /// Its session has ended.
    Session,
    /// Its customer logged out everywhere.
    Subject,
    /// The operator cut off the token domain.
    TokenDomain,
    /// Its customer logged out everywhere, or the token domain was cut off, and its issue time is unknown: it counts as
    /// issued before.
    Unknown,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Token,
        Self::Session,
        Self::Subject,
        Self::TokenDomain,
        Self::Unknown,
    ];

    /// The word for logs and answers of the control socket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::TokenDomain => "token_domain",
            Self::Unknown => "unknown",
        }
    }
}
