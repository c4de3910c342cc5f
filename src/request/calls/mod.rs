//! How a call of the shop is recognised: by its method, its path, its conditions and its GraphQL.

mod body_need;
mod call;
mod condition;
mod paths;
mod purpose;
mod refresh;
mod request;
mod request_view;

pub use call::{BodyNeed, Call};
pub use condition::{Condition, ConditionPlace, ConditionValue};
pub use paths::{Base, Fit, Folder, Path, PathPattern, PathStyle};
pub(in crate::request) use paths::{
    Leniency, SegmentStart, TracedPath, is_blank, is_front_controller,
};
pub(super) use purpose::Purpose;
pub use refresh::RefreshRule;
pub use request::Request;
pub(super) use request_view::RequestView;
