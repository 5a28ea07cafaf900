//! A delivery service that says that a commit was undone.

use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{Complaint, ComplaintTbs};
use protocol::entry::{GroupEventContent, RevertedEvent};
use protocol::id::{Epoch, GroupId, LeafIndex, Seq};
use protocol::receipt::ChainHash;

use crate::scenarios::damage::{five, remedies};
use crate::scenarios::order::Hostile;
use crate::testing::{Person, World, problems};
use crate::{Event, Problem};

const ASPEN: usize = 0;
const CEDAR: usize = 2;

/// A commit of Aspen's that everybody has followed, and what is needed to undo it.
struct Undoing {
    epoch: Epoch,
    state_key: SymmetricKey,
    commit: u64,
    chain: ChainHash,
}

fn followed(world: &World, people: &mut [Person], group: &GroupId) -> Undoing {
    people[ASPEN].send(world, group, "before");
    let epoch = people[ASPEN].core.group_epoch(group).unwrap();
    let state_key = |tx: &crate::tx::Tx<'_>| tx.state_key(group, epoch);
    let state_key = people[ASPEN].core.view(state_key).unwrap();
    let job = people[ASPEN].core.update_keys(group, world.now).unwrap();
    people[ASPEN].finish(world, job).unwrap();
    for person in people.iter_mut() {
        assert_eq!(problems(&person.sync(world)), []);
    }
    let newest = people[CEDAR].core.view(|tx| tx.newest_receipt(group));
    let newest = newest.unwrap().unwrap();
    Undoing {
        epoch,
        state_key,
        commit: newest.number.0,
        chain: newest.chain,
    }
}

/// A member's complaint about a commit.
fn complaint(person: &Person, group: &GroupId, commit: u64, chain: ChainHash) -> Complaint {
    let signed = person.core.view(|tx| {
        let key = PrivateKey::from_seed(&tx.active_group(group)?.leaf_seed);
        let leaf = LeafIndex(tx.mls_group(group)?.own_leaf_index().u32());
        let tbs = ComplaintTbs {
            group: *group,
            leaf,
            commit: Seq(commit),
            chain,
        };
        Ok(Complaint::new(tbs, &key))
    });
    signed.unwrap()
}

/// [SDK-REVERT-3]
#[test]
fn only_a_quorum_of_complaints_about_that_very_commit_undoes_it() {
    let world = World::new();
    let (mut people, group) = five(&world);
    let undoing = followed(&world, &mut people, &group);
    let Undoing { commit, chain, .. } = undoing;
    let by = |index: usize| complaint(&people[index], &group, commit, chain);
    let other_commit = complaint(&people[3], &group, commit - 1, chain);
    let other_chain = complaint(&people[3], &group, commit, ChainHash([1; 32]));
    let mut forged = by(3);
    forged.leaf = by(4).leaf;
    let too_few = [
        vec![],
        vec![by(1)],
        vec![by(1), by(1)],
        vec![by(1), other_commit],
        vec![by(1), other_chain],
        vec![by(1), forged],
        // The committer does not count.
        vec![by(1), by(ASPEN)],
    ];
    let enough = vec![by(1), by(3)];
    let numbers = [
        (commit, undoing.epoch),
        (u64::MAX, undoing.epoch),
        (commit, Epoch(u64::MAX)),
    ];
    let mut service = Hostile::after(&people[CEDAR], group);
    let cedar = &mut people[CEDAR];
    let after = cedar.core.group_epoch(&group).unwrap();
    let [right, beyond @ ..] = numbers;
    let mut say =
        |complaints: Vec<Complaint>, (commit, epoch): (u64, Epoch), cedar: &mut Person| {
            let event = service.number(GroupEventContent::Reverted(RevertedEvent {
                epoch,
                commit: Seq(commit),
                complaints,
            }));
            service.tell_under(&world, cedar, &undoing.state_key, &event);
            cedar.events()
        };
    for complaints in too_few {
        let events = say(complaints, right, cedar);
        assert_eq!(problems(&events), [Problem::RevertRefused]);
        assert_eq!(cedar.core.group_epoch(&group).unwrap(), after);
    }
    // Numbers that no home can store are refused like others, and keep nothing else up.
    for numbers in beyond {
        let events = say(enough.clone(), numbers, cedar);
        assert_eq!(problems(&events), [Problem::RevertRefused]);
        assert_eq!(cedar.core.group_epoch(&group).unwrap(), after);
    }
    let events = say(enough, right, cedar);
    assert_eq!(problems(&events), []);
    assert!(matches!(events.as_slice(), [Event::GroupReverted { .. }]));
    assert_eq!(remedies(&events), []);
    assert_eq!(cedar.core.group_epoch(&group).unwrap(), undoing.epoch);
}

/// [SDK-FORWARD-1] [SDK-REVERT-1]
#[test]
fn a_state_from_before_a_commit_is_forgotten_when_nobody_can_go_back_to_it() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    followed(&world, &mut people, &group);
    let retained = |person: &Person| {
        let sql = "SELECT count(*) FROM retained WHERE grp = ?1";
        person.core.view(|tx| tx.count(sql, [group.0])).unwrap()
    };
    assert!(retained(&people[ASPEN]) > 0 && retained(&people[CEDAR]) > 0);
    world.now.0 += 1_000;
    for person in &mut people {
        person.keep(&world);
        assert_eq!(retained(person), 0);
    }
}
