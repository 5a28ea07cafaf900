//! What admission, supervision, memory and work count. No label says anything about addresses or
//! users. [NODE-METRICS-1]

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::admission::Reason;
use crate::ledger::Pressure;

/// Why the server closes a connection that it had let in. [NODE-CLOSE-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The misbehaviour budget is used up.
    Misbehaviour,
    /// It has not shown in time whose it is.
    IdleStranger,
    /// It has used up what it may do before it has.
    SpentStranger,
    /// There are more connections under its key than there may be.
    Displaced,
    /// It sends what no honest client sends.
    Flood,
    /// Its address changes too often.
    Wandering,
    /// It acknowledges nothing.
    Unacknowledged,
    /// Memory is short.
    Evicted,
}

const ENDS: [&str; 8] = [
    "misbehaviour",
    "idle_stranger",
    "spent_stranger",
    "displaced",
    "flood",
    "wandering",
    "unacknowledged",
    "evicted",
];

const REASONS: [&str; 6] = [
    "memory",
    "total",
    "half_open",
    "strangers",
    "budget",
    "processors",
];

const PRESSURES: [&str; 3] = ["calm", "yellow", "red"];

/// Counters of connections that were turned away or closed.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    ended: [Counter; ENDS.len()],
    turned_away: [Counter; REASONS.len()],
    reached: [Counter; PRESSURES.len()],
    pub(crate) recognised: Counter,
    pub(crate) glitches: Counter,
    pub(crate) pressure: Gauge,
    pub(crate) memory_held: Gauge,
    pub(crate) watch_seconds: Histogram,
}

/// What a pool of workers counts.
#[derive(Clone, Debug)]
pub(crate) struct WorkMeters {
    pub(crate) wait: Histogram,
    pub(crate) shed: Counter,
    pub(crate) cpu_nanos: Counter,
}

impl WorkMeters {
    pub(crate) fn register() -> Self {
        Self {
            wait: histogram!("hearthd_worker_wait_seconds"),
            shed: counter!("hearthd_requests_shed_total"),
            cpu_nanos: counter!("hearthd_request_cpu_nanoseconds_total"),
        }
    }
}

impl Tally {
    pub(crate) fn register() -> Self {
        Self {
            ended: ENDS.map(|why| counter!("hearthd_connections_closed_total", "why" => why)),
            turned_away: REASONS
                .map(|why| counter!("hearthd_connections_refused_total", "why" => why)),
            reached: PRESSURES
                .map(|level| counter!("hearthd_memory_pressure_reached_total", "level" => level)),
            recognised: counter!("hearthd_connections_recognised_total"),
            glitches: counter!("hearthd_glitches_total"),
            pressure: gauge!("hearthd_memory_pressure"),
            memory_held: gauge!("hearthd_peers_memory_bytes"),
            watch_seconds: histogram!("hearthd_supervisor_seconds"),
        }
    }

    /// Count a connection that the server closes.
    pub(crate) fn ended(&self, why: Ended) {
        let [
            misbehaviour,
            idle_stranger,
            spent_stranger,
            displaced,
            flood,
            wandering,
            unacknowledged,
            evicted,
        ] = &self.ended;
        match why {
            Ended::Misbehaviour => misbehaviour,
            Ended::IdleStranger => idle_stranger,
            Ended::SpentStranger => spent_stranger,
            Ended::Displaced => displaced,
            Ended::Flood => flood,
            Ended::Wandering => wandering,
            Ended::Unacknowledged => unacknowledged,
            Ended::Evicted => evicted,
        }
        .increment(1);
    }

    /// Count a connection that is not let in.
    pub(crate) fn turned_away(&self, why: Reason) {
        let [memory, total, half_open, strangers, budget, processors] = &self.turned_away;
        match why {
            Reason::Memory => memory,
            Reason::Total => total,
            Reason::HalfOpen => half_open,
            Reason::Strangers => strangers,
            Reason::Budget => budget,
            Reason::Processors => processors,
        }
        .increment(1);
    }

    /// Memory has come to another level.
    pub(crate) fn reached(&self, level: Pressure) {
        let [calm, yellow, red] = &self.reached;
        let (counter, number) = match level {
            Pressure::Calm => (calm, 0.0),
            Pressure::Yellow => (yellow, 1.0),
            Pressure::Red => (red, 2.0),
        };
        counter.increment(1);
        self.pressure.set(number);
    }
}
