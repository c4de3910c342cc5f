//! A service manager such as systemd: it holds sockets, hands them over, and is told how the service fares.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::patience::eventually;

/// The sockets become descriptors 3 and 4, and the process keeps the id that it is told.
const HAND_OVER: &str = "export LISTEN_PID=$$; ulimit -n ${DESCRIPTORS:-$(ulimit -n)}; exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null";

/// A socket that a manager holds.
enum Held {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A manager of one service; what it holds outlives every process of the service.
pub struct Manager {
    home: TempDir,
    inbox: UnixDatagram,
    notices: Mutex<Vec<String>>,
    sockets: Vec<Held>,
    watchdog: Option<Duration>,
    descriptors: Option<u32>,
}

impl Manager {
    /// One that holds no socket and wants no watchdog fed.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let inbox = UnixDatagram::bind(home.path().join("notify")).unwrap();
        inbox.set_nonblocking(true).unwrap();
        Self {
            home,
            inbox,
            notices: Mutex::default(),
            sockets: Vec::new(),
            watchdog: None,
            descriptors: None,
        }
    }

    /// The same, granting so many descriptors; it must hold a socket, too.
    pub fn granting(self, descriptors: u32) -> Self {
        Self {
            descriptors: Some(descriptors),
            ..self
        }
    }

    /// The same, holding one more socket, on a free port; two at the most.
    pub fn holding_a_socket(mut self) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        self.sockets.push(Held::Tcp(socket));
        self
    }

    /// The same, holding one more socket, at this path.
    pub fn holding_a_unix_socket(mut self, path: &Path) -> Self {
        let socket = UnixListener::bind(path).unwrap();
        self.sockets.push(Held::Unix(socket));
        self
    }

    /// The same, wanting the watchdog fed in this time.
    pub fn watching(self, time: Duration) -> Self {
        Self {
            watchdog: Some(time),
            ..self
        }
    }

    /// The address of a socket that it holds.
    pub fn address(&self, number: usize) -> SocketAddr {
        match &self.sockets[number] {
            Held::Tcp(socket) => socket.local_addr().unwrap(),
            Held::Unix(_) => panic!("it has a path"),
        }
    }

    /// A command that runs the program as this manager's service; `plain` makes one that runs a program as nobody's.
    pub fn command(&self, plain: impl Fn(&str) -> Command, program: &str) -> Command {
        let mut command = match self.sockets.as_slice() {
            [] => plain(program),
            held => {
                let mut command = plain("sh");
                command.args(["-c", HAND_OVER, program]);
                command.env("LISTEN_FDS", held.len().to_string());
                command
            }
        };
        if let Some(descriptors) = self.descriptors {
            command.env("DESCRIPTORS", descriptors.to_string());
        }
        command.env("NOTIFY_SOCKET", self.home.path().join("notify"));
        if let Some(time) = self.watchdog {
            command.env("WATCHDOG_USEC", time.as_micros().to_string());
        }
        command
    }

    /// What the service finds as its standard streams; they carry the sockets.
    pub fn streams(&self) -> (Stdio, Stdio) {
        let stream = |number: usize| match self.sockets.get(number) {
            Some(Held::Tcp(socket)) => OwnedFd::from(socket.try_clone().unwrap()).into(),
            Some(Held::Unix(socket)) => OwnedFd::from(socket.try_clone().unwrap()).into(),
            None => Stdio::null(),
        };
        (stream(0), stream(1))
    }

    /// Everything that it was told, notice by notice.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.notices.lock().unwrap();
        let mut bytes = [0; 4096];
        while let Ok(length) = self.inbox.recv(&mut bytes) {
            notices.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        notices.clone()
    }

    /// How many notices have this line.
    pub fn count(&self, line: &str) -> usize {
        let notices = self.notices();
        let told = notices.iter().flat_map(|notice| notice.lines());
        told.filter(|told| *told == line).count()
    }

    /// Waits until it was told this line, so many times in all.
    #[track_caller]
    pub fn is_told(&self, line: &str, times: usize) {
        eventually(|| self.count(line) >= times);
    }

    /// The last status that it was told.
    pub fn status(&self) -> String {
        let notices = self.notices();
        let mut lines = notices.iter().rev().flat_map(|notice| notice.lines());
        let status = lines.find_map(|line| line.strip_prefix("STATUS="));
        status.unwrap_or_default().to_owned()
    }
}
