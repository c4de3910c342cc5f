//! Why a key, or a set of keys, is not used.

use std::fmt;

use serde_json::Value;

/// Why a fetched JWK set can't be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitSet {
    /// It is not a JWK set (RFC 7517 section 5).
    NotASet,
    /// Two of its keys have the same `kid` for the same algorithm.
    RepeatedKid,
    /// None of its keys may verify.
    NoUsableKey,
}

impl UnfitSet {
    /// The word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotASet => "not_a_key_set",
            Self::RepeatedKid => "repeated_kid",
            Self::NoUsableKey => "no_usable_key",
        }
    }
}

/// A key that is not used, and what was expected instead.
#[derive(Debug, PartialEq, Eq)]
pub struct UnfitKey {
    why: String,
    pub(super) reason: UnfitReason,
}

/// Why a key is not used, and what follows for its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnfitReason {
    /// It is for another use than signatures. The set is used without it.
    OtherUse,
    /// It is for an algorithm that is not pinned. The set is used without it, and the operator is told: it may be a mistake.
    OtherAlgorithm,
    /// It claims to verify and can't. A set in a file is refused, a fetched set is used without it.
    Broken,
}

impl UnfitKey {
    /// The same, with the position of the key in its set.
    pub(super) fn at_position(self, number: usize, member: &Value) -> Self {
        Self {
            why: format!("{}: {}", key_label(number, member), self.why),
            ..self
        }
    }
}

impl fmt::Display for UnfitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

pub(super) fn unfit(why: impl Into<String>) -> UnfitKey {
    unused(why, UnfitReason::Broken)
}

pub(super) fn unused(why: impl Into<String>, reason: UnfitReason) -> UnfitKey {
    UnfitKey {
        why: why.into(),
        reason,
    }
}

/// How a fault names a key: its position in the set, and its kid if it has one.
fn key_label(number: usize, member: &Value) -> String {
    match member.get("kid").and_then(Value::as_str) {
        Some(id) => format!("keys[{number}] (kid {id:?})"),
        None => format!("keys[{number}]"),
    }
}
