//! How a call of the shop is recognised: by its method, its path, its conditions, and what it asks for.

mod body_need;
mod call;
mod condition;
mod path;
mod path_pattern;
mod purpose;
mod refresh;
mod request;
mod request_view;
mod route;

pub use call::{BodyNeed, Call};
pub use condition::{Condition, ConditionPlace, ConditionValue};
pub use path::{Path, PathStyle};
pub use path_pattern::{Base, Fit, Folder, PathPattern};
pub(super) use purpose::Purpose;
pub use refresh::RefreshRule;
pub use request::Request;
pub(super) use request_view::RequestView;
pub use route::{Enforce, Route};
