//! Entering a connection group: answers that are lost, and services that lead nowhere.

use protocol::codec::{Opaque, encode};
use protocol::contact::ConnectionInvitation;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{
    FetchExternalStateReply, GroupState, JoinGroupReply, RequestGroupIdReply, StateWindow,
};
use protocol::entry::LeafLinkKey;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::group_policy::GroupKind;
use protocol::id::{Epoch, LeafIndex, Seq};
use protocol::receipt::{ChainHash, Receipt};
use protocol::request::{decode_reply, encode_reply};

use crate::scenarios::connection_group::{contacts, enters, open, talk};
use crate::scenarios::invitation::{entering, invite_by_hand, left_of_entrances};
use crate::scenarios::order::Hostile;
use crate::testing::{Fate, World, disorders, problems, texts};
use crate::{Outcome, Problem, Step};

/// Birch enters, the answer is lost, and Aspen commits before Birch asks again.
fn lost_answer(world: &World, reads_first: bool) {
    let ([mut aspen, mut birch], [contact, _]) = contacts(world);
    let group = open(world, &mut aspen, contact);
    birch.read(world);
    let enter = entering(&mut birch, world);
    let fetch = birch.request(world, enter);
    birch
        .core
        .reply(enter, &world.serve(&fetch), world.now)
        .unwrap();
    let join = birch.request(world, enter);
    assert_eq!(join.operation(), "join_group");
    world.serve(&join);
    aspen.sync(world);
    aspen.send(world, &group, "one");
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(world, update).unwrap();
    aspen.send(world, &group, "two");
    if reads_first {
        birch.read(world);
    }
    let mut fetched = false;
    let entered = birch.finish_with(world, enter, |outgoing| {
        fetched |= outgoing.operation() == "fetch_external_state";
        Fate::Answered
    });
    assert_eq!(entered.unwrap(), Outcome::GroupJoined { group });
    assert_eq!(
        fetched, !reads_first,
        "what the queue shows need not be fetched"
    );
    let events = birch.sync(world);
    assert_eq!((problems(&events), disorders(&events)), (vec![], vec![]));
    let heard: Vec<_> = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["one", "two"]);
    assert_eq!(birch.core.members(&group).unwrap().len(), 2);
    assert_eq!(left_of_entrances(&birch), [0; 3]);
    // Only one of us came.
    assert_eq!(problems(&aspen.sync(world)), []);
    assert_eq!(aspen.core.members(&group).unwrap().len(), 2);
    talk(world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-7] [SDK-NUMBER-1]
#[test]
fn an_entrance_whose_answer_was_lost_is_shown_by_the_queue() {
    lost_answer(&World::new(), true);
}

/// [SDK-CONNECTION-7] [SDK-NUMBER-1]
#[test]
fn an_entrance_whose_answer_was_lost_is_shown_by_the_state() {
    lost_answer(&World::new(), false);
}

/// [SDK-CONNECTION-6]
#[test]
fn a_service_that_says_too_late_for_ever_is_left_after_some_rounds() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = open(&world, &mut aspen, contact);
    birch.read(&world);
    let enter = entering(&mut birch, &world);
    let late = ErrorReply {
        code: ErrorCode::WrongEpoch,
        detail: 7,
    };
    let late = encode_reply::<JoinGroupReply>(&Err(late));
    let mut commits = 0;
    let mut step = birch.core.step(enter, world.now).unwrap();
    for _ in 0..1_000 {
        step = match step {
            Step::Send(outgoing) if outgoing.operation() == "join_group" => {
                commits += 1;
                birch.core.reply(enter, &late, world.now).unwrap()
            }
            Step::Send(outgoing) => {
                let reply = world.serve(&outgoing);
                birch.core.reply(enter, &reply, world.now).unwrap()
            }
            Step::Wait(other) => {
                birch.finish(&world, other).unwrap();
                birch.core.step(enter, world.now).unwrap()
            }
            Step::Done(outcome) => {
                assert_eq!(outcome, Outcome::Kept);
                break;
            }
            Step::Solve(_) | Step::Retry(_) | Step::CatchUp { .. } => panic!("{step:?}"),
        };
    }
    assert_eq!(commits, 8);
    assert_eq!(problems(&birch.events()), [Problem::InvitationRefused]);
    assert_eq!(left_of_entrances(&birch), [0; 3]);
    // Nothing is held against who invites again.
    open(&world, &mut aspen, contact);
    assert!(enters(&world, &mut birch, group));
}

/// What a hostile service and a hostile contact show of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Proper,
    OtherKind,
    CredentialForged,
    ReceiptForged,
}

/// What Birch asks next when it is shown a group that Aspen has made up; none: it gives up.
fn asks_next(shown: Shown) -> Option<&'static str> {
    let world = &World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(world);
    let opening = aspen
        .core
        .open_connection_group(contact, world.now)
        .unwrap();
    let reply = world.serve(&aspen.request(world, opening));
    let mut reply: RequestGroupIdReply = decode_reply(&reply).unwrap().unwrap();
    if shown == Shown::CredentialForged {
        reply.delivery.signature.0[0] ^= 1;
    }
    let kind = match shown {
        Shown::OtherKind => GroupKind::Group,
        Shown::Proper | Shown::CredentialForged | Shown::ReceiptForged => GroupKind::Connection,
    };
    let made = aspen.core.transact(world.now, |tx| {
        tx.new_group(&reply, &("made up".to_owned(), kind))
    });
    let made = made.unwrap();
    let identity_key = aspen.core.view(|tx| tx.find_stored_group(&made.group));
    let invitation = ConnectionInvitation {
        group: made.group,
        state_key: made.state_key.clone(),
        identity_key: identity_key.unwrap().unwrap().identity_key,
    };
    invite_by_hand(world, (&aspen, contact), &mut birch, &invitation);
    let state = encode(&GroupState {
        ratchet_tree: made.ratchet_tree,
        link_keys: vec![LeafLinkKey {
            leaf: LeafIndex(0),
            key: made.link_key,
        }],
        identity_key: made.identity_key,
        proposals: Vec::new(),
    });
    let key = match shown {
        Shown::ReceiptForged => PrivateKey::from_seed(&[6; 32]),
        Shown::Proper | Shown::OtherKind | Shown::CredentialForged => Hostile::key(),
    };
    let answer = FetchExternalStateReply {
        epoch: Epoch(0),
        receipt: Receipt::sign(&key, made.group, Seq(0), ChainHash([0; 32])),
        group_info: made.group_info,
        window: StateWindow {
            total: u32::try_from(state.len()).unwrap(),
            bytes: Opaque::new(state).unwrap(),
        },
    };
    let enter = entering(&mut birch, world);
    birch.request(world, enter);
    let answer = encode_reply(&Ok(answer));
    let step = birch.core.reply(enter, &answer, world.now).unwrap();
    if let Step::Send(outgoing) = step {
        return Some(outgoing.operation());
    }
    assert!(matches!(step, Step::Done(Outcome::Kept)));
    assert_eq!(problems(&birch.events()), [Problem::InvitationRefused]);
    assert_eq!(left_of_entrances(&birch), [0; 3]);
    None
}

/// [SDK-CONNECTION-6] [SDK-DELIVERY-1]
#[test]
fn nothing_is_sent_into_what_is_no_connection_group_of_the_domains_service() {
    assert_eq!(asks_next(Shown::Proper), Some("join_group"));
    for shown in [
        Shown::OtherKind,
        Shown::CredentialForged,
        Shown::ReceiptForged,
    ] {
        assert_eq!(asks_next(shown), None);
    }
}
