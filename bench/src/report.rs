//! Figures, for people and for programs.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use tests::connection::Failure;
use tests::process::Usage;

/// One measured run.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) scenario: String,
    /// How many operations.
    pub(crate) operations: u64,
    /// Operations per second of wall time: as good as the machine is idle.
    pub(crate) per_second: f64,
    /// Median latency in milliseconds, as the client sees it.
    pub(crate) p50_ms: Option<f64>,
    /// 99th percentile.
    pub(crate) p99_ms: Option<f64>,
    /// CPU milliseconds of the server's process per operation.
    pub(crate) cpu_ms_per_operation: f64,
    /// The same per recipient.
    pub(crate) cpu_ms_per_recipient: Option<f64>,
    /// Bytes that the server wrote to storage per operation.
    pub(crate) bytes_written_per_operation: f64,
    /// Resident memory of the server's process at the end, in MiB.
    pub(crate) resident_mib: f64,
    /// KiB by which it has grown per connection that is still open, caches and all.
    pub(crate) kib_per_connection: Option<f64>,
}

/// What a run took.
pub(crate) struct Run {
    pub(crate) scenario: String,
    pub(crate) operations: u64,
    pub(crate) recipients: u64,
    /// Connections that the operations left open, if that was what they were for.
    pub(crate) connections: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Option<Histogram<u64>>,
    pub(crate) before: Usage,
    pub(crate) after: Usage,
}

/// A histogram of microseconds.
pub(crate) fn latencies() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people, far below 2^52"
)]
impl Run {
    /// Divide.
    pub(crate) fn figure(self) -> Figure {
        let operations = self.operations.max(1) as f64;
        let cpu_ms = self.after.cpu_ms - self.before.cpu_ms;
        let quantile = |q| {
            let latencies = self.latencies.as_ref()?;
            Some(latencies.value_at_quantile(q) as f64 / 1_000.0)
        };
        let recipients = (self.recipients > 0).then_some(operations * self.recipients as f64);
        let grown = self.after.resident.saturating_sub(self.before.resident);
        let per_connection = grown as f64 / 1_024.0 / self.connections as f64;
        Figure {
            kib_per_connection: (self.connections > 0).then_some(per_connection),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            operations: self.operations,
            per_second: operations / self.elapsed.as_secs_f64(),
            cpu_ms_per_operation: cpu_ms / operations,
            cpu_ms_per_recipient: recipients.map(|recipients| cpu_ms / recipients),
            bytes_written_per_operation: (self.after.written - self.before.written) as f64
                / operations,
            resident_mib: self.after.resident as f64 / 1_048_576.0,
            scenario: self.scenario,
        }
    }
}

/// Print one figure: a line of JSON, or a row under the heading that the first row brings.
#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
pub(crate) fn print(figure: &Figure, json: bool, first: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string(figure)?);
        return Ok(());
    }
    if first {
        println!(
            "| scenario | operations | /s | p50 ms | p99 ms | server CPU ms/op | per recipient | bytes written/op | RSS MiB | KiB/connection |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    }
    let optional = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    println!(
        "| {} | {} | {:.0} | {} | {} | {:.4} | {} | {:.0} | {:.0} | {} |",
        figure.scenario,
        figure.operations,
        figure.per_second,
        optional(figure.p50_ms, 2),
        optional(figure.p99_ms, 2),
        figure.cpu_ms_per_operation,
        optional(figure.cpu_ms_per_recipient, 4),
        figure.bytes_written_per_operation,
        figure.resident_mib,
        optional(figure.kib_per_connection, 1),
    );
    Ok(())
}
