//! `doorward cluster init`: makes this machine the first node.

use clap::Args;

use super::address::{join_line, own_place};
use super::configuration::{append, tell_made};
use super::machine::MachineArguments;
use crate::cli::data_folder;
use crate::cli::exit::CommandError;
use crate::cli::output::print;
use crate::clock;
use crate::cluster::{Authority, Readers};
use crate::config::ClusterTable;

/// The arguments of `init`.
#[derive(Args)]
pub(in crate::cli) struct Init {
    #[command(flatten)]
    machine: MachineArguments,
}

/// Makes the certificates, adds `[cluster]` to the configuration, and prints an invitation for the second node.
pub(super) fn init(arguments: &Init) -> Result<(), CommandError> {
    let machine = &arguments.machine;
    let (config, path) = machine.config()?;
    let data_dir = &config.server.data_dir;
    let node = machine.node(&config)?;
    let listen = machine.listen(&config).map_or_else(own_place, Ok)?;
    let files = machine.files(&node)?;
    let readers = Readers::of(&path, data_dir).map_err(CommandError::failed)?;
    let now = clock::now();
    let authority = Authority::found(now).map_err(CommandError::failed)?;
    let authority_pem = authority.certificate_pem();
    let proof = authority.equip(&node, now).map_err(CommandError::failed)?;
    let texts = [
        (&*files.ca_file, &*authority_pem),
        (&*files.ca_key_file, &*authority.key_pem()),
        (
            &*files.cert_file,
            &*(proof.certificate_pem + &authority_pem),
        ),
        (&*files.key_file, &*proof.key_pem),
    ];
    files.write(&texts, readers).map_err(CommandError::failed)?;
    tell_made(&texts, readers, data_dir);
    let key = files.ca_key_file.display();
    print(&format!(
        "Keep a copy of {key} where no one else can read it: with this key, anyone can create nodes.\n\n"
    ));
    let table = ClusterTable {
        files: ClusterTable::files(&files, &path),
        node,
        listen,
        peers: Vec::new(),
        new_cluster: true,
    };
    if !append(&path, &table)? {
        print(
            "Once it does, restart Doorward here, and invite the second machine with `doorward cluster invite`.\n",
        );
        return Ok(());
    }
    data_folder::create(data_dir).map_err(CommandError::failed)?;
    let line = join_line(listen, data_dir, &authority, None)?;
    let config = path.display();
    print(&format!(
        "\nNext, restart Doorward here. Then, on the second machine, within ten minutes:\n  {line}\n\
         As soon as this node is ready, remove `new_cluster = true` from {config}, and reload.\n"
    ));
    Ok(())
}
