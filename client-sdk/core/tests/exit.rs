//! Leaving a process while threads end that have used a home.

use std::env::{current_exe, var_os};
use std::path::PathBuf;
use std::process::{Command, exit};
use std::sync::Barrier;
use std::thread;

use client_core::{Core, HomeKey};

/// Tells a process that it is one that leaves, and where its homes are.
const LEAVES: &str = "HEARTH_TEST_LEAVES";
/// Threads that end at the moment of leaving.
const THREADS: u8 = 32;
/// Processes that leave, one after the other.
const PROCESSES: usize = 20;

/// An application may return from `main` while a runtime's threads are still on their way out.
#[test]
fn a_process_may_leave_while_threads_end_that_have_used_a_home() {
    if let Some(homes) = var_os(LEAVES).map(PathBuf::from) {
        let opened = Barrier::new(usize::from(THREADS) + 1);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (home, opened) = (homes.join(number.to_string()), &opened);
                scope.spawn(move || {
                    let used = Core::open(&home, &HomeKey::Raw([number; 32])).map(drop);
                    used.unwrap_or_else(|error| {
                        eprintln!("{error}");
                        exit(1)
                    });
                    opened.wait();
                });
            }
            opened.wait();
            exit(0)
        });
    }
    for _ in 0..PROCESSES {
        let homes = tempfile::tempdir().unwrap();
        let left = Command::new(current_exe().unwrap())
            .env(LEAVES, homes.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&left.stderr);
        assert!(left.status.success(), "{}: {said}", left.status);
    }
}
