//! Frames (RFC 9000, 19): any can be written, and those that a server sends can be read.

use super::wire::{Reader, put_bytes, put_varint};

/// A frame of numbers alone: its type and its fields.
#[must_use]
pub fn numbers(kind: u64, fields: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, kind);
    fields.iter().for_each(|field| put_varint(&mut out, *field));
    out
}

/// PADDING, so many bytes.
#[must_use]
pub fn padding(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

/// PING.
#[must_use]
pub fn ping() -> Vec<u8> {
    vec![0x01]
}

/// ACK of one range that ends with `largest` and holds `more` smaller ones.
#[must_use]
pub fn ack(largest: u64, more: u64) -> Vec<u8> {
    numbers(0x02, &[largest, 0, 0, more])
}

/// RESET_STREAM.
#[must_use]
pub fn reset_stream(id: u64, size: u64) -> Vec<u8> {
    numbers(0x04, &[id, 0, size])
}

/// STOP_SENDING.
#[must_use]
pub fn stop_sending(id: u64) -> Vec<u8> {
    numbers(0x05, &[id, 0])
}

/// CRYPTO.
#[must_use]
pub fn crypto(offset: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = numbers(0x06, &[offset]);
    put_bytes(&mut out, bytes);
    out
}

/// STREAM with offset and length, and FIN if it is the end.
#[must_use]
pub fn stream(id: u64, offset: u64, bytes: &[u8], is_last: bool) -> Vec<u8> {
    let mut out = numbers(0x0e | u64::from(is_last), &[id, offset]);
    put_bytes(&mut out, bytes);
    out
}

/// MAX_DATA.
#[must_use]
pub fn max_data(value: u64) -> Vec<u8> {
    numbers(0x10, &[value])
}

/// MAX_STREAM_DATA.
#[must_use]
pub fn max_stream_data(id: u64, value: u64) -> Vec<u8> {
    numbers(0x11, &[id, value])
}

/// DATA_BLOCKED.
#[must_use]
pub fn data_blocked(at: u64) -> Vec<u8> {
    numbers(0x14, &[at])
}

/// RETIRE_CONNECTION_ID.
#[must_use]
pub fn retire_connection_id(sequence: u64) -> Vec<u8> {
    numbers(0x19, &[sequence])
}

/// PATH_CHALLENGE.
#[must_use]
pub fn path_challenge(question: [u8; 8]) -> Vec<u8> {
    [[0x1a].as_slice(), &question].concat()
}

/// PATH_RESPONSE.
#[must_use]
pub fn path_response(answer: [u8; 8]) -> Vec<u8> {
    [[0x1b].as_slice(), &answer].concat()
}

/// A frame of the server's, as far as an attacker cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// PADDING.
    Padding,
    /// ACK, with its largest number.
    Ack(u64),
    /// CRYPTO: offset and bytes.
    Crypto(u64, Vec<u8>),
    /// STREAM: id, bytes and whether they are the last.
    Stream(u64, Vec<u8>, bool),
    /// RESET_STREAM: id and code.
    Reset(u64, u64),
    /// NEW_TOKEN.
    Token(Vec<u8>),
    /// NEW_CONNECTION_ID: sequence number and id.
    ConnectionId(u64, Vec<u8>),
    /// PATH_CHALLENGE.
    Challenge([u8; 8]),
    /// CONNECTION_CLOSE.
    Close(Close),
    /// HANDSHAKE_DONE.
    Done,
    /// Anything else that asks for an acknowledgement.
    Other,
}

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The transport's code (RFC 9000, 20.1).
    Transport(u64),
    /// The application's (spec/registry.md).
    Application(u64),
}

/// Read one frame; `None` at the end or at something unknown.
pub fn read(reader: &mut Reader<'_>) -> Option<Received> {
    let kind = reader.varint()?;
    let mut skip = |count: usize| (0..count).try_for_each(|_| reader.varint().map(drop));
    match kind {
        0x00 => Some(Received::Padding),
        0x01 => Some(Received::Other),
        0x02 | 0x03 => ack_frame(reader, kind == 0x03),
        0x04 => {
            let (id, code) = (reader.varint()?, reader.varint()?);
            reader.varint()?;
            Some(Received::Reset(id, code))
        }
        0x05 | 0x11 | 0x15 => skip(2).map(|()| Received::Other),
        0x06 => Some(Received::Crypto(reader.varint()?, reader.bytes()?.to_vec())),
        0x07 => Some(Received::Token(reader.bytes()?.to_vec())),
        0x08..=0x0f => stream_frame(reader, kind),
        0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => skip(1).map(|()| Received::Other),
        0x18 => {
            let sequence = reader.varint()?;
            reader.varint()?;
            let length = reader.byte()?;
            let id = reader.take(usize::from(length))?.to_vec();
            reader.take(16)?;
            Some(Received::ConnectionId(sequence, id))
        }
        0x1a => Some(Received::Challenge(reader.take(8)?.try_into().ok()?)),
        0x1b => reader.take(8).map(|_| Received::Other),
        0x1c | 0x1d => {
            let code = reader.varint()?;
            if kind == 0x1c {
                reader.varint()?;
            }
            reader.bytes()?;
            Some(Received::Close(match kind {
                0x1c => Close::Transport(code),
                _ => Close::Application(code),
            }))
        }
        0x1e => Some(Received::Done),
        _ => None,
    }
}

fn ack_frame(reader: &mut Reader<'_>, has_ecn: bool) -> Option<Received> {
    let largest = reader.varint()?;
    reader.varint()?;
    let ranges = reader.varint()?;
    let fields = 1 + 2 * ranges + if has_ecn { 3 } else { 0 };
    for _ in 0..fields {
        reader.varint()?;
    }
    Some(Received::Ack(largest))
}

fn stream_frame(reader: &mut Reader<'_>, kind: u64) -> Option<Received> {
    let id = reader.varint()?;
    if kind & 0x04 != 0 {
        reader.varint()?;
    }
    let bytes = if kind & 0x02 != 0 {
        reader.bytes()?
    } else {
        reader.rest()
    };
    Some(Received::Stream(id, bytes.to_vec(), kind & 0x01 != 0))
}
