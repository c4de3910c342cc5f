//! The commands below `doorward cluster`.

use clap::Subcommand;

use super::init::{Init, init};
use super::invite::{Invite, invite};
use super::join::{Join, join};
use super::status::{PeersArguments, force_ready, peers, status};
use crate::cli::exit::CommandError;
use crate::cli::operator::ProcessArguments;

/// What is done with a cluster.
#[derive(Subcommand)]
pub(in crate::cli) enum ClusterCommand {
    /// Make this machine the first node: an authority, certificates, [cluster], and an invitation for the second
    Init(Init),
    /// Print an invitation for one more machine; it can be used once, within ten minutes
    Invite(Invite),
    /// Make this machine a node of the cluster that invited it
    Join(Join),
    /// Print the state of the running node and of its peers
    Status(ProcessArguments),
    /// List the other nodes, a line each: state, connection, and how far behind
    Peers(PeersArguments),
    /// Make the running node serve by what it knows, although other nodes may know of more logouts
    ForceReady(ProcessArguments),
}

/// Runs the command.
pub(in crate::cli) fn run(command: ClusterCommand) -> Result<(), CommandError> {
    match command {
        ClusterCommand::Init(arguments) => init(&arguments),
        ClusterCommand::Invite(arguments) => invite(&arguments),
        ClusterCommand::Join(arguments) => join(&arguments),
        ClusterCommand::Status(process) => status(&process),
        ClusterCommand::Peers(arguments) => peers(&arguments),
        ClusterCommand::ForceReady(process) => force_ready(&process),
    }
}
