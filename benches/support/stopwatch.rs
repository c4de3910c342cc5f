//! Times that Criterion does not take by itself.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use doorward::clock;

/// How long this takes, and what comes of it.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = clock::instant();
    let outcome = work();
    (start.elapsed(), outcome)
}

/// How long two threads take that each do this `times` times at once. `work` is told who asks and how often
/// it did.
pub fn on_two_threads(times: u64, work: impl Fn(usize, u64) + Sync) -> Duration {
    let start_line = Barrier::new(3);
    thread::scope(|scope| {
        let runners: Vec<_> = (0..2)
            .map(|thread| {
                let (start_line, work) = (&start_line, &work);
                scope.spawn(move || {
                    start_line.wait();
                    (0..times).for_each(|turn| work(thread, turn));
                })
            })
            .collect();
        start_line.wait();
        let start = clock::instant();
        for runner in runners {
            runner.join().expect("a benchmark thread does not panic");
        }
        start.elapsed()
    })
}

/// The time that this share of them did not exceed. Sorts them.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}
