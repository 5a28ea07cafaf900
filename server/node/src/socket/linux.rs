//! What only Linux does with sockets and threads.

use std::io;
use std::net::UdpSocket;

use nix::libc::{sock_filter, sock_fprog};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{AttachReusePortCbpf, UdpGroSegment};

use crate::socket::steer::Instruction;

/// Whether the system can steer datagrams among sockets.
pub(super) const CAN_STEER: bool = true;

/// Have the system run a program for each datagram to the sockets that share this one's address.
pub(super) fn steer(socket: &UdpSocket, program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<sock_filter> = program
        .iter()
        .map(|instruction| sock_filter {
            code: instruction.code,
            jt: instruction.when,
            jf: instruction.unless,
            k: instruction.operand,
        })
        .collect();
    let program = sock_fprog {
        len: u16::try_from(filter.len()).unwrap_or(u16::MAX),
        filter: filter.as_mut_ptr(),
    };
    setsockopt(socket, AttachReusePortCbpf, &program)?;
    // The system has copied it.
    drop(filter);
    Ok(())
}

/// Receive each datagram by itself. quinn keeps the whole of a batch for as long as it keeps any
/// byte of it, so one byte in a batch of 64 datagrams would pin them all. [NODE-MEMORY-4]
pub(super) fn receive_singly(socket: &UdpSocket) -> io::Result<()> {
    setsockopt(socket, UdpGroSegment, &false)?;
    Ok(())
}

/// Have this thread stand back behind others.
pub(crate) fn stand_back(nice: u8) -> io::Result<()> {
    rustix::process::nice(i32::from(nice))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;
    use quinn::udp::UdpSocketState;

    use super::*;

    /// [NODE-MEMORY-4]
    #[test]
    fn datagrams_are_received_singly_after_quinn_has_set_up_the_socket() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        UdpSocketState::new((&socket).into()).unwrap();
        receive_singly(&socket).unwrap();
        assert!(!getsockopt(&socket, UdpGroSegment).unwrap());
    }
}
