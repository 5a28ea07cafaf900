//! Reads frames from a stream: header first, then exactly the rest, before a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame::{FrameError, HEADER_BYTES, Header};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use crate::buffers::{Buffers, Full, Reservation};
use crate::clock;
use crate::conduct::Offence;
use crate::config::Streams;

/// The first piece of memory for a frame; it doubles as bytes really arrive, so that announcing a
/// long frame costs nothing.
const FIRST_BYTES: usize = 2 * 1_024;
/// Time in which a frame may arrive however slowly: a lost packet or two are no attack.
const GRACE: Duration = Duration::from_secs(2);
/// What a peer is told to wait when the process holds too many unfinished frames.
const BUSY_MILLIS: u64 = 1_000;

/// Why there is no frame.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Not a frame.
    Frame(FrameError),
    /// The stream ended inside a frame, or goes on behind a request.
    Boundary,
    /// The frame was not complete in time.
    Deadline,
    /// Too many bytes of unfinished frames.
    Full(Full),
    /// The stream was reset or the connection is gone: nobody to answer.
    Gone,
}

impl ReadError {
    /// What the peer is told, if it is there.
    pub(crate) fn reply(&self) -> Option<ErrorReply> {
        let code = match self {
            Self::Frame(FrameError::UnsupportedVersion) => ErrorCode::UnsupportedVersion,
            Self::Frame(FrameError::TooLarge) => ErrorCode::TooLarge,
            Self::Frame(FrameError::Length | FrameError::Padding)
            | Self::Boundary
            | Self::Deadline => ErrorCode::Malformed,
            Self::Full(_) => {
                return Some(ErrorReply {
                    code: ErrorCode::Busy,
                    detail: BUSY_MILLIS,
                });
            }
            Self::Gone => return None,
        };
        Some(code.into())
    }

    /// What the peer is charged for.
    pub(crate) fn offence(&self) -> Option<Offence> {
        match self {
            Self::Frame(_) | Self::Boundary | Self::Deadline => Some(Offence::BadFrame),
            Self::Full(Full::Connection) => Some(Offence::TooFast),
            Self::Full(Full::Process) => None,
            Self::Gone => Some(Offence::Abandoned),
        }
    }
}

impl From<FrameError> for ReadError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<Full> for ReadError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

/// How fast a frame must arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Time for all of it.
    patience: Duration,
    /// Time in which it does not matter how fast it is.
    grace: Duration,
    /// From then on, so many bytes in each second.
    bytes_per_second: u32,
}

impl From<&Streams> for Pace {
    fn from(streams: &Streams) -> Self {
        Self {
            patience: streams.frame_patience(),
            grace: GRACE,
            bytes_per_second: streams.frame_bytes_per_second,
        }
    }
}

impl Pace {
    /// How long after its beginning the next byte of a frame may come when `bytes` have.
    fn allows(self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1)
            .saturating_mul(bytes)
            .checked_div(self.bytes_per_second)
            .unwrap_or(self.patience);
        self.patience.min(self.grace.saturating_add(earned))
    }
}

/// A frame's payload, with what the frame took on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) payload: Vec<u8>,
    pub(crate) wire_bytes: usize,
}

/// Frames of one stream. A call of [`Self::next`] that is dropped loses nothing.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    expected: Option<Header>,
    body: Vec<u8>,
    reservation: Reservation,
    pace: Pace,
    begun: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader that has each frame keep `pace`.
    pub(crate) fn new(stream: R, buffers: &Arc<Buffers>, pace: Pace) -> Self {
        Self {
            stream,
            header: [0; HEADER_BYTES],
            header_filled: 0,
            expected: None,
            body: Vec::new(),
            reservation: buffers.reservation(),
            pace,
            begun: None,
        }
    }

    /// The stream.
    pub(crate) fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The first frame, whose time runs from now on. [NODE-DEADLINE-2]
    pub(crate) async fn first(&mut self) -> Result<Received, ReadError> {
        self.begun = Some(clock::deadline(Duration::ZERO));
        match self.fill().await? {
            true => self.finish(),
            false => Err(ReadError::Boundary),
        }
    }

    /// When all of the frame that is being read, or was read last, must be there.
    pub(crate) fn deadline(&mut self) -> Instant {
        let patience = self.pace.patience;
        self.begun() + patience
    }

    /// When the frame that is being read began.
    fn begun(&mut self) -> Instant {
        *self
            .begun
            .get_or_insert_with(|| clock::deadline(Duration::ZERO))
    }

    /// When the next byte of the frame must be there. [NODE-DEADLINE-2]
    fn due(&mut self) -> Instant {
        let bytes = self.header_filled + self.body.len();
        self.begun() + self.pace.allows(bytes)
    }

    /// Nothing but the end of the stream may follow. [NODE-FRAME-2]
    pub(crate) async fn end(&mut self) -> Result<(), ReadError> {
        let deadline = self.deadline();
        let mut rest = [0; 1];
        let read = timeout_at(deadline, self.stream.read(&mut rest)).await;
        match read
            .map_err(|_| ReadError::Deadline)?
            .map_err(|_| ReadError::Gone)?
        {
            0 => Ok(()),
            _ => Err(ReadError::Boundary),
        }
    }

    /// The next frame, whose time runs from its first byte on; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Received>, ReadError> {
        if self.header_filled == 0 {
            self.begun = None;
            if !self.fill_header_once().await? {
                return Ok(None);
            }
        }
        match self.fill().await? {
            true => self.finish().map(Some),
            false => Err(ReadError::Boundary),
        }
    }

    /// Read on until the frame is complete; `false` if the stream ends before its first byte.
    async fn fill(&mut self) -> Result<bool, ReadError> {
        while self.header_filled < HEADER_BYTES {
            let due = self.due();
            let filled = timeout_at(due, self.fill_header_once()).await;
            if !filled.map_err(|_| ReadError::Deadline)?? {
                return if self.header_filled == 0 {
                    Ok(false)
                } else {
                    Err(ReadError::Boundary)
                };
            }
        }
        let expected = match self.expected {
            Some(expected) => expected,
            None => *self.expected.insert(Header::decode(self.header)?),
        };
        loop {
            let missing = expected.body_bytes().saturating_sub(self.body.len());
            if missing == 0 {
                return Ok(true);
            }
            self.make_room(missing)?;
            let room = (self.body.capacity() - self.body.len()).min(missing);
            let due = self.due();
            let mut target = (&mut self.body).limit(room);
            let read = timeout_at(due, self.stream.read_buf(&mut target)).await;
            let read = read.map_err(|_| ReadError::Deadline)?;
            if read.map_err(|_| ReadError::Gone)? == 0 {
                return Err(ReadError::Boundary);
            }
        }
    }

    async fn fill_header_once(&mut self) -> Result<bool, ReadError> {
        let empty = self
            .header
            .get_mut(self.header_filled..)
            .unwrap_or_default();
        let read = self.stream.read(empty).await.map_err(|_| ReadError::Gone)?;
        self.header_filled += read;
        Ok(read > 0)
    }

    /// Memory for more of the body, if there is none left. [NODE-MEMORY-1]
    fn make_room(&mut self, missing: usize) -> Result<(), ReadError> {
        if self.body.len() < self.body.capacity() {
            return Ok(());
        }
        let bytes = self.body.capacity().max(FIRST_BYTES).min(missing);
        self.reservation.grow(bytes)?;
        self.body.reserve_exact(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<Received, ReadError> {
        let body = std::mem::take(&mut self.body);
        let expected = self.expected.take().ok_or(ReadError::Boundary)?;
        self.header_filled = 0;
        self.reservation.release();
        let wire_bytes = HEADER_BYTES + body.len();
        Ok(Received {
            payload: expected.payload(body)?,
            wire_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use protocol::frame;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::buffers::Account;

    fn reader(patience_millis: u64) -> (DuplexStream, FrameReader<DuplexStream>) {
        let (ours, theirs) = duplex(1 << 22);
        let buffers = Arc::new(Buffers::new(1 << 20, Arc::new(Account::new(1 << 21))));
        let reader = FrameReader::new(theirs, &buffers, pace(patience_millis));
        (ours, reader)
    }

    fn pace(patience_millis: u64) -> Pace {
        Pace {
            patience: Duration::from_millis(patience_millis),
            grace: GRACE,
            bytes_per_second: 1_024,
        }
    }

    async fn read(bytes: &[u8]) -> Result<Received, ReadError> {
        let (mut peer, mut reader) = reader(5_000);
        peer.write_all(bytes).await.unwrap();
        drop(peer);
        let received = reader.first().await?;
        reader.end().await.map(|()| received)
    }

    #[tokio::test]
    async fn a_frame_is_read_whole() {
        for length in [0, 1, 250, 251, 100_000] {
            let payload = vec![7; length];
            let framed = frame::encode(&payload).unwrap();
            let wire_bytes = framed.len();
            assert_eq!(
                read(&framed).await.unwrap(),
                Received {
                    payload,
                    wire_bytes
                }
            );
        }
    }

    #[tokio::test]
    async fn every_bad_frame_has_its_own_error() {
        let good = frame::encode(b"payload").unwrap();
        let altered = |place: usize, byte| {
            let mut bytes = good.clone();
            bytes[place] = byte;
            bytes
        };
        let code = async |bytes: &[u8]| read(bytes).await.unwrap_err().reply().unwrap().code;
        assert_eq!(code(&altered(1, 9)).await, ErrorCode::UnsupportedVersion);
        assert_eq!(code(&altered(2, 0xff)).await, ErrorCode::TooLarge);
        assert_eq!(code(&altered(255, 1)).await, ErrorCode::Malformed);
        assert_eq!(code(&good[..255]).await, ErrorCode::Malformed);
        assert_eq!(code(&good[..3]).await, ErrorCode::Malformed);
        assert_eq!(code(&[]).await, ErrorCode::Malformed);
        assert_eq!(
            code(&[good.as_slice(), &[0]].concat()).await,
            ErrorCode::Malformed
        );
    }

    #[tokio::test]
    async fn an_unfinished_frame_meets_its_deadline() {
        let (mut peer, mut reader) = reader(20);
        peer.write_all(&frame::encode(b"payload").unwrap()[..100])
            .await
            .unwrap();
        assert!(matches!(reader.first().await, Err(ReadError::Deadline)));
    }

    #[tokio::test]
    async fn a_later_frame_has_time_from_its_first_byte_on() {
        let (mut peer, mut reader) = reader(20);
        peer.write_all(&frame::encode(b"payload").unwrap())
            .await
            .unwrap();
        assert_eq!(reader.first().await.unwrap().payload, b"payload");
        assert!(poll_once(reader.next()).await.is_none());
        assert_eq!(reader.begun, None, "silence between frames has no deadline");
        peer.write_all(&[0]).await.unwrap();
        assert!(matches!(reader.next().await, Err(ReadError::Deadline)));
    }

    async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_loses_nothing() {
        let (mut peer, mut reader) = reader(60_000);
        for byte in frame::encode(b"payload").unwrap() {
            assert!(poll_once(reader.next()).await.is_none());
            peer.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(reader.next().await.unwrap().unwrap().payload, b"payload");
        drop(peer);
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn memory_is_held_for_bytes_that_arrived_alone() {
        let process = Arc::new(Account::new(8_192));
        let buffers = Arc::new(Buffers::new(8_192, Arc::clone(&process)));
        let (mut peer, theirs) = duplex(1 << 20);
        let mut reader = FrameReader::new(theirs, &buffers, pace(20));
        let framed = frame::encode(&[1; 100_000]).unwrap();
        peer.write_all(&framed[..1_000]).await.unwrap();
        assert!(matches!(reader.first().await, Err(ReadError::Deadline)));
        assert_eq!(process.held(), FIRST_BYTES);
        peer.write_all(&framed[1_000..]).await.unwrap();
        assert!(matches!(
            reader.first().await,
            Err(ReadError::Full(Full::Connection))
        ));
    }

    /// [NODE-DEADLINE-2]
    #[test]
    fn a_frame_that_dribbles_has_less_time_than_one_that_flows() {
        let pace = pace(10_000);
        let seconds = Duration::from_secs;
        assert_eq!(pace.allows(0), seconds(2));
        assert_eq!(pace.allows(1_024), seconds(3));
        assert_eq!(pace.allows(1 << 20), seconds(10));
    }

    /// [NODE-DEADLINE-2]
    #[tokio::test]
    async fn a_frame_that_stops_flowing_is_not_waited_for_to_the_end() {
        let (mut peer, theirs) = duplex(1 << 20);
        let buffers = Arc::new(Buffers::new(1 << 20, Arc::new(Account::new(1 << 20))));
        let pace = Pace {
            grace: Duration::from_millis(20),
            ..pace(60_000)
        };
        let mut reader = FrameReader::new(theirs, &buffers, pace);
        let framed = frame::encode(&[1; 100_000]).unwrap();
        peer.write_all(&framed[..1_000]).await.unwrap();
        assert!(matches!(reader.first().await, Err(ReadError::Deadline)));
        assert!(Instant::now() < reader.deadline());
    }
}
