//! Frames on QUIC streams. Spec: wire.md#transport.

use protocol::frame::{HEADER_BYTES, Header, encode};
use quinn::{ReadExactError, RecvStream, SendStream};

use crate::error::Error;

/// Write one frame.
///
/// # Errors
/// `TooLarge` for a payload past the limit, `Unreachable` when the connection is lost.
pub(crate) async fn write_frame(stream: &mut SendStream, payload: &[u8]) -> Result<(), Error> {
    let frame = encode(payload).map_err(|_| Error::TooLarge)?;
    stream.write_all(&frame).await.map_err(lost)
}

/// Read one frame; never more than its header announces and the limit allows. [SDK-FRAME-1]
///
/// # Errors
/// `Protocol` for what is no frame, `Unreachable` when the stream or the connection ends.
pub(crate) async fn read_frame(stream: &mut RecvStream) -> Result<Vec<u8>, Error> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await.map_err(cut_short)?;
    let header = Header::decode(header).map_err(|error| Error::Protocol(error.to_string()))?;
    let mut body = vec![0; header.body_bytes()];
    stream.read_exact(&mut body).await.map_err(cut_short)?;
    header
        .payload(body)
        .map_err(|error| Error::Protocol(error.to_string()))
}

/// Whether nothing follows on the stream.
pub(crate) async fn read_end(stream: &mut RecvStream) -> Result<(), Error> {
    match stream.read(&mut [0; 1]).await.map_err(lost)? {
        None => Ok(()),
        Some(_) => Err(Error::Protocol(
            "the answer has more than one frame".to_owned(),
        )),
    }
}

fn cut_short(error: ReadExactError) -> Error {
    lost(error)
}

fn lost(error: impl std::fmt::Display) -> Error {
    Error::Unreachable(error.to_string())
}
