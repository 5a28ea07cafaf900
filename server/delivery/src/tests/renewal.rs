//! What a change of the data key leaves to those whom the commit with it locks out.

use garbler::Garble;
use protocol::codec::Opaque;
use protocol::delivery::{JoinGroup, PathProof, ProofVerdict};
use protocol::limit::COMMIT_BYTES_MAX;

use super::client::Client;
use super::complain::five;
use super::garbler::{against, garbled};
use super::{GROUP, POLICY, World, client};
use crate::group::COMMITS_MAX;
use crate::tables::{Edition, Group};
use crate::{Error, Policy, operation};

impl World {
    /// As if so many commits were made that only `more` come before the one that changes the data
    /// key.
    fn wear_out(&self, more: u32) {
        let partition = self.delivery.partition(&GROUP);
        let operation = operation(&self.entropy);
        let worn = self.delivery.store.transact(&partition, operation, |tx| {
            let mut group = Group::load(tx)?.unwrap();
            group.root.commits = COMMITS_MAX - 1 - more;
            group.save(tx)
        });
        worn.unwrap();
    }

    /// Whether the data key is the one that began with the edition.
    fn has_changed(&self, began: Edition) -> bool {
        self.group().root.data > began
    }

    /// Have the last of five resync with a proof against a commit that it has not followed.
    fn accuse(&self, victim: &Client, commit: Opaque<COMMIT_BYTES_MAX>) -> ProofVerdict {
        let mut fresh = client(5);
        let fetched = self.fetch_external(GROUP, victim.state_key()).unwrap();
        let node_key = victim.own_key();
        let request = JoinGroup {
            proof: Some(PathProof { commit, node_key }),
            ..fresh.enter(&fetched, &[])
        };
        self.join(&fresh, &request).unwrap().0.proof
    }

    fn is_shut_out(&self, victim: &Client) -> bool {
        let fetched = self.fetch_external(GROUP, victim.state_key());
        fetched.map(|_| ()) == Err(Error::Denied)
    }
}

/// [DS-STATE-6] [DS-PROOF-2]
#[test]
fn the_last_commit_under_a_data_key_is_shown_to_be_wrong() {
    let (world, [_, mut b, _, _, e]) = five();
    world.wear_out(0);
    let began = world.group().root.data;
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    assert!(world.has_changed(began));
    assert_eq!(world.accuse(&e, commit.commit), ProofVerdict::Holds);
}

/// [DS-STATE-6] [DS-PROOF-2]
#[test]
fn a_commit_is_shown_to_be_wrong_though_the_next_one_changes_the_data_key() {
    let (world, [_, mut b, _, _, e]) = five();
    world.wear_out(1);
    let began = world.group().root.data;
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    b.merge();
    assert!(!world.has_changed(began));
    world.update(&mut b);
    assert!(world.has_changed(began));
    assert_eq!(world.accuse(&e, commit.commit), ProofVerdict::Holds);
}

/// Who resyncs has the key of an earlier epoch than the one that its commit ends, so the service
/// sees no key of that epoch. [DS-STATE-6] [DS-PROOF-2]
#[test]
fn a_resync_that_changes_the_data_key_is_shown_to_be_wrong() {
    let (world, [mut a, b, mut c, mut d, mut e]) = five();
    world.update(&mut a);
    world.settle(&mut [&mut c, &mut d, &mut e]);
    world.wear_out(0);
    let began = world.group().root.data;
    let mut fresh = client(2);
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let garbler = against(Garble::Nonsense, &[&e]);
    let resync = fresh.enter_by(&garbler, &fetched, &[]);
    world.join(&fresh, &resync).unwrap();
    assert!(world.has_changed(began));
    assert_eq!(world.accuse(&e, resync.commit), ProofVerdict::Holds);
}

/// [DS-STATE-6]
#[test]
fn an_earlier_data_key_leads_on_until_its_commits_cannot_be_undone() {
    let (mut world, [_, mut b, .., e]) = five();
    world.wear_out(0);
    world.update(&mut b);
    world.now.0 += POLICY.undo_seconds;
    world.sweep();
    assert!(!world.is_shut_out(&e));
    world.now.0 += 1;
    world.sweep();
    assert!(world.is_shut_out(&e));
    assert!(!world.is_shut_out(&b));
}

/// [DS-STATE-6]
#[test]
fn where_no_commit_is_undone_a_data_key_leads_nowhere() {
    let (mut world, [_, mut b, .., e]) = five();
    world.set_policy(Policy {
        undo_seconds: 0,
        ..POLICY
    });
    world.now.0 += POLICY.undo_seconds + 1;
    world.update(&mut b);
    world.wear_out(0);
    world.update(&mut b);
    assert!(world.is_shut_out(&e));
}

/// Removed members must open nothing, so neither do those who were members with them. [DS-STATE-1]
#[test]
fn a_commit_that_removes_somebody_leaves_no_way_on() {
    for wear in [0, 10] {
        let (world, [mut a, b, .., e]) = five();
        world.wear_out(wear);
        let request = a.remove(b.index());
        world.commit(&a, &request).unwrap();
        a.merge();
        assert!(world.is_shut_out(&b) && world.is_shut_out(&e));
        world.wear_out(0);
        world.update(&mut a);
        assert!(world.is_shut_out(&b), "nor over the next data key");
    }
}

/// [DS-STATE-6] [DS-COMPLAIN-2]
#[test]
fn a_commit_that_changed_the_data_key_is_undone() {
    let (world, [a, mut b, c, _, e]) = five();
    world.wear_out(0);
    let began = world.group().root.data;
    let request = b.update();
    let (bad, _) = world.commit(&b, &request).unwrap();
    assert!(world.has_changed(began));
    world.complain(&a, bad).unwrap();
    assert_eq!(world.complain(&c, bad), Ok((2, 2)));
    assert!(!world.has_changed(began) && !world.is_shut_out(&e));
}
