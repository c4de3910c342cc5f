//! `listen`: addresses, and what is done with the connections there.

use std::sync::Arc;

use ipnet::IpNet;

use super::certificate::authorities_in;
use crate::clients::Peers;
use crate::config::fault::{Fault, SourceSpot};
use crate::config::reading::file::File;
use crate::config::reading::{TextOrTable, TomlTable, TomlText};
use crate::config::rules::network;
use crate::server::{ClientAuthorities, HttpsRedirect, Listen, ListenAddress, ListenerRules};

const REDIRECTS: &[(&str, ())] = &[("https", ())];

/// The public listeners.
#[derive(Default)]
pub(crate) struct Listeners {
    /// Where they are.
    pub(crate) listen: Vec<Listen>,
    /// What each does with its connections, in the same order.
    pub(crate) rules: Vec<ListenerRules>,
}

/// Reads `listen`.
pub(super) fn read(root: &mut TomlTable<'_>) -> Listeners {
    let entries = root.texts_or_tables("listen");
    root.missing("listen", "addresses such as [\"0.0.0.0:8080\"]");
    if entries.as_ref().is_some_and(Vec::is_empty) {
        root.report_at("listen", Fault::error("`listen` names no address"));
    }
    let mut listeners = Listeners::default();
    let mut redirects = Vec::new();
    for entry in entries.unwrap_or_default() {
        let read = match entry {
            TextOrTable::Text(text) => read_address(&text, &listeners.listen).map(plain),
            TextOrTable::Table(table) => read_table(table, &listeners.listen),
        };
        let Some((listen, rules, redirect)) = read else {
            continue;
        };
        redirects.extend(redirect);
        listeners.listen.push(listen);
        listeners.rules.push(rules);
    }
    if !listeners.listen.iter().any(|listen| listen.tls) {
        for spot in redirects {
            root.report(redirect_to_nowhere().at(&spot));
        }
    }
    listeners
}

/// An address, what is done there, and where a redirect is written that needs an address with TLS.
type ReadListener = (Listen, ListenerRules, Option<SourceSpot>);

fn plain(listen: Listen) -> ReadListener {
    (listen, ListenerRules::default(), None)
}

fn read_address(text: &TomlText<'_>, earlier: &[Listen]) -> Option<Listen> {
    let listen = text.parse_as(Listen::parse)?;
    let mut earlier = earlier.iter();
    if earlier.any(|other| listen.address.is_taken_by(&other.address)) {
        text.report(Fault::error("this address is listed twice"));
    }
    Some(listen)
}

fn read_table(mut table: TomlTable<'_>, earlier: &[Listen]) -> Option<ReadListener> {
    let address = table.required_string("address", "an address such as \"0.0.0.0:80\"");
    let listen = address.and_then(|text| read_address(&text, earlier));
    let listen = read_mode(&mut table, listen);
    let redirect = table.choice("redirect", REDIRECTS);
    let port = table.integer("redirect_port", 1..=u16::MAX);
    if port.is_some() && redirect.is_none() {
        let fault = Fault::error("`redirect_port` without `redirect`");
        table.report_at("redirect_port", fault.help("write redirect = \"https\""));
    }
    if listen.as_ref().is_some_and(|listen| listen.tls) {
        let fault = Fault::error("a redirect to https:// from an address that speaks TLS");
        let help = "leave `redirect` out here, or https:// in the address";
        table.report_at("redirect", fault.help(help));
    }
    let spot = table.spot_of("redirect");
    let proxy_protocol = read_proxies(&mut table, listen.as_ref());
    let client_authorities = read_authorities(&mut table, listen.as_ref());
    table.finish();
    let redirect = redirect.map(|()| HttpsRedirect { port });
    let needs_tls = spot.filter(|_| port.is_none());
    let rules = ListenerRules {
        redirect,
        proxy_protocol,
        client_authorities,
    };
    Some((listen?, rules, needs_tls))
}

/// Who may connect to a unix socket.
fn read_mode(table: &mut TomlTable<'_>, listen: Option<Listen>) -> Option<Listen> {
    let written = table.string_as("mode", mode);
    let mut listen = listen?;
    match (&mut listen.address, written) {
        (ListenAddress::Unix { mode, .. }, Some(written)) => *mode = written,
        (ListenAddress::Unix { .. } | ListenAddress::Tcp(_), None) => {}
        (ListenAddress::Tcp(_), Some(_)) => {
            let fault = Fault::error("`mode` is for unix sockets: this address has no file");
            table.report_at("mode", fault);
        }
    }
    Some(listen)
}

/// As `chmod` takes it, in octal.
fn mode(text: &str) -> Result<u32, &'static str> {
    let mode = u32::from_str_radix(text, 8).ok();
    let fits = text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    mode.filter(|mode| fits && *mode <= 0o777)
        .ok_or("the mode of a file in octal, such as \"0660\"")
}

const CERTIFICATES: &[(&str, bool)] = &[("required", true), ("optional", false)];

/// The authorities of clients' certificates.
fn read_authorities(
    table: &mut TomlTable<'_>,
    listen: Option<&Listen>,
) -> Option<Arc<ClientAuthorities>> {
    let named = table.string("client_ca_file");
    let is_required = table.choice("client_certificate", CERTIFICATES);
    if named.is_none() && is_required.is_some() {
        let fault = Fault::error("`client_certificate` without `client_ca_file`");
        let help = "name the file of the authorities by which clients are verified";
        table.report_at("client_certificate", fault.help(help));
    }
    let named = named?;
    if listen.is_some_and(|listen| !listen.tls) {
        let fault = Fault::error("clients show certificates over TLS only");
        named.report(fault.help("write https:// before the address"));
    }
    let file = File::read(&named)?;
    let certificates = authorities_in(&file)?;
    let authorities = ClientAuthorities::new(certificates, is_required.unwrap_or(true));
    match authorities {
        Ok(authorities) => Some(Arc::new(authorities)),
        Err(why) => {
            file.report(file.error(why));
            None
        }
    }
}

/// The proxies that send headers of the PROXY protocol.
fn read_proxies(table: &mut TomlTable<'_>, listen: Option<&Listen>) -> Peers {
    let texts = table.strings("proxy_protocol");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let fault = Fault::error("`proxy_protocol` names no proxy");
        table.report_at(
            "proxy_protocol",
            fault.help("leave it out, or name networks"),
        );
    }
    let texts = texts.unwrap_or_default();
    for text in &texts {
        let network = network::parse(text.as_str()).ok();
        if network.is_some_and(|net| net.prefix_len() == 0) {
            let fault = Fault::warning("every client may claim any address by a PROXY header");
            text.report(fault.help("name the networks of the proxies"));
        }
        let is_unix = text.as_str() == network::UNIX;
        let fault = listen.and_then(|listen| no_such_peer(&listen.address, network, is_unix));
        if let Some(fault) = fault {
            text.report(fault);
        }
    }
    network::read_peers(&texts)
}

/// The fault of a proxy in this network, or of one with a unix socket, that can't connect to this address.
fn no_such_peer(address: &ListenAddress, network: Option<IpNet>, is_unix: bool) -> Option<Fault> {
    let (why, help) = match (address, network) {
        (ListenAddress::Unix { .. }, Some(_)) => (
            "a proxy that connects to a unix socket has no address",
            "write proxy_protocol = [\"unix:\"]",
        ),
        (ListenAddress::Tcp(_), None) if is_unix => (
            "no proxy connects to this address by a unix socket",
            "name the networks of the proxies",
        ),
        (ListenAddress::Tcp(own), Some(IpNet::V6(_))) if own.is_ipv4() => (
            "no proxy connects to this address from one of IPv6",
            "name the networks of IPv4 that the proxies are in",
        ),
        (ListenAddress::Unix { .. } | ListenAddress::Tcp(_), _) => return None,
    };
    Some(Fault::error(why).help(help))
}

/// Another proxy may stand in front and speak TLS, on the usual port.
fn redirect_to_nowhere() -> Fault {
    Fault::warning("no address of `listen` speaks TLS: the redirect leads to port 443")
        .help("write https:// before an address; or, for a proxy in front, redirect_port = 443")
}
