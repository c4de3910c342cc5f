//! Logouts: how they are recognised and what they revoke; and what an operator revokes.

mod agreement;
mod allowance;
mod judgement;
mod known_logouts;
mod near_miss;
mod operator_order;
mod order_target;
mod pasted_token;
mod quota;
mod recognised_logout;
mod rule;

pub use agreement::{Agreement, Wanted};
pub use allowance::{Allowance, OverLimit};
pub use known_logouts::KnownLogouts;
pub use operator_order::OperatorOrder;
pub use order_target::{Named, Target, UnfitOrder};
pub use pasted_token::{HIDDEN_CUSTOMER, PastedClaims, PastedToken};
pub use quota::{LogoutQuota, has_room};
pub use recognised_logout::{LogOut, LogoutOrder};
pub use rule::{AnswerBy, Assent, ClientKey, LogoutRule, Scope, When};
