//! Every exit code.

use clap::CommandFactory;
use doorward::cli::{Arguments, EXITS, Exit};

use super::documented::variants_of;
use super::page::{compare, head, page, row};

#[test]
fn every_exit_code_is_in_the_reference() {
    let mut out = page(
        "Exit codes",
        "`Exit` in src/cli/",
        "What every command of `doorward` ends with. systemd does not start Doorward again after 78.",
    );
    head(&mut out, &["code", "meaning"]);
    let comments = variants_of("Exit");
    assert_eq!(comments.len(), Exit::ALL.len());
    for (exit, (_, comment)) in Exit::ALL.iter().zip(&comments) {
        let code = exit.code().to_string();
        row(&mut out, &[&code, comment]);
    }
    out.push_str("\n## By command\n\nAn x where a command can end so.\n");
    let codes: Vec<_> = Exit::ALL
        .iter()
        .map(|exit| exit.code().to_string())
        .collect();
    let codes: Vec<_> = codes.iter().map(String::as_str).collect();
    head(&mut out, &[&["command"], codes.as_slice()].concat());
    for (command, exits) in EXITS {
        let name = format!("`doorward {command}`");
        let marks = Exit::ALL
            .iter()
            .map(|exit| if exits.contains(exit) { "x" } else { "" });
        let marks: Vec<_> = marks.collect();
        row(&mut out, &[&[name.as_str()], marks.as_slice()].concat());
    }
    compare("exit-codes.md", &out);
}

/// The commands that have none below them.
fn commands_of(command: &clap::Command, before: &str) -> Vec<String> {
    let below: Vec<_> = command.get_subcommands().collect();
    let named = below.iter().flat_map(|one| {
        let name = format!("{before}{}", one.get_name());
        if one.has_subcommands() {
            commands_of(one, &format!("{name} "))
        } else {
            vec![name]
        }
    });
    named.collect()
}

#[test]
fn every_command_says_how_it_can_end() {
    let mut commands = commands_of(&Arguments::command(), "");
    commands.sort_unstable();
    let listed: Vec<_> = EXITS
        .iter()
        .map(|(command, _)| (*command).to_owned())
        .collect();
    assert_eq!(listed, commands);
}
