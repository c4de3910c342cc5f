//! `doorward cluster invite`: prints an invitation for one more machine.

use clap::Args;

use super::address::join_line;
use crate::cli::exit::CommandError;
use crate::cli::faults::load;
use crate::cli::file_argument::FileArgument;
use crate::cli::output::print;
use crate::cluster::{Authority, Certificates, ClusterSettings, Security};
use crate::config::Config;
use crate::revocation::NodeName;

/// The arguments of `invite`.
#[derive(Args)]
pub(in crate::cli) struct Invite {
    #[command(flatten)]
    file: FileArgument,
    /// The invited machine may take the name of this node, which is gone for good or gets another certificate
    #[arg(long, value_name = "NODE", value_parser = NodeName::parse)]
    replace: Option<NodeName>,
}

/// Prints another invitation.
pub(super) fn invite(arguments: &Invite) -> Result<(), CommandError> {
    let config = load(&arguments.file.config)?;
    let Some((cluster, certificates)) = certified(&config) else {
        return Err(CommandError::failed(format!(
            "{} has no [cluster] with certificates\n  help: `doorward cluster init` creates one",
            arguments.file.config.display()
        )));
    };
    let authority = Authority::open(&certificates.ca_file).map_err(|error| {
        CommandError::failed(format!(
            "{error}\n  help: only a node with the authority's key can invite: the one where `doorward cluster init` ran"
        ))
    })?;
    if !authority.is_shown_by(&certificates.chain) {
        return Err(CommandError::failed(
            "a new node recognises this cluster by the certificate of its authority, and this node does not send that certificate\n  \
             help: append the certificate in `ca_file` to `cert_file`, and reload",
        ));
    }
    let (data_dir, replace) = (&config.server.data_dir, arguments.replace.as_ref());
    let line = join_line(cluster.listen, data_dir, &authority, replace)?;
    print(&format!(
        "On the other machine, within ten minutes:\n  {line}\n"
    ));
    Ok(())
}

fn certified(config: &Config) -> Option<(&ClusterSettings, &Certificates)> {
    let cluster = config.server.cluster.as_ref()?;
    match &cluster.security {
        Security::Certificates(certificates) => Some((cluster, certificates)),
        Security::Loopback => None,
    }
}
