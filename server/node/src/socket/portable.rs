//! Where the system cannot steer: one socket for everything.

use std::io;
use std::net::UdpSocket;

use crate::socket::steer::Instruction;

/// Whether the system can steer datagrams among sockets.
pub(super) const CAN_STEER: bool = false;

/// There is nothing to steer with.
pub(super) fn steer(_: &UdpSocket, _: &[Instruction]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Batches of datagrams are not switched on.
pub(super) fn receive_singly(_: &UdpSocket) -> io::Result<()> {
    Ok(())
}

/// Priorities are those of processes here, and the server's stays.
pub(crate) fn stand_back(_: u8) -> io::Result<()> {
    Ok(())
}
