//! What the machine has, as far as this process may use it.

use std::fs;

/// Memory to count with where the system does not say: little, so that nothing breaks.
const UNKNOWN_BYTES: usize = 2 << 30;

/// Bytes of memory of the machine, or of the control group if that has less.
pub(crate) fn memory_bytes() -> usize {
    let read = |path| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let known = [machine, group].into_iter().flatten().min();
    known.unwrap_or(UNKNOWN_BYTES)
}

/// The line `MemTotal: .. kB`.
fn total(text: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_among_the_rest() {
        let text = "MemTotal:       24620520 kB\nMemFree:         7605460 kB\n";
        assert_eq!(total(text), Some(24_620_520 << 10));
        assert_eq!(total("MemFree: 1 kB"), None);
    }
}
