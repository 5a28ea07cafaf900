//! CPU time that admission, accounting and fair turns add to a request.
//!
//! `cargo run --release --workspace --example admission_cost`

#![expect(clippy::print_stdout, reason = "this program prints what it measures")]

use node::measure::admission_cost;

/// Requests measured for each line.
const REQUESTS: u32 = 500_000;

fn main() {
    for waiting in [0, 1, 100, 2_000] {
        let cost = admission_cost(REQUESTS, waiting);
        println!(
            "{waiting:>5} requests of others wait: {:.2} microseconds of CPU per request",
            cost.as_secs_f64() * 1e6
        );
    }
}
