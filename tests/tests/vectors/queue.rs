//! Vectors of the queueing service's operations.

use protocol::codec::{decode_exact, encode};
use protocol::contact::FriendshipToken;
use protocol::entry::{Entry, NumberedEntry};
use protocol::id::{LinkId, QueueId, Seq, TicketId};
use protocol::queue::{
    Ack, CreateQueue, CreateQueueReply, Entries, Listen, ListenEvent, ListenReply, PostEntry,
    PostEntryReply, PublishKeyPackages, PublishKeyPackagesReply, TakeKeyPackage,
    TakeKeyPackageReply, TakeTickets, TakeTicketsReply, queue_id,
};

use crate::operation::{reply, request, signed, vector};
use crate::sample::{self, counting, opaque, private_key};
use crate::vector::{Case, Fields, Vector, name};

const QUEUE_KEY: u8 = 6;

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        create_queue(),
        take_tickets(),
        publish_key_packages(),
        take_key_package(),
        listen(),
        post_entry(),
    ]
}

fn queue() -> QueueId {
    queue_id(&private_key(QUEUE_KEY).public_key())
}

/// [QS-CREATE-1]
fn create_queue() -> Vector {
    let body = CreateQueue {
        public_key: private_key(QUEUE_KEY).public_key(),
        seal_key: protocol::crypto::hpke::SealKey(counting(0x21)),
        ratchet_seed: sample::symmetric_key(0x22),
        friendship_token_hash: FriendshipToken(counting(0x30)).hash(),
    };
    let fields = Fields::new()
        .encoded("public_key", &body.public_key)
        .encoded("seal_key", &body.seal_key)
        .encoded("ratchet_seed", &body.ratchet_seed)
        .bytes("friendship_token_hash", body.friendship_token_hash);
    vector::<CreateQueue>(vec![
        signed(&body, QUEUE_KEY, fields),
        reply::<CreateQueue>(
            CreateQueueReply { queue: queue() },
            Fields::new().encoded("queue", &queue()),
        ),
    ])
}

fn take_tickets() -> Vector {
    let body = TakeTickets {
        queue: queue(),
        count: 1,
    };
    let fields = Fields::new()
        .encoded("queue", &body.queue)
        .encoded("count", &body.count);
    let id = TicketId(counting(0x23));
    vector::<TakeTickets>(vec![
        signed(&body, QUEUE_KEY, fields),
        reply::<TakeTickets>(
            TakeTicketsReply {
                ids: vec![id],
                tickets: vec![sample::ticket()],
            },
            Fields::new()
                .encoded("ids[0]", &id)
                .encoded("tickets[0]", &sample::ticket()),
        ),
    ])
}

fn publish_key_packages() -> Vector {
    let body = PublishKeyPackages {
        queue: queue(),
        packages: vec![sample::key_package(0x6b), sample::key_package(0x6c)],
        last_resort: sample::key_package(0x6d),
    };
    let fields = Fields::new()
        .encoded("queue", &body.queue)
        .encoded("packages[0]", &body.packages[0])
        .encoded("packages[1]", &body.packages[1])
        .encoded("last_resort", &body.last_resort);
    vector::<PublishKeyPackages>(vec![
        signed(&body, QUEUE_KEY, fields),
        reply::<PublishKeyPackages>(PublishKeyPackagesReply {}, Fields::new()),
    ])
}

fn take_key_package() -> Vector {
    let body = TakeKeyPackage {
        ticket: sample::ticket(),
        token: FriendshipToken(counting(0x30)),
    };
    let fields = Fields::new()
        .encoded("ticket", &body.ticket)
        .encoded("token", &body.token);
    let package = sample::key_package(0x6b);
    let reply_fields = Fields::new().encoded("package", &package);
    vector::<TakeKeyPackage>(vec![
        request(&body, fields),
        reply::<TakeKeyPackage>(TakeKeyPackageReply { package }, reply_fields),
    ])
}

fn listen() -> Vector {
    let body = Listen {
        queue: queue(),
        from: Seq(3),
    };
    let fields = Fields::new()
        .encoded("queue", &body.queue)
        .encoded("from", &body.from);
    let entry = NumberedEntry {
        seq: Seq(3),
        entry: Entry::Item(opaque(&[0x69; 60])),
    };
    let entries = Entries {
        entries: vec![entry.clone()],
    };
    let entry_fields = Fields::new().encoded("entries[0]", &entry);
    let ack = Ack { next: Seq(4) };
    vector::<Listen>(vec![
        signed(&body, QUEUE_KEY, fields),
        reply::<Listen>(
            ListenReply {
                next: Seq(9),
                key_packages_left: 2,
            },
            Fields::new()
                .encoded("next", &Seq(9))
                .encoded("key_packages_left", &2_u32),
        ),
        event(
            "event entries",
            &ListenEvent::Entries(entries),
            entry_fields,
        ),
        event(
            "event caught_up",
            &ListenEvent::CaughtUp(Seq(9)),
            Fields::new().encoded("next", &Seq(9)),
        ),
        event(
            "event key_packages_low",
            &ListenEvent::KeyPackagesLow(2),
            Fields::new().encoded("key_packages_left", &2_u32),
        ),
        event(
            "event go_away",
            &ListenEvent::GoAway(1_500),
            Fields::new().encoded("milliseconds", &1_500_u32),
        ),
        Case::new(
            "ack",
            Fields::new().encoded("next", &ack.next),
            encode(&ack),
            |bytes| Ok(encode(&decode_exact::<Ack>(bytes).map_err(name)?)),
        ),
    ])
}

fn event(name_of_case: &str, event: &ListenEvent, fields: Fields) -> Case {
    Case::new(name_of_case, fields, encode(event), |bytes| {
        Ok(encode(&decode_exact::<ListenEvent>(bytes).map_err(name)?))
    })
}

fn post_entry() -> Vector {
    let body = PostEntry {
        ticket: sample::ticket(),
        link: LinkId(counting(0x24)),
        seq: Seq(1),
        payload: opaque(&[0x70; 50]),
    };
    let fields = Fields::new()
        .encoded("ticket", &body.ticket)
        .encoded("link", &body.link)
        .encoded("seq", &body.seq)
        .bytes("payload", body.payload.as_slice());
    vector::<PostEntry>(vec![
        request(&body, fields),
        reply::<PostEntry>(PostEntryReply {}, Fields::new()),
    ])
}
