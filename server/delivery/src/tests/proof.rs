//! Proofs that a commit has locked a member out, beside its resync.

use garbler::{Garble, Garbler};
use openmls::prelude::{HpkePublicKey, OpenMlsProvider as _};
use openmls_traits::storage::{CURRENT_VERSION, Entity, StorageProvider as _, traits};
use openmls_traits::types::HpkePrivateKey;
use protocol::codec::decode_exact;
use protocol::crypto::hpke::NodeKey;
use protocol::delivery::{CommitGroup, JoinGroup, JoinGroupReply, PathProof, ProofVerdict};
use protocol::entry::{FanOutKey, GroupEvent, GroupEventContent, Payload};
use protocol::error::Rule;
use protocol::id::{Epoch, LeafIndex, Seq};
use serde::{Deserialize, Serialize};
use store::StoreError;

use super::client::Client;
use super::complain::five;
use super::garbler::{against, garbled, garbled_by};
use super::{GROUP, World, client};
use crate::{Error, Policy};

/// A key pair as OpenMLS stores those of an epoch.
#[derive(Serialize, Deserialize)]
struct KeyPair {
    public_key: Key<HpkePublicKey>,
    private_key: Key<HpkePrivateKey>,
}

#[derive(Serialize, Deserialize)]
struct Key<K> {
    key: K,
}

impl Entity<CURRENT_VERSION> for KeyPair {}
impl traits::HpkeKeyPair<CURRENT_VERSION> for KeyPair {}

impl Client {
    /// The private keys of its leaf and of the parents above that it knows.
    fn node_keys(&self) -> Vec<NodeKey> {
        let group = self.group.as_ref().unwrap();
        let pairs: Vec<KeyPair> = self
            .provider
            .storage()
            .encryption_epoch_key_pairs(
                group.group_id(),
                &group.epoch(),
                group.own_leaf_index().u32(),
            )
            .unwrap();
        let keys = pairs
            .iter()
            .map(|pair| (*pair.private_key.key).try_into().unwrap());
        keys.map(NodeKey).collect()
    }

    /// The private key of its leaf.
    pub(super) fn own_key(&self) -> NodeKey {
        let group = self.group.as_ref().unwrap();
        let leaf = group.own_leaf_node().unwrap();
        let public = protocol::codec::encode(leaf.encryption_key());
        let mut keys = self.node_keys().into_iter();
        let is_it = |key: &NodeKey| public.ends_with(&key.seal_key().unwrap().0);
        keys.find(is_it).unwrap()
    }
}

/// The resync of a member that has not followed a commit, as itself and as it is after.
fn resync(
    world: &World,
    stuck: &Client,
    number: u16,
    proof: Option<PathProof>,
) -> (Client, JoinGroup) {
    let mut fresh = client(number);
    let fetched = world.fetch_external(GROUP, stuck.state_key()).unwrap();
    let request = JoinGroup {
        proof,
        ..fresh.enter(&fetched, &[])
    };
    (fresh, request)
}

fn proof(commit: &CommitGroup, node_key: NodeKey) -> Option<PathProof> {
    Some(PathProof {
        commit: commit.commit.clone(),
        node_key,
    })
}

/// Eight members. The second is about to commit: to the first at its leaf; to the third and fourth by
/// their parent; to the fifth to seventh by theirs; and to the eighth, which came in after that parent
/// got its key, at its leaf.
fn eight() -> (World, [Client; 8]) {
    let (world, [mut a, mut b, mut c, mut d, mut e]) = five();
    let [mut f, mut g, mut h] = [6, 7, 8].map(client);
    let update = |by: &mut Client, others: &mut [&mut Client]| {
        let commit = by.update();
        world.commit(by, &commit).unwrap();
        by.merge();
        world.settle(others);
    };
    let others: &mut [&mut Client] = &mut [&mut b, &mut c, &mut d, &mut e];
    world.add(&mut a, others, &mut [&mut f, &mut g]);
    update(
        &mut f,
        &mut [&mut a, &mut b, &mut c, &mut d, &mut e, &mut g],
    );
    let others: &mut [&mut Client] = &mut [&mut b, &mut c, &mut d, &mut e, &mut f, &mut g];
    world.add(&mut a, others, &mut [&mut h]);
    let others = &mut [&mut a, &mut b, &mut c, &mut e, &mut f, &mut g, &mut h];
    update(&mut d, others);
    (world, [a, b, c, d, e, f, g, h])
}

/// What each of a member's keys shows about a commit that it has not followed.
fn verdicts(world: &World, stuck: &Client, number: u16, commit: &CommitGroup) -> Vec<ProofVerdict> {
    let join = |key: NodeKey| {
        let (fresh, request) = resync(world, stuck, number, proof(commit, key));
        world.join(&fresh, &request).unwrap().0.proof
    };
    stuck.node_keys().into_iter().map(join).collect()
}

/// Have the fifth member resync with a proof; the verdict, and how many numbered events that makes.
fn verdict(world: &World, stuck: &Client, shown: Option<PathProof>) -> (ProofVerdict, u64) {
    let (fresh, request) = resync(world, stuck, 5, shown);
    let before = world.group().number.0;
    let (reply, _) = world.join(&fresh, &request).unwrap();
    assert_eq!(reply.epoch, world.group().epoch);
    (reply.proof, world.group().number.0 - before)
}

/// The proposals among what a member was told, readable with the keys of the epochs given.
fn proposals(inbox: &[Vec<u8>], keys: &[FanOutKey]) -> Vec<Vec<u8>> {
    let open = |payload: &Vec<u8>| {
        let Ok(Payload::Group(sealed)) = decode_exact(payload) else {
            return None;
        };
        let mut opened = keys
            .iter()
            .filter_map(|key| GroupEvent::open(key, sealed.as_slice()).ok());
        let GroupEventContent::Proposal(proposal) = opened.next()?.content else {
            return None;
        };
        Some(proposal.as_slice().to_vec())
    };
    inbox.iter().filter_map(open).collect()
}

/// [DS-PROOF-1] [DS-PROOF-2]
#[test]
fn who_locks_out_one_member_is_removed() {
    for how in [Garble::Nonsense, Garble::Unreadable] {
        let (world, [mut a, mut b, mut c, mut d, e]) = five();
        let commit = garbled(&mut b, how, &[&e]);
        world.commit(&b, &commit).unwrap();
        b.merge();
        // The others follow it.
        world.settle(&mut [&mut a, &mut c, &mut d]);
        let (mut fresh, request) = resync(&world, &e, 5, proof(&commit, e.own_key()));
        let (reply, _) = world.join(&fresh, &request).unwrap();
        assert_eq!((reply.proof, reply.epoch), (ProofVerdict::Holds, Epoch(4)));
        // Sent again, it is answered the same.
        assert_eq!(world.join(&fresh, &request).unwrap().0, reply);
        let keys = [
            FanOutKey::of(&a.state_key()),
            FanOutKey::of(&fresh.state_key()),
        ];
        let [to_a, to_fresh] = <[_; 2]>::try_from(world.deliver(&[&a, &fresh])).unwrap();
        let (told, also) = (proposals(&to_a, &keys), proposals(&to_fresh, &keys));
        assert_eq!((told.len(), &told), (1, &also));
        a.receive(&to_a[0]).unwrap();
        fresh.learn_proposal(&told[0]);
        // Nothing goes on without it, and its author cannot go on at all.
        let without = a.update();
        let refused = world.commit(&a, &without).unwrap_err();
        assert_eq!(refused, Error::Invalid(Rule::PendingProposals));
        a.drop_commit();
        let removal = fresh.commit(|builder| builder, &[]);
        world.commit(&fresh, &removal).unwrap();
        fresh.merge();
        assert!(
            fresh
                .group()
                .members()
                .all(|member| member.index.u32() != b.index().0)
        );
        world.send(&mut fresh, b"without it").unwrap();
        assert_eq!(
            world.send(&mut b, b"?").unwrap_err(),
            Error::WrongEpoch(Epoch(5))
        );
    }
}

/// [DS-PROOF-1] [DS-PROOF-2]
#[test]
fn nothing_shows_that_an_honest_commit_is_wrong() {
    let wrong = |shown: &dyn Fn(&CommitGroup, [&Client; 5]) -> Option<PathProof>| {
        let (world, [a, mut b, c, d, e]) = five();
        let commit = b.update();
        world.commit(&b, &commit).unwrap();
        let shown = shown(&commit, [&a, &b, &c, &d, &e]);
        // The resync is told, and nothing else.
        assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Fails, 1));
    };
    wrong(&|commit, [.., e]| proof(commit, e.own_key()));
    wrong(&|commit, _| proof(commit, NodeKey([0x99; 32])));
    wrong(&|commit, _| proof(commit, NodeKey([0; 32])));
    wrong(&|commit, [_, _, c, ..]| proof(commit, c.own_key()));
    wrong(&|commit, [a, ..]| proof(commit, a.node_keys().last()?.clone()));
}

/// [DS-PROOF-1] [DS-PROOF-2]
#[test]
fn a_wrong_commit_is_shown_by_the_victims_key_alone() {
    let wrong = |shown: &dyn Fn(&CommitGroup, [&Client; 5]) -> Option<PathProof>| {
        let (world, [a, mut b, c, d, e]) = five();
        let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
        world.commit(&b, &commit).unwrap();
        let shown = shown(&commit, [&a, &b, &c, &d, &e]);
        assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Fails, 1));
    };
    wrong(&|commit, _| proof(commit, NodeKey([0x99; 32])));
    wrong(&|commit, [_, _, c, ..]| proof(commit, c.own_key()));
    wrong(&|commit, [_, b, ..]| proof(commit, b.own_key()));
    // Bytes that are not those of the commit that was accepted.
    wrong(&|commit, [.., e]| {
        let mut shown = proof(commit, e.own_key())?;
        let mut bytes = shown.commit.into_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        shown.commit = protocol::codec::Opaque::new(bytes).unwrap();
        Some(shown)
    });
    let (world, [_, mut b, _, _, e]) = five();
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    let shown = proof(&commit, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Holds, 2));
}

/// [DS-PROOF-1]
#[test]
fn a_commit_that_was_not_accepted_accuses_nobody() {
    let (world, [_, mut b, _, _, e]) = five();
    let refused = garbled(&mut b, Garble::Nonsense, &[&e]);
    b.drop_commit();
    let commit = b.update();
    world.commit(&b, &commit).unwrap();
    let shown = proof(&refused, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Fails, 1));
}

/// [DS-PROOF-1]
#[test]
fn an_honest_commit_that_adds_and_removes_is_right_for_everybody() {
    let (world, [mut a, _, _, _, e]) = five();
    let (f, g) = (client(6), client(7));
    let commit = a.add(&[&f, &g]);
    world.commit(&a, &commit).unwrap();
    for key in e.node_keys() {
        let shown = proof(&commit, key);
        assert_eq!(verdict(&world, &e, shown).0, ProofVerdict::Fails);
    }
}

/// [DS-PROOF-2]
#[test]
fn a_proof_that_comes_too_late_or_is_of_another_epoch_changes_nothing() {
    let (mut world, [_, mut b, _, _, e]) = five();
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    b.merge();
    world.now.0 += 601;
    let shown = proof(&commit, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Late, 1));
    // By a state key of an epoch that another commit ended, and of one that none has ended.
    let (world, [_, mut b, mut c, _, e]) = five();
    let honest = c.update();
    world.commit(&c, &honest).unwrap();
    c.merge();
    let inboxes = world.deliver(&[&b]);
    b.receive(&inboxes[0][0]).unwrap();
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    let shown = proof(&commit, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Fails, 1));
    let (world, [.., e]) = five();
    let shown = proof(&commit, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Late, 1));
    let (world, [.., e]) = five();
    assert_eq!(verdict(&world, &e, None), (ProofVerdict::Absent, 1));
}

/// [DS-PROOF-2] [DS-ROLE-2]
#[test]
fn the_last_admin_stays_even_if_the_proof_holds() {
    let (world, [mut a, .., e]) = five();
    let commit = garbled(&mut a, Garble::Nonsense, &[&e]);
    world.commit(&a, &commit).unwrap();
    let shown = proof(&commit, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Holds, 1));
}

/// [DS-PROOF-2] [DS-COMPLAIN-3]
#[test]
fn where_nothing_is_kept_every_proof_is_late() {
    let (mut world, [_, mut b, _, _, e]) = five();
    world.set_policy(Policy {
        undo_seconds: 0,
        ..super::POLICY
    });
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    let shown = proof(&commit, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Late, 1));
}

/// A wrong path in an external commit is shown as any other. [DS-PROOF-1]
#[test]
fn who_locks_out_a_member_by_a_resync_is_removed() {
    let (world, [_, b, _, _, e]) = five();
    let (fresh, request) = garbled_resync(&world, &b, &e);
    let reply: JoinGroupReply = world.join(&fresh, &request).unwrap().0;
    assert_eq!((reply.leaf, reply.receipt.number), (LeafIndex(1), Seq(3)));
    let shown = Some(PathProof {
        commit: request.commit,
        node_key: e.own_key(),
    });
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Holds, 2));
}

fn garbled_resync(world: &World, stuck: &Client, victim: &Client) -> (Client, JoinGroup) {
    let mut fresh = client(2);
    let fetched = world.fetch_external(GROUP, stuck.state_key()).unwrap();
    let crypto = against(Garble::Nonsense, &[victim]);
    let request = fresh.enter_by(&crypto, &fetched, &[]);
    (fresh, request)
}

/// [DS-PROOF-1]
#[test]
fn a_right_path_is_right_for_every_reader_whatever_node_it_reads_at() {
    let (world, members) = eight();
    let [a, mut b, others @ ..] = members;
    let commit = b.update();
    world.commit(&b, &commit).unwrap();
    for (number, stuck) in [1].into_iter().chain(3..).zip([a].iter().chain(&others)) {
        let shown = verdicts(&world, stuck, number, &commit);
        assert!(!shown.is_empty());
        let fails = |verdict: &ProofVerdict| *verdict == ProofVerdict::Fails;
        assert!(shown.iter().all(fails), "{number}: {shown:?}");
    }
}

/// [DS-PROOF-1]
#[test]
fn a_wrong_path_is_shown_by_the_one_key_that_every_reader_reads_it_with() {
    let (world, members) = eight();
    let [a, mut b, others @ ..] = members;
    let commit = garbled_by(&mut b, &Garbler::new(Garble::Nonsense, None));
    world.commit(&b, &commit).unwrap();
    let mut keys = Vec::new();
    for (number, stuck) in [1].into_iter().chain(3..).zip([a].iter().chain(&others)) {
        let shown = verdicts(&world, stuck, number, &commit);
        let holds = |verdict: &ProofVerdict| *verdict == ProofVerdict::Holds;
        let index = shown.iter().position(holds).unwrap();
        assert_eq!(shown.iter().filter(|verdict| holds(verdict)).count(), 1);
        keys.push(stuck.node_keys()[index].seal_key().unwrap());
    }
    // The first; the third and fourth; the fifth to seventh; the eighth.
    let [first, third, fourth, fifth, sixth, seventh, eighth] = keys.try_into().unwrap();
    assert_eq!(third, fourth);
    assert!(fifth == sixth && sixth == seventh);
    assert!(![third, fifth].contains(&first) && ![third, fifth].contains(&eighth));
}

/// Another commit is none that the state is looked at for; and that the service cannot look at it is
/// no fault of the victim's. [DS-PROOF-1] [DS-PROOF-2]
#[test]
fn a_proof_whose_state_is_damaged_is_not_said_to_fail() {
    let (world, [_, mut b, _, _, e]) = five();
    let refused = garbled(&mut b, Garble::Nonsense, &[&e]);
    b.drop_commit();
    let commit = garbled(&mut b, Garble::Nonsense, &[&e]);
    world.commit(&b, &commit).unwrap();
    world.damage_past(&e);
    let (fresh, request) = resync(&world, &e, 5, proof(&commit, e.own_key()));
    let failed = world.join(&fresh, &request).unwrap_err();
    assert!(matches!(failed, Error::Store(StoreError::Corrupt { .. })));
    let shown = proof(&refused, e.own_key());
    assert_eq!(verdict(&world, &e, shown), (ProofVerdict::Fails, 1));
}
