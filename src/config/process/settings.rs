//! What the operator says of the process: addresses, folders, whom it believes, what it logs.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use log::LevelFilter;

use crate::cluster::ClusterSettings;
use crate::config::Config;
use crate::config::cluster::settings as cluster;
use crate::config::fault::{Fault, Faults};
use crate::config::process::certificate;
use crate::config::process::limits;
use crate::config::reading::{Table, Text};
use crate::config::shop::settings::Reading;
use crate::request::{HostPattern, PathPattern};
use crate::server::{Certificate, Drain, Limits, Listen, Outline, Settings, SiteSettings};

/// Doorward's own paths on every shop, unless the operator says otherwise.
const PREFIX: &str = "/_doorward";

/// The longest path that a socket can be bound to; the kernel has 108 bytes for it, one of them is zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

const LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
];

/// Everything but the shops.
pub(crate) struct Process {
    listen: Vec<Listen>,
    h2c: bool,
    limits: Limits,
    certificates: Vec<Certificate>,
    operator: Option<Listen>,
    control: PathBuf,
    data_dir: PathBuf,
    trusted_proxies: Vec<IpNet>,
    operator_hosts: Vec<HostPattern>,
    drain: Drain,
    cluster: Option<ClusterSettings>,
    log: LevelFilter,
}

/// Reads the keys at the top of the file.
pub(crate) fn read(root: &mut Table<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Process> {
    let listen = read_listen(root, faults);
    let operator = read_operator(root, &listen, faults);
    let data_dir = read_path(root, "data_dir", base_dir, faults);
    root.missing("data_dir", "a folder such as \"/var/lib/doorward\"", faults);
    let control = read_control(root, data_dir.as_deref(), base_dir, faults);
    let trusted_proxies = read_proxies(root, faults);
    let operator_hosts = read_operator_hosts(root, faults);
    let drain = read_drain(root, faults);
    let cluster = cluster::read(root, &listen, operator, base_dir, faults);
    let log = root.choice("log", LEVELS, faults);
    Some(Process {
        h2c: root.boolean("h2c", faults).unwrap_or_default(),
        limits: limits::read(root, faults),
        certificates: certificate::read(root, &listen, base_dir, faults),
        listen,
        operator: operator.map(|address| Listen {
            address,
            tls: false,
        }),
        control: control?,
        data_dir: data_dir?,
        trusted_proxies,
        operator_hosts,
        drain,
        cluster,
        log: log.unwrap_or(LevelFilter::Info),
    })
}

impl Process {
    /// The whole configuration.
    pub(crate) fn with(self, shops: Vec<Reading>) -> Config {
        let cluster = self.cluster.iter();
        let summary = cluster.map(|cluster| cluster::summary(cluster, &self.data_dir));
        let summary = summary.collect();
        let mut config = Config {
            shops: Vec::new(),
            server: Settings {
                listen: self.listen,
                h2c: self.h2c,
                operator: self.operator,
                control: self.control,
                data_dir: self.data_dir,
                site: SiteSettings {
                    trusted_proxies: self.trusted_proxies,
                    operator_hosts: self.operator_hosts,
                    upstreams: HashMap::new(),
                    limits: self.limits,
                    certificates: self.certificates,
                    drain: self.drain,
                },
                cluster: self.cluster,
                outline: Outline::default(),
            },
            log: self.log,
            summary,
        };
        for reading in shops {
            let name = reading.shop.name.clone();
            let upstreams = Arc::new(reading.upstreams);
            config.server.site.upstreams.insert(name, upstreams);
            config.summary.extend(reading.summary);
            config.shops.push(reading.shop);
        }
        config
    }
}

/// The folder of Doorward's own paths: `/_doorward` stands for `/_doorward/logout` and its like.
pub(crate) fn read_prefix(root: &mut Table<'_>, faults: &mut Faults) -> String {
    let text = root.string("prefix", faults);
    let prefix = text.and_then(|text| text.parse_as(prefix, faults));
    prefix.unwrap_or_else(|| PREFIX.to_owned())
}

fn prefix(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.ends_with('/') && !text.contains(['*', ';']);
    let is_fit = is_plain && PathPattern::parse(text).is_ok();
    if is_fit {
        Ok(text.to_owned())
    } else {
        Err("an absolute path without slash at the end, such as /_doorward")
    }
}

fn read_listen(root: &mut Table<'_>, faults: &mut Faults) -> Vec<Listen> {
    let texts = root.strings("listen", faults);
    root.missing("listen", "addresses such as [\"0.0.0.0:8080\"]", faults);
    if texts.as_ref().is_some_and(Vec::is_empty)
        && let Some(spot) = root.spot_of("listen")
    {
        faults.push(Fault::error("`listen` names no address").at(&spot));
    }
    let mut addresses = Vec::new();
    for text in texts.unwrap_or_default() {
        let Some(listen) = text.parse_as(Listen::parse, faults) else {
            continue;
        };
        let taken = |other: &Listen| other.address == listen.address;
        if listen.address.port() != 0 && addresses.iter().any(taken) {
            faults.push(Fault::error("this address stands twice").at(text.spot()));
        }
        addresses.push(listen);
    }
    addresses
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let parsed = text.parse();
    parsed.map_err(|_| "an address with a port, such as 127.0.0.1:8080 or [::]:8080")
}

/// Whoever reaches the operator's listener may log customers out, so it belongs on the loopback interface.
fn read_operator(
    root: &mut Table<'_>,
    listen: &[Listen],
    faults: &mut Faults,
) -> Option<SocketAddr> {
    let text = root.string("operator", faults)?;
    let address = text.parse_as(address, faults)?;
    let taken = |listen: &Listen| listen.address == address;
    if address.port() != 0 && listen.iter().any(taken) {
        let fault = Fault::error("the operator's listener needs an address of its own");
        faults.push(fault.at(text.spot()).label("customers come here"));
    }
    if !address.ip().is_loopback() {
        let fault = Fault::warning("the operator's listener can be reached from the network");
        let help = "put it on 127.0.0.1, or keep everybody else away by a firewall";
        faults.push(fault.at(text.spot()).help(help));
    }
    Some(address)
}

/// A page in a browser on the operator's machine could reach the listener under a name of its own (DNS rebinding), so names
/// are listed.
fn read_operator_hosts(root: &mut Table<'_>, faults: &mut Faults) -> Vec<HostPattern> {
    let texts = root.strings("operator_hosts", faults).unwrap_or_default();
    let hosts = texts.iter();
    hosts
        .filter_map(|text| text.parse_as(HostPattern::parse, faults))
        .collect()
}

fn read_path(
    root: &mut Table<'_>,
    key: &str,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<PathBuf> {
    let text = root.string(key, faults)?;
    let path = text.parse_as(path, faults)?;
    Some(base_dir.join(path))
}

fn path(text: &str) -> Result<&Path, &'static str> {
    if text.is_empty() || text.contains('\0') {
        Err("a path")
    } else {
        Ok(Path::new(text))
    }
}

/// The control socket; in the data folder, unless the operator says otherwise.
fn read_control(
    root: &mut Table<'_>,
    data_dir: Option<&Path>,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<PathBuf> {
    let written = read_path(root, "control", base_dir, faults);
    let control = written.or_else(|| Some(data_dir?.join("control.sock")))?;
    if control.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let message =
            format!("the path of the control socket is longer than {SOCKET_PATH_BYTES_MAX} bytes");
        let spot = root.spot_of("control").or_else(|| root.spot_of("data_dir"));
        let fault = Fault::error(message).help("name a shorter one with `control`");
        faults.push(spot.iter().fold(fault, Fault::at));
    }
    Some(control)
}

/// Where the control socket is, as far as a file says it that may be half edited.
pub(crate) fn control_of(mut root: Table<'_>, base_dir: &Path) -> Option<PathBuf> {
    let mut faults = Faults::default();
    let data_dir = read_path(&mut root, "data_dir", base_dir, &mut faults);
    let control = read_control(&mut root, data_dir.as_deref(), base_dir, &mut faults);
    drop(root);
    control
}

/// How long the process takes to stop.
fn read_drain(root: &mut Table<'_>, faults: &mut Faults) -> Drain {
    let mut drain = Drain::default();
    if let Some(mut table) = root.table("drain", faults) {
        let (delay, timeout) = (
            table.duration("delay", faults),
            table.duration("timeout", faults),
        );
        drain.delay = delay.unwrap_or(drain.delay);
        drain.timeout = timeout.unwrap_or(drain.timeout);
        table.finish(faults);
    }
    drain
}

fn read_proxies(root: &mut Table<'_>, faults: &mut Faults) -> Vec<IpNet> {
    let texts = root.strings("trusted_proxies", faults).unwrap_or_default();
    let nets = texts.iter().filter_map(|text| read_proxy(text, faults));
    nets.collect()
}

fn read_proxy(text: &Text<'_>, faults: &mut Faults) -> Option<IpNet> {
    let net = text.parse_as(network, faults)?;
    if net.prefix_len() == 0 {
        let fault = Fault::warning("every client is a trusted proxy: it may claim any address");
        faults.push(fault.at(text.spot()));
    }
    Some(net)
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let net = text.parse::<IpNet>();
    net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "an address or network such as 192.0.2.7 or 10.0.0.0/8")
}
