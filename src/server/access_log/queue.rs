//! The queue between requests and the access log. A line that finds it full is dropped: no request waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use log::warn;
use parking_lot::Mutex;

use super::access_line::{AccessLine, Priority};
use super::line::line_of;
use super::record::RequestRecord;
use super::settings::AccessLogSettings;
use super::sink::AccessLogSink;
use crate::clock;
use crate::log_limit::LogLimit;
use crate::server::operator::metrics::Metrics;

/// How many lines may wait.
const WAITING_MAX: usize = 8_192;

/// How many lines are written together.
const TOGETHER_MAX: usize = 256;

/// How long the end of the process waits for the lines that are left.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a failure to write is logged.
const SILENCE: Duration = Duration::from_mins(1);

/// The access log of the process.
pub(crate) struct AccessLog {
    lines: SyncSender<Order>,
    shared: Arc<WriterState>,
    metrics: Arc<Metrics>,
    closed: Mutex<Receiver<()>>,
}

/// What the writer is to do.
enum Order {
    Write(AccessLine),
    /// Look at what is shared.
    Look,
}

/// What is shared with the writer.
#[derive(Default)]
struct WriterState {
    /// Where lines go from now on.
    next: Mutex<Option<AccessLogSink>>,
    is_closing: AtomicBool,
}

impl AccessLog {
    /// Begins a thread that writes.
    pub(crate) fn start(metrics: &Arc<Metrics>) -> io::Result<Self> {
        let (lines, orders) = sync_channel(WAITING_MAX);
        let (tell, closed) = sync_channel(1);
        let shared = Arc::new(WriterState::default());
        let writer = AccessLogWriter {
            orders,
            shared: Arc::clone(&shared),
            metrics: Arc::clone(metrics),
            sink: None,
            failures: LogLimit::new(SILENCE, 1),
            closed: tell,
        };
        let name = "access log".to_owned();
        thread::Builder::new()
            .name(name)
            .spawn(move || writer.run())?;
        Ok(Self {
            lines,
            shared,
            metrics: Arc::clone(metrics),
            closed: Mutex::new(closed),
        })
    }

    /// Lines go there from now on.
    pub(crate) fn write_to(&self, sink: AccessLogSink) {
        *self.shared.next.lock() = Some(sink);
        let _ = self.lines.try_send(Order::Look); // if the queue is full, the writer is awake
    }

    /// Writes the line of a request, if it is in the sample.
    pub(crate) fn note(&self, settings: &AccessLogSettings, record: &RequestRecord) {
        let Some(text) = line_of(settings, record) else {
            return;
        };
        let priority = Priority::of(record);
        let line = AccessLine { text, priority };
        if self.lines.try_send(Order::Write(line)).is_err() {
            self.metrics.note_dropped_lines("queue_full", 1);
        }
    }

    /// Waits a while until all lines are written.
    pub(crate) fn close(&self) {
        self.shared.is_closing.store(true, Ordering::Release);
        let _ = self.lines.try_send(Order::Look);
        let _ = self.closed.lock().recv_timeout(PATIENCE);
    }
}

/// Writes the lines, on a thread of its own.
struct AccessLogWriter {
    orders: Receiver<Order>,
    shared: Arc<WriterState>,
    metrics: Arc<Metrics>,
    sink: Option<AccessLogSink>,
    failures: LogLimit,
    closed: SyncSender<()>,
}

impl AccessLogWriter {
    fn run(mut self) {
        let mut lines = Vec::with_capacity(TOGETHER_MAX);
        while let Ok(first) = self.orders.recv() {
            take_line(first, &mut lines);
            let mut is_drained = false;
            while lines.len() < TOGETHER_MAX && !is_drained {
                match self.orders.try_recv() {
                    Ok(order) => take_line(order, &mut lines),
                    Err(_) => is_drained = true,
                }
            }
            self.write(&lines);
            lines.clear();
            if is_drained && self.shared.is_closing.load(Ordering::Acquire) {
                let _ = self.closed.try_send(());
            }
        }
    }

    fn write(&mut self, lines: &[AccessLine]) {
        if let Some(next) = self.shared.next.lock().take() {
            self.sink = Some(next);
        }
        let Some(sink) = self.sink.as_mut().filter(|_| !lines.is_empty()) else {
            return;
        };
        if let Err(error) = sink.write(lines) {
            self.metrics.note_dropped_lines("not_written", lines.len());
            if self.failures.is_due((), clock::uptime_ms()) {
                warn!("the access log can't be written, and lines of it are lost: {error}");
            }
        }
    }
}

fn take_line(order: Order, lines: &mut Vec<AccessLine>) {
    match order {
        Order::Write(line) => lines.push(line),
        Order::Look => {}
    }
}
