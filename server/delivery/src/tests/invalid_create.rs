//! Groups that may not be created.

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, ExternalSender, Lifetime, ProposalType,
    RequiredCapabilitiesExtension, UnknownExtension,
};
use protocol::codec::Opaque;
use protocol::crypto::identity::SEALED_IDENTITY_EXTENSION;
use protocol::delivery::CreateGroup;
use protocol::error::Rule;
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupKind};
use protocol::id::GroupId;

use super::client::{Client, capabilities, context, sealed_identity};
use super::{GROUP, World, client};
use crate::Error;

fn opaque<const MAX: usize>(bytes: &[u8]) -> Opaque<MAX> {
    Opaque::new(bytes.to_vec()).unwrap()
}

fn flipped<const MAX: usize>(bytes: &Opaque<MAX>, from_end: usize) -> Opaque<MAX> {
    let mut bytes = bytes.as_slice().to_vec();
    let index = bytes.len() - from_end;
    bytes[index] ^= 1;
    Opaque::new(bytes).unwrap()
}

/// A creator whose leaf is made differently.
fn with_leaf(change: impl FnOnce(&mut Client)) -> CreateGroup {
    let mut creator = client(1);
    change(&mut creator);
    let context = context(GroupKind::Group, &[&client(1)]);
    creator.create_with(GROUP, capabilities(), context)
}

/// Requests that differ from a good one in what they carry.
fn broken_messages() -> Vec<(&'static str, CreateGroup, Rule)> {
    let mut a = client(1);
    let good = a.create(GROUP);
    let with_tree = a.group_info(true);
    let whole = good.group_info.clone();
    let info_is = |name, group_info, rule| {
        (
            name,
            CreateGroup {
                group_info,
                ..good.clone()
            },
            rule,
        )
    };
    let other = |id| client(1).create(GroupId(id));
    let in_epoch_1 = {
        let mut a = client(1);
        a.create(GROUP);
        a.update();
        a.merge();
        (a.group_info(false), a.tree())
    };
    vec![
        info_is("no GroupInfo", opaque(&[]), Rule::WireFormat),
        info_is(
            "cut GroupInfo",
            opaque(&whole.as_slice()[..50]),
            Rule::WireFormat,
        ),
        info_is(
            "long GroupInfo",
            opaque(&[whole.as_slice(), &[0]].concat()),
            Rule::WireFormat,
        ),
        info_is(
            "bad GroupInfo signature",
            flipped(&whole, 1),
            Rule::GroupInfo,
        ),
        info_is("another signer", flipped(&whole, 67), Rule::GroupInfo),
        info_is(
            "another confirmation tag",
            flipped(&whole, 71),
            Rule::GroupInfo,
        ),
        info_is("a ratchet tree inside", opaque(&with_tree), Rule::Policy),
        (
            "another group's",
            CreateGroup {
                group: GROUP,
                ..other([8; 16])
            },
            Rule::Framing,
        ),
        (
            "a later epoch",
            CreateGroup {
                group_info: opaque(&in_epoch_1.0),
                ratchet_tree: opaque(&in_epoch_1.1),
                ..good.clone()
            },
            Rule::Framing,
        ),
    ]
}

/// Requests with another tree than the GroupInfo's.
fn broken_trees() -> Vec<(&'static str, CreateGroup, Rule)> {
    let good = client(1).create(GROUP);
    let tree = good.ratchet_tree.clone();
    let tree_is = |name, ratchet_tree, rule| {
        (
            name,
            CreateGroup {
                ratchet_tree,
                ..good.clone()
            },
            rule,
        )
    };
    let other_tree = client(2).create(GROUP).ratchet_tree;
    let of_two = {
        let mut a = client(1);
        a.create(GROUP);
        a.add(&[&client(2)]);
        a.merge();
        a.tree()
    };
    vec![
        tree_is("no tree", opaque(&[]), Rule::WireFormat),
        tree_is("an empty tree", opaque(&[0]), Rule::Members),
        tree_is(
            "a cut tree",
            opaque(&tree.as_slice()[..50]),
            Rule::WireFormat,
        ),
        tree_is("a bad leaf signature", flipped(&tree, 1), Rule::GroupInfo),
        tree_is("another's tree", other_tree, Rule::GroupInfo),
        tree_is("a tree of two", opaque(&of_two), Rule::Members),
        tree_is("a long tree", opaque(&[0; 9_000]), Rule::GroupSize),
    ]
}

/// Requests whose creator has a leaf, or a group context, that no group may have.
fn broken_leaves() -> Vec<(&'static str, CreateGroup, Rule)> {
    let unknown = |kind| Extension::Unknown(kind, UnknownExtension(vec![1]));
    let can_more = || {
        let extensions = [SEALED_IDENTITY_EXTENSION, 0xf0f0].map(ExtensionType::Unknown);
        Capabilities::builder()
            .extensions(extensions.to_vec())
            .build()
    };
    let single = |extension| Extensions::single(extension).unwrap();
    let long = Lifetime::init(super::now().0 - 60, super::now().0 + 100 * 86_400);
    let required = RequiredCapabilitiesExtension::default();
    let external = Extension::ExternalSenders(vec![]);
    vec![
        (
            "no identity",
            with_leaf(|a| a.leaf.extensions.clear()),
            Rule::Policy,
        ),
        (
            "a short identity",
            with_leaf(|a| a.leaf.extensions = vec![sealed_identity(1, 603)]),
            Rule::Policy,
        ),
        (
            "a long pseudonym",
            with_leaf(|a| a.leaf.pseudonym.push(1)),
            Rule::Policy,
        ),
        (
            "a long lifetime",
            with_leaf(|a| a.leaf.lifetime = long),
            Rule::Policy,
        ),
        (
            "another extension beside the identity",
            {
                let mut a = client(1);
                a.leaf.extensions.push(unknown(0xf0f0));
                a.create_with(GROUP, can_more(), Extensions::empty())
            },
            Rule::Policy,
        ),
        (
            "external senders",
            client(1).create_with(GROUP, capabilities(), single(external)),
            Rule::Policy,
        ),
        (
            "an unknown extension of the context",
            client(1).create_with(GROUP, can_more(), single(unknown(0xf0f0))),
            Rule::Policy,
        ),
        (
            "nothing",
            {
                let required = Extension::RequiredCapabilities(required);
                let mut request = client(1).create_with(GROUP, capabilities(), single(required));
                request.group_info = opaque(&[0, 1, 0, 4]);
                request
            },
            Rule::WireFormat,
        ),
    ]
}

/// A request whose context has other extensions: requirements, external senders, policy.
fn other(change: impl Fn(&mut Vec<Extension>)) -> CreateGroup {
    let mut a = client(1);
    let good = context(GroupKind::Group, &[&a]);
    let mut extensions: Vec<_> = good.iter().cloned().collect();
    change(&mut extensions);
    let context = Extensions::from_vec(extensions).unwrap();
    a.create_with(GROUP, capabilities(), context)
}

/// Requests whose context lets others in or keeps people out.
fn broken_contexts() -> Vec<(&'static str, CreateGroup, Rule)> {
    let sender = || {
        let key = client(9).key.public_key().0.to_vec();
        ExternalSender::new(key.into(), client(9).credential().credential)
    };
    let known = |kind| ExtensionType::Unknown(kind);
    let requires = |extensions: &[ExtensionType], proposals: &[ProposalType]| {
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
            extensions,
            proposals,
            &[],
        ))
    };
    let both = [SEALED_IDENTITY_EXTENSION, GROUP_POLICY_EXTENSION].map(known);
    let leave = [ProposalType::SelfRemove];
    vec![
        (
            "no requirements",
            other(|all| drop(all.remove(0))),
            Rule::Policy,
        ),
        (
            "no external sender",
            other(|all| drop(all.remove(1))),
            Rule::Policy,
        ),
        ("no policy", other(|all| drop(all.remove(2))), Rule::Policy),
        (
            "another external sender",
            other(|all| all[1] = Extension::ExternalSenders(vec![sender()])),
            Rule::Policy,
        ),
        (
            "two external senders",
            other(|all| {
                let Extension::ExternalSenders(senders) = &mut all[1] else {
                    panic!("the senders come second")
                };
                senders.push(sender());
            }),
            Rule::Policy,
        ),
        (
            "fewer requirements",
            other(|all| all[0] = requires(&both[..1], &leave)),
            Rule::Policy,
        ),
        (
            "no way to leave required",
            other(|all| all[0] = requires(&both, &[])),
            Rule::Policy,
        ),
    ]
}

/// Requests in which the creator is not the only admin.
fn foreign_admins() -> Vec<(&'static str, CreateGroup, Rule)> {
    let policy =
        |bytes: Vec<u8>| Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(bytes));
    let with_admins = |admins: &[&Client]| {
        let context = context(GroupKind::Group, admins);
        client(1).create_with(GROUP, capabilities(), context)
    };
    vec![
        (
            "no admins",
            other(|all| all[2] = policy(vec![1, 1, 0])),
            Rule::Policy,
        ),
        (
            "a broken policy",
            other(|all| all[2] = policy(vec![9; 20])),
            Rule::Policy,
        ),
        ("another admin", with_admins(&[&client(2)]), Rule::Role),
        (
            "a second admin",
            with_admins(&[&client(1), &client(2)]),
            Rule::Role,
        ),
    ]
}

/// [DS-CREATE-1]
#[test]
fn only_a_whole_group_of_one_is_created() {
    let world = World::new();
    for (name, request, rule) in [
        broken_messages(),
        broken_trees(),
        broken_leaves(),
        broken_contexts(),
        foreign_admins(),
    ]
    .concat()
    {
        let request = client(1).sign(request, &world.binding);
        let reply = world
            .delivery
            .create_group(request, &world.binding, world.now, &world.entropy);
        assert_eq!(reply.unwrap_err(), Error::Invalid(rule), "{name}");
        assert!(world.rows().is_empty(), "{name}");
    }
    let request = client(1).create(GROUP);
    let request = client(1).sign(request, &world.binding);
    world
        .delivery
        .create_group(request, &world.binding, world.now, &world.entropy)
        .unwrap();
}
