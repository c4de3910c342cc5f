//! Reads the arguments, runs the command, and exits with its code.

use std::process::ExitCode;

use clap::Parser as _;
use doorward::cli::{self, Arguments};

/// Requests move between threads. With the allocator of glibc, threads wait for each other when memory is freed on another
/// thread than the one that allocated it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::report_panics();
    Arguments::parse().run().into()
}
