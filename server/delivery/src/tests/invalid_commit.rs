//! Commits that are refused, and change nothing.

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, LeafNodeParameters, Lifetime, ProposalType,
    UnknownExtension,
};
use protocol::codec::Opaque;
use protocol::crypto::identity::SEALED_IDENTITY_EXTENSION;
use protocol::delivery::{CommitGroup, WelcomeForAdded};
use protocol::error::Rule;
use protocol::group_policy::GROUP_POLICY_EXTENSION;
use protocol::id::{Epoch, GroupId};

use super::client::{Client, sealed_identity};
use super::{GROUP, World, client};
use crate::Error;

type Case = (&'static str, CommitGroup, Rule);

fn opaque<const MAX: usize>(bytes: &[u8]) -> Opaque<MAX> {
    Opaque::new(bytes.to_vec()).unwrap()
}

fn flipped<const MAX: usize>(bytes: &Opaque<MAX>, from_end: usize) -> Opaque<MAX> {
    let mut bytes = bytes.as_slice().to_vec();
    let index = bytes.len() - from_end;
    bytes[index] ^= 1;
    Opaque::new(bytes).unwrap()
}

fn unknown(kind: u16) -> Extension {
    Extension::Unknown(kind, UnknownExtension(vec![1]))
}

/// A request that another commit of the same epoch may follow.
fn tried(a: &mut Client, make: impl FnOnce(&mut Client) -> CommitGroup) -> CommitGroup {
    let request = make(a);
    a.drop_commit();
    request
}

/// A member in epoch 1 of a group of two, with a commit of epoch 0.
fn committer() -> (World, Client, Client, CommitGroup) {
    let world = World::new();
    let (mut a, mut b) = (client(1), client(2));
    world.create(&mut a).unwrap();
    let stale = tried(&mut a, Client::update);
    world.add(&mut a, &mut [], &mut [&mut b]);
    (world, a, b, stale)
}

/// What is no commit, or not this one.
fn broken_framing(a: &mut Client, b: &mut Client, stale: &CommitGroup) -> Vec<Case> {
    let good = tried(a, Client::update);
    let bytes = good.commit.as_slice();
    let commit_is = |name, bytes: &[u8], rule| {
        let commit = opaque(bytes);
        (
            name,
            CommitGroup {
                commit,
                ..good.clone()
            },
            rule,
        )
    };
    let add = tried(a, |a| a.add(&[&client(3)]));
    let message = a.message(b"x").message;
    let by_b = tried(b, Client::update);
    let elsewhere = {
        let mut a = client(1);
        a.create(GroupId([8; 16]));
        a.add(&[&client(2)]);
        a.merge();
        a.update()
    };
    let proposal = a.propose_update();
    a.forget_proposals();
    vec![
        commit_is("no commit", &[], Rule::WireFormat),
        commit_is("half a commit", &bytes[..bytes.len() / 2], Rule::WireFormat),
        commit_is(
            "more than a commit",
            &[bytes, &[0]].concat(),
            Rule::WireFormat,
        ),
        commit_is("a GroupInfo", good.group_info.as_slice(), Rule::WireFormat),
        commit_is(
            "a Welcome",
            add.welcome.welcome.as_slice(),
            Rule::WireFormat,
        ),
        commit_is("a message", message.as_slice(), Rule::WireFormat),
        commit_is("a proposal", &proposal, Rule::WireFormat),
        commit_is("another's commit", by_b.commit.as_slice(), Rule::Framing),
        commit_is(
            "another group's commit",
            elsewhere.commit.as_slice(),
            Rule::Framing,
        ),
        commit_is("an earlier commit", stale.commit.as_slice(), Rule::Framing),
        commit_is(
            "a bad signature",
            flipped(&good.commit, 100).as_slice(),
            Rule::Commit,
        ),
        commit_is(
            "another tag",
            flipped(&good.commit, 40).as_slice(),
            Rule::GroupInfo,
        ),
        (
            "the same state key again",
            CommitGroup {
                next_state_key: good.state_key.clone(),
                ..good.clone()
            },
            Rule::Policy,
        ),
    ]
}

/// What does not describe the state that results. [DS-COMMIT-4]
fn broken_infos(a: &mut Client) -> Vec<Case> {
    let present = a.group_info(false);
    let other = tried(a, |a| a.add(&[&client(3)])).group_info;
    let good = tried(a, Client::update);
    let whole = good.group_info.as_slice();
    let info_is = |name, bytes: &[u8], rule| {
        let group_info = opaque(bytes);
        (
            name,
            CommitGroup {
                group_info,
                ..good.clone()
            },
            rule,
        )
    };
    vec![
        info_is("no GroupInfo", &[], Rule::WireFormat),
        info_is(
            "half a GroupInfo",
            &whole[..whole.len() / 2],
            Rule::WireFormat,
        ),
        info_is(
            "more than a GroupInfo",
            &[whole, &[0]].concat(),
            Rule::WireFormat,
        ),
        info_is(
            "a commit as GroupInfo",
            good.commit.as_slice(),
            Rule::WireFormat,
        ),
        info_is("the present GroupInfo", &present, Rule::GroupInfo),
        info_is(
            "another commit's GroupInfo",
            other.as_slice(),
            Rule::GroupInfo,
        ),
        info_is(
            "a forged GroupInfo",
            flipped(&good.group_info, 1).as_slice(),
            Rule::GroupInfo,
        ),
        info_is(
            "another signer",
            flipped(&good.group_info, 67).as_slice(),
            Rule::GroupInfo,
        ),
        info_is(
            "another tag in it",
            flipped(&good.group_info, 71).as_slice(),
            Rule::GroupInfo,
        ),
    ]
}

/// What does, and more.
fn talkative_infos(a: &mut Client) -> Vec<Case> {
    let with_tree = tried(a, |a| {
        a.commit_with(
            |builder| builder.force_self_update(true),
            |builder| builder.use_ratchet_tree_extension(true),
            &[],
        )
    });
    let with_unknown = tried(a, |a| {
        a.commit_with(
            |builder| builder.force_self_update(true),
            |builder| {
                builder
                    .create_group_info_with_extensions([unknown(0xf0f0)])
                    .unwrap()
            },
            &[],
        )
    });
    vec![
        ("a tree in the GroupInfo", with_tree, Rule::Policy),
        (
            "an unknown extension in the GroupInfo",
            with_unknown,
            Rule::Policy,
        ),
    ]
}

/// What is not for those who are added.
fn broken_welcomes(a: &mut Client) -> Vec<Case> {
    let (c, d) = (client(3), client(4));
    let add = tried(a, |a| a.add(&[&c]));
    let other = tried(a, |a| a.add(&[&d]));
    let two = tried(a, |a| a.add(&[&c, &d]));
    let update = tried(a, Client::update);
    let welcome_is = |name, to: &CommitGroup, bytes: &[u8], rule| {
        let welcome = WelcomeForAdded {
            welcome: opaque(bytes),
        };
        (
            name,
            CommitGroup {
                welcome,
                ..to.clone()
            },
            rule,
        )
    };
    let welcome = add.welcome.welcome.as_slice();
    vec![
        welcome_is("no Welcome", &add, &[], Rule::Members),
        welcome_is("a Welcome for nobody", &update, welcome, Rule::Members),
        welcome_is(
            "another's Welcome",
            &add,
            other.welcome.welcome.as_slice(),
            Rule::Members,
        ),
        welcome_is(
            "a Welcome for two",
            &add,
            two.welcome.welcome.as_slice(),
            Rule::Members,
        ),
        welcome_is(
            "half a Welcome",
            &add,
            &welcome[..welcome.len() / 2],
            Rule::WireFormat,
        ),
        welcome_is(
            "more than a Welcome",
            &add,
            &[welcome, &[0]].concat(),
            Rule::WireFormat,
        ),
        welcome_is(
            "a commit as Welcome",
            &add,
            add.commit.as_slice(),
            Rule::WireFormat,
        ),
    ]
}

/// What describes others than those who are added.
fn broken_descriptions(a: &mut Client) -> Vec<Case> {
    let (c, d) = (client(3), client(4));
    let add = tried(a, |a| a.add(&[&c]));
    let two = tried(a, |a| a.add(&[&c, &d]));
    let update = tried(a, Client::update);
    vec![
        (
            "nobody described",
            CommitGroup {
                added: vec![],
                ..add.clone()
            },
            Rule::Members,
        ),
        (
            "one described too many",
            CommitGroup {
                added: two.added,
                ..add.clone()
            },
            Rule::Members,
        ),
        (
            "one described for an update",
            CommitGroup {
                added: vec![c.as_added()],
                ..update
            },
            Rule::Members,
        ),
        (
            "far too many described",
            CommitGroup {
                added: vec![c.as_added(); 1_001],
                ..add
            },
            Rule::GroupSize,
        ),
    ]
}

/// KeyPackages that no queueing service would have handed out.
fn broken_packages(a: &mut Client) -> Vec<Case> {
    let now = super::now().0;
    let mut cases: Vec<Case> = Vec::new();
    let mut case = |name, rule, change: &dyn Fn(&mut Client)| {
        let mut c = client(3);
        change(&mut c);
        cases.push((name, tried(a, |a| a.add(&[&c])), rule));
    };
    case("a KeyPackage for too long", Rule::KeyPackage, &|c| {
        c.leaf.lifetime = Lifetime::init(now - 3_600, now + 100 * 86_400);
    });
    // It would be over before its commit cannot be undone any more. [DS-COMMIT-9]
    case("a KeyPackage for too short", Rule::KeyPackage, &|c| {
        c.leaf.lifetime = Lifetime::init(now - 3_600, now + 300);
    });
    case("no identity", Rule::KeyPackage, &|c| {
        c.leaf.extensions.clear();
    });
    case("a short identity", Rule::KeyPackage, &|c| {
        c.leaf.extensions = vec![sealed_identity(1, 603)];
    });
    case("a long identity", Rule::KeyPackage, &|c| {
        c.leaf.extensions = vec![sealed_identity(1, 605)];
    });
    case("a long pseudonym", Rule::KeyPackage, &|c| {
        c.leaf.pseudonym.push(1);
    });
    case("no pseudonym", Rule::KeyPackage, &|c| {
        c.leaf.pseudonym.clear();
    });
    let can_more = || {
        let extensions = [SEALED_IDENTITY_EXTENSION, GROUP_POLICY_EXTENSION, 0xf0f0];
        Capabilities::builder()
            .extensions(extensions.map(ExtensionType::Unknown).to_vec())
            .proposals(vec![ProposalType::SelfRemove])
            .build()
    };
    let mut case = |name, rule, change: &dyn Fn(&mut Client)| {
        let mut c = client(3);
        change(&mut c);
        let package = c.key_package_with(can_more());
        let added = [c.as_added()];
        let request = tried(a, |a| {
            a.commit(|builder| builder.propose_adds([package]), &added)
        });
        cases.push((name, request, rule));
    };
    case("an extension beside the identity", Rule::KeyPackage, &|c| {
        c.leaf.extensions.push(unknown(0xf0f0));
    });
    case(
        "an unknown extension of the KeyPackage",
        Rule::KeyPackage,
        &|c| {
            c.leaf.package_extensions.push(unknown(0xf0f0));
        },
    );
    cases
}

/// What MLS allows and the rules do not. [DS-COMMIT-3]
fn broken_proposals(a: &mut Client, b: &mut Client) -> Vec<Case> {
    let context = tried(a, |a| {
        a.commit(
            |builder| {
                builder
                    .propose_group_context_extensions(Extensions::empty())
                    .unwrap()
            },
            &[],
        )
    });
    let leaf = |extension: Extension| {
        let extensions = Extensions::single(extension).unwrap();
        LeafNodeParameters::builder()
            .with_extensions(extensions)
            .build()
    };
    let identity = tried(a, |a| a.update_with(leaf(sealed_identity(9, 604))));
    let credential = tried(a, |a| {
        let mut other = a.credential();
        other.credential = client(9).credential().credential;
        let leaf = LeafNodeParameters::builder()
            .with_credential_with_key(other)
            .build();
        a.update_with(leaf)
    });
    let key = tried(a, Client::update_signer);
    let unknown_proposal = {
        let proposal = b.propose_update();
        tried(a, |a| {
            a.learn_proposal(&proposal);
            a.commit(|builder| builder.consume_proposal_store(true), &[])
        })
    };
    vec![
        ("other group context extensions", context, Rule::Policy),
        ("another identity", identity, Rule::Policy),
        ("another pseudonym", credential, Rule::Policy),
        ("another signature key", key, Rule::Policy),
        (
            "a proposal the server does not have",
            unknown_proposal,
            Rule::Commit,
        ),
    ]
}

/// [DS-COMMIT-2] [DS-COMMIT-3] [DS-COMMIT-4] [DS-COMMIT-5]
#[test]
fn a_commit_that_breaks_a_rule_changes_nothing() {
    let (world, mut a, mut b, stale) = committer();
    let mut cases = broken_framing(&mut a, &mut b, &stale);
    cases.extend(broken_infos(&mut a));
    cases.extend(talkative_infos(&mut a));
    cases.extend(broken_welcomes(&mut a));
    cases.extend(broken_descriptions(&mut a));
    cases.extend(broken_packages(&mut a));
    cases.extend(broken_proposals(&mut a, &mut b));
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let before = world.rows();
    for (name, mut request, rule) in cases {
        // Some were made elsewhere or in another epoch: who asks is not what is wrong.
        request.group = GROUP;
        request.state_key = a.state_key();
        let reply = world.commit(&a, &request);
        assert_eq!(reply.unwrap_err(), Error::Invalid(rule), "{name}");
        assert!(world.rows() == before, "{name}");
    }
    a.forget_proposals();
    let request = a.add(&[&client(3)]);
    assert_eq!(world.commit(&a, &request).unwrap().0.epoch, Epoch(2));
}

/// [DS-COMMIT-2]
#[test]
fn a_key_package_must_be_valid_when_it_is_used() {
    let (mut world, mut a, ..) = committer();
    let request = a.add(&[&client(3)]);
    let now = world.now;
    for seconds in [31 * 86_400, -86_400] {
        world.now = protocol::time::Timestamp(now.0.saturating_add_signed(seconds));
        let reply = world.commit(&a, &request);
        assert_eq!(reply.unwrap_err(), Error::Invalid(Rule::KeyPackage));
    }
    world.now = now;
    world.commit(&a, &request).unwrap();
}
