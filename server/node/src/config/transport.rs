//! How datagrams reach connections, and what is kept of those that nobody has proven anything with.

use std::thread::available_parallelism;

use serde::Deserialize;

use super::check::demand;
use crate::Error;

/// Shards of one address, at most: a connection id's first byte says which.
const SHARDS_MAX: u16 = 64;
/// Days that a token may be good: as long as its key is kept.
const TOKEN_DAYS_MAX: u16 = 8;

/// Whether first packets have a socket and a thread of their own: `true`, `false` or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum FrontDoor {
    /// Where the system can steer datagrams, which is on Linux.
    Auto,
    /// Yes, or the server does not start.
    On,
    /// No: workers take first packets as well, by the same policy.
    Off,
}

impl TryFrom<toml::Value> for FrontDoor {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value.as_bool() {
            Some(true) => Ok(Self::On),
            Some(false) => Ok(Self::Off),
            None if value.as_str() == Some("auto") => Ok(Self::Auto),
            None => Err("must be true, false or \"auto\""),
        }
    }
}

/// How datagrams reach connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transport {
    /// Sockets of each address, with an endpoint each; 0 is one for each processor.
    pub shards: u16,
    /// Whether first packets have a socket and a thread of their own.
    pub front_door: FrontDoor,
    /// How far the front door's thread stands back, as nice(1) counts: 0 to 19.
    pub front_door_nice: u8,
    /// Datagrams from the front door that may wait for one worker.
    pub front_door_queue: usize,
    /// First packets of one address that the front door lets in per second.
    pub first_packets_per_second: u64,
    /// First packets of one address that it lets in at once.
    pub first_packets_burst: u64,
    /// First packets without a token per second from which on `adaptive` asks for one.
    pub retry_first_packets_per_second: u64,
    /// Milliseconds that the server lags behind from which on `adaptive` asks.
    pub retry_lag_millis: u64,
    /// Seconds below half of all thresholds after which `adaptive` no longer asks.
    pub retry_calm_seconds: u64,
    /// Answers per second to packets of another version of QUIC.
    pub version_answers_per_second: u64,
    /// Days that an address-validation token is good.
    pub token_days: u16,
    /// Datagrams per second from one address and port, or for one connection id.
    pub packets_per_second: u64,
    /// Such datagrams at once.
    pub packets_burst: u64,
    /// Bytes beyond three times those received that go to addresses nobody has proven, in all.
    pub unproven_bytes: u64,
    /// How fast that allowance comes back.
    pub unproven_bytes_per_second: u64,
    /// Whether the system may hand over datagrams in batches.
    pub receive_batches: bool,
    /// Bytes that the system keeps for a worker.
    pub worker_receive_buffer: usize,
    /// Bytes that the system keeps for the front door.
    pub front_door_receive_buffer: usize,
    /// First packets that wait for a decision, on one shard.
    pub first_packets: usize,
    /// Bytes kept with one of them.
    pub first_packet_bytes: u64,
    /// Bytes kept with all of them.
    pub first_packet_bytes_total: u64,
    /// Streams at a time before a connection has shown who it is.
    pub first_streams: u32,
    /// Bytes that a peer may send ahead before that.
    pub first_receive_window: u32,
    /// Bytes kept before that for a peer that has not confirmed them.
    pub first_send_window: u32,
    /// Bytes on their way to one peer.
    pub congestion_window: u64,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            shards: 0,
            front_door: FrontDoor::Auto,
            front_door_nice: 19,
            front_door_queue: 256,
            first_packets_per_second: 1_000,
            first_packets_burst: 2_000,
            retry_first_packets_per_second: 200,
            retry_lag_millis: 20,
            retry_calm_seconds: 30,
            version_answers_per_second: 100,
            token_days: 7,
            packets_per_second: 20_000,
            packets_burst: 4_000,
            unproven_bytes: 48 << 10,
            unproven_bytes_per_second: 8 << 10,
            receive_batches: false,
            worker_receive_buffer: 4 << 20,
            front_door_receive_buffer: 4 << 20,
            first_packets: 1_024,
            first_packet_bytes: 16 << 10,
            first_packet_bytes_total: 4 << 20,
            first_streams: 4,
            first_receive_window: 64 << 10,
            first_send_window: 64 << 10,
            congestion_window: 1 << 20,
        }
    }
}

impl Transport {
    /// Sockets of each address.
    pub(crate) fn shards(&self) -> u8 {
        let shards = match self.shards {
            0 => available_parallelism()
                .map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(SHARDS_MAX)),
            shards => shards,
        };
        u8::try_from(shards.clamp(1, SHARDS_MAX)).unwrap_or(1)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let is_good = self.shards <= SHARDS_MAX;
        demand("transport.shards", is_good, "must be 0 to 64")?;
        let is_good = self.front_door_nice <= 19;
        demand("transport.front_door_nice", is_good, "must be 0 to 19")?;
        let is_good = (1..=TOKEN_DAYS_MAX).contains(&self.token_days);
        demand("transport.token_days", is_good, "must be 1 to 8")?;
        let positive = [
            ("transport.front_door_queue", self.front_door_queue as u64),
            (
                "transport.first_packets_per_second",
                self.first_packets_per_second,
            ),
            ("transport.first_packets_burst", self.first_packets_burst),
            (
                "transport.retry_first_packets_per_second",
                self.retry_first_packets_per_second,
            ),
            ("transport.retry_lag_millis", self.retry_lag_millis),
            (
                "transport.version_answers_per_second",
                self.version_answers_per_second,
            ),
            ("transport.packets_per_second", self.packets_per_second),
            ("transport.packets_burst", self.packets_burst),
            (
                "transport.unproven_bytes_per_second",
                self.unproven_bytes_per_second,
            ),
            ("transport.first_packets", self.first_packets as u64),
            ("transport.first_streams", u64::from(self.first_streams)),
        ];
        for (key, value) in positive {
            demand(key, value > 0, "must be at least 1")?;
        }
        let sizes = [
            ("transport.unproven_bytes", self.unproven_bytes),
            (
                "transport.worker_receive_buffer",
                self.worker_receive_buffer as u64,
            ),
            (
                "transport.front_door_receive_buffer",
                self.front_door_receive_buffer as u64,
            ),
            ("transport.first_packet_bytes", self.first_packet_bytes),
            (
                "transport.first_packet_bytes_total",
                self.first_packet_bytes_total,
            ),
            (
                "transport.first_receive_window",
                u64::from(self.first_receive_window),
            ),
            (
                "transport.first_send_window",
                u64::from(self.first_send_window),
            ),
            ("transport.congestion_window", self.congestion_window),
        ];
        for (key, value) in sizes {
            demand(key, value >= 4_096, "must be at least 4096")?;
        }
        Ok(())
    }
}
