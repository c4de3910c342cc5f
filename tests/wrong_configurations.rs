//! Wrong configurations, as operators write them: what is said, at which line, what to do next, and how the commands end.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;

use serde_json::Value;
use support::{doorward, put};
use tempfile::TempDir;

/// What is written behind the top of a good file, and what the first error says of it.
struct Wrong {
    text: &'static str,
    message: &'static str,
    line: Option<u64>,
    /// A part of the label or of the help.
    next: &'static str,
}

const SHOP: &str = "[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\n";
const TOP: &str = "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n";

/// Of which the first line that is not of [`TOP`] is line 3.
const WRONG: &[Wrong] = &[
    Wrong {
        text: "operater_listen = \"127.0.0.1:0\"\n{shop}token.kind = \"opaque\"\n",
        message: "unknown key `operater_listen`",
        line: Some(3),
        next: "did you mean `operator_listen`?",
    },
    Wrong {
        text: "log = \"verbose\"\n{shop}token.kind = \"opaque\"\n",
        message: "unknown `log`: `verbose`",
        line: Some(3),
        next: "known: error, warn, info, debug",
    },
    Wrong {
        text: "operator_listen = \"localhost\"\n{shop}token.kind = \"opaque\"\n",
        message: "expected an address with a port, such as 127.0.0.1:8080 or [::]:8080, found `localhost`",
        line: Some(3),
        next: "",
    },
    Wrong {
        text: "log = \n{shop}token.kind = \"opaque\"\n",
        message: "string values must be quoted",
        line: Some(3),
        next: "literal string",
    },
    Wrong {
        text: "",
        message: "missing key `shop`",
        line: None,
        next: "at least one shop, under [[shop]]",
    },
    Wrong {
        text: "{shop}",
        message: "missing key `token`",
        line: Some(3),
        next: "[shop.token] with algorithms and a key",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\"]\n",
        message: "missing key `secret_file`",
        line: Some(6),
        next: "the path of a key",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\"]\ntoken.secret_file = \"none.secret\"\n",
        message: "`none.secret` can't be read: No such file or directory (os error 2)",
        line: Some(7),
        next: "paths are relative to the folder of the configuration",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\"]\ntoken.secret_file = \"open.secret\"\n",
        message: "`open.secret`: every user of this machine may use it (mode 0644)",
        line: Some(7),
        next: "chown root:doorward open.secret && chmod 0640 open.secret",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\"]\ntoken.secret_file = \"short.secret\"\n",
        message: "`short.secret`: the secret has 5 bytes, 32 are needed",
        line: Some(7),
        next: "allow_short_secret = true",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\", \"RS256\"]\ntoken.secret_file = \"jwt.secret\"\n",
        message: "symmetric and asymmetric algorithms are mixed",
        line: Some(6),
        next: "RFC 8725",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\ntoken.jwks_file = \"a\"\n",
        message: "`secret_file` and `jwks_file` can't both be given",
        line: Some(8),
        next: "",
    },
    Wrong {
        text: "{shop}token.algorithms = [\"HS256\"]\ntoken.secret_file = \"$NO_SUCH_VARIABLE/a\"\n",
        message: "the variable `NO_SUCH_VARIABLE` is not set",
        line: Some(7),
        next: "Environment=NO_SUCH_VARIABLE=",
    },
    Wrong {
        text: "{shop}preset = \"bagist\"\ntoken.kind = \"opaque\"\n",
        message: "unknown `preset`: `bagist`",
        line: Some(6),
        next: "did you mean `bagisto`?",
    },
    Wrong {
        text: "{shop}hosts = [\"shop.example.com:443\"]\ntoken.kind = \"opaque\"\n",
        message: "expected a host name such as shop.example.com or *.example.com, without port, found `shop.example.com:443`",
        line: Some(6),
        next: "",
    },
    Wrong {
        text: "{shop}token.kind = \"opaque\"\n{shop}token.kind = \"opaque\"\n",
        message: "two shops are called `main`",
        line: Some(8),
        next: "the first one is in line 4",
    },
    Wrong {
        text: "{shop}token.kind = \"opaque\"\n[[shop.route]]\npaths = [\"/a\"]\nupstream = \"api\"\n",
        message: "no upstream is called `api`",
        line: Some(9),
        next: "write [[upstream]] name = \"api\", with its servers",
    },
    Wrong {
        text: "{shop}token.kind = \"opaque\"\n[[shop.route]]\npaths = [\"/a\"]\nenforce = \"requird\"\n",
        message: "unknown `enforce`: `requird`",
        line: Some(9),
        next: "did you mean `required`?",
    },
    Wrong {
        text: "{shop}token.kind = \"opaque\"\n[[shop.route]]\npaths = [\"/a\"]\n",
        message: "this route says nothing",
        line: Some(7),
        next: "enforce = \"required\", or upstream = \"api\"",
    },
    Wrong {
        text: "{shop}token.kind = \"opaque\"\ntoken.leeway = \"1h\"\n",
        message: "`leeway` is out of range",
        line: Some(7),
        next: "at most 10m",
    },
    Wrong {
        text: "{shop}token.kind = \"opaque\"\n[shop.timeouts]\nread = \"soon\"\n",
        message: "expected a duration",
        line: Some(8),
        next: "",
    },
    Wrong {
        text: "include = [\"conf.d/*.toml\"]\n{shop}token.kind = \"opaque\"\n",
        message: "conf.d can't be read: No such file or directory (os error 2)",
        line: Some(3),
        next: "create the folder, or leave this out",
    },
];

fn folder(wrong: &Wrong) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let secret = "a secret of more than thirty-two bytes, as RFC 7518 wants it";
    put(folder.path(), "jwt.secret", secret, 0o600);
    put(folder.path(), "open.secret", secret, 0o644);
    put(folder.path(), "short.secret", "short", 0o600);
    let text = TOP.to_owned() + &wrong.text.replace("{shop}", SHOP);
    fs::write(folder.path().join("doorward.toml"), text).unwrap();
    folder
}

#[test]
fn a_wrong_configuration_says_what_where_and_what_next_and_no_command_takes_it() {
    assert!(WRONG.len() >= 20);
    for wrong in WRONG {
        let folder = folder(wrong);
        let file = folder.path().join("doorward.toml");
        let file = file.to_str().unwrap();
        let checked = doorward(&["check", "--config", file, "--format", "json"]);
        let told: Value = serde_json::from_str(&checked.stdout).unwrap();
        let mut faults = told["faults"].as_array().unwrap().iter();
        let says = |fault: &&Value| {
            let message = fault["message"].as_str().unwrap();
            fault["severity"] == "error" && message.contains(wrong.message)
        };
        let fault = faults
            .find(says)
            .unwrap_or_else(|| panic!("{}\n{told:#}", wrong.message));
        assert_eq!(fault["line"].as_u64(), wrong.line, "{fault:#}");
        assert!(
            fault["file"].as_str().unwrap().ends_with("doorward.toml"),
            "{fault:#}"
        );
        let next = format!("{} {}", fault["label"], fault["help"]).replace("\\\"", "\"");
        assert!(next.contains(wrong.next), "{}\n{next}", wrong.next);
        for command in ["check", "run", "init"] {
            let ended = doorward(&[command, "--config", file]);
            assert_eq!(ended.code, Some(78), "{command}: {}", wrong.message);
            assert!(
                ended.stderr.contains(wrong.message),
                "{command}: {}",
                ended.stderr
            );
        }
    }
}
