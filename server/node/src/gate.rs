//! What all sockets of a server share, and what they count.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::lag::Lag;
use crate::quic::TransportKeys;
use crate::quic::cid::CidKey;
use crate::socket::governor::Governor;
use crate::validation::Validation;

/// Addresses that are remembered beside those of connections: clients that come and go.
const SPARE_ADDRESSES: usize = 1_024;

/// What all sockets of a server share.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) cids: CidKey,
    pub(crate) governor: Governor,
    pub(crate) validation: Arc<Validation>,
    pub(crate) lag: Arc<Lag>,
    pub(crate) watch: Stopwatch,
    pub(crate) meters: TransportMeters,
}

impl Gate {
    pub(crate) fn new(config: &Config, keys: &TransportKeys, meters: TransportMeters) -> Self {
        let lag = Arc::new(Lag::default());
        let transport = &config.transport;
        Self {
            cids: keys.cids(),
            governor: Governor::new(
                config.connections.total.saturating_add(SPARE_ADDRESSES),
                transport.unproven_bytes,
                transport.unproven_bytes_per_second,
            ),
            validation: Arc::new(Validation::new(
                &config.connections,
                transport,
                Arc::clone(&lag),
            )),
            lag,
            watch: Stopwatch::start(),
            meters,
        }
    }
}

/// Why a datagram goes no further. [NODE-METRICS-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// From a port of a service that answers whoever it is made to.
    Port,
    /// No packet that anybody may send.
    Malformed,
    /// A connection id that nobody here has made.
    Stray,
    /// Another version of QUIC, and enough of them were answered.
    Version,
    /// More than one source may send, or than one connection may get.
    Flood,
    /// More first packets than one address may send.
    Crowd,
    /// The worker's inbox is full.
    Full,
    /// An answer for an address that has not shown that it is there.
    Unproven,
    /// An answer that the system did not take.
    Unsent,
}

const LOSSES: [&str; 9] = [
    "port",
    "malformed",
    "stray",
    "version",
    "flood",
    "crowd",
    "full",
    "unproven",
    "unsent",
];

/// What the front door answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Retry,
    Version,
    Refusal,
}

const ANSWERS: [&str; 3] = ["retry", "version", "refusal"];

/// By what right the front door lets a datagram in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// It carries a token.
    Token,
    /// No token is asked for at present.
    Policy,
    /// Another one before it was let in, or a worker has answered.
    Earlier,
}

const RIGHTS: [&str; 3] = ["token", "policy", "earlier"];

/// What sockets count. No label says anything about addresses.
#[derive(Clone, Debug)]
pub(crate) struct TransportMeters {
    lost: [Counter; LOSSES.len()],
    answered: [Counter; ANSWERS.len()],
    let_in: [Counter; RIGHTS.len()],
    retries: Counter,
    pub(crate) lag: Gauge,
}

impl TransportMeters {
    pub(crate) fn register() -> Self {
        Self {
            lost: LOSSES.map(|why| counter!("hearthd_datagrams_lost_total", "why" => why)),
            answered: ANSWERS.map(|what| counter!("hearthd_door_answers_total", "what" => what)),
            let_in: RIGHTS.map(|by| counter!("hearthd_door_let_in_total", "by" => by)),
            retries: counter!("hearthd_retries_total"),
            lag: gauge!("hearthd_lag_seconds"),
        }
    }

    pub(crate) fn lost(&self, why: Lost, datagrams: u64) {
        let [
            port,
            malformed,
            stray,
            version,
            flood,
            crowd,
            full,
            unproven,
            unsent,
        ] = &self.lost;
        match why {
            Lost::Port => port,
            Lost::Malformed => malformed,
            Lost::Stray => stray,
            Lost::Version => version,
            Lost::Flood => flood,
            Lost::Crowd => crowd,
            Lost::Full => full,
            Lost::Unproven => unproven,
            Lost::Unsent => unsent,
        }
        .increment(datagrams);
    }

    pub(crate) fn answered(&self, what: Answer) {
        let [retry, version, refusal] = &self.answered;
        match what {
            Answer::Retry => {
                self.retries.increment(1);
                retry
            }
            Answer::Version => version,
            Answer::Refusal => refusal,
        }
        .increment(1);
    }

    pub(crate) fn let_in(&self, by: Right) {
        let [token, policy, earlier] = &self.let_in;
        match by {
            Right::Token => token,
            Right::Policy => policy,
            Right::Earlier => earlier,
        }
        .increment(1);
    }
}
