//! Listening over loopback QUIC: push, acknowledgement, and the end of a stream.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod raw;

use std::time::Duration;

use node::{Config, Server, close};
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::contact::Ticket;
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::error::ErrorCode;
use protocol::frame::{self, HEADER_BYTES, Header};
use protocol::id::{LinkId, QueueId, Seq};
use protocol::queue::{
    Ack, CreateQueue, CreateQueueReply, Listen, ListenEvent, ListenReply, PostEntry,
    PostEntryReply, TakeTickets, TakeTicketsReply, queue_id,
};
use protocol::request::{encode_request, encode_signed};
use quinn::{ReadExactError, RecvStream, SendStream};
use tokio::time::timeout;

use crate::raw::{Raw, application_code, options, request};

/// Longer than anything takes that is expected to happen.
const LONG: Duration = Duration::from_secs(20);

/// The owner of a queue, on a connection.
struct Owner {
    raw: Raw,
    key: PrivateKey,
    binding: Binding,
}

/// A listening stream.
struct Listening {
    send: SendStream,
    recv: RecvStream,
}

impl Owner {
    async fn connect(server: &Server, seed: u8) -> Self {
        let raw = Raw::connect(server).await;
        let mut exporter = [0; 32];
        let label = label::EXPORTER.as_bytes();
        raw.connection
            .export_keying_material(&mut exporter, label, b"")
            .unwrap();
        let binding = Binding {
            domain: server.domain().clone(),
            exporter,
        };
        Self {
            raw,
            key: PrivateKey::from_seed(&[seed; 32]),
            binding,
        }
    }

    /// An owner whose queue exists, with a way into it.
    async fn with_queue(server: &Server, seed: u8) -> (Self, Ticket) {
        let owner = Self::connect(server, seed).await;
        let creation = CreateQueue {
            public_key: owner.key.public_key(),
            seal_key: OpenKey::from_seed([seed; 32]).seal_key().unwrap(),
            ratchet_seed: SymmetricKey([seed; 32]),
            friendship_token_hash: [0; 32],
        };
        let created: CreateQueueReply = request(&owner.raw, &owner.framed(creation)).await.unwrap();
        assert_eq!(created.queue, owner.queue());
        let tickets = TakeTickets {
            queue: owner.queue(),
            count: 1,
        };
        let taken: TakeTicketsReply = request(&owner.raw, &owner.framed(tickets)).await.unwrap();
        let ticket = taken.tickets.first().copied().expect("one was asked for");
        (owner, ticket)
    }

    fn queue(&self) -> QueueId {
        queue_id(&self.key.public_key())
    }

    fn framed<T: protocol::request::Operation + tls_codec::Serialize>(&self, body: T) -> Vec<u8> {
        frame::encode(&encode_signed(&Signed::new(body, &self.key, &self.binding))).unwrap()
    }

    async fn listen(&self, from: u64) -> (Listening, Result<ListenReply, ErrorCode>) {
        let (mut send, recv) = self.raw.connection.open_bi().await.unwrap();
        let listen = Listen {
            queue: self.queue(),
            from: Seq(from),
        };
        send.write_all(&self.framed(listen)).await.unwrap();
        let mut listening = Listening { send, recv };
        let payload = listening.payload().await.unwrap();
        let reply = raw::decode::<ListenReply>(&payload).map_err(|error| error.code);
        (listening, reply)
    }
}

impl Listening {
    async fn payload(&mut self) -> Result<Vec<u8>, ReadExactError> {
        let read = async {
            let mut header = [0; HEADER_BYTES];
            self.recv.read_exact(&mut header).await?;
            let header = Header::decode(header).unwrap();
            let mut body = vec![0; header.body_bytes()];
            self.recv.read_exact(&mut body).await?;
            Ok(header.payload(body).unwrap())
        };
        timeout(LONG, read).await.expect("a frame comes")
    }

    async fn event(&mut self) -> ListenEvent {
        decode_exact(&self.payload().await.unwrap()).unwrap()
    }

    /// The places of the next entries.
    async fn places(&mut self) -> Vec<u64> {
        let event = self.event().await;
        let ListenEvent::Entries(entries) = event else {
            panic!("no entries but {event:?}");
        };
        entries.entries.iter().map(|entry| entry.seq.0).collect()
    }

    async fn ack(&mut self, next: u64) {
        let framed = frame::encode(&encode(&Ack { next: Seq(next) })).unwrap();
        self.send.write_all(&framed).await.unwrap();
    }
}

/// Put an entry into a queue. The first one of a queue lands behind a refresh of its ratchet, which
/// takes place 0.
async fn post(raw: &Raw, ticket: Ticket, seq: u64) {
    let payload = Opaque::new(b"payload".to_vec()).unwrap();
    let entry = PostEntry {
        ticket,
        link: LinkId([1; 16]),
        seq: Seq(seq),
        payload,
    };
    let framed = frame::encode(&encode_request(&entry)).unwrap();
    let posted: PostEntryReply = request(raw, &framed).await.unwrap();
    assert_eq!(posted, PostEntryReply {});
}

async fn start(change: impl FnOnce(&mut Config)) -> Server {
    let mut options = options();
    change(&mut options.config);
    Server::start(options).await.unwrap()
}

/// [QS-LISTEN-1] [NODE-LISTEN-1]
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_sent_from_the_start_and_then_as_they_arrive() {
    // The sender never shows whose it is.
    let server = start(|config| config.strangers.requests = 100).await;
    let (owner, ticket) = Owner::with_queue(&server, 1).await;
    let sender = Raw::connect(&server).await;
    for seq in 0..3 {
        post(&sender, ticket, seq).await;
    }
    let (mut listening, reply) = owner.listen(0).await;
    assert_eq!(reply.unwrap().next, Seq(4));
    assert_eq!(listening.places().await, [0, 1, 2, 3]);
    assert_eq!(listening.event().await, ListenEvent::CaughtUp(Seq(4)));
    for seq in 3..50 {
        post(&sender, ticket, seq).await;
        assert_eq!(listening.places().await, [seq + 1]);
    }
    server.shutdown().await;
}

/// [QS-LISTEN-3]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_not_sent_again() {
    let server = start(|_| ()).await;
    let (owner, ticket) = Owner::with_queue(&server, 1).await;
    for seq in 0..5 {
        post(&owner.raw, ticket, seq).await;
    }
    let (mut listening, _) = owner.listen(0).await;
    assert_eq!(listening.places().await, [0, 1, 2, 3, 4, 5]);
    listening.ack(1).await;
    listening.ack(3).await;
    // The server finishes its side once the client has finished its own and all acks are taken.
    listening.send.finish().unwrap();
    while listening.payload().await.is_ok() {}
    let (mut again, _) = owner.listen(0).await;
    assert_eq!(again.places().await, [3, 4, 5]);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_of_what_was_never_sent_ends_the_stream() {
    let server = start(|_| ()).await;
    let (owner, _) = Owner::with_queue(&server, 1).await;
    let (mut listening, _) = owner.listen(0).await;
    assert_eq!(listening.event().await, ListenEvent::CaughtUp(Seq(0)));
    listening.ack(7).await;
    let reset = quinn::ReadError::Reset(close::ACK_REFUSED);
    assert_eq!(
        listening.payload().await,
        Err(ReadExactError::ReadError(reset))
    );
    server.shutdown().await;
}

/// [NODE-LISTEN-3]
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_has_so_many_listeners_and_no_more() {
    let server = start(|config| config.streams.concurrent = 16).await;
    let (owner, ticket) = Owner::with_queue(&server, 1).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        let (mut listening, reply) = owner.listen(0).await;
        assert!(reply.is_ok());
        assert_eq!(listening.event().await, ListenEvent::CaughtUp(Seq(0)));
        all.push(listening);
    }
    assert_eq!(
        owner.listen(0).await.1.unwrap_err(),
        ErrorCode::QuotaExceeded
    );
    post(&owner.raw, ticket, 0).await;
    for listening in &mut all {
        assert_eq!(listening.places().await, [0, 1]);
    }
    server.shutdown().await;
}

/// [WIRE-SIGNED-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_signed_for_another_connection_is_denied_and_charged() {
    let server = start(|config| config.budget.misbehaviour = 10).await;
    let (owner, _) = Owner::with_queue(&server, 1).await;
    let replayed = owner.framed(TakeTickets {
        queue: owner.queue(),
        count: 1,
    });
    let other = Raw::connect(&server).await;
    for _ in 0..2 {
        let refused = request::<TakeTicketsReply>(&other, &replayed)
            .await
            .unwrap_err();
        assert_eq!(refused.code, ErrorCode::Denied);
    }
    raw::round_trip(&other, &replayed).await;
    let closed = timeout(LONG, other.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::MISBEHAVIOUR));
    server.shutdown().await;
}

/// [NODE-DRAIN-2]
#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_a_stopping_server_are_told_to_come_back() {
    let server = start(|_| ()).await;
    let (owner, _) = Owner::with_queue(&server, 1).await;
    let (mut listening, _) = owner.listen(0).await;
    assert_eq!(listening.event().await, ListenEvent::CaughtUp(Seq(0)));
    let stopping = tokio::spawn(server.shutdown());
    let ListenEvent::GoAway(millis) = listening.event().await else {
        panic!("not sent away");
    };
    assert!(millis >= 1_000, "come back after {millis} ms");
    let closed = timeout(LONG, owner.raw.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::SHUTDOWN));
    timeout(LONG, stopping).await.unwrap().unwrap();
}
