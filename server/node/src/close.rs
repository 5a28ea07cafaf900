//! The codes with which the server closes connections and streams. Spec: registry.md#close-codes.
//!
//! | code | what ends | why |
//! |---|---|---|
//! | 0x00 | connection | nothing is wrong |
//! | 0x01 | connection | the server stops; come back later |
//! | 0x02 | connection | the misbehaviour budget is used up |
//! | 0x03 | connection | no request succeeded in time |
//! | 0x04 | connection | too many connections, in all or from this network |
//! | 0x05 | connection | the server failed |
//! | 0x10 | stream | what is still coming will not be read |
//! | 0x11 | stream | the peer does not read |
//! | 0x12 | stream | an acknowledgement was refused |
//! | 0x13 | stream | the server failed or is too busy; listen again |

use quinn::VarInt;

/// The server stops.
pub const SHUTDOWN: VarInt = VarInt::from_u32(0x01);
/// The misbehaviour budget is used up. [NODE-BUDGET-1]
pub const MISBEHAVIOUR: VarInt = VarInt::from_u32(0x02);
/// No request succeeded in time. [NODE-DEADLINE-3]
pub const IDLE_STRANGER: VarInt = VarInt::from_u32(0x03);
/// Too many connections, in all or from this network. [NODE-ADMIT-2]
pub const TOO_MANY_CONNECTIONS: VarInt = VarInt::from_u32(0x04);
/// The server failed.
pub const FAILED: VarInt = VarInt::from_u32(0x05);

/// Stream: what is still coming will not be read.
pub const UNREAD: VarInt = VarInt::from_u32(0x10);
/// Stream: the peer does not read.
pub const STALLED: VarInt = VarInt::from_u32(0x11);
/// Stream: an acknowledgement was refused.
pub const ACK_REFUSED: VarInt = VarInt::from_u32(0x12);
/// Stream: the server failed or is too busy; listen again.
pub const LISTEN_AGAIN: VarInt = VarInt::from_u32(0x13);
