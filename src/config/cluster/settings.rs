//! Reads `[cluster]`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::cluster::{Bus, ClusterSettings, PeerAddress, Security, StalePolicy, joined_nodes};
use crate::config::cluster::certificates;
use crate::config::fault::Fault;
use crate::config::process::certificate::authorities_in;
use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::revocation::{AckPolicy, NodeName};
use crate::server::Listen;

/// How long a start waits for a peer by default.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(30);

const BOOTSTRAP_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(10);

const ACKS: &[(&str, AckPolicy)] = &[
    ("local", AckPolicy::Local),
    ("one", AckPolicy::One),
    ("all", AckPolicy::All),
];

const POLICIES: &[(&str, StalePolicy)] = &[
    ("serve", StalePolicy::Serve),
    ("refuse", StalePolicy::Refuse),
];

/// A name or address with the place where it is written.
type WithText<'a, T> = (T, TomlText<'a>);

/// Reads `[cluster]`.
pub(crate) fn read(
    root: &mut TomlTable<'_>,
    public: &[Listen],
    operator: Option<SocketAddr>,
) -> Option<ClusterSettings> {
    let mut table = root.table("cluster")?;
    let node = read_node(&mut table);
    let listen = read_listen(&mut table, public, operator);
    let peers = read_peers(&mut table, listen.as_ref());
    let security = read_security(&mut table, node.as_ref());
    if matches!(security, Some(Security::Loopback)) {
        keep_inside(listen.as_ref(), &peers);
    }
    let bus = read_bus(&mut table);
    let ack = table.choice("ack", ACKS).unwrap_or_default();
    let new_cluster = read_new_cluster(&mut table);
    let on_stale = table.choice("on_stale", POLICIES);
    let on_isolated = table.choice("on_isolated", POLICIES);
    let patience = table.duration_within("bootstrap_timeout", BOOTSTRAP_TIMEOUTS, "1s to 10m");
    let quarantine = read_quarantine(&mut table, node.as_ref());
    table.finish();
    Some(ClusterSettings {
        node: node?.0,
        listen: listen?.0,
        peers: peers.into_iter().map(|(peer, _)| peer).collect(),
        security: security?,
        ack,
        new_cluster,
        on_stale: on_stale.unwrap_or(StalePolicy::Serve),
        on_isolated: on_isolated.unwrap_or(StalePolicy::Refuse),
        bootstrap_timeout: patience.unwrap_or(BOOTSTRAP_TIMEOUT),
        quarantine,
        bus,
    })
}

/// The line that `check` prints. Nodes that joined by invitation count like those in `peers`.
pub(crate) fn summary(cluster: &ClusterSettings, data_dir: &Path) -> String {
    let (node, listen) = (&cluster.node, cluster.listen);
    let text = match cluster.security {
        Security::Loopback => " in plain text",
        Security::Certificates(_) => "",
    };
    let joined = joined_nodes(data_dir).unwrap_or_default().len(); // what can't be read stops the start
    let is_alone = cluster.peers.is_empty() && joined == 0 && cluster.bus.is_none();
    let peers = match cluster.peers.len() {
        0 => "no peers".to_owned(),
        1 => "1 peer".to_owned(),
        count => format!("{count} peers"),
    };
    let joined = match joined {
        0 => String::new(),
        count => format!(", {count} joined by invitation"),
    };
    let bus = cluster.bus.as_ref().map(|bus| format!(", a bus at {bus}"));
    let bus = bus.unwrap_or_default();
    let ack = match cluster.ack {
        AckPolicy::Local => "by the own disk",
        AckPolicy::One if is_alone => "by one as soon as there is another node",
        AckPolicy::One => "by one",
        AckPolicy::All if is_alone => "by all as soon as there is another node",
        AckPolicy::All => "by all",
    };
    format!("cluster: node {node} on {listen}{text}, {peers}{joined}{bus}, acknowledged {ack}")
}

fn read_node<'a>(table: &mut TomlTable<'a>) -> Option<WithText<'a, NodeName>> {
    let text = table.required_string("node", "the name of this node, such as \"a\"");
    let text = text?;
    Some((text.parse_as(NodeName::parse)?, text))
}

fn read_listen<'a>(
    table: &mut TomlTable<'a>,
    public: &[Listen],
    operator: Option<SocketAddr>,
) -> Option<WithText<'a, SocketAddr>> {
    let text = table.required_string("listen", "an address such as \"10.0.0.1:7946\"");
    let text = text?;
    let address = text.parse_as(address)?;
    let public = public
        .iter()
        .filter_map(|listen| Some((listen.address.tcp()?, "customers")));
    let mut others = public.chain(operator.map(|address| (address, "operators")));
    if let Some((_, who)) = others.find(|(other, _)| overlaps(address, *other)) {
        let fault = Fault::error("the cluster's listener needs an address of its own");
        let fault = fault.label(format!("this address is for {who}"));
        text.report(
            fault.help("this listener is for nodes only: choose another port, such as 7946"),
        );
    }
    Some((address, text))
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let parsed = text.parse();
    parsed.map_err(|_| "an address with a port, such as 10.0.0.1:7946 or [::]:7946")
}

/// Whether two addresses can't both be listened on. `[::]` includes the addresses of IPv4.
fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |one: SocketAddr, other: SocketAddr| {
        one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    let is_same = one.ip() == other.ip() || takes(one, other) || takes(other, one);
    one.port() != 0 && one.port() == other.port() && is_same
}

fn read_peers<'a>(
    table: &mut TomlTable<'a>,
    listen: Option<&WithText<'_, SocketAddr>>,
) -> Vec<WithText<'a, PeerAddress>> {
    let mut peers: Vec<WithText<'_, PeerAddress>> = Vec::new();
    for text in table.strings("peers").unwrap_or_default() {
        let Some(peer) = text.parse_as(PeerAddress::parse) else {
            continue;
        };
        if peers.iter().any(|(other, _)| *other == peer) {
            text.report(Fault::error("this peer is listed twice"));
        }
        if listen.is_some_and(|(listen, _)| peer == PeerAddress::Address(*listen)) {
            text.report(
                Fault::warning("this node is no peer of itself")
                    .label("it listens here")
                    .help("leave it out"),
            );
        }
        peers.push((peer, text));
    }
    peers
}

/// `None` after a fault.
fn read_security(
    table: &mut TomlTable<'_>,
    node: Option<&WithText<'_, NodeName>>,
) -> Option<Security> {
    let insecure = table.boolean("insecure");
    if insecure.is_none() && !table.lacks("insecure") {
        certificates::pass_over(table);
        return None;
    }
    if insecure == Some(true) {
        certificates::refuse(table);
        return Some(Security::Loopback);
    }
    let certificates = certificates::read(table, node);
    certificates.map(Security::Certificates)
}

/// Refuses plain text between nodes of several machines.
fn keep_inside(listen: Option<&WithText<'_, SocketAddr>>, peers: &[WithText<'_, PeerAddress>]) {
    let listen = listen.filter(|(listen, _)| !listen.ip().is_loopback());
    let peers = peers.iter().filter(|(peer, _)| !peer.is_loopback());
    let outside = listen.map(|(_, text)| text);
    for text in outside.into_iter().chain(peers.map(|(_, text)| text)) {
        let fault = Fault::error("insecure = true is for nodes of one machine");
        let fault = fault.label("expected 127.0.0.1, [::1] or, for a peer, localhost");
        text.report(fault.help("`doorward cluster init` makes certificates"));
    }
}

fn read_bus(table: &mut TomlTable<'_>) -> Option<Bus> {
    let text = table.string("bus");
    let ca_file = table.string("bus_ca_file");
    let bus = text.as_ref().and_then(|text| read_url(text));
    let pem = ca_file.as_ref().and_then(|named| {
        let file = File::read(named)?;
        authorities_in(&file)?;
        Some(file.into_bytes())
    });
    let without = if table.lacks("bus") {
        Some("`bus`")
    } else {
        let is_plain = bus.as_ref().is_some_and(|bus| !bus.is_encrypted());
        is_plain.then_some("rediss://")
    };
    if let (Some(named), Some(without)) = (&ca_file, without) {
        let message = format!("`bus_ca_file` means nothing without {without}");
        named.report(Fault::error(message));
    }
    let mut bus = bus?;
    bus.authorities_pem = pem;
    Some(bus)
}

/// Never quotes the URL, which may contain a password.
fn read_url(text: &TomlText<'_>) -> Option<Bus> {
    match Bus::parse(text.as_str()) {
        Ok(bus) => {
            if bus.is_exposed() {
                let message = "passwords and revocations travel to the bus in the clear";
                text.report(Fault::warning(message).help("turn on TLS there, and write rediss://"));
            }
            Some(bus)
        }
        Err(wanted) => {
            text.report(Fault::error("`bus` does not fit").label(format!("expected {wanted}")));
            None
        }
    }
}

fn read_new_cluster(table: &mut TomlTable<'_>) -> bool {
    table.renamed("new_cluster", "initial");
    let new_cluster = table.boolean("new_cluster").unwrap_or_default();
    if new_cluster {
        let fault = Fault::warning("`new_cluster` is for the first start of the first node only");
        let fault = fault.label("a lost journal would not be noticed");
        let help = "remove it as soon as the node is ready, for its next start";
        table.report_at("new_cluster", fault.help(help));
    }
    new_cluster
}

fn read_quarantine(
    table: &mut TomlTable<'_>,
    node: Option<&WithText<'_, NodeName>>,
) -> Vec<NodeName> {
    let mut names = Vec::new();
    for text in table.strings("quarantine").unwrap_or_default() {
        let Some(name) = text.parse_as(NodeName::parse) else {
            continue;
        };
        if node.is_some_and(|(node, _)| *node == name) {
            text.report(
                Fault::error("a node can't be in its own quarantine")
                    .help("name it in the configurations of the others, and stop it"),
            );
        }
        names.push(name);
    }
    names
}
