//! The sockets of one address: opened, and steered among.

pub(crate) mod governor;
pub(crate) mod inbox;
#[cfg(target_os = "linux")]
mod linux;
pub(crate) mod policer;
#[cfg(not(target_os = "linux"))]
mod portable;
pub(crate) mod shim;
pub(crate) mod steer;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU8;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

#[cfg(target_os = "linux")]
use crate::socket::linux as system;
#[cfg(not(target_os = "linux"))]
use crate::socket::portable as system;

use crate::Error;
use crate::config::{FrontDoor, Transport};

pub(crate) use system::stand_back;

/// The sockets of one address.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// One for each shard, at least one.
    pub(crate) workers: Vec<UdpSocket>,
    /// Takes first packets, if there is one.
    pub(crate) door: Option<UdpSocket>,
}

impl Sockets {
    /// Open what the configuration asks for, or a single socket where the system cannot steer.
    ///
    /// # Errors
    /// The address is in use or not this machine's, or steering is demanded and not possible.
    pub(crate) fn open(address: SocketAddr, transport: &Transport) -> Result<Self, Error> {
        let listen = |error| Error::Listen { address, error };
        let has_door = transport.front_door != FrontDoor::Off;
        let shards = NonZeroU8::new(transport.shards()).unwrap_or(NonZeroU8::MIN);
        let mut opened = None;
        if system::CAN_STEER && (has_door || shards.get() > 1) {
            match Self::steered(address, shards, has_door) {
                Ok(sockets) => opened = Some(sockets),
                Err(Failure::Bind(error)) => return Err(listen(error)),
                Err(Failure::Steer(error)) => {
                    tracing::warn!(%error, "the system does not steer: there is one socket only");
                }
            }
        }
        let sockets = match opened {
            Some(sockets) => sockets,
            None => Self::single(address).map_err(listen)?,
        };
        if transport.front_door == FrontDoor::On && sockets.door.is_none() {
            return Err(Error::Value {
                key: "transport.front_door",
                what: "the system cannot steer datagrams: say \"auto\" or false".to_owned(),
            });
        }
        sockets.prepare(transport).map_err(listen)?;
        Ok(sockets)
    }

    fn single(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            workers: vec![UdpSocket::bind(address)?],
            door: None,
        })
    }

    /// Sockets that share the address, and a program that tells which one gets what.
    fn steered(address: SocketAddr, shards: NonZeroU8, has_door: bool) -> Result<Self, Failure> {
        // The first is bound alone, so that an address that another server has is refused, and a
        // port that the system chooses is nobody else's.
        let first = UdpSocket::bind(address).map_err(Failure::Bind)?;
        let address = first.local_addr().map_err(Failure::Bind)?;
        SockRef::from(&first)
            .set_reuse_port(true)
            .map_err(Failure::Steer)?;
        let mut workers = vec![first];
        for _ in 1..shards.get() {
            workers.push(further(address).map_err(Failure::Steer)?);
        }
        let (door, program) = if has_door {
            let door = further(address).map_err(Failure::Steer)?;
            (Some(door), steer::with_door(shards))
        } else {
            (None, steer::without_door(shards))
        };
        if let Some(first) = workers.first() {
            system::steer(first, &program).map_err(Failure::Steer)?;
        }
        Ok(Self { workers, door })
    }

    /// Buffers that hold what arrives while nobody reads.
    fn prepare(&self, transport: &Transport) -> io::Result<()> {
        for worker in &self.workers {
            SockRef::from(worker).set_recv_buffer_size(transport.worker_receive_buffer)?;
        }
        if let Some(door) = &self.door {
            SockRef::from(door).set_recv_buffer_size(transport.front_door_receive_buffer)?;
        }
        Ok(())
    }
}

/// Why there are no steered sockets.
enum Failure {
    /// The address cannot be bound at all.
    Bind(io::Error),
    /// It can, but not by several sockets with a program among them.
    Steer(io::Error),
}

/// One more socket of an address that is bound already.
fn further(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Set up how datagrams are received, after quinn has set up the socket in its way.
pub(crate) fn receive_singly(socket: &UdpSocket) -> io::Result<()> {
    system::receive_singly(socket)
}

#[cfg(test)]
mod tests;
