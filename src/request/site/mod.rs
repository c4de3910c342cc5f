//! Where a request goes to and where it comes from: hosts, origins and sites.

mod host;
mod host_redirect;
mod moved;
mod request_site;
mod web_origin;

pub use host::{HostPattern, host_of, port_of};
pub use host_redirect::HostRedirect;
pub use moved::{OriginParts, moved_to};
pub use request_site::RequestSite;
pub(super) use request_site::may_be_sent_by_another_site;
pub use web_origin::WebOrigin;
