//! Whether what a connection's counters say is what an honest client does.
//!
//! Judged from samples a second apart: counters of the transport, the peer's address, and what was
//! written to it. A sample in which nothing was received and nothing is outstanding is passed over.

use std::net::SocketAddr;
use std::time::Duration;

use quinn::ConnectionStats;

use crate::config::Watch;
use crate::gcra::{Bucket, Quota};
use crate::tally::Ended;

/// How long the budget of glitches takes to come back.
const FORGIVENESS: Duration = Duration::from_secs(600);
/// Samples in a row with too many datagrams that close a connection: a burst is no flood.
const FLOODED_SAMPLES: u8 = 3;
/// Bytes received for which 50 STREAM frames are none too many, and bytes sent for which one frame
/// about windows is.
const BYTES_PER_UNIT: u64 = 1_000;
/// Bytes of a datagram that are no content: the packet's head and tag and a frame's head, or the
/// packets of a flood of empty frames would speak for it.
const HEAD_BYTES: u64 = 40;
/// STREAM frames for so many bytes: small requests share packets.
const STREAM_FRAMES_PER_UNIT: u64 = 50;
/// Acknowledgements in a row that tell nothing new before they count as none.
const EMPTY_ACKNOWLEDGEMENTS: u64 = 4;

/// What is counted on a connection, since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) pings: u64,
    pub(crate) challenges: u64,
    pub(crate) retired: u64,
    pub(crate) resets: u64,
    pub(crate) streams: u64,
    pub(crate) windows: u64,
    pub(crate) acks: u64,
    /// Challenges that the server sent: two for each change of the peer's address.
    pub(crate) challenges_sent: u64,
    /// Frames sent that the peer must acknowledge.
    pub(crate) eliciting: u64,
    /// The estimate of the round-trip time: it changes with every acknowledgement of news.
    pub(crate) rtt: Duration,
}

impl From<&ConnectionStats> for Counters {
    fn from(stats: &ConnectionStats) -> Self {
        let (received, sent) = (&stats.frame_rx, &stats.frame_tx);
        // A probe of the path's size may get lost without anything being wrong.
        let pings_sent = sent.ping.saturating_sub(stats.path.sent_plpmtud_probes);
        Self {
            datagrams: stats.udp_rx.datagrams,
            bytes: stats.udp_rx.bytes,
            bytes_sent: stats.udp_tx.bytes,
            pings: received.ping + received.immediate_ack,
            challenges: received.path_challenge + received.path_response,
            retired: received.retire_connection_id + received.new_connection_id,
            resets: received.reset_stream + received.stop_sending,
            streams: received.stream,
            windows: received.max_data
                + received.max_stream_data
                + received.max_streams_bidi
                + received.max_streams_uni
                + received.data_blocked
                + received.stream_data_blocked
                + received.streams_blocked_bidi
                + received.streams_blocked_uni,
            acks: received.acks,
            challenges_sent: sent.path_challenge,
            eliciting: sent.stream
                + sent.reset_stream
                + sent.stop_sending
                + sent.max_data
                + sent.max_stream_data
                + sent.max_streams_bidi
                + pings_sent,
            rtt: stats.path.rtt,
        }
    }
}

/// What one sample gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Why the connection is to be closed.
    pub(crate) ends: Option<Ended>,
    /// Points for what was beyond a rate.
    pub(crate) glitches: u64,
    /// Bytes that the peer has been sent and has not confirmed, as far as is known.
    pub(crate) unconfirmed: u64,
}

/// What is remembered of a connection from sample to sample. [NODE-WATCH-1]
#[derive(Debug)]
pub(crate) struct Behaviour {
    last: Counters,
    at: Duration,
    address: SocketAddr,
    flooded: u8,
    glitches: Bucket,
    retired: Bucket,
    migrations: Bucket,
    /// When something was outstanding first, after the last news from the peer.
    outstanding_since: Option<Duration>,
    /// Frames sent, bytes written and acknowledgements when there was news.
    confirmed: (u64, u64, u64),
}

impl Behaviour {
    pub(crate) fn new(address: SocketAddr, now: Duration) -> Self {
        Self {
            last: Counters::default(),
            at: now,
            address,
            flooded: 0,
            glitches: Bucket::default(),
            retired: Bucket::default(),
            migrations: Bucket::default(),
            outstanding_since: None,
            confirmed: (0, 0, 0),
        }
    }

    /// Datagrams received since the last sample.
    pub(crate) fn received(&self, sample: &Counters) -> u64 {
        sample.datagrams.saturating_sub(self.last.datagrams)
    }

    /// Judge what has happened since the last sample; `written` are bytes handed to the transport.
    pub(crate) fn judge(
        &mut self,
        limits: &Watch,
        sample: Counters,
        address: SocketAddr,
        written: u64,
        now: Duration,
    ) -> Judgement {
        let is_silent = sample.datagrams == self.last.datagrams;
        if is_silent && self.confirmed.0 == sample.eliciting {
            self.at = now;
            return Judgement::default();
        }
        let mut judgement = Judgement {
            unconfirmed: self.follow(&sample, written, now),
            ..Judgement::default()
        };
        if !is_silent {
            self.rate(limits, &sample, address, now, &mut judgement);
        }
        let waited = self
            .outstanding_since
            .map(|since| now.saturating_sub(since));
        if waited.is_some_and(|waited| waited > limits.acknowledge_patience()) {
            judgement.ends = Some(Ended::Unacknowledged);
        }
        self.last = sample;
        self.at = now;
        judgement
    }

    /// Follow what the peer confirms; gives bytes that it has not. [NODE-WATCH-2]
    fn follow(&mut self, sample: &Counters, written: u64, now: Duration) -> u64 {
        let (eliciting, confirmed, acks) = self.confirmed;
        let heard = sample.acks.saturating_sub(acks);
        let has_news = heard > 0 && (sample.rtt != self.last.rtt || heard < EMPTY_ACKNOWLEDGEMENTS);
        if has_news || sample.eliciting == eliciting {
            let acks = if sample.rtt == self.last.rtt {
                acks
            } else {
                sample.acks
            };
            self.confirmed = (sample.eliciting, written, acks);
            self.outstanding_since = None;
            return 0;
        }
        self.outstanding_since.get_or_insert(now);
        written.saturating_sub(confirmed)
    }

    /// Compare what was received with what may be. [NODE-WATCH-1]
    fn rate(
        &mut self,
        limits: &Watch,
        sample: &Counters,
        address: SocketAddr,
        now: Duration,
        judgement: &mut Judgement,
    ) {
        let last = &self.last;
        let millis = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        let in_time = |rate: u64| rate.saturating_mul(millis.max(1_000)) / 1_000;
        let grown = |count: fn(&Counters) -> u64| count(sample).saturating_sub(count(last));
        let heads = grown(|counters| counters.datagrams) * HEAD_BYTES;
        let received = grown(|counters| counters.bytes).saturating_sub(heads) / BYTES_PER_UNIT;
        let sent = grown(|counters| counters.bytes_sent) / BYTES_PER_UNIT;
        let streams = in_time(limits.stream_frames_per_second);
        let points = [
            (grown(|c| c.pings), in_time(limits.pings_per_second)),
            (
                grown(|c| c.challenges),
                in_time(limits.path_challenges_per_second),
            ),
            (grown(|c| c.resets), in_time(limits.resets_per_second)),
            (
                grown(|c| c.streams),
                streams + received * STREAM_FRAMES_PER_UNIT,
            ),
            (
                grown(|c| c.windows),
                in_time(limits.window_frames_per_second) + sent,
            ),
        ];
        judgement.glitches = points
            .map(|(count, most)| severity(count, most))
            .iter()
            .sum();
        let per_minute = |count| Quota::new(count, Duration::from_secs(60), count);
        let (retired, datagrams) = (grown(|c| c.retired), grown(|c| c.datagrams));
        let moved = grown(|c| c.challenges_sent)
            .div_ceil(2)
            .max(u64::from(address != self.address));
        let quota = per_minute(limits.retired_ids_per_minute);
        let has_churned = self.retired.take(quota, retired, now).is_err();
        let budget = Quota::new(
            u64::from(limits.glitches),
            FORGIVENESS,
            u64::from(limits.glitches),
        );
        let is_worn = self.glitches.take(budget, judgement.glitches, now).is_err();
        let is_flooded = datagrams > in_time(limits.datagrams_per_second);
        self.flooded = if is_flooded { self.flooded + 1 } else { 0 };
        let quota = per_minute(limits.migrations_per_minute);
        let wanders = self.migrations.take(quota, moved, now).is_err();
        if is_worn || has_churned || self.flooded >= FLOODED_SAMPLES {
            judgement.ends = Some(Ended::Flood);
        } else if wanders {
            judgement.ends = Some(Ended::Wandering);
        }
        self.address = address;
    }
}

/// Points for a count beyond what may be.
fn severity(count: u64, most: u64) -> u64 {
    match count {
        count if count <= most => 0,
        count if count > most.saturating_mul(4) => 100,
        count if count > most.saturating_mul(2) => 50,
        _ => 25,
    }
}

#[cfg(test)]
mod tests;
