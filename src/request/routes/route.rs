//! A route: its conditions, where it leads, and what it changes.

use std::fmt;

use super::conditions::RouteConditions;
use super::demand::RouteDemand;
use super::handling::Handling;
use super::header_rules::HeaderRules;
use super::path_rewrite::PathRewrite;
use super::target::RouteTarget;
use crate::clients::AccessList;
use crate::request::limits::RequestLimit;

/// A route of a shop.
#[derive(Debug)]
pub struct Route {
    /// Its name, in the log and in metrics: the operator's, or its number in the configuration.
    pub name: String,
    /// What must hold of a request.
    pub conditions: RouteConditions,
    /// Which clients are served here, of those that the shop serves.
    pub access: AccessList,
    /// How often requests are served.
    pub limit: Option<RequestLimit>,
    /// What it demands of credentials.
    pub demand: RouteDemand,
    /// Where it leads.
    pub target: RouteTarget,
    /// How requests are sent, and their answers passed on.
    pub handling: Handling,
    /// The path that the upstream is sent.
    pub rewrite: PathRewrite,
    /// Headers of the request to the upstream.
    pub request_headers: HeaderRules,
    /// Headers of the answer.
    pub response_headers: HeaderRules,
}

impl Route {
    /// Whether it writes the customer's name somewhere.
    pub(in crate::request) fn names_subject(&self) -> bool {
        let redirects =
            matches!(&self.target, RouteTarget::Redirect(redirect) if redirect.to.names_subject());
        redirects || self.request_headers.name_subject() || self.response_headers.name_subject()
    }
}

/// One line, as `check` lists it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            conditions,
            access,
            limit,
            demand,
            target,
            handling,
            rewrite,
            request_headers,
            response_headers,
        } = self;
        write!(f, "{name}: {conditions}")?;
        match target {
            RouteTarget::Shop => Ok(()),
            RouteTarget::Upstream(name) => write!(f, " -> upstream {name}"),
            RouteTarget::Split(split) => write!(f, " -> split {split}"),
            RouteTarget::Redirect(redirect) => {
                write!(f, " -> redirect {}", redirect.status.as_u16())
            }
            RouteTarget::Respond(answer) => write!(f, " -> respond {}", answer.status.as_u16()),
        }?;
        write!(f, "{access}")?;
        if let Some(limit) = limit {
            write!(f, ", limit {limit}")?;
        }
        write!(f, "{demand}{handling}")?;
        match rewrite {
            PathRewrite::None => {}
            PathRewrite::StripPrefix(_) | PathRewrite::Pattern(_) => {
                f.write_str(", path rewritten")?;
            }
        }
        for (what, rules) in [("request", request_headers), ("response", response_headers)] {
            if !rules.is_empty() {
                write!(f, ", {what} headers changed")?;
            }
        }
        Ok(())
    }
}
