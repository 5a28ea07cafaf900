//! Commits that members cannot follow, and what comes of complaints.

use protocol::codec::{Opaque, decode_exact};
use protocol::delivery::{CommitGroupReply, Complain, ComplainReply, Complaint, ComplaintTbs};
use protocol::entry::{FanOutKey, GroupEvent, GroupEventContent, Payload, RevertedEvent};
use protocol::error::Rule;
use protocol::id::{Epoch, LeafIndex, Seq};
use protocol::time::Timestamp;

use super::client::Client;
use super::{GROUP, POLICY, World, client};
use crate::{Error, Outbox};

impl World {
    /// `by` complains about a commit; it has not followed it.
    pub(super) fn complain(
        &self,
        by: &Client,
        about: CommitGroupReply,
    ) -> Result<(u32, u32), Error> {
        self.try_complain(by, &complaint(by, about))
            .map(|(reply, _)| (reply.complaints, reply.quorum))
    }

    fn try_complain(
        &self,
        by: &Client,
        request: &Complain,
    ) -> Result<(ComplainReply, Outbox), Error> {
        let request = by.sign(request.clone(), &self.binding);
        self.delivery
            .complain(request, &self.binding, self.now, &self.entropy)
    }
}

fn complaint(by: &Client, about: CommitGroupReply) -> Complain {
    let tbs = ComplaintTbs {
        group: GROUP,
        leaf: by.index(),
        commit: about.receipt.number,
        chain: about.receipt.chain,
    };
    Complain {
        group: GROUP,
        epoch: by.epoch(),
        state_key: by.state_key(),
        complaint: Complaint::new(tbs, &by.key),
    }
}

/// What of a group's events a member can read.
fn events(of: &Client, inbox: &[Vec<u8>]) -> Vec<GroupEvent> {
    let key = FanOutKey::of(&of.state_key());
    let open = |payload: &Vec<u8>| match decode_exact(payload) {
        Ok(Payload::Group(sealed)) => GroupEvent::open(&key, sealed.as_slice()).ok(),
        _ => None,
    };
    inbox.iter().filter_map(open).collect()
}

/// Five members in epoch 2, with nothing left to deliver; the first is the admin.
pub(super) fn five() -> (World, [Client; 5]) {
    let world = World::new();
    let [mut a, mut b, mut c, mut d, mut e] = [1, 2, 3, 4, 5].map(client);
    world.create(&mut a).unwrap();
    world.add(&mut a, &mut [], &mut [&mut b]);
    world.add(&mut a, &mut [&mut b], &mut [&mut c, &mut d, &mut e]);
    (world, [a, b, c, d, e])
}

/// [DS-COMPLAIN-2] [DS-ROLE-2] [DS-COMMIT-7]
#[test]
fn at_the_quorum_the_group_is_again_in_the_epoch_that_the_commit_ended() {
    let (world, [mut a, mut b, mut c, d, e]) = five();
    let request = b.update();
    let (bad, _) = world.commit(&b, &request).unwrap();
    let told = world.deliver(&[&a]);
    assert_eq!(events(&a, &told[0]).len(), 1, "the commit");
    assert_eq!(world.complain(&a, bad), Ok((1, 2)));
    assert_eq!(world.group().epoch, Epoch(3));
    assert_eq!(world.complain(&c, bad), Ok((2, 2)));
    let group = world.group();
    assert_eq!((group.epoch, group.number), (Epoch(2), Seq(5)));
    let inboxes = world.deliver(&[&a, &c, &d, &e]);
    let told: Vec<_> = [&a, &c, &d, &e]
        .into_iter()
        .zip(&inboxes)
        .map(|(member, inbox)| events(member, inbox))
        .collect();
    // The first complaint, the reversal, the proposal; who complained knows of its complaint.
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3, 3, 3]);
    let [.., reverted, proposal] = told[0].as_slice() else {
        panic!("no events")
    };
    let GroupEventContent::Reverted(RevertedEvent {
        epoch,
        commit,
        complaints,
    }) = &reverted.content
    else {
        panic!("not reverted")
    };
    assert_eq!((*epoch, *commit), (Epoch(2), bad.receipt.number));
    assert_eq!(reverted.receipt.number, Seq(4));
    assert_eq!(
        reverted.receipt.chain,
        bad.receipt.chain.next(Seq(4), &reverted.content)
    );
    for (complaint, member) in complaints.iter().zip([&a, &c]) {
        assert_eq!(complaint.leaf, member.index());
        let key = member.key.public_key();
        complaint.verify(&key, GROUP).unwrap();
    }
    let GroupEventContent::Proposal(proposal) = &proposal.content else {
        panic!("no proposal")
    };
    // The same commit does not carry the proposal.
    b.drop_commit();
    let again = world.commit(&b, &request).unwrap_err();
    assert_eq!(again, Error::Invalid(Rule::PendingProposals));
    c.learn_proposal(proposal.as_slice());
    let request = c.commit(|builder| builder, &[]);
    let (reply, _) = world.commit(&c, &request).unwrap();
    assert_eq!((reply.epoch, reply.receipt.number), (Epoch(3), Seq(6)));
    c.merge();
    world.send(&mut c, b"without the offender").unwrap();
    assert_eq!(
        world.send(&mut b, b"still here?").unwrap_err(),
        Error::WrongEpoch(Epoch(3))
    );
    drop(a.update());
}

/// [DS-COMPLAIN-1]
#[test]
fn each_member_of_the_epoch_but_the_committer_counts_once() {
    let (world, [a, mut b, c, d, e]) = five();
    let request = b.update();
    let (bad, _) = world.commit(&b, &request).unwrap();
    drop(world.deliver(&[]));
    assert_eq!(world.complain(&a, bad), Ok((1, 2)));
    assert_eq!(
        world.complain(&a, bad),
        Ok((1, 2)),
        "a repetition changes nothing"
    );
    let inboxes = world.deliver(&[&a, &c, &d, &e]);
    assert!(inboxes[0].is_empty());
    for (member, inbox) in [&c, &d, &e].into_iter().zip(&inboxes[1..]) {
        let told = events(member, inbox);
        let [
            GroupEvent {
                receipt,
                content: GroupEventContent::Complaint(complaint),
            },
        ] = told.as_slice()
        else {
            panic!("no complaint")
        };
        assert_eq!(complaint.leaf, a.index());
        assert_eq!(*receipt, bad.receipt, "it takes no number");
    }
    let refused = Error::Invalid(Rule::Complaint);
    assert_eq!(
        world.complain(&b, bad),
        Err(refused.clone()),
        "its own commit"
    );
    let mut forged = complaint(&c, bad);
    forged.complaint.signature = complaint(&a, bad).complaint.signature;
    assert_eq!(world.try_complain(&c, &forged).unwrap_err(), refused);
    let mut other = bad;
    other.receipt.chain.0[0] ^= 1;
    assert_eq!(world.complain(&c, other), Err(refused.clone()));
    other = bad;
    other.receipt.number = Seq(2);
    assert_eq!(world.complain(&c, other), Err(refused), "of another epoch");
    let mut as_other = complaint(&c, bad);
    as_other.complaint.leaf = d.index();
    assert_eq!(
        world.try_complain(&c, &as_other).unwrap_err(),
        Error::Denied
    );
    let mut stranger = complaint(&c, bad);
    stranger.state_key.0[0] ^= 1;
    assert_eq!(
        world.try_complain(&c, &stranger).unwrap_err(),
        Error::Denied
    );
    assert_eq!(world.group().epoch, Epoch(3));
}

/// [DS-COMPLAIN-1]
#[test]
fn a_window_ends() {
    let (mut world, [a, mut b, c, ..]) = five();
    let request = b.update();
    let (bad, _) = world.commit(&b, &request).unwrap();
    world.now = Timestamp(world.now.0 + POLICY.undo_seconds);
    assert_eq!(world.complain(&a, bad), Ok((1, 2)));
    world.now = Timestamp(world.now.0 + 1);
    assert_eq!(
        world.complain(&c, bad),
        Err(Error::Invalid(Rule::Complaint))
    );
}

/// A complaint whose answer was lost is answered the same when it is sent again.
#[test]
fn the_last_complaint_can_be_repeated() {
    let (world, [a, mut b, c, ..]) = five();
    let request = b.update();
    let (bad, _) = world.commit(&b, &request).unwrap();
    world.complain(&a, bad).unwrap();
    assert_eq!(world.complain(&c, bad), Ok((2, 2)));
    let before = world.rows();
    assert_eq!(world.complain(&c, bad), Ok((2, 2)));
    assert_eq!(world.rows(), before);
}

/// [DS-COMPLAIN-2] [DS-STATE-5]
#[test]
fn a_commit_is_undone_with_those_that_came_after_it() {
    let (world, [mut a, mut b, c, d, _]) = five();
    let before: Vec<_> = world.pages();
    // The offender removes a member, by which the data key changes, and goes on.
    let request = a.remove(LeafIndex(4));
    let (bad, _) = world.commit(&a, &request).unwrap();
    a.merge();
    for _ in 0..3 {
        world.update(&mut a);
    }
    world
        .send(&mut a, b"in an epoch that nobody is in")
        .unwrap();
    world.complain(&c, bad).unwrap();
    assert_eq!(world.complain(&d, bad), Ok((2, 2)));
    assert_eq!(world.group().epoch, Epoch(2));
    let pages = world.pages();
    assert!(before.iter().all(|page| pages.contains(page)));
    let added = pages.len() - before.len();
    assert_eq!(added, 0, "nobody may propose the only admin's removal");
    assert!(
        world
            .history()
            .kept
            .iter()
            .all(|kept| kept.epoch < Epoch(2))
    );
    // The group goes on from there, and who had moved on is told where it is.
    assert_eq!(
        world.send(&mut a, b"too far").unwrap_err(),
        Error::WrongEpoch(Epoch(2))
    );
    b.forget_proposals();
    world.update(&mut b);
    let (reply, _) = world.send(&mut b, b"on").unwrap();
    assert_eq!(reply.receipt.number, world.group().number);
    let (_, state) = world.external(c.state_key()).unwrap();
    assert_eq!(state.ratchet_tree.as_slice(), b.tree());
}

/// [DS-COMPLAIN-3]
#[test]
fn while_the_window_is_full_who_has_a_commit_in_it_waits() {
    let (mut world, [mut a, mut b, c, ..]) = five();
    // The window holds the commits that made the group, but for the one that nobody else saw.
    let mut first = None;
    for _ in world.history().kept.len()..32 {
        let request = b.update();
        let (reply, _) = world.commit(&b, &request).unwrap();
        first = first.or(Some(reply));
        b.merge();
    }
    let mut request = b.update();
    assert_eq!(world.commit(&b, &request).unwrap_err(), Error::Backlog);
    // That is asked before what it takes the most work to find out.
    request.group_info = Opaque::new(Vec::new()).unwrap();
    assert_eq!(world.commit(&b, &request).unwrap_err(), Error::Backlog);
    b.drop_commit();
    assert_eq!(world.complain(&c, first.unwrap()), Ok((1, 2)));
    world.now = Timestamp(world.now.0 + POLICY.undo_seconds + 1);
    world.update(&mut b);
    drop(a.update());
}
