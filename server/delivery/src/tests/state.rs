//! What is kept of a group, whom it opens for, and when it goes.

use std::collections::BTreeSet;

use protocol::codec::decode_exact;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{FetchExternalState, GroupState};
use protocol::id::{Epoch, Seq};
use protocol::time::Timestamp;
use store::{Raw, ScanLimit};

use super::client::{Client, delivery_key};
use super::{GROUP, POLICY, World, client, pair};
use crate::group::{Access, COMMITS_MAX, DataKey, PageKey, Part};
use crate::tables::{Edition, Group, History, PAGES, PageId, Root, WRAPS, Wraps};
use crate::{Error, Policy};

/// All of it, whatever there is.
const ALL: ScanLimit = ScanLimit {
    rows: 10_000,
    bytes: 1 << 30,
};

impl World {
    pub(super) fn pages(&self) -> Vec<(PageId, Vec<u8>)> {
        let [from, to] = [0, u64::MAX].map(|edition| PageId::first(Edition(edition)));
        let rows = self
            .delivery
            .store
            .view(&self.delivery.partition(&GROUP), |tx| {
                tx.scan(&PAGES, &from, &to, ALL)
            });
        let page = |(key, Raw(sealed)): (store::KeySuffix, Raw)| {
            let edition = Edition(key.first_ordered_u64().unwrap());
            let index = key.ordered_u32().unwrap();
            (PageId { edition, index }, sealed)
        };
        rows.unwrap().into_iter().map(page).collect()
    }

    fn wraps(&self) -> Vec<Wraps> {
        let partition = self.delivery.partition(&GROUP);
        let rows = self.delivery.store.view(&partition, |tx| {
            tx.scan(&WRAPS, &Edition(0), &Edition(u64::MAX), ALL)
        });
        rows.unwrap().into_iter().map(|row| row.1).collect()
    }

    pub(super) fn group(&self) -> Group {
        let partition = self.delivery.partition(&GROUP);
        let group = self.delivery.store.view(&partition, Group::load);
        group.unwrap().unwrap()
    }

    pub(super) fn history(&self) -> History {
        let partition = self.delivery.partition(&GROUP);
        self.delivery.store.view(&partition, History::load).unwrap()
    }

    /// The data keys that state keys open.
    fn data_keys(&self, keys: &[SymmetricKey]) -> Vec<DataKey> {
        let wraps: Vec<_> = self.wraps().into_iter().flat_map(|row| row.wraps).collect();
        keys.iter()
            .flat_map(|key| wraps.iter().filter_map(|wrap| wrap.open(GROUP, key).ok()))
            .collect()
    }

    /// How many rows the present roster and state take.
    fn rows_of_parts(&self, member: &Client) -> usize {
        self.pages_of(self.group().root, member).len()
    }

    /// The rows that roster and state take, the present ones or kept ones under the same data key.
    fn pages_of(&self, root: Root, member: &Client) -> BTreeSet<PageId> {
        let key = member.state_key();
        let partition = self.delivery.partition(&GROUP);
        let pages = self.delivery.store.view(&partition, |tx| {
            let access = Access::open(tx, GROUP, root, &key)?;
            let roster = access.load(tx, Part::Roster)?.pages();
            Ok::<_, Error>([roster, access.load(tx, Part::State)?.pages()].concat())
        });
        pages.unwrap().into_iter().collect()
    }

    /// Lose what only the state before the last commit needs.
    pub(super) fn damage_past(&self, member: &Client) {
        let present = self.pages_of(self.group().root, member);
        let past = self.history().kept.last().unwrap().root;
        let lost = &self.pages_of(past, member) - &present;
        assert!(!lost.is_empty());
        let partition = self.delivery.partition(&GROUP);
        let operation = crate::operation(&self.entropy);
        let deleted = self.delivery.store.transact(&partition, operation, |tx| {
            lost.iter().try_for_each(|page| tx.delete(&PAGES, page))
        });
        deleted.unwrap();
    }

    /// Do what the server does now and then.
    pub(super) fn sweep(&self) {
        for group in self.delivery.keeping(None, 100).unwrap() {
            let sweep = || self.delivery.sweep(group, self.now, &self.entropy);
            while sweep().unwrap() {}
        }
    }

    pub(super) fn update(&self, by: &mut Client) {
        let request = by.update();
        self.commit(by, &request).unwrap();
        by.merge();
    }

    pub(super) fn external(&self, key: SymmetricKey) -> Result<(Epoch, GroupState), Error> {
        let request = FetchExternalState {
            group: GROUP,
            state_key: key,
            from: 0,
        };
        let reply = self.delivery.fetch_external_state(request)?;
        let receipt = reply.receipt;
        receipt.verify(&delivery_key().public_key(), GROUP).unwrap();
        assert_eq!(receipt.number, self.group().number);
        Ok((
            reply.epoch,
            decode_exact(reply.window.bytes.as_slice()).unwrap(),
        ))
    }
}

fn opens(key: &DataKey, (id, sealed): &(PageId, Vec<u8>)) -> bool {
    [Part::Roster, Part::State].into_iter().any(|part| {
        PageKey::new(key.part(part.label()), part, GROUP)
            .open_into(*id, sealed, &mut Vec::new())
            .is_ok()
    })
}

/// [DS-STATE-1]
#[test]
fn what_is_written_after_a_removal_opens_with_no_key_that_the_removed_member_ever_had() {
    let (world, mut a, mut b) = pair();
    let mut c = client(3);
    world.add(&mut a, &mut [&mut b], &mut [&mut c]);
    let mut keys = vec![c.state_key()];
    world.update(&mut a);
    let inbox = world.deliver(&[&b, &c]);
    b.receive(&inbox[0][0]).unwrap();
    c.receive(&inbox[1][0]).unwrap();
    keys.push(c.state_key());
    let known = world.data_keys(&keys);
    assert!(!known.is_empty());
    let request = a.remove(c.index());
    world.commit(&a, &request).unwrap();
    a.merge();
    let removed_at = world.group().root.edition;
    world.send(&mut a, b"without you").unwrap();
    world.update(&mut a);
    let later: Vec<_> = world
        .pages()
        .into_iter()
        .filter(|page| page.0.edition >= removed_at)
        .collect();
    assert!(later.len() >= 4, "both parts were written twice");
    let known = [known, world.data_keys(&keys)].concat();
    assert!(
        !later
            .iter()
            .any(|page| known.iter().any(|key| opens(key, page)))
    );
    let staying = world.data_keys(&[a.state_key()]);
    assert!(later.iter().all(|page| opens(&staying[0], page)));
    assert_eq!(world.external(keys.pop().unwrap()), Err(Error::Denied));
}

/// [DS-STATE-1]
#[test]
fn a_data_key_serves_fifty_commits() {
    let (mut world, mut a, _) = pair();
    world.set_policy(Policy {
        undo_seconds: 0,
        ..POLICY
    });
    let began = world.group().root.data;
    let first = a.state_key();
    // The commit that added the second member was the first one.
    for commit in 2..COMMITS_MAX {
        world.update(&mut a);
        assert_eq!(world.group().root.data, began, "commit {commit}");
    }
    assert_eq!(world.external(first.clone()).unwrap().0, a.epoch());
    world.update(&mut a);
    assert!(world.group().root.data > began);
    assert_eq!(world.external(first), Err(Error::Denied));
    assert_eq!(world.external(a.state_key()).unwrap().0, a.epoch());
}

/// [DS-JOIN-4]
#[test]
fn any_key_since_the_data_key_began_opens_the_present_state() {
    let (world, mut a, b) = pair();
    let earlier = a.state_key();
    world.update(&mut a);
    world.update(&mut a);
    let (epoch, state) = world.external(earlier).unwrap();
    assert_eq!(epoch, Epoch(3));
    assert_eq!(state.ratchet_tree.as_slice(), a.tree());
    assert_eq!(world.external(SymmetricKey([1; 32])), Err(Error::Denied));
    let late = FetchExternalState {
        group: GROUP,
        state_key: b.state_key(),
        from: u32::MAX,
    };
    let beyond = world.delivery.fetch_external_state(late).unwrap();
    assert!(beyond.window.bytes.as_slice().is_empty() && beyond.window.total > 0);
    let info = beyond.group_info.as_slice().to_vec();
    assert_eq!(info, a.committed_info(), "as its committer signed it");
}

/// [DS-STATE-4]
#[test]
fn a_commit_writes_the_pages_that_it_changes() {
    let world = World::with(Policy {
        members_max: 100,
        ..POLICY
    });
    let mut a = client(1);
    world.create(&mut a).unwrap();
    let others: Vec<_> = (2..92).map(client).collect();
    let request = a.add(&others.iter().collect::<Vec<_>>());
    world.commit(&a, &request).unwrap();
    a.merge();
    world.update(&mut a);
    let written = |world: &World| {
        let edition = world.group().root.edition;
        let pages = world.pages().into_iter();
        pages.filter(|page| page.0.edition == edition).count()
    };
    world.update(&mut a);
    let (few, all) = (written(&world), world.rows_of_parts(&a));
    assert!(few * 2 < all, "{few} of {all} pages");
    let request = a.remove(protocol::id::LeafIndex(7));
    world.commit(&a, &request).unwrap();
    a.merge();
    let all = world.rows_of_parts(&a);
    assert_eq!(written(&world), all, "everything under the next data key");
}

/// [DS-STATE-5]
#[test]
fn pages_go_with_the_last_state_that_needs_them() {
    let (mut world, mut a, _) = pair();
    let kept = |world: &World| -> Vec<_> {
        let history = world.history();
        history.kept.iter().map(|kept| kept.epoch.0).collect()
    };
    for _ in 0..4 {
        world.update(&mut a);
    }
    assert_eq!(
        kept(&world),
        [1, 2, 3, 4],
        "nobody saw the first commit but who made it"
    );
    let all = world.pages().len();
    assert!(all > world.rows_of_parts(&a));
    world.now = Timestamp(world.now.0 + POLICY.undo_seconds + 1);
    world.update(&mut a);
    assert_eq!(kept(&world), [1, 5], "somebody was added in epoch 1");
    let some = world.pages().len();
    assert!(some < all && some > world.rows_of_parts(&a));
    world.now = Timestamp(world.now.0 + POLICY.past_state_seconds + 2 * 86_400);
    world.update(&mut a);
    world.now = Timestamp(world.now.0 + POLICY.undo_seconds + 1);
    world.set_policy(Policy {
        undo_seconds: 0,
        ..POLICY
    });
    world.update(&mut a);
    assert!(kept(&world).is_empty());
    assert_eq!(world.pages().len(), world.rows_of_parts(&a));
    assert_eq!(world.history().sweep_from, None);
}

/// [DS-STATE-1] [DS-STATE-5]
#[test]
fn data_keys_go_with_the_last_state_under_them() {
    let (mut world, mut a, mut b) = pair();
    let mut c = client(3);
    world.add(&mut a, &mut [&mut b], &mut [&mut c]);
    let request = a.remove(c.index());
    world.commit(&a, &request).unwrap();
    a.merge();
    assert_eq!(world.wraps().len(), 2);
    world.now = Timestamp(world.now.0 + POLICY.past_state_seconds + 2 * 86_400);
    world.update(&mut a);
    world.now = Timestamp(world.now.0 + POLICY.undo_seconds + 1);
    world.update(&mut a);
    assert_eq!(world.wraps().len(), 1);
    let began = world.group().root.data;
    assert!(world.pages().iter().all(|page| page.0.edition >= began));
}

/// [DS-STATE-5]
#[test]
fn past_states_go_though_nobody_commits_any_more() {
    let (mut world, mut a, _) = pair();
    world.update(&mut a);
    world.update(&mut a);
    let kept = |world: &World| world.history().kept.len();
    assert_eq!(kept(&world), 2, "before each commit that can be undone");
    let before = world.rows();
    world.now = Timestamp(world.now.0 + POLICY.undo_seconds);
    world.sweep();
    assert_eq!(world.rows(), before, "to the last second");
    world.now = Timestamp(world.now.0 + 1);
    world.sweep();
    assert_eq!(kept(&world), 1, "somebody was added in epoch 1");
    assert!(world.pages().len() > world.rows_of_parts(&a));
    assert_eq!(world.delivery.keeping(None, 100).unwrap().len(), 1);
    world.now = Timestamp(world.now.0 + POLICY.past_state_seconds + 2 * 86_400);
    world.sweep();
    assert_eq!(kept(&world), 0);
    assert_eq!(world.pages().len(), world.rows_of_parts(&a));
    assert_eq!(world.delivery.keeping(None, 100).unwrap(), []);
    world.update(&mut a);
    assert_eq!(kept(&world), 1, "the group goes on");
}

/// What one sweep has no room for the next one does.
#[test]
fn a_sweep_goes_on_until_all_is_gone() {
    let (mut world, mut a, _) = pair();
    for _ in 0..30 {
        world.update(&mut a);
    }
    let surplus = world.pages().len() - world.rows_of_parts(&a);
    assert!(surplus > 64, "more than one transaction deletes: {surplus}");
    world.now = Timestamp(world.now.0 + POLICY.past_state_seconds + 2 * 86_400);
    let group = world.delivery.keeping(None, 100).unwrap()[0];
    let sweep = || world.delivery.sweep(group, world.now, &world.entropy);
    assert!(sweep().unwrap(), "there is more");
    world.sweep();
    assert_eq!(world.pages().len(), world.rows_of_parts(&a));
    assert_eq!(world.history().sweep_from, None);
}

/// A tree with blank nodes, with leaves that are yet to be merged, and shorter than it was.
#[test]
fn joiners_are_sent_the_tree_that_members_have() {
    let world = World::new();
    let mut a = client(1);
    world.create(&mut a).unwrap();
    let others: Vec<_> = (2..9).map(client).collect();
    let is_same = |world: &World, a: &mut Client| {
        let (_, state) = world.external(a.state_key()).unwrap();
        assert_eq!(state.ratchet_tree.as_slice(), a.tree());
    };
    is_same(&world, &mut a);
    for some in others.chunks(3) {
        let request = a.add(&some.iter().collect::<Vec<_>>());
        world.commit(&a, &request).unwrap();
        a.merge();
        is_same(&world, &mut a);
    }
    for leaf in [2, 7, 6, 5, 4] {
        let request = a.remove(protocol::id::LeafIndex(leaf));
        world.commit(&a, &request).unwrap();
        a.merge();
        is_same(&world, &mut a);
    }
}

/// A ring of commits, with joins and removals among them, leaves nothing behind.
#[test]
fn nothing_accumulates() {
    let mut world = World::new();
    let (mut a, b, c) = (client(1), client(2), client(3));
    world.create(&mut a).unwrap();
    let request = a.add(&[&b]);
    world.commit(&a, &request).unwrap();
    a.merge();
    for _ in 0..10 {
        world.now = Timestamp(world.now.0 + 300);
        let request = a.add(&[&c]);
        world.commit(&a, &request).unwrap();
        a.merge();
        let request = a.remove(protocol::id::LeafIndex(2));
        world.commit(&a, &request).unwrap();
        a.merge();
    }
    world.now = Timestamp(world.now.0 + POLICY.past_state_seconds + 2 * 86_400);
    world.update(&mut a);
    world.update(&mut a);
    let kept: Vec<_> = world.history().kept.iter().map(|kept| kept.root).collect();
    assert_eq!(kept.len(), 2);
    // How many pages a state takes depends on keys that are random, but each of them is needed.
    let roots = kept.into_iter().chain([world.group().root]);
    let needed: BTreeSet<_> = roots.flat_map(|root| world.pages_of(root, &a)).collect();
    let stored: BTreeSet<_> = world.pages().into_iter().map(|page| page.0).collect();
    assert_eq!(stored, needed);
    assert_eq!(world.group().number, Seq(23));
}
