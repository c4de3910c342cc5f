//! Logouts: how they are recognised, what they revoke, and those that an operator orders by hand.

mod agreement;
mod by_hand;
mod judgement;
mod known;
mod near_miss;
mod recognised;
mod rule;

pub use agreement::{Agreement, Wanted};
pub use by_hand::{ByHand, HIDDEN_OWNER, Named, Shown, Target, UnfitOrder};
pub use known::KnownLogouts;
pub use recognised::{LogOut, LogoutOrder};
pub use rule::{AnswerBy, Assent, ClientKey, LogoutRule, Scope, When};
