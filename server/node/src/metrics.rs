//! What the operator can see: Prometheus text on loopback HTTP. No label says anything about users
//! or addresses. [NODE-METRICS-1]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{ExporterFuture, PrometheusBuilder};
use protocol::request::REGISTRY;
use store::Statistics;

use crate::Error;
use crate::gate::TransportMeters;
use crate::node::Node;
use crate::tally::{Tally, WorkMeters};

/// How often what is only counted elsewhere is copied.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Upper bounds of the histograms, in seconds.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0,
];
/// Classes in the order of urgency, as labels.
const CLASSES: [&str; 6] = ["listen", "send", "commit", "fetch", "issue", "register"];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Fine,
    Refused,
    Failed,
    Busy,
    RateLimited,
}

const ENDINGS: [&str; 5] = ["fine", "refused", "failed", "busy", "rate_limited"];

/// Every meter, registered once.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    /// Counters by the place of the operation in the registry.
    requests: Vec<[Counter; ENDINGS.len()]>,
    pub(crate) bad_frames: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) retries: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) acks: Counter,
    /// Groups that could not be swept.
    pub(crate) sweeps_failed: Counter,
    pub(crate) work: WorkMeters,
    pub(crate) tally: Tally,
    pub(crate) transport: TransportMeters,
    sampled: Sampled,
}

/// Gauges and counters that are copied now and then.
#[derive(Clone, Debug)]
struct Sampled {
    connections: Gauge,
    handshakes: Gauge,
    queues_listened: Gauge,
    frame_bytes_held: Gauge,
    jobs_waiting: [Gauge; CLASSES.len()],
    store_commits: Counter,
    store_batches: Counter,
    store_bytes_written: Counter,
    store_bytes: Gauge,
}

impl Meters {
    /// Meters, and the future that serves them if an address is given.
    ///
    /// # Errors
    /// The address is in use.
    pub(crate) fn new(listen: Option<SocketAddr>) -> Result<(Self, Option<ExporterFuture>), Error> {
        let Some(listen) = listen else {
            // Without a recorder meters count nothing.
            return Ok((Self::register(), None));
        };
        let describe = |error: &dyn std::fmt::Display| Error::Metrics(error.to_string());
        let builder = PrometheusBuilder::new().with_http_listener(listen);
        let builder = builder
            .set_buckets(SECONDS)
            .map_err(|error| describe(&error))?;
        let (recorder, exporter) = builder.build().map_err(|error| describe(&error))?;
        let meters = with_local_recorder(&recorder, Self::register);
        Ok((meters, Some(exporter)))
    }

    fn register() -> Self {
        let request = |operation: &'static str| {
            ENDINGS.map(|outcome| {
                counter!("hearthd_requests_total", "operation" => operation, "outcome" => outcome)
            })
        };
        Self {
            requests: REGISTRY.iter().map(|entry| request(entry.name)).collect(),
            bad_frames: counter!("hearthd_bad_frames_total"),
            handshakes_failed: counter!("hearthd_handshakes_failed_total"),
            retries: counter!("hearthd_retries_total"),
            bytes_received: counter!("hearthd_frame_bytes_received_total"),
            bytes_sent: counter!("hearthd_frame_bytes_sent_total"),
            acks: counter!("hearthd_acks_total"),
            sweeps_failed: counter!("hearthd_sweeps_failed_total"),
            work: WorkMeters::register(),
            tally: Tally::register(),
            transport: TransportMeters::register(),
            sampled: Sampled::register(),
        }
    }

    /// Count a request.
    pub(crate) fn request(&self, code: u16, ending: Ending) {
        let place = REGISTRY
            .binary_search_by_key(&code, |entry| entry.code)
            .ok();
        let counters = place.and_then(|place| self.requests.get(place));
        let Some([fine, refused, failed, busy, rate_limited]) = counters else {
            return;
        };
        match ending {
            Ending::Fine => fine,
            Ending::Refused => refused,
            Ending::Failed => failed,
            Ending::Busy => busy,
            Ending::RateLimited => rate_limited,
        }
        .increment(1);
    }
}

impl Sampled {
    fn register() -> Self {
        Self {
            connections: gauge!("hearthd_connections"),
            handshakes: gauge!("hearthd_handshakes"),
            queues_listened: gauge!("hearthd_queues_listened"),
            frame_bytes_held: gauge!("hearthd_unfinished_frame_bytes"),
            jobs_waiting: CLASSES.map(|class| gauge!("hearthd_jobs_waiting", "class" => class)),
            store_commits: counter!("hearthd_store_commits_total"),
            store_batches: counter!("hearthd_store_batches_total"),
            store_bytes_written: counter!("hearthd_store_bytes_written_total"),
            store_bytes: gauge!("hearthd_store_bytes"),
        }
    }

    fn update(&self, node: &Node) {
        self.connections.set(count(node.admission.connections()));
        self.handshakes.set(count(node.admission.handshakes()));
        self.queues_listened.set(count(node.hub.queues()));
        self.frame_bytes_held.set(count(node.frame_bytes.held()));
        for (gauge, waiting) in self.jobs_waiting.iter().zip(node.pool.waiting()) {
            gauge.set(count(waiting));
        }
        let Statistics {
            commits,
            batches,
            bytes_written,
            bytes_stored,
        } = node.backend.statistics();
        self.store_commits.absolute(commits);
        self.store_batches.absolute(batches);
        self.store_bytes_written.absolute(bytes_written);
        self.store_bytes
            .set(count(usize::try_from(bytes_stored).unwrap_or(usize::MAX)));
    }
}

/// Gauges hold floating-point numbers, which are exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are approximate above 2^53"
)]
fn count(number: usize) -> f64 {
    number as f64
}

/// Copy what is counted elsewhere, until the task is ended from outside.
pub(crate) async fn sample(node: Arc<Node>) {
    let mut interval = tokio::time::interval(SAMPLE_EVERY);
    loop {
        interval.tick().await;
        node.meters.sampled.update(&node);
    }
}
