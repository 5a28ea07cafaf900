//! The program by which the system steers datagrams among the sockets of one address.
//!
//! It is classic BPF, which every Linux since 4.5 runs for unprivileged programs. It sees a
//! datagram from its first byte and gives the index of a socket, in the order of binding; where it
//! reads beyond the end it gives 0.
//!
//! ```text
//! short header                           worker: destination id's first byte, modulo workers
//! long header, version 1, Handshake      the same; servers choose these ids
//! long header, version 1, an id as long  the same: after its first packet a client sends to the id
//!   as those of connections                that a worker has made, and in one datagram what belongs
//!                                          to several kinds of packet
//! other long headers                     the front door, or as above if there is none
//! ```
//!
//! Were all packets of handshakes to go through the front door, what a client sends right after
//! them would overtake them, and be lost.
//!
//! The fixed bit is not looked at: peers may grease it (RFC 9287).

use std::num::NonZeroU8;

use crate::quic::QUIC_V1;
use crate::quic::cid::CID_BYTES;

/// One instruction: operation, where to go if a comparison holds or not, operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) when: u8,
    pub(crate) unless: u8,
    pub(crate) operand: u32,
}

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const MODULO: u16 = 0x94;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;
const RETURN_LOADED: u16 = 0x16;

/// The first byte's bit of long headers, its bits of the packet's type, and the type Handshake.
const LONG: u32 = 0x80;
const TYPE: u32 = 0x30;
const HANDSHAKE: u32 = 0x20;
/// Where the version is, the destination id's first byte with a short header, its length and first
/// byte with a long one.
const VERSION_AT: u32 = 1;
const SHORT_ID_AT: u32 = 1;
const LONG_ID_BYTES_AT: u32 = 5;
const LONG_ID_AT: u32 = 6;

/// A program for so many workers, the first sockets, and a front door behind them. [NODE-SHARD-1]
/// [NODE-DOOR-1]
pub(crate) fn with_door(workers: NonZeroU8) -> Vec<Instruction> {
    let workers = u32::from(workers.get());
    let id_bytes = u32::try_from(CID_BYTES).unwrap_or(u32::MAX);
    vec![
        load(LOAD_BYTE, 0),
        test(JUMP_IF_SET, LONG, 0, 10),
        load(LOAD_WORD, VERSION_AT),
        test(JUMP_IF_EQUAL, QUIC_V1, 0, 7),
        load(LOAD_BYTE, 0),
        plain(AND, TYPE),
        test(JUMP_IF_EQUAL, HANDSHAKE, 2, 0),
        load(LOAD_BYTE, LONG_ID_BYTES_AT),
        test(JUMP_IF_EQUAL, id_bytes, 0, 2),
        load(LOAD_BYTE, LONG_ID_AT),
        plain(JUMP, 2),
        plain(RETURN, workers),
        load(LOAD_BYTE, SHORT_ID_AT),
        plain(MODULO, workers),
        plain(RETURN_LOADED, 0),
    ]
}

/// A program for workers alone. [NODE-SHARD-1]
pub(crate) fn without_door(workers: NonZeroU8) -> Vec<Instruction> {
    vec![
        load(LOAD_BYTE, 0),
        test(JUMP_IF_SET, LONG, 0, 2),
        load(LOAD_BYTE, LONG_ID_AT),
        plain(JUMP, 1),
        load(LOAD_BYTE, SHORT_ID_AT),
        plain(MODULO, u32::from(workers.get())),
        plain(RETURN_LOADED, 0),
    ]
}

const fn load(code: u16, at: u32) -> Instruction {
    plain(code, at)
}

const fn plain(code: u16, operand: u32) -> Instruction {
    test(code, operand, 0, 0)
}

const fn test(code: u16, operand: u32, when: u8, unless: u8) -> Instruction {
    Instruction {
        code,
        when,
        unless,
        operand,
    }
}
