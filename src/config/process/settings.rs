//! The settings of the process: addresses, folders, trusted proxies, logging.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::listen::{self, Listeners};
use super::{access_log, acme, certificate, limits, traces};
use crate::clients::Peers;
use crate::config::cluster;
use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::{access, error_pages, network};
use crate::request::{HostPattern, PathPattern};
use crate::server::{
    Drain, Listen, Outline, Pools, SOCKET_PATH_BYTES_MAX, Settings, SnapshotSettings,
};

/// Doorward's own paths on every shop, unless the operator says otherwise.
const PREFIX: &str = "/_doorward";

const LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
];

/// Everything but the shops.
pub(crate) struct ProcessSettings {
    /// For the server, as yet without upstreams.
    pub(crate) server: Settings,
    /// What is logged.
    pub(crate) log: LevelFilter,
}

/// Reads the keys at the top of the file.
pub(crate) fn read(root: &mut TomlTable<'_>) -> Option<ProcessSettings> {
    let Listeners { listen, rules } = listen::read(root);
    let operator = read_operator(root, &listen);
    let health = read_health(root, &listen, operator);
    let data_dir = read_path(root, "data_dir");
    root.missing("data_dir", "a folder such as \"/var/lib/doorward\"");
    let control = read_control(root, data_dir.as_deref());
    let trusted_proxies = read_proxies(root);
    // A page in a browser on the operator's machine could reach the listener under a name of its own (DNS rebinding).
    let operator_hosts = root.strings_as("operator_hosts", HostPattern::parse);
    let drain = read_drain(root);
    let cluster = cluster::read(root, &listen, operator);
    let log = root.choice("log", LEVELS);
    let access_log = access_log::read(root);
    let traces = traces::read(root);
    let h2c = root.boolean("h2c");
    let limits = limits::read(root);
    let certificates = certificate::read(root, &listen);
    let site = SnapshotSettings {
        listeners: rules,
        trusted_proxies,
        operator_hosts,
        pools: Pools::default(),
        limits,
        access: access::read(root),
        error_pages: error_pages::read(root, None),
        acme: acme::read(root, &listen, &certificates),
        certificates,
        drain,
        access_log,
        traces,
    };
    let server = Settings {
        h2c: h2c.unwrap_or_default(),
        listen,
        operator,
        health,
        control: control?,
        data_dir: data_dir?,
        site,
        cluster,
        outline: Outline::default(),
    };
    Some(ProcessSettings {
        server,
        log: log.unwrap_or(LevelFilter::Info),
    })
}

/// The folder of Doorward's own paths: `/_doorward` stands for `/_doorward/logout` and its like.
pub(crate) fn read_prefix(root: &mut TomlTable<'_>) -> String {
    let prefix = root.string_as("prefix", prefix);
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

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let parsed = text.parse();
    parsed.map_err(|_| "an address with a port, such as 127.0.0.1:8080 or [::]:8080")
}

/// Every client that reaches the operator listener may read metrics, so it belongs on the loopback interface.
fn read_operator(root: &mut TomlTable<'_>, listen: &[Listen]) -> Option<SocketAddr> {
    root.renamed("operator_listen", "operator");
    let text = root.string("operator_listen")?;
    let address = text.parse_as(address)?;
    let taken = |listen: &Listen| listen.address.tcp() == Some(address);
    if address.port() != 0 && listen.iter().any(taken) {
        text.report(
            Fault::error("the operator listener needs an address of its own")
                .label("this address is for customers"),
        );
    }
    if !address.ip().is_loopback() {
        let fault = Fault::warning("the operator listener can be reached from the network");
        let help = "put it on 127.0.0.1, or protect it by a firewall";
        text.report(fault.help(help));
    }
    Some(address)
}

/// Whoever reaches the health listener learns whether the process is ready, and nothing else: it may stand anywhere.
fn read_health(
    root: &mut TomlTable<'_>,
    listen: &[Listen],
    operator: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let text = root.string("health")?;
    let address = text.parse_as(address)?;
    let taken = |listen: &Listen| listen.address.tcp() == Some(address);
    if address.port() != 0 && (operator == Some(address) || listen.iter().any(taken)) {
        text.report(
            Fault::error("the health listener needs an address of its own")
                .label("another listener has this one"),
        );
    }
    Some(address)
}

fn read_path(root: &mut TomlTable<'_>, key: &str) -> Option<PathBuf> {
    let text = root.string(key)?;
    text.parse_as(path)?;
    text.path()
}

fn path(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.contains('\0') {
        Err("a path")
    } else {
        Ok(())
    }
}

/// The control socket; in the data folder, unless the operator says otherwise.
fn read_control(root: &mut TomlTable<'_>, data_dir: Option<&Path>) -> Option<PathBuf> {
    let written = read_path(root, "control");
    let control = written.or_else(|| Some(data_dir?.join("control.sock")))?;
    if control.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let message =
            format!("the path of the control socket is longer than {SOCKET_PATH_BYTES_MAX} bytes");
        let spot = root.spot_of("control").or_else(|| root.spot_of("data_dir"));
        let fault = Fault::error(message).help("name a shorter one with `control`");
        root.report(spot.iter().fold(fault, Fault::at));
    }
    Some(control)
}

/// Where the control socket is, as far as a file says it that may be half edited.
pub(crate) fn control_of(mut root: TomlTable<'_>) -> Option<PathBuf> {
    let data_dir = read_path(&mut root, "data_dir");
    let control = read_control(&mut root, data_dir.as_deref());
    drop(root); // unknown keys are not judged
    control
}

/// Where the data folder is, as far as a file says it that may be half edited.
pub(crate) fn data_dir_of(mut root: TomlTable<'_>) -> Option<PathBuf> {
    let data_dir = read_path(&mut root, "data_dir");
    drop(root); // unknown keys are not judged
    data_dir
}

/// How long the process takes to stop.
fn read_drain(root: &mut TomlTable<'_>) -> Drain {
    let mut drain = Drain::default();
    if let Some(mut table) = root.table("drain") {
        let (delay, timeout) = (table.duration("delay"), table.duration("timeout"));
        drain.delay = delay.unwrap_or(drain.delay);
        drain.timeout = timeout.unwrap_or(drain.timeout);
        table.finish();
    }
    drain
}

fn read_proxies(root: &mut TomlTable<'_>) -> Peers {
    let texts = root.strings("trusted_proxies").unwrap_or_default();
    for text in &texts {
        let net = network::parse(text.as_str());
        if net.is_ok_and(|net| net.prefix_len() == 0) {
            let fault = Fault::warning("every client is a trusted proxy: it may claim any address");
            text.report(fault);
        }
    }
    network::read_peers(&texts)
}
