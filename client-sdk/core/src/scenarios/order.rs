//! A delivery service that replaces, forges and repeats; and what members make of it. One that
//! withholds, reorders and forks is in tests/tests/receipts.rs.
//!
//! The service here is the real one until it turns hostile: it has the real one's key, the keys that
//! requests lend it, and the members' tickets, and from then on says what it likes.

use protocol::codec::{Opaque, encode};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::SendMessage;
use protocol::entry::{FanOutKey, GroupEvent, GroupEventContent, Payload};
use protocol::id::{GroupId, Seq, TicketId};
use protocol::receipt::{ChainHash, Receipt};

use crate::state::JobState;
use crate::testing::{Person, World, problems, texts, three_in_a_group};
use crate::tx::stored;
use crate::{Disorder, Event, Problem, check_evidence};

/// The storage key of a [`World`].
const STORAGE_KEY: [u8; 32] = [9; 32];

/// A delivery service that has turned hostile, and what it knows of a group.
pub(super) struct Hostile {
    key: PrivateKey,
    group: GroupId,
    last: u64,
    chain: ChainHash,
}

/// A message on its way.
struct Underway {
    body: SendMessage,
}

impl Hostile {
    /// The key under which the service signs what it vouches for.
    pub(super) fn key() -> PrivateKey {
        let key = SymmetricKey(STORAGE_KEY).derive(label::DELIVERY_KEY, &[]);
        PrivateKey::from_seed(&key.0)
    }

    /// From where a member who has read everything is.
    pub(super) fn after(member: &Person, group: GroupId) -> Self {
        let (last, chain) = member
            .core
            .view(|tx| {
                let sql = "SELECT last, chain FROM groups WHERE id = ?1";
                tx.row(sql, [group.0], |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .unwrap()
            .unwrap();
        Self {
            key: Self::key(),
            group,
            last,
            chain: ChainHash(chain),
        }
    }

    /// Number a message, as an honest service does.
    fn accept(&mut self, message: &Underway) -> GroupEvent {
        self.number(GroupEventContent::Message(message.body.message.clone()))
    }

    /// Number anything.
    pub(super) fn number(&mut self, content: GroupEventContent) -> GroupEvent {
        self.last += 1;
        self.chain = self.chain.next(Seq(self.last), &content);
        let receipt = Receipt::sign(&self.key, self.group, Seq(self.last), self.chain);
        GroupEvent { receipt, content }
    }

    /// Tell a member what was sent.
    fn tell(&self, world: &World, member: &mut Person, message: &Underway, event: &GroupEvent) {
        self.tell_under(world, member, &message.body.state_key, event);
    }

    /// Tell the members of an epoch.
    pub(super) fn tell_under(
        &self,
        world: &World,
        member: &mut Person,
        state_key: &SymmetricKey,
        event: &GroupEvent,
    ) {
        let sealed = event.seal(&FanOutKey::of(state_key), [3; 12]);
        let payload = encode(&Payload::Group(Opaque::new(sealed).unwrap()));
        let sql = "SELECT ticket_id FROM groups WHERE id = ?1";
        let told = member.core.transact(world.now, |tx| {
            let ticket = tx.row(sql, [self.group.0], |row| Ok(TicketId(row.get(0)?)))?;
            tx.receive_payload(ticket.unwrap(), &payload)
        });
        told.unwrap();
    }
}

/// Have a member encrypt a text.
fn say(world: &World, member: &mut Person, group: &GroupId, text: &str) -> Underway {
    let job = member.core.send(group, text.as_bytes(), world.now).unwrap();
    let state = member.core.view(|tx| tx.load_job(job)).unwrap().state;
    let JobState::SendMessage {
        sent: Some(sent), ..
    } = state
    else {
        panic!("not encrypted")
    };
    let body = stored(&sent.body, "message").unwrap();
    Underway { body }
}

/// How the order is said to be broken, with whether what was kept of it is proof to others.
fn disorders(member: &Person, events: &[Event]) -> Vec<(Disorder, bool)> {
    let kept = member.core.evidence().unwrap();
    let disorder = |event: &Event| {
        let Event::OrderBroken { how, evidence, .. } = event else {
            return None;
        };
        let kept = kept.iter().find(|kept| Some(kept.id) == *evidence).unwrap();
        let accused = check_evidence(&kept.bytes).unwrap();
        assert_eq!(accused.domain.as_str(), "a.example");
        Some((*how, accused.is_proof))
    };
    events.iter().filter_map(disorder).collect()
}

/// Three members who have said something, so that receipts are known.
fn talking(world: &World) -> ([Person; 3], GroupId) {
    let (mut people, group) = three_in_a_group(world);
    let mut people = ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    people[0].send(world, &group, "hello");
    for person in &mut people {
        let events = person.sync(world);
        assert_eq!(
            (problems(&events), disorders(person, &events)),
            (vec![], vec![])
        );
    }
    (people, group)
}

/// [DS-RECEIPT-1] [SDK-RECEIPT-1]
#[test]
fn a_message_in_the_place_of_another_shows() {
    let world = World::new();
    let ([mut aspen, mut birch, _], group) = talking(&world);
    let mut service = Hostile::after(&birch, group);
    let one = say(&world, &mut aspen, &group, "one");
    let event = service.accept(&one);
    // The chain is that of something else.
    let chain = service.chain.next(Seq(1), &event.content);
    let receipt = Receipt::sign(&service.key, group, event.receipt.number, chain);
    let forged = GroupEvent { receipt, ..event };
    service.tell(&world, &mut birch, &one, &forged);
    let events = birch.events();
    assert_eq!(disorders(&birch, &events), [(Disorder::Replaced, false)]);
}

/// [SDK-RECEIPT-1]
#[test]
fn what_the_service_does_not_vouch_for_is_not_taken() {
    let world = World::new();
    let ([mut aspen, mut birch, _], group) = talking(&world);
    let mut service = Hostile::after(&birch, group);
    let one = say(&world, &mut aspen, &group, "one");
    let honest = service.accept(&one);
    let somebody = PrivateKey::from_seed(&[1; 32]);
    let receipt = Receipt::sign(
        &somebody,
        group,
        honest.receipt.number,
        honest.receipt.chain,
    );
    let forged = GroupEvent {
        receipt,
        content: honest.content.clone(),
    };
    service.tell(&world, &mut birch, &one, &forged);
    let events = birch.events();
    assert_eq!(problems(&events), [Problem::ReceiptRefused]);
    assert_eq!(texts(&events), []);
    service.tell(&world, &mut birch, &one, &honest);
    assert_eq!(texts(&birch.events()).len(), 1);
    service.tell(&world, &mut birch, &one, &honest);
    assert_eq!(problems(&birch.events()), [Problem::EventRepeated]);
}

/// [SDK-RECEIPT-1] [SDK-NUMBER-1]
#[test]
fn an_honest_service_is_not_accused_however_replies_and_messages_cross() {
    let world = World::new();
    let ([mut aspen, mut birch, mut cedar], group) = talking(&world);
    for round in 0..3 {
        let text = format!("{round}");
        aspen.send(&world, &group, &text);
        birch.send(&world, &group, &text);
        let unanswered = aspen.core.send(&group, b"unanswered", world.now).unwrap();
        drop(world.serve(&aspen.request(&world, unanswered)));
        birch.send(&world, &group, &text);
        let update = birch.core.update_keys(&group, world.now).unwrap();
        birch.finish(&world, update).unwrap();
        cedar.send(&world, &group, &text);
        for person in [&mut aspen, &mut birch, &mut cedar] {
            let events = person.sync(&world);
            assert_eq!(
                (problems(&events), disorders(person, &events)),
                (vec![], vec![])
            );
        }
        aspen.finish(&world, unanswered).unwrap();
    }
}
