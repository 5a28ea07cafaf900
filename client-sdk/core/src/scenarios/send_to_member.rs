//! What is said to one member alone.

use protocol::codec::decode_exact;
use protocol::delivery::SendToMember;

use crate::group::event::Reject;
use crate::state::JobState;
use crate::testing::{Fate, Person, World, problems, texts, three_in_a_group};
use crate::{Error, Event, MessageState, Outcome, Problem};

fn direct(events: &[Event]) -> Vec<(Option<String>, String)> {
    let text = |event: &Event| {
        let Event::DirectReceived { sender, body, .. } = event else {
            return None;
        };
        Some((sender.display_name.clone(), body.clone()))
    };
    events.iter().filter_map(text).collect()
}

fn whisper(from: &mut Person, world: &World, group: &protocol::id::GroupId, to: &str, text: &str) {
    let leaf = from.leaf(group, to);
    let job = from
        .core
        .send_to_member(group, leaf, text.as_bytes(), world.now)
        .unwrap();
    let outcome = from.finish(world, job).unwrap();
    assert!(matches!(outcome, Outcome::SentToMember { .. }));
}

/// [SDK-DIRECT-1]
#[test]
fn what_is_said_to_one_is_heard_by_one_and_marked_as_such() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    aspen.send(&world, &group, "to all");
    whisper(&mut aspen, &world, &group, "Birch", "to birch");
    aspen.send(&world, &group, "to all again");
    let events = birch.sync(&world);
    assert_eq!(
        direct(&events),
        [(Some("Aspen".to_owned()), "to birch".to_owned())]
    );
    assert_eq!(texts(&events).len(), 2);
    assert_eq!(problems(&events), [], "it takes no number");
    let events = cedar.sync(&world);
    assert_eq!((direct(&events).len(), texts(&events).len()), (0, 2));
    assert_eq!(problems(&events), []);
    let marks = |person: &Person| {
        let messages = person.core.messages(&group, None, 10).unwrap();
        messages.iter().map(|it| it.direct).collect::<Vec<_>>()
    };
    assert_eq!(marks(&aspen), [false, true, false]);
    assert_eq!(marks(&birch), [false, true, false]);
    assert_eq!(marks(&cedar), [false, false]);
    let sent = &aspen.core.messages(&group, None, 10).unwrap()[1];
    let to = sent.to.as_ref().unwrap();
    assert_eq!(to.display_name.as_deref(), Some("Birch"));
    assert_eq!((sent.state, sent.number), (MessageState::Sent, None));
}

/// [SDK-SEND-1] [SDK-SEND-2]
#[test]
fn a_whisper_survives_a_lost_answer_and_another_epoch() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let leaf = aspen.leaf(&group, "Birch");
    let job = aspen
        .core
        .send_to_member(&group, leaf, b"once", world.now)
        .unwrap();
    drop(aspen.request(&world, job));
    let update = cedar.core.update_keys(&group, world.now).unwrap();
    cedar.finish(&world, update).unwrap();
    let mut losses = 3;
    let sent = aspen.finish_with(&world, job, |_| match losses {
        0 => Fate::Answered,
        _ => {
            losses -= 1;
            Fate::ReplyLost
        }
    });
    assert!(matches!(sent.unwrap(), Outcome::SentToMember { .. }));
    let events = birch.sync(&world);
    assert_eq!(direct(&events).len(), 1);
    assert_eq!(problems(&events), []);
}

/// [SDK-DIRECT-1]
#[test]
fn a_whisper_that_is_shown_to_another_member_is_refused() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    let leaf = aspen.leaf(&group, "Cedar");
    let job = aspen
        .core
        .send_to_member(&group, leaf, b"for cedar", world.now)
        .unwrap();
    drop(aspen.request(&world, job));
    let state = aspen.core.view(|tx| Ok(tx.load_job(job)?.state)).unwrap();
    let JobState::SendToMember { sent, .. } = state else {
        panic!("another job")
    };
    let body: SendToMember = decode_exact(&sent.unwrap().body).unwrap();
    let mut show = |as_direct: bool| {
        let taken = birch.core.transact(world.now, |tx| {
            let message = body.message.as_slice();
            let taken = tx.attempt(|| match as_direct {
                true => tx.take_direct(&group, message),
                false => tx.take_message(&group, 9, message),
            });
            match taken {
                Ok(()) => Ok(None),
                Err(Reject::Problem(_, problem)) => Ok(Some(problem)),
                Err(Reject::Fail(error)) => Err(error),
            }
        });
        taken.unwrap()
    };
    assert_eq!(show(true), Some(Problem::MessageRefused));
    assert_eq!(show(false), Some(Problem::MessageRefused));
}

#[test]
fn nobody_whispers_to_themselves_or_to_who_is_gone() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let [own, cedar] = ["Aspen", "Cedar"].map(|name| aspen.leaf(&group, name));
    let refused = aspen.core.send_to_member(&group, own, b"me", world.now);
    assert!(matches!(refused, Err(Error::Unknown("member"))));
    let removal = aspen.core.remove(&group, &[cedar], world.now).unwrap();
    let late = aspen.core.send_to_member(&group, cedar, b"late", world.now);
    aspen.finish(&world, removal).unwrap();
    let over = aspen.finish(&world, late.unwrap());
    assert!(matches!(over, Err(Error::Unknown("member"))));
    let messages = aspen.core.messages(&group, None, 10).unwrap();
    assert_eq!(messages[0].state, MessageState::Failed);
}
