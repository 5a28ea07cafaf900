//! Groups that may not be created.

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, Lifetime, RequiredCapabilitiesExtension,
    UnknownExtension,
};
use protocol::codec::Opaque;
use protocol::crypto::identity::SEALED_IDENTITY_EXTENSION;
use protocol::delivery::CreateGroup;
use protocol::error::Rule;
use protocol::id::GroupId;

use super::client::{Client, capabilities, sealed_identity};
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
    creator.create(GROUP)
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
        tree_is("an empty tree", opaque(&[0]), Rule::GroupInfo),
        tree_is(
            "a cut tree",
            opaque(&tree.as_slice()[..50]),
            Rule::WireFormat,
        ),
        tree_is("a bad leaf signature", flipped(&tree, 1), Rule::GroupInfo),
        tree_is("another's tree", other_tree, Rule::GroupInfo),
        tree_is("a tree of two", opaque(&of_two), Rule::GroupInfo),
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
    let context = |extension| Extensions::single(extension).unwrap();
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
            client(1).create_with(GROUP, capabilities(), context(external)),
            Rule::Policy,
        ),
        (
            "an unknown extension of the context",
            client(1).create_with(GROUP, can_more(), context(unknown(0xf0f0))),
            Rule::Policy,
        ),
        (
            "nothing",
            {
                let required = Extension::RequiredCapabilities(required);
                let mut request = client(1).create_with(GROUP, capabilities(), context(required));
                request.group_info = opaque(&[0, 1, 0, 4]);
                request
            },
            Rule::WireFormat,
        ),
    ]
}

/// [DS-CREATE-1]
#[test]
fn only_a_whole_group_of_one_is_created() {
    let world = World::new();
    for (name, request, rule) in [broken_messages(), broken_trees(), broken_leaves()].concat() {
        let request = client(1).sign(request, &world.binding);
        let reply = world
            .delivery
            .create_group(request, &world.binding, world.now, &world.entropy);
        assert_eq!(reply.unwrap_err(), Error::Invalid(rule), "{name}");
        assert!(world.rows().is_empty(), "{name}");
    }
    let required = Extension::RequiredCapabilities(RequiredCapabilitiesExtension::default());
    let context = Extensions::single(required).unwrap();
    let request = client(1).create_with(GROUP, capabilities(), context);
    let request = client(1).sign(request, &world.binding);
    world
        .delivery
        .create_group(request, &world.binding, world.now, &world.entropy)
        .unwrap();
}
