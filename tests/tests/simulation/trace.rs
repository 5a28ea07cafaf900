//! What happened last, told when a run fails, and whether two runs are the same.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use tests::journal::Who;

/// Lines told.
const LINES_MAX: usize = 400;

/// The story of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    seed: u64,
    pub(crate) step: usize,
    lines: VecDeque<String>,
    hash: DefaultHasher,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            step: 0,
            lines: VecDeque::new(),
            hash: DefaultHasher::new(),
        }
    }

    /// Somebody did something.
    pub(crate) fn note(&mut self, who: Who, what: impl FnOnce() -> String) {
        self.line(format!("{} person{} {}", self.step, who.0, what()));
    }

    /// The server did something.
    pub(crate) fn note_server(&mut self, what: impl FnOnce() -> String) {
        self.line(format!("{} server {}", self.step, what()));
    }

    fn line(&mut self, line: String) {
        line.hash(&mut self.hash);
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Equal for two runs in which the same happened.
    pub(crate) fn digest(&self) -> u64 {
        self.hash.finish()
    }

    /// How to see it again, and what led to it.
    pub(crate) fn told(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(String::as_str).collect();
        format!(
            "{}\nHEARTH_SEED={} repeats it; it ended at step {}",
            lines.join("\n"),
            self.seed,
            self.step
        )
    }
}

#[expect(
    clippy::print_stdout,
    reason = "what a failed run leaves: the seed that repeats it"
)]
impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.told());
        }
    }
}
