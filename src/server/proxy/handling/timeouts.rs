//! The timeouts of a route, in the place of those of its upstream.

use pingora::upstreams::peer::HttpPeer;

use crate::request::RouteTimeouts;

/// Sets those that the route names.
pub(crate) fn set(timeouts: RouteTimeouts, peer: &mut HttpPeer) {
    let options = &mut peer.options;
    if timeouts.connect.is_some() {
        options.connection_timeout = timeouts.connect;
        options.total_connection_timeout = timeouts.connect;
    }
    options.read_timeout = timeouts.read.or(options.read_timeout);
    options.write_timeout = timeouts.write.or(options.write_timeout);
}
