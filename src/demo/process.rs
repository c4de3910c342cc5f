//! The Doorward that the walk starts.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// Creates a data folder, as a new installation does.
fn init(doorward: &Path, config: &Path) -> io::Result<()> {
    let mut command = Command::new(doorward);
    command.args(["init", "--config"]).arg(config);
    let outcome = command.stdin(Stdio::null()).output()?;
    if outcome.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&outcome.stderr);
    Err(io::Error::other(format!("doorward init ended:\n{said}")))
}

/// Starts a Doorward and waits until it says that it is ready, and where.
pub(super) fn start(doorward: &Path, config: &Path) -> io::Result<(Child, SocketAddr)> {
    init(doorward, config)?;
    let mut process = Command::new(doorward)
        .args(["run", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let Some(log) = process.stderr.take() else {
        return Err(io::Error::other("its log can't be read"));
    };
    match ready_at(log) {
        Ok(edge) => Ok((process, edge)),
        Err(error) => {
            stop(&mut process);
            Err(error)
        }
    }
}

fn ready_at(log: ChildStderr) -> io::Result<SocketAddr> {
    let mut lines = BufReader::new(log).lines();
    let mut edge = None;
    let mut said = String::new();
    for line in lines.by_ref() {
        let line = line?;
        if line.contains("listening") && line.contains("service=proxy") {
            let address = line
                .split("address=")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            edge = address.and_then(|address| address.parse().ok());
        }
        if line.ends_with("ready") {
            // Later output is discarded, so that the process never blocks on a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return edge.ok_or_else(|| io::Error::other("it does not say where it listens"));
        }
        said.push_str(&line);
        said.push('\n');
    }
    Err(io::Error::other(format!("doorward ended:\n{said}")))
}

/// Ends it.
pub(super) fn stop(process: &mut Child) {
    let _ = process.kill(); // it may have ended by itself
    let _ = process.wait();
}
