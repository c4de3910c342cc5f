//! `[acme]`: certificates that Doorward orders itself.

use crate::config::fault::Fault;
use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::request::{FetchUrl, HostPattern, Shop};
use crate::server::{AcmeChallenge, AcmeSettings, Certificate, Listen, UpstreamTls};

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

const CHALLENGES: &[(&str, AcmeChallenge)] = &[
    (AcmeChallenge::Http01.name(), AcmeChallenge::Http01),
    (AcmeChallenge::TlsAlpn01.name(), AcmeChallenge::TlsAlpn01),
];

/// Reads `[acme]`, as yet without the hosts of the shops.
pub(crate) fn read(
    root: &mut TomlTable<'_>,
    listen: &[Listen],
    certificates: &[Certificate],
) -> Option<AcmeSettings> {
    let mut table = root.table("acme")?;
    let email = table.string_as("email", email);
    let hosts = read_hosts(&mut table, certificates);
    let directory = table.string_as("directory", FetchUrl::parse);
    let directory = directory.or_else(|| FetchUrl::parse(DIRECTORY).ok());
    let tls = read_authority(&mut table);
    let agreed = table.boolean("terms_of_service_agreed");
    if table.lacks("terms_of_service_agreed") || agreed == Some(false) {
        let fault = Fault::error("the terms of the authority are not agreed to");
        let help = "read them, then write terms_of_service_agreed = true";
        match table.spot_of("terms_of_service_agreed") {
            Some(spot) => table.report(fault.at(&spot).help(help)),
            None => table.report_here(fault.help(help)),
        }
    }
    let challenge = table.choice("challenge", CHALLENGES);
    let challenge = challenge.unwrap_or(AcmeChallenge::Http01);
    for fault in listener_faults(listen, challenge) {
        table.report_here(fault);
    }
    table.finish();
    Some(AcmeSettings {
        email,
        hosts,
        directory: directory?,
        tls,
        challenge,
    })
}

fn email(text: &str) -> Result<String, &'static str> {
    let is_odd =
        |letter: char| letter.is_whitespace() || letter.is_control() || ",<>".contains(letter);
    match text.split_once('@') {
        Some((name, domain))
            if !name.is_empty() && !domain.is_empty() && !text.contains(is_odd) =>
        {
            Ok(text.to_owned())
        }
        Some(_) | None => Err("an address for mail, such as ops@example.com"),
    }
}

fn read_hosts(table: &mut TomlTable<'_>, certificates: &[Certificate]) -> Vec<String> {
    let texts = table.strings("hosts");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let fault = Fault::error("`hosts` names no host");
        let help = "leave `hosts` out to order a certificate for every host of the shops";
        table.report_at("hosts", fault.help(help));
    }
    let mut hosts: Vec<String> = Vec::new();
    for text in texts.unwrap_or_default() {
        let Some(host) = read_host(&text) else {
            continue;
        };
        if hosts.contains(&host) {
            text.report(Fault::warning("this host is listed twice"));
            continue;
        }
        if certificates.iter().any(|one| one.is_for_name(&host)) {
            let fault = Fault::warning("no certificate is ordered for this host");
            text.report(fault.label("a [[certificate]] is for it"));
        }
        hosts.push(host);
    }
    hosts
}

fn read_host(text: &TomlText<'_>) -> Option<String> {
    match text.parse_as(HostPattern::parse)? {
        HostPattern::Below(_) => {
            let fault = Fault::error("no certificate can be ordered for a wildcard");
            let help = "DNS-01 is not supported: order it with another client, and name its files under [[certificate]]";
            text.report(fault.help(help));
            None
        }
        HostPattern::Exact(name) if is_orderable(&name) => Some(name),
        HostPattern::Exact(_) => {
            text.report(Fault::error(
                "expected a name of the DNS, such as shop.example.com",
            ));
            None
        }
    }
}

/// Whether it is a name of the DNS, in which a name of a file may be seen, too.
fn is_orderable(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..64).contains(&label.len()) && label.bytes().all(fits)
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    name.len() < 254 && !is_address && name.contains('.') && name.split('.').all(is_label)
}

/// How the certificate of the directory is verified.
fn read_authority(table: &mut TomlTable<'_>) -> UpstreamTls {
    let mut tls = UpstreamTls::default();
    if let Some(named) = table.string("ca_file")
        && let Some(file) = File::read(&named)
        && let Err(unfit) = tls.trust(file.bytes())
    {
        file.report(file.error(unfit));
    }
    tls
}

/// What the addresses of `listen` lack.
fn listener_faults(listen: &[Listen], challenge: AcmeChallenge) -> Vec<Fault> {
    let (has_tls, has_plain) = (
        listen.iter().any(|one| one.tls),
        listen.iter().any(|one| !one.tls),
    );
    let mut faults = Vec::new();
    match challenge {
        AcmeChallenge::Http01 if !has_plain => faults.push(
            Fault::error("`listen` has no address without TLS, where http-01 could be answered")
                .help("add one, such as 0.0.0.0:80, or write challenge = \"tls-alpn-01\""),
        ),
        AcmeChallenge::TlsAlpn01 if !has_tls => faults.push(
            Fault::error("`listen` has no https:// address, where tls-alpn-01 could be answered")
                .help("add one, such as https://0.0.0.0:443"),
        ),
        AcmeChallenge::Http01 | AcmeChallenge::TlsAlpn01 => {}
    }
    if challenge == AcmeChallenge::Http01 && has_plain && !has_tls {
        faults.push(
            Fault::warning("no address of `listen` uses the certificates")
                .help("write https:// before an address, such as https://0.0.0.0:443"),
        );
    }
    faults
}

/// Adds the hosts of the shops, where none are written, and examines those that are.
pub(crate) fn complete<'s>(
    root: &TomlTable<'_>,
    settings: &mut AcmeSettings,
    shops: impl Iterator<Item = &'s Shop> + Clone,
) {
    if settings.hosts.is_empty() {
        let claimed = shops.flat_map(hosts_of);
        let names = claimed.filter_map(|host| match host {
            HostPattern::Exact(name) if is_orderable(name) => Some(name.clone()),
            HostPattern::Exact(_) | HostPattern::Below(_) => None,
        });
        for name in names {
            // Two shops may share a host, by its paths.
            if !settings.hosts.contains(&name) {
                settings.hosts.push(name);
            }
        }
        if settings.hosts.is_empty() {
            let fault = Fault::error("no shop has a host that a certificate could be ordered for");
            let help = "name the hosts here: hosts = [\"shop.example.com\"]";
            root.report_at("acme", fault.help(help));
        }
        return;
    }
    for host in &settings.hosts {
        let claims = |shop: &Shop| {
            shop.hosts.is_empty() || hosts_of(shop).any(|pattern| pattern.claims(host))
        };
        if !shops.clone().any(claims) {
            let fault = Fault::warning(format!(
                "no shop claims {host}, for which a certificate is ordered"
            ));
            root.report_at(
                "acme",
                fault.help("requests for it are answered 421: name it in `hosts` of a shop"),
            );
        }
    }
}

/// The hosts that clients come to for a shop: its own, and those from which it redirects them.
fn hosts_of(shop: &Shop) -> impl Iterator<Item = &HostPattern> {
    let redirected = shop.host_redirect.iter();
    let redirected = redirected.flat_map(|redirect| &redirect.from);
    shop.hosts.iter().chain(redirected)
}

/// What `check` prints.
pub(crate) fn summary(settings: &AcmeSettings) -> String {
    let count = settings.hosts.len();
    let plural = if count == 1 { "" } else { "s" };
    let (challenge, directory) = (settings.challenge.name(), &settings.directory);
    format!("acme: certificates for {count} host{plural} by {challenge} from {directory}")
}
