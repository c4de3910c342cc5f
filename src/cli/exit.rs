//! How a command ends: its exit code, and the reason where it fails.

use std::fmt::Display;
use std::process::ExitCode;

use super::output::complain;

/// The exit code of a command. 69 and 78 are those of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command has done what it was asked for.
    Done,
    /// It has not, for a reason that no other code stands for.
    Failed,
    /// The arguments are wrong.
    Usage,
    /// An address can't be bound, no process answers, or a probe failed.
    Unavailable,
    /// The configuration has faults, or its data folder is not the one that was written last.
    Config,
}

impl Exit {
    /// Every exit code.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Unavailable,
        Self::Config,
    ];

    /// The code itself.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2, // as clap has it
            Self::Unavailable => 69,
            Self::Config => 78,
        }
    }
}

/// The exit codes of every command.
pub const EXITS: &[(&str, &[Exit])] = &[
    (
        "check",
        &[
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Config,
        ],
    ),
    ("cluster force-ready", ORDERS),
    ("cluster init", FILES),
    ("cluster invite", FILES),
    ("cluster join", FILES),
    ("cluster peers", ORDERS),
    ("cluster status", ORDERS),
    ("completions", &[Exit::Done, Exit::Usage]),
    ("config schema", &[Exit::Done, Exit::Usage]),
    ("config show", &[Exit::Done, Exit::Usage, Exit::Config]),
    ("demo", &[Exit::Done, Exit::Failed, Exit::Usage]),
    ("drain", ORDERS),
    (
        "explain",
        &[
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Config,
        ],
    ),
    ("healthcheck", ORDERS),
    ("init", FILES),
    ("inspect", ORDERS),
    ("keys list", ORDERS),
    ("log set", ORDERS),
    ("man", &[Exit::Done, Exit::Failed, Exit::Usage]),
    ("preset list", &[Exit::Done, Exit::Usage]),
    ("preset show", &[Exit::Done, Exit::Usage]),
    ("rehearse", FILES),
    (
        "reload",
        &[
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Config,
        ],
    ),
    ("revocations export", ORDERS),
    ("revocations import", ORDERS),
    ("revocations list", ORDERS),
    ("revoke", ORDERS),
    (
        "run",
        &[
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Config,
        ],
    ),
    ("status", ORDERS),
    ("support-bundle", ORDERS),
    ("test", FILES),
    ("top", ORDERS),
];

/// Orders to the running process.
const ORDERS: &[Exit] = &[Exit::Done, Exit::Failed, Exit::Usage, Exit::Unavailable];
/// What reads a configuration and other files, or writes them.
const FILES: &[Exit] = &[Exit::Done, Exit::Failed, Exit::Usage, Exit::Config];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed.
pub(super) struct CommandError {
    exit: Exit,
    /// `None`: it is printed already.
    message: Option<String>,
}

impl CommandError {
    /// A failure with this exit code.
    pub(super) fn new(exit: Exit, why: impl Display) -> Self {
        let message = Some(why.to_string());
        Self { exit, message }
    }

    /// A failure that needs no exit code of its own.
    pub(super) fn failed(why: impl Display) -> Self {
        Self::new(Exit::Failed, why)
    }

    /// The same failure with another exit code.
    pub(super) fn with(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// A failure whose reason is printed already.
    pub(super) fn printed(exit: Exit) -> Self {
        let message = None;
        Self { exit, message }
    }

    /// Prints the reason.
    pub(super) fn report(self) -> Exit {
        if let Some(message) = &self.message {
            complain(format_args!("error: {message}"));
        }
        self.exit
    }
}
