//! Proxies that shops have already: Caddy, `HAProxy` and nginx, the real ones, each in a directory of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use super::backend::own_address;
use super::patience::eventually;

/// Where `.ci/caddy` puts it.
const CADDY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/caddy");
/// Where Debian has its servers, which is not in everybody's PATH.
const SBIN: &str = "/usr/sbin";
/// What Debian's nginx.conf has around a site: nothing outside of the directory is written.
const AROUND_NGINX_SITE: &str = "daemon off;
user root;
pid {home}/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/site;
}
";

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Caddy,
    Haproxy,
    Nginx,
}

/// A running proxy; dropping it ends it, and prints its log when the test has failed.
pub struct Peer {
    program: Program,
    home: TempDir,
    process: Child,
}

/// An address of this process at which no process listens.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    listener.local_addr().unwrap()
}

/// What makes a Caddyfile for the ports 80 and 443 one for these addresses, which are of one host.
pub fn caddy_options(plain: SocketAddr, tls: SocketAddr) -> String {
    assert_eq!(plain.ip(), tls.ip());
    let (http, https, ip) = (plain.port(), tls.port(), plain.ip());
    format!("{{\n\thttp_port {http}\n\thttps_port {https}\n\tdefault_bind {ip}\n}}\n\n")
}

/// Two addresses of one host.
pub fn free_addresses() -> [SocketAddr; 2] {
    let ip = own_address();
    let both = [(); 2].map(|()| TcpListener::bind((ip, 0)).unwrap());
    both.map(|listener| listener.local_addr().unwrap())
}

impl Peer {
    /// Runs it with this configuration, of nginx one that belongs into `http`, and waits until it listens at these addresses.
    #[track_caller]
    pub fn run(program: Program, config: &str, addresses: &[SocketAddr]) -> Self {
        let home = tempfile::Builder::new()
            .prefix("doorward-peer-")
            .tempdir()
            .unwrap();
        fs::write(home.path().join("site"), config).unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let process = command(program, home.path())
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|fault| panic!("{program:?}: {fault}; `make test` installs it"));
        let mut peer = Self {
            program,
            home,
            process,
        };
        for address in addresses {
            eventually(|| peer.listens_at(*address));
        }
        peer
    }

    fn listens_at(&mut self, address: SocketAddr) -> bool {
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "{:?}: {ended:?}", self.program);
        TcpStream::connect(address).is_ok()
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        let log = fs::read(self.home.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

fn command(program: Program, home: &Path) -> Command {
    let file = home.join("site");
    let mut command;
    match program {
        Program::Caddy => {
            command = Command::new(CADDY);
            command.args(["run", "--adapter", "caddyfile", "--config"]);
            command.arg(file);
            command.env(
                "CADDY_ADMIN",
                format!("unix/{}", home.join("admin").display()),
            );
            for folder in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                command.env(folder, home);
            }
        }
        Program::Haproxy => {
            command = Command::new(in_sbin("haproxy"));
            command.args(["-db", "-f"]).arg(file);
        }
        Program::Nginx => {
            let whole = home.join("nginx.conf");
            let text = AROUND_NGINX_SITE.replace("{home}", home.to_str().unwrap());
            fs::write(&whole, text).unwrap();
            command = Command::new(in_sbin("nginx"));
            command.arg("-p").arg(home).args(["-e", "stderr"]);
            command.arg("-c").arg(whole);
        }
    }
    command
}

fn in_sbin(program: &str) -> String {
    let path = format!("{SBIN}/{program}");
    if Path::new(&path).exists() {
        path
    } else {
        program.to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        match self.program {
            Program::Caddy | Program::Haproxy => drop(self.process.kill()), // by its id
            Program::Nginx => {
                // It ends its workers before itself.
                let id = self.process.id().to_string();
                drop(Command::new("kill").args(["-s", "TERM", &id]).status());
            }
        }
        drop(self.process.wait());
        if thread::panicking() {
            eprintln!("--- what {:?} logged\n{}\n---", self.program, self.log());
        }
    }
}
