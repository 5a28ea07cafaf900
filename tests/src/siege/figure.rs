//! What one attack showed: figures with stable names, and the bounds that they have to keep.

use serde_json::{Value, json};

use super::honest::Noticed;
use crate::hostile::socket::Traffic;

/// One thing that has to hold.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What is measured.
    pub name: String,
    /// What it was.
    pub value: f64,
    /// What it may be.
    pub limit: Limit,
}

/// Which side of a number a value has to be on.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

/// `value` must not exceed `limit`.
pub fn at_most(name: impl Into<String>, value: f64, limit: f64) -> Bound {
    Bound {
        name: name.into(),
        value,
        limit: Limit::AtMost(limit),
    }
}

/// `value` must reach `limit`.
pub fn at_least(name: impl Into<String>, value: f64, limit: f64) -> Bound {
    Bound {
        name: name.into(),
        value,
        limit: Limit::AtLeast(limit),
    }
}

/// A number of things, for a figure.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people, far below 2^52"
)]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// The same of a counter.
#[must_use]
pub fn total(number: u64) -> f64 {
    count(usize::try_from(number).unwrap_or(usize::MAX))
}

impl Bound {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.value <= limit,
            Limit::AtLeast(limit) => self.value >= limit,
        }
    }

    /// One line for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let (side, limit) = match self.limit {
            Limit::AtMost(limit) => ("at most", limit),
            Limit::AtLeast(limit) => ("at least", limit),
        };
        let Self { name, value, .. } = self;
        format!("{name}: {value:.2}, {side} {limit:.2}")
    }
}

/// The honest in the three phases.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// Before the attack.
    pub before: Noticed,
    /// While it went on.
    pub during: Noticed,
    /// After it.
    pub after: Noticed,
}

/// What one attack showed.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its number.
    pub id: &'static str,
    /// What it does.
    pub title: &'static str,
    /// What the attacker sent and got.
    pub traffic: Traffic,
    /// How long it went on.
    pub seconds: f64,
    /// Resident memory of the server at its worst, beyond what it was before, in MiB.
    pub resident_mib: f64,
    /// Processors that the server kept busy meanwhile.
    pub processors: f64,
    /// The honest.
    pub phases: Phases,
    /// What has to hold.
    pub bounds: Vec<Bound>,
}

impl Figure {
    /// Whether everything holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.bounds.iter().all(Bound::holds)
    }

    /// What does not hold.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let broken = self.bounds.iter().filter(|bound| !bound.holds());
        broken.map(Bound::describe).collect()
    }

    /// Datagrams that the attacker sent, per second.
    #[must_use]
    pub fn packets_per_second(&self) -> f64 {
        total(self.traffic.packets_out) / self.seconds.max(0.001)
    }

    /// A line of JSON with stable names.
    #[must_use]
    pub fn json(&self) -> Value {
        let noticed = |noticed: &Noticed| {
            let side = |samples: &super::honest::Samples| {
                json!({
                    "count": samples.count(),
                    "failed": samples.failed(),
                    "p50_ms": samples.percentile_ms(50),
                    "p99_ms": samples.percentile_ms(99),
                })
            };
            json!({
                "existing": side(&noticed.existing),
                "newcomers": side(&noticed.newcomers),
            })
        };
        let bounds: Vec<_> = self.bounds.iter().map(bound).collect();
        json!({
            "attack": self.id,
            "title": self.title,
            "passed": self.passed(),
            "seconds": self.seconds,
            "packets_out": self.traffic.packets_out,
            "packets_out_per_second": self.packets_per_second(),
            "bytes_out": self.traffic.bytes_out,
            "packets_in": self.traffic.packets_in,
            "bytes_in": self.traffic.bytes_in,
            "server_resident_delta_mib": self.resident_mib,
            "server_processors": self.processors,
            "before": noticed(&self.phases.before),
            "during": noticed(&self.phases.during),
            "after": noticed(&self.phases.after),
            "bounds": bounds,
        })
    }
}

fn bound(bound: &Bound) -> Value {
    let side = match bound.limit {
        Limit::AtMost(limit) => ("at_most", limit),
        Limit::AtLeast(limit) => ("at_least", limit),
    };
    json!({
        "name": bound.name,
        "value": bound.value,
        side.0: side.1,
        "holds": bound.holds(),
    })
}
