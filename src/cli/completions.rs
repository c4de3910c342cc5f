//! `doorward completions` and `doorward man`: what shells and man(1) read, made from the arguments themselves.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::CommandError;
use super::output::print;

/// The section of administration commands.
const SECTION: &str = "8";

/// Prints the completions of a shell.
pub(super) fn complete(mut program: Command, shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "doorward", &mut script);
    print(&String::from_utf8_lossy(&script));
}

/// Writes a manual page for the program and for each of its commands into a folder, and creates that.
pub(super) fn write_manual(program: Command, folder: &Path) -> Result<(), CommandError> {
    let failed = |error| CommandError::failed(format_args!("{}: {error}", folder.display()));
    let mut program = program.disable_help_subcommand(true);
    program.build();
    fs::create_dir_all(folder).map_err(failed)?;
    write_pages(&program, folder).map_err(failed)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let name = name.replace(' ', "-");
    let page = Man::new(command.clone().display_name(name.clone()))
        .title(name.to_uppercase())
        .section(SECTION)
        .source(concat!("Doorward ", env!("CARGO_PKG_VERSION")))
        .manual("Doorward");
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(folder.join(format!("{name}.{SECTION}")), text)?;
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    shown
        .into_iter()
        .try_for_each(|one| write_pages(one, folder))
}
