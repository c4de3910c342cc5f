//! Doorward: a reverse proxy that makes logout final.
//!
//! The modules stand in the order of their dependencies: a module uses only modules declared above it.
//! `tests/architecture.rs` holds the crate to that.

/// What time it is.
pub mod clock;
/// How often one thing is logged.
pub mod log_limit;
/// How clients are told apart and counted.
pub mod clients;
/// The life of a revocation.
pub mod revocation;
/// The life of a request.
pub mod request;
/// Revocations between nodes.
pub mod cluster;
/// Everything that knows Pingora.
pub mod server;
/// The operator's file.
pub mod config;
/// Doorward in front of a pretend shop.
pub mod demo;
/// The commands.
pub mod cli;
