//! How a benchmark was called, for those that Criterion does not run.

/// What it was called for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By `cargo bench`: to measure.
    Measure,
    /// By `cargo test --benches`: to see that it runs.
    Smoke,
    /// By a test runner that asks for names; there are none.
    List,
}

impl Mode {
    /// By the arguments that cargo and test runners give.
    pub fn from_arguments() -> Self {
        let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
        if given("--list") {
            Self::List
        } else if given("--bench") {
            Self::Measure
        } else {
            Self::Smoke
        }
    }

    /// `full` when measuring, a thousandth of it otherwise.
    pub fn rows(self, full: u64) -> u64 {
        match self {
            Self::Measure => full,
            Self::Smoke | Self::List => full / 1000,
        }
    }
}

/// The number that follows `name` among the arguments.
pub fn number_after(name: &str) -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}
