//! The presets in front of real shops, which `make shops` installs.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod devices;
mod medusa;
mod oauth;
mod readers;
mod vendure;
mod wordpress;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::slice;
use std::thread;

use serde_json::{Value, json};
use support::{Answer, Edge, Shop, raw, request};

/// A header that says who the customer is.
type Credential = (&'static str, String);

/// A shop that ends with its standard input.
struct RealShop {
    address: SocketAddr,
    process: Child,
}

impl RealShop {
    /// Runs `line` where the shop was installed; its first argument is the port to listen on.
    fn run(name: &str, line: &[&str], more: &[&str]) -> Self {
        let port = free_port();
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/shops");
        let mut process = Command::new(line[0])
            .args(&line[1..])
            .arg(port.to_string())
            .args(more)
            .env("JWT_SECRET", Shop::SECRET)
            .current_dir(home.join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = said.map_while(Result::ok);
        assert!(said.any(|line| line == "ready"), "{name} did not start");
        thread::spawn(move || said.for_each(drop)); // or it could write no more
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            process,
        }
    }

    fn stop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

impl Drop for RealShop {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

fn cookie(answer: &Answer) -> (&'static str, String) {
    let lines = answer.headers_named("set-cookie").into_iter();
    let pairs = lines.map(|line| line.split(';').next().unwrap());
    ("Cookie", pairs.collect::<Vec<_>>().join("; "))
}

/// A request with a body, if there is one, and with a credential, if there is one.
fn ask(
    address: SocketAddr,
    (method, path): (&str, &str),
    credentials: &[(&str, String)],
    (content_type, body): (&str, &str),
) -> Answer {
    let typed = (!body.is_empty()).then(|| ("Content-Type", content_type.to_owned()));
    let headers = credentials.iter().cloned().chain(typed);
    let headers: Vec<_> = headers.collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    raw(address, &request(method, path, &headers, body.as_bytes()))
}
