//! A real server for the bus, in a directory of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use redis::{Commands, Connection, Value};
use tempfile::TempDir;

use super::certificates::{Identity, put};
use super::patience::eventually;

/// The stream that all nodes read.
pub const STREAM: &str = "doorward:gossip:1";

/// Who else there is on a strict server.
const OTHER_USERS: &str =
    "user default on nopass resetkeys -@all\nuser tests on >tests ~* &* +@all\n";

/// A Redis that keeps what it has on its disk; dropping it ends it.
pub struct RedisServer {
    home: TempDir,
    port: u16,
    scheme: &'static str,
    config: String,
    /// The user and the password of the tests.
    admin: Option<(&'static str, &'static str)>,
    process: Option<Child>,
}

impl RedisServer {
    /// One that lets everybody in.
    #[track_caller]
    pub fn start() -> Self {
        Self::with("redis", None, |_| String::new())
    }

    /// One that lets in this user, as a line of its configuration says.
    #[track_caller]
    pub fn strict(user: &str) -> Self {
        let users = |home: &Path| {
            let file = home.join("users.acl");
            fs::write(&file, format!("{user}\n{OTHER_USERS}")).unwrap();
            format!("aclfile {}\n", file.display())
        };
        Self::with("redis", Some(("tests", "tests")), users)
    }

    /// One that speaks TLS, with this certificate.
    #[track_caller]
    pub fn encrypted(identity: &Identity) -> Self {
        let files = |home: &Path| {
            let certificate = put(home, "redis.pem", &identity.pem, 0o644);
            let key = put(home, "redis.key", &identity.key_pem, 0o600);
            format!("tls-cert-file {certificate}\ntls-key-file {key}\ntls-auth-clients no\n")
        };
        Self::with("rediss", None, files)
    }

    #[track_caller]
    fn with(
        scheme: &'static str,
        admin: Option<(&'static str, &'static str)>,
        more: impl Fn(&Path) -> String,
    ) -> Self {
        let home = tempfile::Builder::new()
            .prefix("doorward-redis-")
            .tempdir()
            .unwrap();
        let dir = home.path().display();
        let config = format!(
            "bind 127.0.0.1\ndir {dir}\nunixsocket {dir}/socket\nlogfile {dir}/log\n\
             save \"\"\nappendonly yes\nappendfsync always\n{}",
            more(home.path())
        );
        let mut server = Self {
            home,
            port: 0,
            scheme,
            config,
            admin,
            process: None,
        };
        for _ in 0..20 {
            server.port = free_port();
            if server.try_run() {
                return server;
            }
        }
        panic!("no port is free for redis-server:\n{}", server.log());
    }

    /// What `bus` says; `user` is `name:password@`, or nothing.
    pub fn url(&self, user: &str) -> String {
        format!("{}://{user}127.0.0.1:{}", self.scheme, self.port)
    }

    /// The same as a value of TOML.
    pub fn bus(&self, user: &str) -> String {
        format!("{:?}", self.url(user))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap(); // by its id
            process.wait().unwrap();
        }
    }

    /// Starts it again with what it had on its disk.
    #[track_caller]
    pub fn start_again(&mut self) {
        eventually(|| self.try_run());
    }

    /// The same, and this is asked of it before anybody else can ask.
    #[track_caller]
    pub fn start_again_with(&mut self, command: &[&str]) {
        let port = std::mem::replace(&mut self.port, free_port());
        self.start_again();
        self.ask(command);
        self.kill();
        self.port = port;
        self.start_again();
    }

    /// Loses what is on the disk of a server that was killed.
    pub fn lose_data(&self) {
        fs::remove_dir_all(self.home.path().join("appendonlydir")).unwrap();
    }

    /// Stops it in its tracks, or lets it go on: `STOP`, `CONT`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let done = Command::new("kill").args(["-s", name, &id]).status();
        assert!(done.unwrap().success());
    }

    /// Asks it as somebody who may do everything.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> Value {
        let bytes: Vec<_> = command.iter().map(|word| word.as_bytes()).collect();
        self.ask_bytes(&bytes)
    }

    /// The same, with words that are no text.
    #[track_caller]
    pub fn ask_bytes(&self, command: &[&[u8]]) -> Value {
        let mut question = redis::Cmd::new();
        for word in command {
            question.arg(*word);
        }
        question.query(&mut self.connection().unwrap()).unwrap()
    }

    /// How many entries the stream has.
    #[track_caller]
    pub fn entries(&self) -> u64 {
        let count: Result<u64, _> = self.connection().unwrap().xlen(STREAM);
        count.unwrap()
    }

    /// Every byte of every stream that it has, for looking for what must not be there.
    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for key in self.keys() {
            gather(&self.ask(&["XRANGE", &key, "-", "+"]), &mut bytes);
        }
        bytes
    }

    /// What it has.
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        self.connection().unwrap().keys("*").unwrap()
    }

    fn connection(&self) -> redis::RedisResult<Connection> {
        let socket = self.home.path().join("socket");
        let login = self
            .admin
            .map(|(user, password)| format!("?user={user}&pass={password}"));
        let login = login.unwrap_or_default();
        let url = format!("redis+unix://{}{login}", socket.display());
        redis::Client::open(url)?.get_connection()
    }

    fn try_run(&mut self) -> bool {
        let file = self.home.path().join("redis.conf");
        let port = match self.scheme {
            "rediss" => format!("port 0\ntls-port {}\n", self.port),
            _ => format!("port {}\n", self.port),
        };
        fs::write(&file, format!("{port}{}", self.config)).unwrap();
        // One program under two names: this one is packaged without a service.
        let mut process = Command::new("redis-check-rdb")
            .arg0("redis-server")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(File::create(self.home.path().join("out")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("`sh .ci/setup redis-check-rdb` installs it");
        let mut runs = false;
        eventually(|| {
            let answer = self
                .connection()
                .map(|mut line| redis::cmd("PING").exec(&mut line));
            runs = matches!(answer, Ok(Ok(())));
            runs || process.try_wait().unwrap().is_some()
        });
        self.process = runs.then_some(process);
        runs
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn gather(value: &Value, bytes: &mut Vec<u8>) {
    if let Value::BulkString(some) = value {
        bytes.extend(some);
    } else if let Value::Array(values) = value {
        for value in values {
            gather(value, bytes);
        }
    }
}
