//! A host with a certificate, and where it answers today: what curl and h2load ask, and what proxies want to read.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rcgen::CertifiedKey;
use tempfile::TempDir;

use super::peer::free_addresses;

/// Its name.
const HOST: &str = "shop.example.com";
/// Where configurations expect its certificate and its key.
const ETC: &str = "/etc/shop";

/// The host `shop.example.com`.
pub struct WebHost {
    folder: TempDir,
    /// What answers for its ports 80 and 443.
    pub plain: SocketAddr,
    pub tls: SocketAddr,
}

impl WebHost {
    /// At two addresses that are free, with a new certificate.
    pub fn new() -> Self {
        let [plain, tls] = free_addresses();
        let folder = tempfile::tempdir().unwrap();
        let names = vec![HOST.to_owned()];
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        let key = signing_key.serialize_pem();
        fs::write(folder.path().join("shop.pem"), cert.pem()).unwrap();
        for name in ["shop.key", "shop.pem.key"] {
            let path = folder.path().join(name);
            fs::write(&path, &key).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        Self { folder, plain, tls }
    }

    /// A configuration with the files of its certificate.
    pub fn fill_in(&self, config: &str) -> String {
        config.replace(ETC, self.folder.path().to_str().unwrap())
    }

    /// A file of this length, as curl's `--data-binary` takes it.
    pub fn body_of(&self, length: usize) -> String {
        let path = self.folder.path().join("body");
        fs::write(&path, vec![b'x'; length]).unwrap();
        format!("@{}", path.display())
    }

    /// What curl writes when it asks the host: `https://shop.example.com/cart`.
    #[track_caller]
    pub fn curl(&self, arguments: &[&str]) -> String {
        let ca_file = self.folder.path().join("shop.pem").display().to_string();
        let [plain, tls] = [(80, self.plain), (443, self.tls)]
            .map(|(port, address)| format!("{HOST}:{port}:{}:{}", address.ip(), address.port()));
        let usual = ["-sS", "--noproxy", "*", "--max-time", "60"];
        let there = [
            "--cacert",
            &ca_file,
            "--connect-to",
            &plain,
            "--connect-to",
            &tls,
        ];
        let mut all = vec!["-q"];
        for (number, request) in arguments.split(|word| *word == "--next").enumerate() {
            all.extend((number > 0).then_some("--next")); // which forgets what was said before
            all.extend(usual.iter().chain(&there).chain(request));
        }
        run("curl", &all)
    }

    /// What h2load reports of this many requests.
    #[track_caller]
    pub fn h2load(&self, requests: usize, header: &str, path: &str) -> String {
        let requests = requests.to_string();
        let there = format!("--connect-to={}", self.tls);
        let url = format!("https://{HOST}{path}");
        let load = [
            "-n", &requests, "-c", "5", "-m", "20", "-H", header, &there, &url,
        ];
        run("h2load", &load)
    }
}

/// Runs a program to its end; what it wrote.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|fault| panic!("{program}: {fault}; see .ci/setup"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}\n{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
