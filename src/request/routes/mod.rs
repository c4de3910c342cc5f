//! Where a request of a shop goes: the routes of its configuration, and the one that is taken.
//!
//! More than a dozen files: each condition, demand and change of a route has one, and so has the tree that finds it.

mod certificate_condition;
mod circles;
mod conditions;
mod coverage;
mod demand;
mod demanded;
mod enforce;
mod handling;
mod header_rules;
mod left_out;
mod path_rewrite;
mod path_tree;
mod redirect_address;
mod route;
mod route_bucket;
mod split;
mod table;
mod target;
mod template;
mod upstream_name;

pub use certificate_condition::CertificateCondition;
pub use conditions::RouteConditions;
pub use demand::{Demand, RouteDemand};
pub use enforce::Enforce;
pub use handling::{
    Compression, ContentCoding, Handling, MediaPattern, Mirror, Retries, RetryCause, RouteTimeouts,
    Share,
};
pub use header_rules::{HeaderRules, UnfitHeader, changeable_header};
pub use left_out::folders_beside;
pub use path_rewrite::{PathPrefix, PathReplacement, PathRewrite, UnfitRewrite};
pub use redirect_address::RedirectAddress;
pub use route::Route;
pub use split::{Split, SplitBy};
pub use table::RouteTable;
pub use target::{Redirect, RouteTarget};
pub use template::{Placeholder, Template, TemplateFacts};
pub use upstream_name::UpstreamName;
