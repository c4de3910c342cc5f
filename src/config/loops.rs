//! Names what leads back to Doorward itself: a server that is one of its own listeners, and a redirect to the same route.

use std::net::SocketAddr;
use std::sync::Arc;

use super::fault::Fault;
use super::shop::ReadShop;
use super::upstream::NamedUpstreams;
use crate::server::{Listen, Settings, Upstreams};

/// Warns of servers that are listeners of this process, and of redirects without an end.
pub(crate) fn faults(
    server: &Settings,
    shops: &[ReadShop],
    upstreams: &NamedUpstreams,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, one, spot) in upstreams.each() {
        let what = format!("upstream `{name}`");
        faults.extend(own_listeners(server, &what, one).map(|fault| fault.at(spot)));
    }
    let speaks_tls = server.listen.iter().any(|listen| listen.tls);
    for read in shops {
        let is_named = upstreams
            .each()
            .any(|(_, one, _)| Arc::ptr_eq(one, &read.upstreams));
        let what = format!("shop `{}`", read.shop.name);
        let own = own_listeners(server, &what, &read.upstreams).filter(|_| !is_named);
        faults.extend(own.map(|fault| fault.at(&read.spot)));
        for route in read.shop.routes.routes() {
            if read.shop.redirects_in_a_circle(route, speaks_tls) {
                let (shop, route) = (&read.shop.name, &route.name);
                let message = format!("route {route} of shop `{shop}` redirects to itself");
                let help = "a browser follows it until it gives up: narrow the paths, or lead to another path or host";
                faults.push(Fault::warning(message).at(&read.spot).help(help));
            }
        }
    }
    faults
}

fn own_listeners<'a>(
    server: &'a Settings,
    what: &'a str,
    upstreams: &'a Upstreams,
) -> impl Iterator<Item = Fault> + 'a {
    let public = server
        .listen
        .iter()
        .filter_map(|listen| listen.address.tcp());
    let public = public.map(|at| ("listen", at));
    let operator = server.operator.iter().map(|at| ("operator_listen", *at));
    let health = server.health.iter().map(|at| ("health", *at));
    let cluster = server.cluster.iter();
    let cluster = cluster.map(|cluster| ("cluster.listen", cluster.listen));
    let own: Vec<(&str, SocketAddr)> = public
        .chain(operator)
        .chain(health)
        .chain(cluster)
        .collect();
    upstreams.configured().iter().filter_map(move |one| {
        let endpoint = &one.endpoint;
        let is_socket = |listen: &&Listen| listen.address.to_string() == endpoint.to_string();
        let reached = own.iter().find(|(_, at)| endpoint.reaches(*at));
        let by_socket = server.listen.iter().find(is_socket);
        let key = reached.map(|(key, _)| *key).or(by_socket.map(|_| "listen"))?;
        let message = format!("{what} leads back to Doorward: {endpoint} is its `{key}`");
        let fault = Fault::warning(message);
        Some(match key {
            "listen" => fault.help("name the server of the shop: a request that comes back eight times is answered 508"),
            _ => fault.help("name the server of the shop: this address is not for customers"),
        })
    })
}
