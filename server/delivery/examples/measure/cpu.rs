//! How long the process was on a CPU.

use std::time::Duration;

/// The process's CPU time while `work` runs.
pub(crate) fn cpu<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = process_cpu();
    let result = work();
    (process_cpu() - before, result)
}

/// On average over some operations, in milliseconds.
pub(crate) fn ms(total: Duration, operations: usize) -> f64 {
    let operations = u32::try_from(operations).unwrap();
    (total / operations).as_secs_f64() * 1_000.0
}

/// Nanoseconds on a CPU of all threads, from `/proc/self/task/*/schedstat`.
fn process_cpu() -> Duration {
    // The kernel brings the figure up to date when a thread gives way.
    std::thread::yield_now();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}
