//! Doorward in front of a pretend shop: a walk through login, logout and what comes after.

pub mod shop;

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::exchange;
use shop::{Mood, Shop, Storefront};

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

/// What the steps share.
struct Walk<'a> {
    shop: &'a Shop,
    edge: SocketAddr,
    out: &'a mut dyn Write,
}

/// Runs `doorward` itself in front of a shop that never revokes anything, and walks. Without `once` both
/// stay up until the reader ends them. Writes to a temporary folder only, and leaves nothing behind.
pub fn run(doorward: &Path, once: bool, out: &mut dyn Write) -> Result<(), Failed> {
    let failed = |why: io::Error| Failed {
        step: "the start",
        why: why.to_string(),
    };
    let mut interruption = Interruption::watch().map_err(failed)?;
    let folder = tempfile::tempdir().map_err(failed)?;
    let shop = Shop::open(Storefront::Bagisto, Mood::Stateless).map_err(failed)?;
    let config = write_config(folder.path(), &shop).map_err(failed)?;
    let started = start(doorward, &config).map_err(failed);
    let (mut process, edge) = match started {
        Err(_) if interruption.has_come() => return Ok(()),
        started => started?,
    };
    let mut walked = walk(&shop, edge, out);
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

fn write_config(folder: &Path, shop: &Shop) -> io::Result<std::path::PathBuf> {
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
preset   = "bagisto"
upstream = ["{}"]

[shop.token]
algorithms  = ["HS256"]
secret_file = "jwt.secret"
"#,
        shop.address()
    );
    fs::write(&config, text)?;
    Ok(config)
}

/// Starts a Doorward and waits until it says that it is ready, and where.
fn start(doorward: &Path, config: &Path) -> io::Result<(Child, SocketAddr)> {
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

const LOGIN: &str = "/api/shop/customers/login";
const LOGOUT: &str = "/api/shop/customers/logout";
const PROFILE: &str = "/api/shop/customers/profile";

fn walk(shop: &Shop, edge: SocketAddr, out: &mut dyn Write) -> Result<(), Failed> {
    let mut walk = Walk { shop, edge, out };
    walk.say(&format!(
        "pretend shop  http://{}   it signs HS256 tokens, and its logout revokes nothing\n\
         doorward      http://{edge}   in front of it\n\n  URL=http://{edge}  KEY={}\n",
        shop.address(),
        Shop::KEY
    ))?;
    let token = walk.log_in("1/6 login")?;
    walk.expect(
        "2/6 a page of the customer",
        "GET",
        PROFILE,
        Some(&token),
        StatusCode::OK,
    )?;
    walk.expect("3/6 logout", "POST", LOGOUT, Some(&token), StatusCode::OK)?;
    let visits = shop.visits();
    walk.expect(
        "4/6 the same token again",
        "GET",
        PROFILE,
        Some(&token),
        StatusCode::UNAUTHORIZED,
    )?;
    walk.unmoved("4/6 the same token again", visits)?;
    let token = walk.log_in("5/6 a new login")?;
    walk.expect(
        "6/6 a page with the new token",
        "GET",
        PROFILE,
        Some(&token),
        StatusCode::OK,
    )
}

impl Walk<'_> {
    fn say(&mut self, text: &str) -> Result<(), Failed> {
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .map_err(|error| Failed {
                step: "the output",
                why: error.to_string(),
            })
    }

    fn log_in(&mut self, step: &'static str) -> Result<String, Failed> {
        let login = json!({ "email": "john@example.com", "password": Shop::PASSWORD }).to_string();
        let (status, body) = self.send(step, "POST", LOGIN, None, login.as_bytes())?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(token) = answer.pointer("/data/token").and_then(Value::as_str) else {
            let why = format!("no token came with the answer {status}");
            return Err(Failed { step, why });
        };
        self.say(&format!(
            "{step}: {status}, a token\n  TOKEN=$(curl -s \"$URL{LOGIN}\" -H \"X-STOREFRONT-KEY: $KEY\" \
             -H 'Content-Type: application/json' -d '{login}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')\n"
        ))?;
        Ok(token.to_owned())
    }

    fn expect(
        &mut self,
        step: &'static str,
        method: &str,
        path: &str,
        token: Option<&str>,
        wanted: StatusCode,
    ) -> Result<(), Failed> {
        let (status, body) = self.send(step, method, path, token, b"")?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status != wanted {
            let why = format!("the answer was {status}, not {wanted}: {body}");
            return Err(Failed { step, why });
        }
        self.say(&format!(
            "{step}: {status} {body}\n  curl -i -X {method} \"$URL{path}\" \
             -H \"X-STOREFRONT-KEY: $KEY\" -H \"Authorization: Bearer $TOKEN\"\n"
        ))
    }

    fn unmoved(&mut self, step: &'static str, visits: usize) -> Result<(), Failed> {
        let now = self.shop.visits();
        if now != visits {
            let why = format!("{} requests reached the shop", now - visits);
            return Err(Failed { step, why });
        }
        self.say(&format!(
            "  the shop saw nothing of it: its counter still stands at {visits}\n"
        ))
    }

    fn send(
        &self,
        step: &'static str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> Result<(StatusCode, Vec<u8>), Failed> {
        let failed = |error: io::Error| Failed {
            step,
            why: error.to_string(),
        };
        let stream = TcpStream::connect(self.edge).map_err(failed)?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .map_err(failed)?;
        let bearer = token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nX-STOREFRONT-KEY: {}\r\n\
             Content-Type: application/json\r\n{bearer}",
            self.edge,
            Shop::KEY
        );
        exchange(stream, &head, body).map_err(failed)
    }
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
