//! Who may do what.

use openmls::prelude::{Extension, Extensions, UnknownExtension};
use protocol::codec::encode;
use protocol::delivery::CommitGroup;
use protocol::error::Rule;
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupKind, GroupPolicy};
use protocol::id::{Epoch, Pseudonym};

use super::client::{Client, capabilities, context};
use super::proposals::trio;
use super::{World, client, pair};
use crate::Error;

impl Client {
    /// Make these the admins.
    pub(super) fn admins(&mut self, admins: &[&Pseudonym]) -> CommitGroup {
        let admins = admins.iter().map(|admin| **admin);
        self.with_policy(&GroupPolicy::new(GroupKind::Group, admins))
    }

    fn with_policy(&mut self, policy: &GroupPolicy) -> CommitGroup {
        let policy = Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(encode(policy)));
        self.change_context(|all| all[2] = policy)
    }

    fn change_context(&mut self, change: impl FnOnce(&mut Vec<Extension>)) -> CommitGroup {
        let mut all: Vec<_> = self.group().extensions().iter().cloned().collect();
        change(&mut all);
        let all = Extensions::from_vec(all).unwrap();
        self.commit(
            |builder| builder.propose_group_context_extensions(all).unwrap(),
            &[],
        )
    }
}

fn refused(world: &World, by: &mut Client, commit: &CommitGroup, rule: Rule) {
    let before = world.rows();
    let reply = world.commit(by, commit).unwrap_err();
    assert_eq!(reply, Error::Invalid(rule));
    assert!(world.rows() == before);
    by.drop_commit();
}

/// [DS-ROLE-1]
#[test]
fn only_admins_add_remove_and_change_roles() {
    let (world, [mut a, mut b, mut c]) = trio();
    let add = b.add(&[&client(4)]);
    refused(&world, &mut b, &add, Rule::Role);
    let remove = b.remove(c.index());
    refused(&world, &mut b, &remove, Rule::Role);
    let usurp = b.admins(&[&b.pseudonym()]);
    refused(&world, &mut b, &usurp, Rule::Role);
    let promote = a.admins(&[&a.pseudonym(), &b.pseudonym()]);
    world.commit(&a, &promote).unwrap();
    a.merge();
    world.settle(&mut [&mut b, &mut c]);
    let add = b.add(&[&client(4)]);
    world.commit(&b, &add).unwrap();
}

/// [DS-ROLE-1]
#[test]
fn who_is_admin_no_more_may_do_what_members_may() {
    let (world, mut a, mut b) = pair();
    let demote = a.admins(&[&b.pseudonym()]);
    world.commit(&a, &demote).unwrap();
    a.merge();
    world.settle(&mut [&mut b]);
    let add = a.add(&[&client(4)]);
    refused(&world, &mut a, &add, Rule::Role);
    let update = a.update();
    assert_eq!(world.commit(&a, &update).unwrap().0.epoch, Epoch(3));
}

/// [DS-ROLE-2] [DS-ROLE-4]
#[test]
fn an_admin_stays_a_member() {
    let (world, [mut a, b, mut c]) = trio();
    let nobody = a.admins(&[&client(9).pseudonym()]);
    refused(&world, &mut a, &nobody, Rule::Role);
    let stranger = a.admins(&[&a.pseudonym(), &client(9).pseudonym()]);
    refused(&world, &mut a, &stranger, Rule::Role);
    let promote = a.admins(&[&a.pseudonym(), &b.pseudonym()]);
    world.commit(&a, &promote).unwrap();
    a.merge();
    world.settle(&mut [&mut c]);
    let remove = a.remove(b.index());
    world.commit(&a, &remove).unwrap();
}

/// [DS-COMMIT-3]
#[test]
fn roles_are_all_of_a_context_that_changes() {
    let (world, mut a, _) = pair();
    let kind = a.with_policy(&GroupPolicy::new(GroupKind::Connection, [a.pseudonym()]));
    refused(&world, &mut a, &kind, Rule::Policy);
    let broken = Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(vec![9; 9]));
    let broken = a.change_context(|all| all[2] = broken);
    refused(&world, &mut a, &broken, Rule::Policy);
    let senders = a.change_context(|all| all[1] = Extension::ExternalSenders(vec![]));
    refused(&world, &mut a, &senders, Rule::Policy);
    let fewer = a.change_context(|all| drop(all.remove(1)));
    refused(&world, &mut a, &fewer, Rule::Policy);
    let same = a.change_context(|_| ());
    world.commit(&a, &same).unwrap();
}

/// Roles are given by pseudonym: nobody may come in under another's. [DS-COMMIT-3]
#[test]
fn nobody_is_added_under_a_members_pseudonym() {
    let (world, mut a, b) = pair();
    let mut c = client(3);
    c.leaf.pseudonym.clone_from(&b.leaf.pseudonym);
    let add = a.add(&[&c]);
    refused(&world, &mut a, &add, Rule::Policy);
}

/// [DS-ROLE-3]
#[test]
fn nobody_is_added_to_a_connection_group() {
    let world = World::new();
    let mut a = client(1);
    let context = context(GroupKind::Connection, &[&a]);
    let request = a.create_with(super::GROUP, capabilities(), context);
    let request = a.sign(request, &world.binding);
    let delivery = &world.delivery;
    delivery
        .create_group(request, &world.binding, world.now, &world.entropy)
        .unwrap();
    let add = a.add(&[&client(2)]);
    refused(&world, &mut a, &add, Rule::Role);
}
