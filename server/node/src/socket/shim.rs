//! A worker's socket: the system's, the front door's datagrams, and the limits on both directions.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::sync::mpsc;

use crate::config::Transport;
use crate::front_door::header::{
    LongHeader, MIN_FIRST_BYTES, id_of_short, is_long, version_of_long,
};
use crate::front_door::ports::{Standing, standing};
use crate::gate::{Gate, Lost};
use crate::gcra::{Bucket, Quota};
use crate::quic::QUIC_V1;
use crate::quic::cid::Kind;
use crate::socket;
use crate::socket::governor::Egress;
use crate::socket::inbox::Inbox;
use crate::socket::policer::Policer;

/// Batches that may be dropped as a whole before others get their turn.
const BATCHES_MAX: usize = 8;
/// Datagrams per second with an id that nobody here has made, which may be stateless resets of
/// clients and are answered with some; all further ones are noise.
const STRAYS_PER_SECOND: u64 = 1_000;

/// Datagrams per second, and at once, for one connection id from addresses that nobody has proven.
/// They are either of a client that has just moved, for which this is plenty, or of somebody who
/// knows another's connection id and must not use up its share.
const ELSEWHERE_PER_SECOND: u64 = 500;

/// Long headers per second for one connection id: a handshake takes a few, and later there are none.
/// They have a limit of their own, and those from addresses that nobody has proven another one, so
/// that who knows another's connection id takes nothing from it by headers with made-up addresses.
const LONG_PER_SECOND: u64 = 100;
/// Such headers at once.
const LONG_BURST: u64 = 32;
/// Packets per second that a front door should have got, but which carry an id as long as those of
/// connections that is none: by chance a client may begin with one. A flood of them is dropped.
const ASTRAY_PER_SECOND: u64 = 50;

/// A worker's socket.
pub(crate) struct Shim {
    socket: Arc<dyn AsyncUdpSocket>,
    segments: usize,
    inbox: Arc<Inbox>,
    /// Whether the inbox is first in turn.
    is_inbox_first: AtomicBool,
    policer: Policer,
    elsewhere: Policer,
    handshakes: Policer,
    strays: (Bucket, Quota),
    versions: (Bucket, Quota),
    /// If there is a front door.
    astray: Option<(Bucket, Quota)>,
    gate: Arc<Gate>,
    /// Lives as long as anybody holds the socket; nothing is ever sent.
    _alive: mpsc::Sender<()>,
}

impl Shim {
    /// Take over a socket that is bound. Must be called within a tokio runtime.
    pub(crate) fn new(
        socket: UdpSocket,
        inbox: Arc<Inbox>,
        (transport, has_door): (&Transport, bool),
        gate: Arc<Gate>,
        alive: mpsc::Sender<()>,
    ) -> io::Result<Self> {
        let same = socket.try_clone()?;
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        let segments = if transport.receive_batches {
            socket.max_receive_segments()
        } else {
            singly(&same, socket.max_receive_segments())
        };
        let second = Duration::from_secs(1);
        let per_second = |count| (Bucket::default(), Quota::new(count, second, count));
        Ok(Self {
            socket,
            segments,
            inbox,
            is_inbox_first: AtomicBool::new(false),
            policer: Policer::new(transport.packets_per_second, transport.packets_burst),
            elsewhere: Policer::new(ELSEWHERE_PER_SECOND, ELSEWHERE_PER_SECOND),
            handshakes: Policer::new(LONG_PER_SECOND, LONG_BURST),
            strays: per_second(STRAYS_PER_SECOND),
            versions: per_second(transport.version_answers_per_second),
            astray: has_door.then(|| per_second(ASTRAY_PER_SECOND)),
            gate,
            _alive: alive,
        })
    }

    /// What the system has, without what goes no further.
    fn receive(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..BATCHES_MAX {
            let received = ready!(self.socket.poll_recv(cx, buffers, metas))?;
            let kept = self.sift(received, buffers, metas);
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Move what may go on to the front; how many that are.
    fn sift(
        &self,
        received: usize,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> usize {
        let now = self.gate.watch.elapsed();
        let mut kept = 0;
        for index in 0..received.min(buffers.len()).min(metas.len()) {
            let (Some(buffer), Some(meta)) = (buffers.get(index), metas.get(index)) else {
                break;
            };
            let bytes = buffer.get(..meta.len).unwrap_or_default();
            match self.judge(bytes, meta, now) {
                Ok(()) => {
                    buffers.swap(kept, index);
                    metas.swap(kept, index);
                    kept += 1;
                }
                Err(why) => self.gate.meters.lost(why, units(meta)),
            }
        }
        kept
    }

    /// Whether a datagram may go on.
    fn judge(&self, bytes: &[u8], meta: &RecvMeta, now: Duration) -> Result<(), Lost> {
        if standing(meta.addr.port()) == Standing::Blocked {
            return Err(Lost::Port);
        }
        let level = self.gate.lag.level();
        if !self.policer.admits(&meta.addr, units(meta), level, now) {
            return Err(Lost::Flood);
        }
        if is_long(bytes) {
            return self.judge_long(bytes, meta, now);
        }
        let id = id_of_short(bytes).ok_or(Lost::Malformed)?;
        if !self.gate.cids.knows(Kind::Connection, id) {
            let (bucket, quota) = &self.strays;
            let is_taken = bucket.take(*quota, units(meta), now).is_ok();
            return if is_taken { Ok(()) } else { Err(Lost::Stray) };
        }
        let policer = if self.gate.governor.is_proven(meta.addr.ip()) {
            &self.policer
        } else {
            &self.elsewhere
        };
        if !policer.admits(&id, units(meta), level, now) {
            return Err(Lost::Flood);
        }
        self.gate.governor.received(meta.addr.ip(), length(bytes));
        Ok(())
    }

    /// Packets of handshakes, and other versions: quinn answers those, within bounds.
    fn judge_long(&self, bytes: &[u8], meta: &RecvMeta, now: Duration) -> Result<(), Lost> {
        let version = version_of_long(bytes).ok_or(Lost::Malformed)?;
        if version == QUIC_V1 {
            let LongHeader {
                destination: id, ..
            } = LongHeader::decode(bytes).ok_or(Lost::Malformed)?;
            if self.gate.cids.knows(Kind::Connection, id) {
                let (governor, address) = (&self.gate.governor, meta.addr.ip());
                let flow = (id, governor.is_proven(address));
                let level = self.gate.lag.level();
                if !self.handshakes.admits(&flow, units(meta), level, now) {
                    return Err(Lost::Flood);
                }
                governor.received(address, length(bytes));
                return Ok(());
            }
            let Some((bucket, quota)) = &self.astray else {
                return Ok(());
            };
            let is_taken = bucket.take(*quota, units(meta), now).is_ok();
            return if is_taken { Ok(()) } else { Err(Lost::Stray) };
        }
        let (bucket, quota) = &self.versions;
        let is_answered =
            version != 0 && bytes.len() >= MIN_FIRST_BYTES && bucket.take(*quota, 1, now).is_ok();
        if is_answered {
            Ok(())
        } else {
            Err(Lost::Version)
        }
    }
}

/// Receive datagrams one by one; gives how many come at a time. [NODE-MEMORY-4]
fn singly(socket: &UdpSocket, batch: usize) -> usize {
    match socket::receive_singly(socket) {
        Ok(()) => 1,
        Err(error) => {
            tracing::warn!(%error, "datagrams cannot be received one by one");
            batch
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Datagrams that one receipt stands for.
fn units(meta: &RecvMeta) -> u64 {
    let units = meta.len.div_ceil(meta.stride.max(1)).max(1);
    u64::try_from(units).unwrap_or(u64::MAX)
}

impl AsyncUdpSocket for Shim {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // What has a long header belongs to a handshake, which quinn keeps within its bounds.
        if !is_long(transmit.contents) {
            let (address, now) = (transmit.destination.ip(), self.gate.watch.elapsed());
            let bytes = length(transmit.contents);
            if self.gate.governor.may_send(address, bytes, now) == Egress::Withhold {
                self.gate.meters.lost(Lost::Unproven, 1);
                return Ok(());
            }
        }
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // In turns, so that neither keeps the other waiting.
        if self.is_inbox_first.fetch_xor(true, Ordering::Relaxed) {
            let taken = self.inbox.take(cx, buffers, metas);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            return self.receive(cx, buffers, metas);
        }
        if let Poll::Ready(received) = self.receive(cx, buffers, metas) {
            return Poll::Ready(received);
        }
        match self.inbox.take(cx, buffers, metas) {
            0 => Poll::Pending,
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.segments
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

impl fmt::Debug for Shim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shim").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
