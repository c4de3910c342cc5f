//! Whether the reader has ended the walk.

use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, or being told to stop: noticed from the start on, so that nothing is left running.
pub(super) struct Interruption {
    runtime: Runtime,
    signals: [Signal; 2],
    came: bool,
}

impl Interruption {
    pub(super) fn watch() -> io::Result<Self> {
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

    pub(super) fn has_come(&mut self) -> bool {
        self.come_within(Duration::ZERO);
        self.came
    }

    pub(super) fn wait(&mut self) {
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
