//! Doorward in front of a pretend shop: a walk through login, logout and what comes after.

pub mod shop;
mod script;
mod walk;

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use script::{SCRIPTS, Script};
use shop::{Mood, Shop};
use walk::Walk;

/// The step of the walk that went wrong, and how.
#[derive(Debug)]
pub struct Failed {
    step: &'static str,
    why: String,
}

impl std::error::Error for Failed {}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the demo failed at {}: {}", self.step, self.why)
    }
}

/// What the shops are called that there is a walk through.
pub fn shops() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|script| script.name)
}

/// Runs `doorward` itself in front of the shop of that name, which never revokes anything, and walks. Without `once`
/// both stay up until the reader ends them. Writes to a temporary folder only, and leaves nothing behind.
pub fn run(doorward: &Path, shop: &str, once: bool, out: &mut dyn Write) -> Result<(), Failed> {
    let failed = |why: io::Error| Failed {
        step: "the start",
        why: why.to_string(),
    };
    let script = script_named(shop).map_err(failed)?;
    let mut interruption = Interruption::watch().map_err(failed)?;
    let folder = tempfile::tempdir().map_err(failed)?;
    let shop = Shop::open(script.storefront, Mood::Stateless).map_err(failed)?;
    let config = write_config(folder.path(), script, &shop).map_err(failed)?;
    let started = start(doorward, &config).map_err(failed);
    let (mut process, edge) = match started {
        Err(_) if interruption.has_come() => return Ok(()),
        started => started?,
    };
    let mut walk = Walk {
        script,
        shop: &shop,
        edge,
        out,
    };
    let mut walked = walk.go();
    if walked.is_ok() && !once && !interruption.has_come() {
        walked = invite(&shop, edge, &config, out).map_err(failed);
        interruption.wait();
    }
    stop(&mut process);
    if interruption.has_come() {
        Ok(())
    } else {
        walked
    }
}

fn script_named(name: &str) -> io::Result<&'static Script> {
    let script = SCRIPTS.iter().find(|script| script.name == name);
    script.copied().ok_or_else(|| {
        let known: Vec<_> = shops().collect();
        io::Error::other(format!(
            "no walk through {name}: there are {}",
            known.join(", ")
        ))
    })
}

/// Ctrl-C, or being told to stop: noticed from the start on, so that nothing is left running.
struct Interruption {
    runtime: Runtime,
    signals: [Signal; 2],
    came: bool,
}

impl Interruption {
    fn watch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ];
        drop(inside);
        Ok(Self {
            runtime,
            signals,
            came: false,
        })
    }

    fn has_come(&mut self) -> bool {
        self.come_within(Duration::ZERO);
        self.came
    }

    fn wait(&mut self) {
        self.come_within(Duration::MAX);
    }

    fn come_within(&mut self, patience: Duration) {
        let [interrupt, terminate] = &mut self.signals;
        let came = self.runtime.block_on(async {
            let signal = async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            tokio::time::timeout(patience, signal).await
        });
        self.came |= came.is_ok();
    }
}

fn write_config(folder: &Path, script: &Script, shop: &Shop) -> io::Result<std::path::PathBuf> {
    let secret = folder.join("jwt.secret");
    fs::write(&secret, Shop::SECRET)?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let config = folder.join("doorward.toml");
    let text = format!(
        r#"listen   = ["127.0.0.1:0"]
operator = "127.0.0.1:0"
data_dir = "data"

[[shop]]
name     = "demo"
upstream = ["{}"]
{}

[shop.token]
algorithms  = ["HS256"]
secret_file = "jwt.secret"
"#,
        shop.address(),
        script.settings
    );
    fs::write(&config, text)?;
    Ok(config)
}

/// Makes a data folder, as every new installation does.
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
fn start(doorward: &Path, config: &Path) -> io::Result<(Child, SocketAddr)> {
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
            // What it says from now on is thrown away, so that it never waits for a reader.
            std::thread::spawn(move || lines.for_each(drop));
            return edge.ok_or_else(|| io::Error::other("it does not say where it listens"));
        }
        said.push_str(&line);
        said.push('\n');
    }
    Err(io::Error::other(format!("doorward ended:\n{said}")))
}

fn stop(process: &mut Child) {
    let _ = process.kill(); // it may have ended by itself
    let _ = process.wait();
}

/// Says what the reader can do now.
fn invite(shop: &Shop, edge: SocketAddr, config: &Path, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "Both stay up for requests of your own: http://{edge} (doorward), http://{} (the shop).\n\
         The configuration is {}. Ctrl-C ends them.",
        shop.address(),
        config.display()
    )?;
    out.flush()
}
