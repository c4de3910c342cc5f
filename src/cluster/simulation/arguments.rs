//! Arguments of a test run to the simulation.

/// What follows a word like `seed:` among the filters of the test run.
pub(super) fn asked_for(what: &str) -> Option<u64> {
    let mut arguments = std::env::args();
    arguments.find_map(|argument| argument.strip_prefix(what)?.parse().ok())
}
