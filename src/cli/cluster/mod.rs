//! `doorward cluster`: from one node to several.

mod address;
mod command;
mod configuration;
mod init;
mod invite;
mod join;
mod machine;
mod status;

pub(super) use command::{ClusterCommand, run};
