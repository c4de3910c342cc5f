//! `doorward cluster`: from one node to several.

use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use doorward::clock;
use doorward::cluster::{
    Application, Authority, CertificateFiles, Certificates, ClusterSettings, GOSSIP_PORT,
    Invitation, JoinError, Peer, Readers, Security,
};
use doorward::config::{self, ClusterTable, Config, NotAppended};
use doorward::revocation::NodeName;
use doorward::server;

use crate::{CONFIG, UNAVAILABLE, data_folder, fail, load, operator_commands, report};

/// What is done with a cluster.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make this machine the first node: an authority, certificates, [cluster], and an invitation for the second
    Init(Init),
    /// Print an invitation for one more machine; it is good once, and for ten minutes
    Invite(Invite),
    /// Make this machine a node of the cluster that invited it
    Join(Join),
    /// Say how the running node and its peers fare
    Status(operator_commands::Process),
    /// Have the running node serve by what it knows, although other nodes may know of more logouts
    ForceReady(operator_commands::Process),
}

#[derive(Args)]
pub(crate) struct Init {
    #[command(flatten)]
    home: Home,
}

#[derive(Args)]
pub(crate) struct Invite {
    #[command(flatten)]
    file: crate::File,
    /// The invited machine may take the name of this node, which is gone for good or gets another certificate
    #[arg(long, value_name = "NODE", value_parser = NodeName::parse)]
    replace: Option<NodeName>,
}

#[derive(Args)]
pub(crate) struct Join {
    /// The cluster address of the node that invited
    #[arg(value_name = "ADDRESS:PORT", value_parser = Peer::parse)]
    at: Peer,
    /// The invitation; `-` reads it from standard input
    #[arg(long, value_name = "INVITATION")]
    invite: String,
    #[command(flatten)]
    home: Home,
}

/// What a node is called, and where its things are.
#[derive(Args)]
struct Home {
    #[command(flatten)]
    file: crate::File,
    /// What this node is called; left out: as [cluster] says, or the machine's host name
    #[arg(long, value_name = "NAME", value_parser = NodeName::parse)]
    node: Option<NodeName>,
    /// Where other nodes come to; left out: as [cluster] says, or this machine's address and port 7946
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The folder for certificates and keys; left out: `cluster` beside the configuration
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Why a command ended early: what is said, and the exit code. Faults of the configuration are said already.
struct Failed(u8, String);

/// A failure that needs no code of its own.
fn failed(why: impl Display) -> Failed {
    Failed(1, why.to_string())
}

pub(crate) fn run(command: Command) -> ExitCode {
    let outcome = match command {
        Command::Init(init) => begin(&init),
        Command::Invite(invite) => invite_another(&invite),
        Command::Join(join) => take_part(&join),
        Command::Status(process) => return order(&process, false),
        Command::ForceReady(process) => return order(&process, true),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(code, why)) if why.is_empty() => ExitCode::from(code),
        Err(Failed(code, why)) => fail(&why, code),
    }
}

/// Asks the running process how it fares, or has it serve.
fn order(process: &operator_commands::Process, is_forced: bool) -> ExitCode {
    let socket = match operator_commands::socket_of(process) {
        Ok(socket) => socket,
        Err(error) => return fail(&error, UNAVAILABLE),
    };
    match server::call_cluster(&socket, is_forced) {
        Ok((status, answer)) => {
            let _ = writeln!(io::stdout(), "{answer:#}");
            ExitCode::from(u8::from(!status.is_success()))
        }
        Err(error) => operator_commands::nobody_answers(&socket, &error),
    }
}

/// Makes the first node.
fn begin(init: &Init) -> Result<(), Failed> {
    let home = &init.home;
    let (config, path) = home.config()?;
    let data_dir = &config.server.data_dir;
    let node = home.node(&config)?;
    let listen = home.listen(&config).map_or_else(own_place, Ok)?;
    let files = home.files(&node)?;
    let readers = Readers::of(&path, data_dir).map_err(failed)?;
    let now = clock::now();
    let authority = Authority::found(now).map_err(failed)?;
    let authority_pem = authority.certificate_pem();
    let proof = authority.equip(&node, now).map_err(failed)?;
    let texts = [
        (&*files.ca_file, &*authority_pem),
        (&*files.ca_key_file, &*authority.key_pem()),
        (
            &*files.cert_file,
            &*(proof.certificate_pem + &authority_pem),
        ),
        (&*files.key_file, &*proof.key_pem),
    ];
    files.write(&texts, readers).map_err(failed)?;
    tell_made(&texts, readers, data_dir);
    let key = files.ca_key_file.display();
    tell(&format!(
        "Keep a copy of {key} where nobody else can read it: whoever has it can make nodes.\n\n"
    ));
    let table = ClusterTable {
        files: ClusterTable::files(&files, &path),
        node,
        listen,
        peers: Vec::new(),
        initial: true,
    };
    if !append(&path, &table)? {
        tell(
            "Once it does, restart Doorward here, and invite the second machine with `doorward cluster invite`.\n",
        );
        return Ok(());
    }
    data_folder::make(data_dir).map_err(failed)?;
    let line = join_line(listen, data_dir, &authority, None)?;
    let config = path.display();
    tell(&format!(
        "\nNext, restart Doorward here. Then, on the second machine, within ten minutes:\n  {line}\n\
         As soon as this node is ready, remove `initial = true` from {config}, and reload.\n"
    ));
    Ok(())
}

/// Prints another invitation.
fn invite_another(invite: &Invite) -> Result<(), Failed> {
    let config = loaded(&invite.file.config)?;
    let Some((cluster, certificates)) = certified(&config) else {
        return Err(failed(format!(
            "{} has no [cluster] with certificates\n  help: `doorward cluster init` makes one",
            invite.file.config.display()
        )));
    };
    let authority = Authority::open(&certificates.ca_file).map_err(|error| {
        failed(format!(
            "{error}\n  help: only a node with the authority's key can invite: the one where `doorward cluster init` ran"
        ))
    })?;
    if !authority.is_shown_by(&certificates.chain) {
        return Err(failed(
            "who is invited knows this cluster by its authority, and this node does not show it\n  \
             help: append the certificate in `ca_file` to `cert_file`, and reload",
        ));
    }
    let (data_dir, replace) = (&config.server.data_dir, invite.replace.as_ref());
    let line = join_line(cluster.listen, data_dir, &authority, replace)?;
    tell(&format!(
        "On the other machine, within ten minutes:\n  {line}\n"
    ));
    Ok(())
}

/// Makes this machine a node.
fn take_part(join: &Join) -> Result<(), Failed> {
    let home = &join.home;
    let (config, path) = home.config()?;
    let data_dir = &config.server.data_dir;
    let invitation = read_invitation(&join.invite)?;
    let node = home.node(&config)?;
    let listen = home.listen(&config);
    let files = home.files(&node)?;
    let readers = Readers::of(&path, data_dir).map_err(failed)?;
    // An invitation is good once: what could fail here is tried before.
    files.prepare(readers).map_err(failed)?;
    let application = Application {
        at: &join.at,
        invitation: &invitation,
        node: &node,
        listen,
    };
    let admitted = application
        .send()
        .map_err(|error| not_admitted(join, &invitation, &error))?;
    let texts = [
        (&*files.ca_file, &*admitted.authority_pem),
        (
            &*files.cert_file,
            &*(admitted.certificate_pem + &admitted.authority_pem),
        ),
        (&*files.key_file, &*admitted.key_pem),
    ];
    files.write(&texts, readers).map_err(failed)?;
    tell_made(&texts, readers, data_dir);
    let table = ClusterTable {
        files: ClusterTable::files(&files, &path),
        node,
        listen: listen.unwrap_or(admitted.listen),
        peers: admitted.peers,
        initial: false,
    };
    let is_appended = append(&path, &table)?;
    data_folder::make(data_dir).map_err(failed)?;
    if is_appended {
        tell(
            "\nNext, restart Doorward here: it takes over every revocation before it judges a token.\n",
        );
    } else {
        tell(
            "Once it does, or the files are in the place of the old ones, reload or restart Doorward here.\n",
        );
    }
    Ok(())
}

fn not_admitted(join: &Join, invitation: &Invitation, error: &JoinError) -> Failed {
    let mut why = format!("{}: {error}", join.at);
    if invitation.until <= clock::now() {
        let _ = write!(
            why,
            "\n  note: by the clock of this machine, the invitation ended at {}",
            invitation.until
        );
    }
    let code = if matches!(error, JoinError::Unreachable(_) | JoinError::Late) {
        UNAVAILABLE
    } else {
        1
    };
    Failed(code, why)
}

impl Home {
    /// The configuration, which must be good already, and where it is.
    fn config(&self) -> Result<(Config, PathBuf), Failed> {
        let config = loaded(&self.file.config)?;
        Ok((config, absolute(&self.file.config).map_err(failed)?))
    }

    fn node(&self, config: &Config) -> Result<NodeName, Failed> {
        let written = config.server.cluster.as_ref().map(|cluster| &cluster.node);
        self.node
            .as_ref()
            .or(written)
            .cloned()
            .map_or_else(host_name, Ok)
    }

    fn listen(&self, config: &Config) -> Option<SocketAddr> {
        let written = config.server.cluster.as_ref().map(|cluster| cluster.listen);
        self.listen.or(written)
    }

    /// The files of the node, none of which is there yet.
    fn files(&self, node: &NodeName) -> Result<CertificateFiles, Failed> {
        let beside = || self.file.config.with_file_name("cluster");
        let folder = absolute(self.dir.clone().unwrap_or_else(beside)).map_err(failed)?;
        let files = CertificateFiles::of(node, &folder).map_err(failed)?;
        match files.existing() {
            None => Ok(files),
            Some(file) => Err(failed(format!(
                "{} is there already, and nothing is overwritten\n  help: `doorward cluster invite` invites another \
                 machine; --dir names another folder",
                file.display()
            ))),
        }
    }
}

fn loaded(path: &Path) -> Result<Config, Failed> {
    load(path).map_err(|()| Failed(CONFIG, String::new()))
}

fn certified(config: &Config) -> Option<(&ClusterSettings, &Certificates)> {
    let cluster = config.server.cluster.as_ref()?;
    match &cluster.security {
        Security::Certificates(certificates) => Some((cluster, certificates)),
        Security::Loopback => None,
    }
}

/// The machine's host name, made fit for a node.
fn host_name() -> Result<NodeName, Failed> {
    let unfit = || failed("the host name is no name for a node\n  help: say one with --node");
    let text = fs::read_to_string("/proc/sys/kernel/hostname").map_err(|_| unfit())?;
    fit(text.trim()).ok_or_else(unfit)
}

/// A name that a node can have, from one that it can't: all of it, or its first part.
fn fit(text: &str) -> Option<NodeName> {
    let plain = |letter: char| match letter.to_ascii_lowercase() {
        letter if letter.is_ascii_alphanumeric() || letter == '.' => letter,
        _ => '-',
    };
    let text: String = text.chars().map(plain).collect();
    let first = text.split('.').next().unwrap_or_default();
    let fitting = [text.as_str(), first].map(|text| NodeName::parse(text.trim_matches(['-', '.'])));
    fitting.into_iter().flatten().next()
}

/// Where this machine is found: the address from which it would speak to others.
fn own_place() -> Result<SocketAddr, Failed> {
    let address = own_address().ok_or_else(|| {
        failed("this machine's address can't be told\n  help: say where other nodes come to: --listen ADDRESS:PORT")
    })?;
    Ok(SocketAddr::new(address, GOSSIP_PORT))
}

/// Asks the routes, and sends nothing. The addresses asked for are those of documentation (RFC 5737, RFC 3849).
fn own_address() -> Option<IpAddr> {
    let towards = |from: &str, to: &str| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let address = socket.local_addr().ok()?.ip();
        Some(address).filter(|address| !address.is_loopback() && !address.is_unspecified())
    };
    towards("0.0.0.0", "192.0.2.1").or_else(|| towards("::", "2001:db8::1"))
}

/// An invitation is read from the command line or from standard input: what stands in a command line is seen by every
/// user of the machine, and this one is good until it is used.
fn read_invitation(text: &str) -> Result<Invitation, Failed> {
    let mut line = text.to_owned();
    if text == "-" {
        line.clear();
        io::stdin().read_line(&mut line).map_err(failed)?;
    }
    Invitation::parse(line.trim())
        .map_err(|expected| Failed(2, format!("--invite is no invitation: expected {expected}")))
}

/// The command by which another machine joins.
fn join_line(
    listen: SocketAddr,
    data_dir: &Path,
    authority: &Authority,
    replace: Option<&NodeName>,
) -> Result<String, Failed> {
    let invitation = Invitation::make(data_dir, authority, replace, clock::now());
    let invitation = invitation.map_err(|error| {
        let help = "run this as root or as the user of the service";
        failed(format!(
            "no invitation can be kept in {}: {error}\n  help: {help}",
            data_dir.display()
        ))
    })?;
    let is_place = !listen.ip().is_unspecified() && listen.port() != 0;
    let address = if is_place {
        Some(listen.ip())
    } else {
        own_address()
    };
    let address = match (address, listen.port()) {
        (Some(address), 1..) => SocketAddr::new(address, listen.port()).to_string(),
        (Some(_) | None, _) => "ADDRESS:PORT".to_owned(),
    };
    let node = replace.map_or_else(String::new, |node| format!(" --node {node}"));
    Ok(format!(
        "doorward cluster join {address}{node} --invite {}",
        invitation.text()
    ))
}

fn tell(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn tell_made(texts: &[(&Path, &str)], readers: Readers, data_dir: &Path) {
    for (path, _) in texts {
        tell(&format!("made   {}\n", path.display()));
    }
    let folder = texts.first().and_then(|(path, _)| path.parent());
    if let (Readers::Ourselves, false, Some(folder)) = (readers, data_dir.exists(), folder) {
        let (data_dir, folder) = (data_dir.display(), folder.display());
        tell(&format!(
            "As {data_dir} is not there yet, it is unknown who runs the service. If it is another user than you:\n  \
             chown -R root:ITS_GROUP {folder} && chmod 0750 {folder} && chmod 0640 {folder}/*\n"
        ));
    }
}

/// Adds `[cluster]` to the configuration, and says whether it did. Where that can't be, the operator is told what the
/// table should say.
fn append(path: &Path, table: &ClusterTable) -> Result<bool, Failed> {
    let (name, file) = (ClusterTable::NAME, path.display());
    let (code, why) = match config::append(path, name, &table.to_string()) {
        Ok(()) => {
            tell(&format!("added  [{name}] to {file}\n"));
            return Ok(true);
        }
        Err(NotAppended::There) => {
            tell(&format!(
                "left   [{name}] in {file} as it is; it should say\n\n{table}\n"
            ));
            return Ok(false);
        }
        Err(NotAppended::Faulty(faults)) => (CONFIG, report(&faults, false)),
        Err(NotAppended::Unwritable(error)) => (1, error.to_string()),
    };
    let why = format!(
        "nothing was added to {file}: {why}\n  help: this should stand in it, as far as `doorward check` agrees"
    );
    Err(Failed(code, format!("{why}\n\n{table}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_made_fit_for_a_node() {
        for (host, node) in [
            ("shop-1", Some("shop-1")),
            ("Shop_1.Example.COM", Some("shop-1.example.com")),
            (
                "ip-10-0-0-1.ec2.internal.",
                Some("ip-10-0-0-1.ec2.internal"),
            ),
            (&format!("shop.{}", "a".repeat(63)), Some("shop")),
            ("web.7", Some("web")),
            ("7", None),
            ("", None),
            ("---", None),
        ] {
            let fitted = fit(host);
            assert_eq!(fitted.as_ref().map(NodeName::as_str), node, "{host}");
        }
    }
}
