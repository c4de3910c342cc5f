//! Every exit code.

use doorward::cli::Exit;

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
    compare("exit-codes.md", &out);
}
