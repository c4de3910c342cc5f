//! The machine that becomes a node: its name, its address, and where its files are.

use std::fs;
use std::net::SocketAddr;
use std::path::{PathBuf, absolute};

use clap::Args;

use crate::cli::exit::CommandError;
use crate::cli::faults::load;
use crate::cli::file_argument::FileArgument;
use crate::cluster::CertificateFiles;
use crate::config::Config;
use crate::revocation::NodeName;

/// The name of a node, and where its files are.
#[derive(Args)]
pub(super) struct MachineArguments {
    #[command(flatten)]
    file: FileArgument,
    /// The name of this node; left out: that in [cluster], or the host name of the machine
    #[arg(long, value_name = "NAME", value_parser = NodeName::parse)]
    node: Option<NodeName>,
    /// The address for other nodes; left out: that in [cluster], or the address of this machine with port 7946
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The folder for certificates and keys; left out: `cluster` beside the configuration
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl MachineArguments {
    /// The configuration, which must be good already, and where it is.
    pub(super) fn config(&self) -> Result<(Config, PathBuf), CommandError> {
        let config = load(&self.file.config)?;
        Ok((
            config,
            absolute(&self.file.config).map_err(CommandError::failed)?,
        ))
    }

    pub(super) fn node(&self, config: &Config) -> Result<NodeName, CommandError> {
        let written = config.server.cluster.as_ref().map(|cluster| &cluster.node);
        self.node
            .as_ref()
            .or(written)
            .cloned()
            .map_or_else(host_name, Ok)
    }

    pub(super) fn listen(&self, config: &Config) -> Option<SocketAddr> {
        let written = config.server.cluster.as_ref().map(|cluster| cluster.listen);
        self.listen.or(written)
    }

    /// The files of the node, none of which is there yet.
    pub(super) fn files(&self, node: &NodeName) -> Result<CertificateFiles, CommandError> {
        let beside = || self.file.config.with_file_name("cluster");
        let folder =
            absolute(self.dir.clone().unwrap_or_else(beside)).map_err(CommandError::failed)?;
        let files = CertificateFiles::of(node, &folder).map_err(CommandError::failed)?;
        match files.existing() {
            None => Ok(files),
            Some(file) => Err(CommandError::failed(format!(
                "{} already exists, and nothing is overwritten\n  help: `doorward cluster invite` invites another \
                 machine; --dir names another folder",
                file.display()
            ))),
        }
    }
}

/// A node name made from the host name of the machine.
fn host_name() -> Result<NodeName, CommandError> {
    let unfit = || {
        CommandError::failed(
            "the host name can't be used as a node name\n  help: choose one with --node",
        )
    };
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
