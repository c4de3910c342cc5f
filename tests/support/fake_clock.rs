//! A clock of a process that goes wrong when the test says so: Debian's `faketime`, preloaded into it.

use std::fs;
use std::path::{Path, PathBuf};

/// The wall clock of one process; its monotonic clock stays right.
pub struct FakeClock {
    stamp: PathBuf,
}

impl FakeClock {
    /// One that is right; this folder keeps how wrong it is.
    pub fn in_folder(folder: &Path, name: &str) -> Self {
        let clock = Self {
            stamp: folder.join(format!("{name}.clock")),
        };
        clock.is_off_by(0);
        clock
    }

    /// Is so many seconds ahead, or behind where that is negative, from now on.
    pub fn is_off_by(&self, seconds: i64) {
        let draft = self.stamp.with_extension("new");
        fs::write(&draft, format!("{seconds:+}s\n")).unwrap();
        fs::rename(&draft, &self.stamp).unwrap(); // the process reads it at any moment
    }

    /// Removes what a process that was killed has left in shared memory; another one may get its number.
    pub fn sweep_after(pid: u32) {
        for name in [
            format!("faketime_shm_{pid}"),
            format!("sem.faketime_sem_{pid}"),
        ] {
            drop(fs::remove_file(Path::new("/dev/shm").join(name))); // it may have ended in peace
        }
    }

    /// What the process must find in its environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", self.stamp.clone()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
        ];
        let text = |path: PathBuf| path.display().to_string();
        let pairs = pairs.map(|(name, value)| (name.to_owned(), text(value)));
        pairs.to_vec()
    }
}

/// It is in a folder named for the machine: /usr/lib/x86_64-linux-gnu/faketime.
fn library() -> PathBuf {
    const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
    let folders = fs::read_dir("/usr/lib").unwrap();
    let mut places = folders.map(|folder| folder.unwrap().path().join(LIBRARY));
    places
        .find(|place| place.exists())
        .expect("faketime is installed; `make setup` does it")
}
