//! `doorward cluster join`: makes this machine a node of a cluster.

use std::fmt::Write as _;
use std::io;

use clap::Args;

use super::configuration::{append, tell_made};
use super::machine::MachineArguments;
use crate::cli::data_folder;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output::print;
use crate::clock;
use crate::cluster::{Application, Invitation, JoinError, PeerAddress, Readers};
use crate::config::ClusterTable;

/// The arguments of `join`.
#[derive(Args)]
pub(in crate::cli) struct Join {
    /// The cluster address of the inviting node
    #[arg(value_name = "ADDRESS:PORT", value_parser = PeerAddress::parse)]
    at: PeerAddress,
    /// The invitation; `-` reads it from standard input
    #[arg(long, value_name = "INVITATION")]
    invite: String,
    #[command(flatten)]
    machine: MachineArguments,
}

/// Makes this machine a node.
pub(super) fn join(arguments: &Join) -> Result<(), CommandError> {
    let machine = &arguments.machine;
    let (config, path) = machine.config()?;
    let data_dir = &config.server.data_dir;
    let invitation = read_invitation(&arguments.invite)?;
    let node = machine.node(&config)?;
    let listen = machine.listen(&config);
    let files = machine.files(&node)?;
    let readers = Readers::of(&path, data_dir).map_err(CommandError::failed)?;
    // An invitation is good once: what could fail here is tried before.
    files.prepare(readers).map_err(CommandError::failed)?;
    let application = Application {
        at: &arguments.at,
        invitation: &invitation,
        node: &node,
        listen,
    };
    let admitted = application
        .send()
        .map_err(|error| not_admitted(arguments, &invitation, &error))?;
    let texts = [
        (&*files.ca_file, &*admitted.authority_pem),
        (
            &*files.cert_file,
            &format!("{}{}", admitted.certificate_pem, admitted.authority_pem),
        ),
        (&*files.key_file, &*admitted.key_pem),
    ];
    files.write(&texts, readers).map_err(CommandError::failed)?;
    tell_made(&texts, readers, data_dir);
    let table = ClusterTable {
        files: ClusterTable::files(&files, &path),
        node,
        listen: listen.unwrap_or(admitted.listen),
        peers: admitted.peers,
        new_cluster: false,
    };
    let is_appended = append(&path, &table)?;
    data_folder::create(data_dir).map_err(CommandError::failed)?;
    if is_appended {
        print(
            "\nNext, restart Doorward here: it takes over every revocation before it judges a token.\n",
        );
    } else {
        print(
            "Once it does, or the files are in the place of the old ones, reload or restart Doorward here.\n",
        );
    }
    Ok(())
}

fn not_admitted(arguments: &Join, invitation: &Invitation, error: &JoinError) -> CommandError {
    let mut why = format!("{}: {error}", arguments.at);
    if invitation.until <= clock::now() {
        let _ = write!(
            why,
            "\n  note: by the clock of this machine, the invitation ended at {}",
            invitation.until
        );
    }
    let exit = if matches!(error, JoinError::Unreachable(_) | JoinError::Late) {
        Exit::Unavailable
    } else {
        Exit::Failed
    };
    CommandError::new(exit, why)
}

/// An invitation is read from the command line or from standard input: what stands in a command line is seen by every
/// user of the machine, and this one is good until it is used.
fn read_invitation(text: &str) -> Result<Invitation, CommandError> {
    let mut line = text.to_owned();
    if text == "-" {
        line.clear();
        io::stdin()
            .read_line(&mut line)
            .map_err(CommandError::failed)?;
    }
    Invitation::parse(line.trim()).map_err(|expected| {
        CommandError::new(
            Exit::Usage,
            format!("--invite is not an invitation: expected {expected}"),
        )
    })
}
