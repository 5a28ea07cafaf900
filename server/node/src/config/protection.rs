//! What peers may take before and after they have shown who they are.

use std::time::Duration;

use serde::Deserialize;

use super::check::demand;
use crate::Error;
use crate::{cpu, machine};

/// Handshakes: how many, and how much of the processors all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Handshakes {
    /// Handshakes of one IPv4 address or IPv6 /64 in a minute; larger networks may have more.
    pub per_minute: u64,
    /// Such handshakes at once.
    pub burst: u64,
    /// Handshakes in progress of one IPv4 address or IPv6 /64.
    pub in_progress_per_address: u32,
    /// Percent of each processor that all handshakes together may take.
    pub cpu_percent: u64,
}

/// What a connection may do before a request under a pseudonym's key has succeeded on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Strangers {
    /// Requests.
    pub requests: u32,
    /// Bytes of requests.
    pub bytes_in: usize,
    /// Bytes of replies.
    pub bytes_out: usize,
}

/// What the supervisor of connections lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Whether connections are watched.
    pub enabled: bool,
    /// Datagrams per second, for three seconds.
    pub datagrams_per_second: u64,
    /// PING frames per second.
    pub pings_per_second: u64,
    /// PATH_CHALLENGE frames per second.
    pub path_challenges_per_second: u64,
    /// RETIRE_CONNECTION_ID frames per minute.
    pub retired_ids_per_minute: u64,
    /// RESET_STREAM and STOP_SENDING frames per second.
    pub resets_per_second: u64,
    /// STREAM frames per second, besides 50 for each 1000 bytes.
    pub stream_frames_per_second: u64,
    /// Frames per second that only speak of windows.
    pub window_frames_per_second: u64,
    /// Changes of the peer's address per minute.
    pub migrations_per_minute: u64,
    /// Seconds in which something sent must be acknowledged.
    pub acknowledge_seconds: u64,
    /// Points for seconds in which one of these rates was exceeded, in ten minutes: 25 each, more
    /// for more than twice the rate.
    pub glitches: u32,
}

/// Memory that peers may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Bytes that connections and what they cause may take; 0 is half of what the machine, or the
    /// control group that the server runs in, has.
    pub bytes: usize,
    /// Percent of it from which on nobody comes in.
    pub yellow_percent: usize,
    /// Percent of it from which on connections are closed.
    pub red_percent: usize,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            per_minute: 30,
            burst: 20,
            in_progress_per_address: 8,
            cpu_percent: 20,
        }
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            requests: 8,
            bytes_in: 64 << 10,
            bytes_out: 64 << 10,
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            enabled: true,
            datagrams_per_second: 5_000,
            pings_per_second: 50,
            path_challenges_per_second: 20,
            retired_ids_per_minute: 60,
            resets_per_second: 100,
            stream_frames_per_second: 500,
            window_frames_per_second: 1_000,
            migrations_per_minute: 8,
            acknowledge_seconds: 30,
            glitches: 100,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            bytes: 0,
            yellow_percent: 70,
            red_percent: 85,
        }
    }
}

impl Handshakes {
    /// Handshakes per second that all processors may do. [NODE-BUDGET-2]
    pub(crate) fn per_second(&self, cores: usize) -> u64 {
        let tariff = u64::try_from(cpu::HANDSHAKE.as_micros()).unwrap_or(u64::MAX);
        let cores = u64::try_from(cores).unwrap_or(u64::MAX);
        let per_core = 1_000_000 / tariff.max(1) * self.cpu_percent / 100;
        per_core.saturating_mul(cores).max(1)
    }

    /// No limit on how often one address may come, for machines whose clients share one.
    pub(crate) fn without_networks(self) -> Self {
        Self {
            per_minute: 1_000_000,
            burst: 1_000_000,
            in_progress_per_address: 100_000,
            ..self
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let what = "must be 1 to 1000000";
        let is_good = (1..=1_000_000).contains(&self.per_minute);
        demand("handshakes.per_minute", is_good, what)?;
        let is_good = (1..=1_000_000).contains(&self.burst);
        demand("handshakes.burst", is_good, what)?;
        let is_good = self.in_progress_per_address > 0;
        let key = "handshakes.in_progress_per_address";
        demand(key, is_good, "must be at least 1")?;
        let is_good = (1..=100).contains(&self.cpu_percent);
        demand("handshakes.cpu_percent", is_good, "must be 1 to 100")
    }
}

impl Strangers {
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_good = self.requests > 0;
        demand("strangers.requests", is_good, "must be at least 1")?;
        let is_good = self.bytes_in >= 4_096;
        demand("strangers.bytes_in", is_good, "must be at least 4096")?;
        let is_good = self.bytes_out >= 4_096;
        demand("strangers.bytes_out", is_good, "must be at least 4096")
    }
}

impl Watch {
    /// How long something that was sent may go unacknowledged.
    pub(crate) fn acknowledge_patience(&self) -> Duration {
        Duration::from_secs(self.acknowledge_seconds)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let is_good = (5..=3_600).contains(&self.acknowledge_seconds);
        demand("watch.acknowledge_seconds", is_good, "must be 5 to 3600")?;
        demand("watch.glitches", self.glitches > 0, "must be at least 1")
    }
}

impl Memory {
    /// Bytes that peers may hold.
    pub(crate) fn budget(&self) -> usize {
        match self.bytes {
            0 => machine::memory_bytes() / 2,
            bytes => bytes,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let is_good = (1..=self.red_percent).contains(&self.yellow_percent);
        let what = "must be 1 to red_percent";
        demand("memory.yellow_percent", is_good, what)?;
        let is_good = self.red_percent <= 100;
        demand("memory.red_percent", is_good, "must be at most 100")
    }
}
