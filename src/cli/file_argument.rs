//! Which configuration a command reads.

use std::path::PathBuf;

use clap::Args;

/// Which configuration a command reads.
#[derive(Args)]
pub(super) struct FileArgument {
    /// The configuration
    #[arg(
        long,
        value_name = "FILE",
        default_value = CONFIG_FILE
    )]
    pub(super) config: PathBuf,
}

/// The default path of the configuration.
pub(super) const CONFIG_FILE: &str = "/etc/doorward/doorward.toml";
