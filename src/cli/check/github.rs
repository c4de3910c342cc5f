//! Faults as workflow commands of GitHub Actions.

use crate::config::{FaultView, Severity};

/// The command that marks the line of a fault.
pub(super) fn command(fault: &FaultView<'_>) -> String {
    let name = match fault.severity {
        Severity::Error => "error",
        Severity::Warning | Severity::Outdated => "warning",
    };
    let place = [
        ("file", fault.file.map(property)),
        ("line", fault.line.map(|line| line.to_string())),
        ("col", fault.column.map(|column| column.to_string())),
    ];
    let place = place.into_iter();
    let place = place.filter_map(|(key, value)| Some(format!("{key}={}", value?)));
    let mut properties: Vec<_> = place.collect();
    properties.push("title=doorward".to_owned());
    let label = fault.label.map(ToString::to_string).into_iter();
    let help = fault.help.iter().map(|help| format!("help: {help}"));
    let message = std::iter::once(fault.message.to_owned());
    let lines: Vec<_> = message.chain(label).chain(help).collect();
    format!(
        "::{name} {}::{}",
        properties.join(","),
        data(&lines.join("\n"))
    )
}

/// Text behind the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        let help = ["100 % of\nit".to_owned()];
        let fault = FaultView {
            severity: Severity::Error,
            message: "it: is, wrong",
            file: Some("a,b:c.toml"),
            line: Some(3),
            column: Some(7),
            label: Some("expected less"),
            help: &help,
        };
        assert_eq!(
            command(&fault),
            "::error file=a%2Cb%3Ac.toml,line=3,col=7,title=doorward::it: is, wrong%0Aexpected less%0Ahelp: 100 %25 of%0Ait"
        );
    }
}
