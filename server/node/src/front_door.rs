//! Takes first packets, on a socket and a thread of its own that stands back behind all others, so
//! that a flood of them costs those who are connected next to nothing. spec/node.md#front-door
//!
//! ```text
//!              steered by the system
//! datagrams ──┬── of connections ───────────────────────► worker's socket ─┐
//!             └── first packets ─► front door ─► inbox ──────────────────► shim ─► quinn
//!                                   │ with a token, or of a flight that was let in
//!                                   └► Retry, Version Negotiation, refusal
//! ```

mod doorman;
mod guests;
pub(crate) mod header;
pub(crate) mod ports;

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use quinn::udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

pub(crate) use crate::front_door::doorman::Doorman;
use crate::gate::{Gate, Lost};
use crate::quic::DATAGRAM_BYTES_MAX;
use crate::socket;

/// Batches taken before the thread looks whether it is to end.
const BATCHES: usize = 16;

/// A front door that is open. Closing it, which dropping does, ends its thread. [NODE-DOOR-1]
pub(crate) struct FrontDoor {
    /// The thread ends when this side is closed.
    open: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl FrontDoor {
    /// Open it.
    pub(crate) fn open(
        socket: UdpSocket,
        doorman: Doorman,
        nice: u8,
        gate: Arc<Gate>,
    ) -> io::Result<Self> {
        let (open, closed) = UnixStream::pair()?;
        let state = UdpSocketState::new((&socket).into())?;
        if let Err(error) = socket::receive_singly(&socket) {
            tracing::warn!(%error, "the front door cannot receive datagrams one by one");
        }
        let mut hall = Hall {
            socket,
            state,
            closed,
            doorman,
            gate,
        };
        let thread = Builder::new().name("front-door".to_owned());
        let thread = thread.spawn(move || {
            if let Err(error) = socket::stand_back(nice) {
                tracing::warn!(%error, "the front door's thread does not stand back");
            }
            if let Err(error) = hall.receive() {
                tracing::error!(%error, "the front door is shut: nobody can connect");
            }
        })?;
        Ok(Self {
            open: Some(open),
            thread: Some(thread),
        })
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        drop(self.open.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) {
            tracing::error!("the front door's thread panicked");
        }
    }
}

impl fmt::Debug for FrontDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontDoor").finish_non_exhaustive()
    }
}

/// What the thread has.
struct Hall {
    socket: UdpSocket,
    state: UdpSocketState,
    closed: UnixStream,
    doorman: Doorman,
    gate: Arc<Gate>,
}

impl Hall {
    /// Receive until the other side of `closed` is closed.
    fn receive(&mut self) -> io::Result<()> {
        let size = usize::from(DATAGRAM_BYTES_MAX);
        let mut room = vec![0; size * BATCH_SIZE];
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        while self.wait()? {
            for _ in 0..BATCHES {
                let mut buffers: Vec<_> = room.chunks_mut(size).map(IoSliceMut::new).collect();
                let socket = (&self.socket).into();
                let received = match self.state.recv(socket, &mut buffers, &mut metas) {
                    Ok(received) => received,
                    Err(error) if is_passing(&error) => break,
                    Err(error) => return Err(error),
                };
                for (buffer, meta) in buffers.iter().zip(&metas).take(received) {
                    self.welcome(buffer.get(..meta.len).unwrap_or_default(), meta);
                }
            }
        }
        Ok(())
    }

    /// Wait for datagrams; whether the door is still open.
    fn wait(&self) -> io::Result<bool> {
        let mut events = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&self.closed, PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [_, closed] = &events;
        Ok(closed.revents().is_empty())
    }

    /// Hand a batch's datagrams to the doorman, and send what he answers.
    fn welcome(&mut self, bytes: &[u8], meta: &RecvMeta) {
        for datagram in bytes.chunks(meta.stride.max(1)) {
            let Some(answer) = self.doorman.receive(datagram, meta) else {
                continue;
            };
            let transmit = Transmit {
                destination: answer.destination,
                ecn: None,
                contents: answer.bytes,
                segment_size: None,
                src_ip: meta.dst_ip,
            };
            if self.state.send((&self.socket).into(), &transmit).is_err() {
                self.gate.meters.lost(Lost::Unsent, 1);
            }
        }
    }
}

/// Whether an error says nothing about the next attempt: there is nothing, or an answer of ours
/// could not be delivered.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}
