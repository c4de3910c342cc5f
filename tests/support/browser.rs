//! A browser: Debian's Chromium without a window, which knows nobody but the loopback.
//!
//! Not in `mod.rs`: only the tests that need a browser are linked with its driver.
#![allow(dead_code, reason = "no story needs every word")]

use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use doorward::clock;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use tokio::runtime::Runtime;

use crate::support::PATIENCE;

/// A browser and its profile; dropping it ends both.
pub(crate) struct Browser {
    runtime: Runtime,
    driver: Option<WebDriver>,
    process: Child,
    _home: TempDir,
}

/// How often chromedriver is started before a test gives up.
const STARTS: usize = 10;

/// Every host below `.test` is this machine, too.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox", // the tests may run as root, in a container
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP *.test 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--window-size=900,600",
];

impl Browser {
    #[track_caller]
    pub(crate) fn open() -> Self {
        Self::with(&[])
    }

    /// With more arguments.
    #[track_caller]
    pub(crate) fn with(more: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (process, port) = (0..STARTS)
            .find_map(|_| start_driver(home.path()))
            .expect("chromedriver says where it listens");
        let mut wishes = DesiredCapabilities::chrome();
        for argument in ARGUMENTS.iter().chain(more) {
            wishes.add_arg(argument).unwrap();
        }
        let profile = home.path().join("profile");
        wishes
            .add_arg(&format!("--user-data-dir={}", profile.display()))
            .unwrap();
        let logged = json!({"browser": "ALL"});
        wishes.set("goog:loggingPrefs", logged).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let driver = runtime.block_on(WebDriver::new(format!("http://127.0.0.1:{port}"), wishes));
        let mut browser = Self {
            runtime,
            driver: None,
            process,
            _home: home,
        };
        browser.driver = Some(driver.unwrap());
        browser
    }

    fn drive<'a, T, F>(&'a self, act: impl FnOnce(&'a WebDriver) -> F) -> T
    where
        F: Future<Output = WebDriverResult<T>>,
    {
        let driver = self.driver.as_ref().unwrap();
        self.runtime.block_on(act(driver)).unwrap()
    }

    /// Opens a page.
    #[track_caller]
    pub(crate) fn visit(&self, site: SocketAddr, target: &str) {
        self.visit_url(&format!("http://{site}{target}"));
    }

    /// The same, by its whole address.
    #[track_caller]
    pub(crate) fn visit_url(&self, url: &str) {
        self.drive(|driver| driver.goto(url));
    }

    /// What this code returns; a promise is waited for.
    #[track_caller]
    pub(crate) fn run(&self, code: &str) -> Value {
        let done = "const done = arguments[arguments.length - 1];";
        let code = format!(
            "{done} (async () => {{ {code} }})().then(done, (error) => done('failed: ' + error.message));"
        );
        self.drive(|driver| async move { driver.execute_async(code, vec![]).await?.convert() })
    }

    /// Waits until this is true of the page.
    #[track_caller]
    pub(crate) fn sees(&self, condition: &str) {
        let begun = clock::instant();
        while !self.is_true(condition) {
            let told = || format!("never: {condition}\n{}", self.console().join("\n"));
            assert!(
                clock::instant().duration_since(begun) < PATIENCE,
                "{}",
                told()
            );
        }
    }

    /// Whether this is true of the page; of one that goes away meanwhile, nothing is. It waits for no promise: that of a
    /// page that was left is never kept.
    fn is_true(&self, condition: &str) -> bool {
        let code = format!("return Boolean({condition});");
        let driver = self.driver.as_ref().unwrap();
        let answer = self.runtime.block_on(driver.execute(code, vec![]));
        answer.is_ok_and(|answer| *answer.json() == json!(true))
    }

    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.drive(|driver| async move { driver.find(By::Css(selector)).await?.click().await });
    }

    /// The value of a cookie, though no script may see it.
    #[track_caller]
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let all = self.drive(|driver| driver.get_all_cookies());
        let named = all.into_iter().find(|cookie| cookie.name == name);
        named.map(|cookie| cookie.value)
    }

    /// What the console has said since it was last asked.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.drive(|driver| driver.browser_log());
        entries.into_iter().map(|entry| entry.message).collect()
    }

    /// Is so wide from now on, and as high as the page, and prefers a dark page or a light one.
    #[track_caller]
    pub(crate) fn looks(&self, width: u32, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", &media);
        for is_measured in [false, true] {
            let page = if is_measured {
                self.run("return document.documentElement.scrollHeight;")
            } else {
                json!(600)
            };
            let metrics = json!({
                "width": width, "height": page, "deviceScaleFactor": 1, "mobile": false,
            });
            self.command("Emulation.setDeviceMetricsOverride", &metrics);
        }
    }

    #[track_caller]
    fn command(&self, method: &'static str, parameters: &Value) {
        let parameters = parameters.clone();
        self.drive(|driver| async move { driver.cdp().send_raw(method, parameters).await });
    }

    /// Leaves a picture of the page below the target directory, and returns its path.
    #[track_caller]
    pub(crate) fn picture(&self, name: &str) -> PathBuf {
        self.picture_in("screenshots", name)
    }

    /// The same, in a folder of its own.
    #[track_caller]
    pub(crate) fn picture_in(&self, folder: &str, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        self.drive(|driver| driver.screenshot(&file));
        file
    }
}

/// Starts chromedriver. It takes any free port of IPv6, and ends if somebody has the same one of IPv4.
#[track_caller]
fn start_driver(home: &Path) -> Option<(Child, u16)> {
    let mut process = Command::new("chromedriver")
        .arg("--port=0")
        .env("HOME", home)
        .env("TMPDIR", home)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts; `sh .ci/setup chromedriver` installs it");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let port = lines.by_ref().find_map(|line| {
        let line = line.unwrap();
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        drop(process.wait());
        return None;
    };
    thread::spawn(move || lines.for_each(drop));
    Some((process, port))
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            drop(self.runtime.block_on(driver.quit()));
        }
        // Its group, for a browser that did not end by itself.
        let group = format!("-{}", self.process.id());
        drop(
            Command::new("/bin/kill")
                .args(["-s", "KILL", "--", &group])
                .status(),
        );
        drop(self.process.wait());
    }
}
