//! Logouts: how they are recognised, what they revoke, and those that an operator orders by hand.

mod agreement;
mod judgement;
mod known_logouts;
mod near_miss;
mod operator_order;
mod order_target;
mod pasted_token;
mod recognised_logout;
mod rule;

pub use agreement::{Agreement, Wanted};
pub use known_logouts::KnownLogouts;
pub use operator_order::OperatorOrder;
pub use order_target::{Named, Target, UnfitOrder};
pub use pasted_token::{HIDDEN_CUSTOMER, PastedToken};
pub use recognised_logout::{LogOut, LogoutOrder};
pub use rule::{AnswerBy, Assent, ClientKey, LogoutRule, Scope, When};
