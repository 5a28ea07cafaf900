//! Leaving, and removals that the service proposes.

use protocol::codec::Opaque;
use protocol::delivery::{CommitGroup, Propose};
use protocol::error::Rule;
use protocol::id::{Epoch, LeafIndex};
use protocol::time::Timestamp;

use super::client::Client;
use super::{POLICY, World, client, pair};
use crate::{Error, Policy};

/// Three members, in epoch 1, with nothing left to deliver; the first is the admin.
pub(super) fn trio() -> (World, [Client; 3]) {
    let world = World::new();
    let [mut a, mut b, mut c] = [1, 2, 3].map(client);
    world.create(&mut a).unwrap();
    world.add(&mut a, &mut [], &mut [&mut b, &mut c]);
    (world, [a, b, c])
}

fn flipped(wish: &Propose, from_end: usize) -> Propose {
    let mut bytes = wish.proposal.as_slice().to_vec();
    let index = bytes.len() - from_end;
    bytes[index] ^= 1;
    let proposal = Opaque::new(bytes).unwrap();
    Propose {
        proposal,
        ..wish.clone()
    }
}

/// [DS-PROPOSE-1] [DS-COMMIT-7]
#[test]
fn who_wants_to_leave_is_gone_with_the_next_commit() {
    let (world, [mut a, mut b, mut c]) = trio();
    let (late, wish) = (b.move_to(client(9).ticket), b.leave());
    let (reply, _) = world.propose(&b, &wish).unwrap();
    assert_eq!(reply.receipt.number.0, 2);
    let numbers = world.settle(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(numbers, [vec![2], vec![], vec![2]], "all others are told");
    let commit = c.update();
    world.commit(&c, &commit).unwrap();
    c.merge();
    world.settle(&mut [&mut a, &mut b, &mut c]);
    assert!(!b.group().is_active());
    assert_eq!(c.group().members().count(), 2);
    assert_eq!(world.send(&mut a, b"x").unwrap().0.receipt.number.0, 4);
    assert_eq!(
        world.update_ticket(&b, &late),
        Err(Error::WrongEpoch(Epoch(2)))
    );
}

/// [DS-COMMIT-7]
#[test]
fn a_commit_without_what_waits_is_refused() {
    let (world, [mut a, mut b, mut c]) = trio();
    let early = a.update();
    a.drop_commit();
    let wish = b.leave();
    world.propose(&b, &wish).unwrap();
    let before = world.rows();
    let by_value = c.commit(|builder| builder, &[]);
    let refused: [(&Client, &CommitGroup); 2] = [(&a, &early), (&c, &by_value)];
    for (by, commit) in refused {
        let reply = world.commit(by, commit).unwrap_err();
        assert_eq!(reply, Error::Invalid(Rule::PendingProposals));
        assert!(world.rows() == before);
    }
    c.drop_commit();
    world.settle(&mut [&mut a, &mut b, &mut c]);
    let commit = a.update();
    world.commit(&a, &commit).unwrap();
}

/// [DS-COMMIT-7]
#[test]
fn who_wants_to_leave_commits_nothing_more() {
    let (world, [mut a, mut b, _]) = trio();
    let early = b.update();
    b.drop_commit();
    let wish = b.leave();
    world.propose(&b, &wish).unwrap();
    let reply = world.commit(&b, &early).unwrap_err();
    assert_eq!(reply, Error::Invalid(Rule::PendingProposals));
    world.settle(&mut [&mut a]);
}

/// [DS-PROPOSE-1]
#[test]
fn a_wish_sent_again_is_answered_the_same_and_told_once() {
    let (world, [mut a, mut b, mut c]) = trio();
    let wish = b.leave();
    let (reply, _) = world.propose(&b, &wish).unwrap();
    let before = world.rows();
    assert_eq!(world.propose(&b, &wish).unwrap().0, reply);
    assert!(world.rows() == before);
    world.settle(&mut [&mut a, &mut c]);
    let commit = a.update();
    world.commit(&a, &commit).unwrap();
    assert_eq!(
        world.propose(&b, &wish).unwrap().0,
        reply,
        "even if it is gone"
    );
}

/// [DS-PROPOSE-1]
#[test]
fn only_a_members_own_wish_is_taken() {
    let (world, [mut a, mut b, mut c]) = trio();
    let message = b.message(b"x").message.as_slice().to_vec();
    let wish = b.leave();
    let of_c = c.leave().proposal;
    let update = Opaque::new(a.propose_update()).unwrap();
    a.forget_proposals();
    let commit = a.update().commit.as_slice().to_vec();
    let with = |proposal| Propose {
        proposal,
        ..wish.clone()
    };
    let cases = [
        ("nothing", with(Opaque::default()), Rule::WireFormat),
        (
            "a message",
            with(Opaque::new(message).unwrap()),
            Rule::WireFormat,
        ),
        (
            "a commit",
            with(Opaque::new(commit).unwrap()),
            Rule::WireFormat,
        ),
        ("an update", with(update), Rule::Policy),
        ("another's wish", with(of_c), Rule::Framing),
        ("a forged wish", flipped(&wish, 40), Rule::Commit),
    ];
    let before = world.rows();
    for (name, request, rule) in cases {
        let reply = world.propose(&b, &request).unwrap_err();
        assert_eq!(reply, Error::Invalid(rule), "{name}");
        assert!(world.rows() == before, "{name}");
    }
    let stale = Propose {
        epoch: Epoch(0),
        ..wish.clone()
    };
    let reply = world.propose(&b, &stale).unwrap_err();
    assert_eq!(reply, Error::WrongEpoch(Epoch(1)));
    assert_eq!(world.propose(&a, &wish).unwrap_err(), Error::Denied);
    world.propose(&b, &wish).unwrap();
}

/// [DS-ROLE-2]
#[test]
fn the_last_admin_cannot_leave() {
    let (world, [mut a, mut b, mut c]) = trio();
    let wish = a.leave();
    let reply = world.propose(&a, &wish).unwrap_err();
    assert_eq!(reply, Error::Invalid(Rule::Role));
    a.forget_proposals();
    let both = a.admins(&[&a.pseudonym(), &b.pseudonym()]);
    world.commit(&a, &both).unwrap();
    a.merge();
    world.settle(&mut [&mut b, &mut c]);
    let wish = a.leave();
    world.propose(&a, &wish).unwrap();
    let wish = b.leave();
    let reply = world.propose(&b, &wish).unwrap_err();
    assert_eq!(reply, Error::Invalid(Rule::Role), "the other one is going");
}

/// [DS-PROPOSE-2]
#[test]
fn who_was_not_seen_for_months_is_proposed_for_removal() {
    let (mut world, [mut a, mut b, mut c]) = trio();
    world.now = Timestamp(world.now.0 + 4 * 30 * 86_400);
    world.send(&mut b, b"still here").unwrap();
    world.settle(&mut [&mut a, &mut c]);
    world.now = Timestamp(world.now.0 + 4 * 30 * 86_400);
    let commit = a.update();
    let (reply, _) = world.commit(&a, &commit).unwrap();
    a.merge();
    let numbers = world.settle(&mut [&mut a, &mut b, &mut c]);
    let (own, next) = (reply.receipt.number.0, reply.receipt.number.0 + 1);
    assert_eq!(numbers, [vec![next], vec![own, next], vec![own, next]]);
    let proposed: Vec<_> = b.group().pending_proposals().collect();
    assert_eq!(proposed.len(), 1);
    let commit = b.update();
    world.commit(&b, &commit).unwrap();
    b.merge();
    world.settle(&mut [&mut a, &mut c]);
    assert!(!c.group().is_active());
    assert!(a.group().is_active() && b.group().is_active());
}

/// [DS-PROPOSE-2] [DS-ROLE-2]
#[test]
fn the_last_admin_is_not_proposed_for_removal_however_long_away() {
    let (mut world, mut a, mut b) = pair();
    world.now = Timestamp(world.now.0 + 9 * 30 * 86_400);
    let commit = b.update();
    world.commit(&b, &commit).unwrap();
    b.merge();
    world.settle(&mut [&mut a]);
    assert_eq!(b.group().pending_proposals().count(), 0);
}

/// [DS-PROPOSE-2]
#[test]
fn an_operator_may_let_absent_members_be() {
    let (mut world, [mut a, mut b, mut c]) = trio();
    world.set_policy(Policy {
        inactive_months: 0,
        ..POLICY
    });
    world.now = Timestamp(world.now.0 + 99 * 30 * 86_400);
    let commit = a.update();
    world.commit(&a, &commit).unwrap();
    world.settle(&mut [&mut b, &mut c]);
    assert_eq!(b.group().pending_proposals().count(), 0);
}

/// [DS-OUTBOX-5]
#[test]
fn whose_queue_is_gone_is_proposed_for_removal() {
    let (world, [mut a, mut b, c]) = trio();
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    world.settle(&mut [&mut b]);
    let gone = [c.ticket.ticket, client(9).ticket.ticket];
    let report = || world.delivery.report_gone(outbox, &gone, &world.entropy);
    report().unwrap();
    let before = world.rows();
    report().unwrap();
    assert!(world.rows() == before, "that is known");
    let wish = b.leave();
    world.propose(&b, &wish).unwrap();
    let numbers = world.settle(&mut [&mut a, &mut b]);
    assert_eq!(numbers, [vec![3, 4], vec![4]]);
    let commit = a.update();
    world.commit(&a, &commit).unwrap();
    a.merge();
    assert_eq!(a.group().members().count(), 1);
    let present = a.index();
    assert_eq!(present, LeafIndex(0));
    world.settle(&mut [&mut b]);
    assert!(!b.group().is_active());
}

/// [DS-OUTBOX-5] [DS-TICKET-1]
#[test]
fn a_new_ticket_in_time_saves_a_member_whose_queue_is_gone() {
    let (world, [mut a, mut b, mut c]) = trio();
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    let gone = [b.ticket.ticket];
    world
        .delivery
        .report_gone(outbox, &gone, &world.entropy)
        .unwrap();
    let moved = b.move_to(client(9).ticket);
    world.update_ticket(&b, &moved).unwrap();
    b.ticket = client(9).ticket;
    world.settle(&mut [&mut c]);
    let commit = a.update();
    world.commit(&a, &commit).unwrap();
    a.merge();
    world.settle(&mut [&mut b, &mut c]);
    assert_eq!(c.group().pending_proposals().count(), 0);
}
