//! The codes with which the server closes connections and streams. Spec: registry.md#close-codes.
//!
//! | code | what ends | why |
//! |---|---|---|
//! | 0x00 | connection | nothing is wrong |
//! | 0x01 | connection | the server stops; come back later |
//! | 0x02 | connection | the misbehaviour budget is used up |
//! | 0x03 | connection | it has not shown in time whose it is |
//! | 0x04 | connection | too many connections, in all or from this network |
//! | 0x05 | connection | the server failed |
//! | 0x06 | connection | it has used up what it may do before it has shown whose it is |
//! | 0x07 | connection | there are more connections under its key than there may be |
//! | 0x08 | connection | it sends what no honest client sends |
//! | 0x09 | connection | its address changes too often |
//! | 0x0a | connection | it acknowledges nothing |
//! | 0x0b | connection | memory is short; come back later |
//! | 0x10 | stream | what is still coming will not be read |
//! | 0x11 | stream | the peer does not read |
//! | 0x12 | stream | an acknowledgement was refused |
//! | 0x13 | stream | the server failed or is too busy; listen again |

use quinn::VarInt;

use crate::tally::Ended;

/// The server stops.
pub const SHUTDOWN: VarInt = VarInt::from_u32(0x01);
/// The misbehaviour budget is used up. [NODE-BUDGET-1]
pub const MISBEHAVIOUR: VarInt = VarInt::from_u32(0x02);
/// It has not shown in time whose it is. [NODE-DEADLINE-3]
pub const IDLE_STRANGER: VarInt = VarInt::from_u32(0x03);
/// Too many connections, in all or from this network. [NODE-ADMIT-2]
pub const TOO_MANY_CONNECTIONS: VarInt = VarInt::from_u32(0x04);
/// The server failed.
pub const FAILED: VarInt = VarInt::from_u32(0x05);
/// It has used up what it may do before it has shown whose it is. [NODE-STRANGER-1]
pub const SPENT_STRANGER: VarInt = VarInt::from_u32(0x06);
/// There are more connections under its key than there may be. [NODE-ADMIT-6]
pub const DISPLACED: VarInt = VarInt::from_u32(0x07);
/// It sends what no honest client sends. [NODE-WATCH-1]
pub const FLOOD: VarInt = VarInt::from_u32(0x08);
/// Its address changes too often. [NODE-WATCH-1]
pub const WANDERING: VarInt = VarInt::from_u32(0x09);
/// It acknowledges nothing. [NODE-WATCH-2]
pub const UNACKNOWLEDGED: VarInt = VarInt::from_u32(0x0a);
/// Memory is short; come back later. [NODE-MEMORY-3]
pub const EVICTED: VarInt = VarInt::from_u32(0x0b);

/// Stream: what is still coming will not be read.
pub const UNREAD: VarInt = VarInt::from_u32(0x10);
/// Stream: the peer does not read.
pub const STALLED: VarInt = VarInt::from_u32(0x11);
/// Stream: an acknowledgement was refused.
pub const ACK_REFUSED: VarInt = VarInt::from_u32(0x12);
/// Stream: the server failed or is too busy; listen again.
pub const LISTEN_AGAIN: VarInt = VarInt::from_u32(0x13);

/// The code and the words for why a connection is closed. [NODE-CLOSE-1]
pub(crate) fn code(why: Ended) -> (VarInt, &'static [u8]) {
    match why {
        Ended::Misbehaviour => (MISBEHAVIOUR, b"too many mistakes"),
        Ended::IdleStranger => (IDLE_STRANGER, b"no request under a key succeeded in time"),
        Ended::SpentStranger => (SPENT_STRANGER, b"no request under a key succeeded at first"),
        Ended::Displaced => (DISPLACED, b"too many connections of one key"),
        Ended::Flood => (FLOOD, b"too many packets or frames"),
        Ended::Wandering => (WANDERING, b"too many changes of address"),
        Ended::Unacknowledged => (UNACKNOWLEDGED, b"nothing is acknowledged"),
        Ended::Evicted => (EVICTED, b"memory is short"),
    }
}
