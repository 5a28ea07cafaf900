//! Bad input against a running server: every kind gets its typed error, changes nothing, is charged
//! to its connection, and leaves no content in the log. Threat model: R7, R8.

use protocol::codec::encode;
use protocol::contact::{FriendshipToken, Ticket};
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{FetchWelcomeState, SendMessage};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame;
use protocol::id::{Epoch, GroupId, Seq};
use protocol::queue::{CreateQueue, Listen, TakeKeyPackage, TakeTickets};
use protocol::request::{Operation, decode_reply, encode_request, encode_signed};
use tests::connection::{Connection, Failure, endpoint};
use tests::group::Group;
use tests::person::Person;
use tests::process::Server;

/// A text that no log may hold.
const CANARY: &[u8] = b"canary-in-a-coal-mine";

struct World {
    server: Server,
    endpoint: quinn::Endpoint,
}

impl World {
    fn new() -> Result<Self, Failure> {
        let server = Server::start(&tests::process::program(), &std::env::temp_dir())?;
        let endpoint = endpoint(server.certificate()?)?;
        Ok(Self { server, endpoint })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(&self.endpoint, self.server.address(), &Server::domain()?).await
    }
}

/// Send bytes; the answer must be an error.
async fn refused(connection: &Connection, bytes: &[u8]) -> Result<ErrorReply, Failure> {
    let payload = connection.raw(bytes).await?;
    match decode_reply::<Anything>(&payload)? {
        Ok(_) => Err("the request was accepted".into()),
        Err(error) => Ok(error),
    }
}

/// A reply of which only its success matters.
struct Anything;

impl tls_codec::Size for Anything {
    fn tls_serialized_len(&self) -> usize {
        0
    }
}

impl tls_codec::DeserializeBytes for Anything {
    fn tls_deserialize_bytes(_: &[u8]) -> Result<(Self, &[u8]), tls_codec::Error> {
        Ok((Self, &[]))
    }
}

#[expect(clippy::unwrap_used, reason = "what the test sends fits a frame")]
fn framed(payload: &[u8]) -> Vec<u8> {
    frame::encode(payload).unwrap()
}

fn signed<T: Operation + tls_codec::Serialize>(body: T, key: &PrivateKey, on: &Binding) -> Vec<u8> {
    framed(&encode_signed(&Signed::new(body, key, on)))
}

#[tokio::test]
async fn bytes_that_are_no_request_get_their_typed_error() -> Result<(), Failure> {
    let world = World::new()?;
    let good = framed(&0x0101_u16.to_be_bytes());
    let mut version = good.clone();
    version[1] = 2;
    let mut oversized = good.clone();
    oversized[2..6].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut padding = good.clone();
    padding[255] = 1;
    let mut trailing = good.clone();
    trailing.extend_from_slice(CANARY);
    let cases: [(&str, Vec<u8>, ErrorCode); 9] = [
        ("another version", version, ErrorCode::UnsupportedVersion),
        ("an oversized frame", oversized, ErrorCode::TooLarge),
        ("a padding that is not zero", padding, ErrorCode::Malformed),
        (
            "a truncated frame",
            good[..100].to_vec(),
            ErrorCode::Malformed,
        ),
        (
            "a truncated header",
            good[..3].to_vec(),
            ErrorCode::Malformed,
        ),
        ("bytes after the frame", trailing, ErrorCode::Malformed),
        (
            "an unknown operation",
            framed(&[0x7f, 0x7f]),
            ErrorCode::UnknownOperation,
        ),
        ("an empty payload", framed(&[]), ErrorCode::Malformed),
        (
            "an operation with another body",
            framed(&[[3, 1].as_slice(), CANARY].concat()),
            ErrorCode::Malformed,
        ),
    ];
    for (name, bytes, code) in cases {
        let connection = world.connect().await?;
        assert_eq!(refused(&connection, &bytes).await?.code, code, "{name}");
        let alive = connection.raw(&good).await?;
        assert_eq!(
            alive.first(),
            Some(&0),
            "after {name} the connection serves on"
        );
    }
    nothing_of_it_is_in_the_log(&world)
}

#[tokio::test]
async fn other_peoples_queues_and_unknown_ones_are_denied_alike() -> Result<(), Failure> {
    let world = World::new()?;
    let connection = world.connect().await?;
    let (owner, stranger) = (
        Person::new(&connection).await?,
        Person::new(&connection).await?,
    );
    let unknown = protocol::queue::queue_id(&PrivateKey::from_seed(&[9; 32]).public_key());
    let denied = ErrorReply::from(ErrorCode::Denied);
    for queue in [owner.queue(), unknown] {
        let listen = signed(
            Listen {
                queue,
                from: Seq(0),
            },
            stranger.key(),
            connection.binding(),
        );
        assert_eq!(refused(&connection, &listen).await?, denied);
        let tickets = signed(
            TakeTickets { queue, count: 1 },
            stranger.key(),
            connection.binding(),
        );
        assert_eq!(refused(&connection, &tickets).await?, denied);
    }
    for ticket in [owner.ticket(&connection).await?, Ticket([7; 64])] {
        let take = TakeKeyPackage {
            ticket,
            token: FriendshipToken([1; 32]),
        };
        assert_eq!(
            refused(&connection, &framed(&encode_request(&take))).await?,
            denied
        );
    }
    owner.listen(&connection).await?;
    nothing_of_it_is_in_the_log(&world)
}

#[tokio::test]
async fn a_signature_holds_on_its_own_connection_only() -> Result<(), Failure> {
    let world = World::new()?;
    let (first, second) = (world.connect().await?, world.connect().await?);
    let owner = Person::new(&first).await?;
    let request = signed(
        TakeTickets {
            queue: owner.queue(),
            count: 1,
        },
        owner.key(),
        first.binding(),
    );
    assert_eq!(
        first.raw(&request).await?.first(),
        Some(&0),
        "accepted where it was made"
    );
    assert_eq!(
        refused(&second, &request).await?.code,
        ErrorCode::Denied,
        "replayed elsewhere"
    );
    let elsewhere = Binding {
        domain: "b.example".parse()?,
        ..first.binding().clone()
    };
    let request = signed(
        TakeTickets {
            queue: owner.queue(),
            count: 1,
        },
        owner.key(),
        &elsewhere,
    );
    assert_eq!(
        refused(&first, &request).await?.code,
        ErrorCode::Denied,
        "for another server"
    );
    let mut altered = signed(
        TakeTickets {
            queue: owner.queue(),
            count: 1,
        },
        owner.key(),
        first.binding(),
    );
    // The last byte of the body: the count.
    altered[6 + 2 + 1 + 17] = 2;
    assert_eq!(
        refused(&first, &altered).await?.code,
        ErrorCode::Denied,
        "an altered body"
    );
    nothing_of_it_is_in_the_log(&world)
}

#[tokio::test]
async fn outsiders_learn_nothing_about_a_group_and_change_nothing() -> Result<(), Failure> {
    let world = World::new()?;
    let connection = world.connect().await?;
    let domain = Server::domain()?;
    let (owner, other) = (
        Person::new(&connection).await?,
        Person::new(&connection).await?,
    );
    let mut group = Group::new(&connection, &domain, &owner, &[other]).await?;
    let message = group.message(64)?;
    let outsider = PrivateKey::from_seed(&[9; 32]);
    let denied = ErrorReply::from(ErrorCode::Denied);
    let with = |change: &dyn Fn(&mut SendMessage)| {
        let mut request = message.clone();
        change(&mut request);
        request
    };
    let cases = [
        ("a stranger's signature", message.clone(), &outsider),
        (
            "another state key",
            with(&|request| request.state_key = SymmetricKey([1; 32])),
            group.key(),
        ),
        (
            "an unknown group",
            with(&|request| request.group = GroupId([1; 16])),
            group.key(),
        ),
        (
            "an empty leaf",
            with(&|request| request.sender.0 = 7),
            group.key(),
        ),
    ];
    for (name, request, key) in cases {
        let bytes = signed(request, key, connection.binding());
        assert_eq!(refused(&connection, &bytes).await?, denied, "{name}");
    }
    for group in [group.id(), GroupId([1; 16])] {
        let fetch = FetchWelcomeState {
            group,
            epoch: Epoch(1),
            state_key: SymmetricKey([1; 32]),
            from: 0,
        };
        assert_eq!(
            refused(&connection, &framed(&encode_request(&fetch))).await?,
            denied
        );
    }
    group.send(&connection, 64).await?;
    nothing_of_it_is_in_the_log(&world)
}

#[tokio::test]
async fn a_member_that_is_behind_is_told_the_epoch() -> Result<(), Failure> {
    let world = World::new()?;
    let connection = world.connect().await?;
    let domain = Server::domain()?;
    let (owner, other) = (
        Person::new(&connection).await?,
        Person::new(&connection).await?,
    );
    let mut group = Group::new(&connection, &domain, &owner, &[other]).await?;
    let stale = group.message(64)?;
    group.update(&connection).await?;
    let bytes = signed(stale, group.key(), connection.binding());
    let current = group.epoch();
    assert_eq!(
        refused(&connection, &bytes).await?,
        ErrorReply::wrong_epoch(current)
    );
    group.send(&connection, 64).await?;
    nothing_of_it_is_in_the_log(&world)
}

#[tokio::test]
async fn offences_use_up_a_connection_and_leave_the_others_alone() -> Result<(), Failure> {
    let world = World::new()?;
    let (hostile, honest) = (world.connect().await?, world.connect().await?);
    let mut answered = 0_u32;
    while refused(&hostile, &framed(&[0x7f, 0x7f])).await.is_ok() {
        answered += 1;
        assert!(answered < 10_000, "the budget never ends");
    }
    assert!(answered > 0, "the first offence is answered");
    let reason = hostile.quic().closed().await;
    let quinn::ConnectionError::ApplicationClosed(close) = reason else {
        return Err(format!("closed for another reason: {reason}").into());
    };
    assert_ne!(close.error_code.into_inner(), 0, "the close code says why");
    Person::new(&honest).await?;
    nothing_of_it_is_in_the_log(&world)
}

#[tokio::test]
async fn a_queue_is_made_by_its_own_key_only() -> Result<(), Failure> {
    let world = World::new()?;
    let connection = world.connect().await?;
    let (key, other) = (
        PrivateKey::from_seed(&[1; 32]),
        PrivateKey::from_seed(&[2; 32]),
    );
    let create = CreateQueue {
        public_key: key.public_key(),
        seal_key: OpenKey::from_seed([3; 32]).seal_key()?,
        ratchet_seed: SymmetricKey([4; 32]),
        friendship_token_hash: [5; 32],
    };
    let forged = signed(create.clone(), &other, connection.binding());
    assert_eq!(refused(&connection, &forged).await?.code, ErrorCode::Denied);
    let genuine = signed(create, &key, connection.binding());
    let first = connection.raw(&genuine).await?;
    assert_eq!(first.first(), Some(&0));
    assert_eq!(
        connection.raw(&genuine).await?,
        first,
        "a repeat is answered the same"
    );
    nothing_of_it_is_in_the_log(&world)
}

/// No panic, and nothing of what was sent.
fn nothing_of_it_is_in_the_log(world: &World) -> Result<(), Failure> {
    let log = world.server.log()?;
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(std::str::from_utf8(CANARY)?), "{log}");
    assert!(
        !log.contains("127.0.0.1:"),
        "an address of a client is in the log: {log}"
    );
    let operation = encode(&0x7f7f_u16);
    assert!(
        !log.as_bytes()
            .windows(operation.len())
            .any(|window| window == operation)
    );
    Ok(())
}
