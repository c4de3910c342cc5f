//! The walk from the start to the end: a shop, a Doorward in front of it, and the customer.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::failed_step::FailedStep;
use super::interruption::Interruption;
use super::process::{start, stop};
use super::script::{SCRIPTS, Script};
use super::shop::{Mood, PretendShop};
use super::walk::Walk;

/// The shops that the demo can walk through.
pub fn shops() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|script| script.name)
}

/// Runs `doorward` itself in front of the shop of that name, which never revokes anything, and walks. Without `once`
/// both stay up until the reader ends them. Writes to a temporary folder only, and leaves nothing behind.
pub fn run(doorward: &Path, shop: &str, once: bool, out: &mut dyn Write) -> Result<(), FailedStep> {
    let failed = |why: io::Error| FailedStep {
        step: "the start",
        why: why.to_string(),
    };
    let script = script_named(shop).map_err(failed)?;
    let mut interruption = Interruption::watch().map_err(failed)?;
    let folder = tempfile::tempdir().map_err(failed)?;
    let shop = PretendShop::open(script.storefront, Mood::Stateless).map_err(failed)?;
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

fn write_config(
    folder: &Path,
    script: &Script,
    shop: &PretendShop,
) -> io::Result<std::path::PathBuf> {
    let secret = folder.join("jwt.secret");
    fs::write(&secret, PretendShop::SECRET)?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let config = folder.join("doorward.toml");
    let text = format!(
        r#"listen   = ["127.0.0.1:0"]
operator_listen = "127.0.0.1:0"
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

/// Prints what the reader can do now.
fn invite(
    shop: &PretendShop,
    edge: SocketAddr,
    config: &Path,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "Both stay up for requests of your own: http://{edge} (doorward), http://{} (the shop).\n\
         The configuration is {}. Ctrl-C ends them.",
        shop.address(),
        config.display()
    )?;
    out.flush()
}
