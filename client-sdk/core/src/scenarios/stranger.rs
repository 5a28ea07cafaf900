//! A delivery service that lets somebody into a group whom no member has added: it has the key of
//! the state, the tree and the GroupInfo, which is all that an external commit takes.

use openmls::prelude::{
    ExternalCommitBuilder, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::crypto::sealed::SymmetricKey;
use protocol::entry::{CommitEvent, GroupEventContent};
use protocol::id::{Epoch, GroupId};

use crate::group::join_config;
use crate::group::leaf::{capabilities, signer};
use crate::scenarios::connection_group::{contacts, entered_instead, enters, open, talk};
use crate::scenarios::invitation::job_of;
use crate::scenarios::order::Hostile;
use crate::testing::{Person, World, problems, three_in_a_group};
use crate::{Error, Event, JobKind, Problem};

/// An external commit of a stranger who removes nobody, and the state key of the epoch that it ends.
fn entry(member: &Person, group: &GroupId) -> (GroupEventContent, SymmetricKey) {
    let provider = OpenMlsRustCrypto::default();
    let made = member.core.view(|tx| {
        let stored = tx.active_group(group)?;
        let mls = tx.mls_group(group)?;
        let own = signer(&stored.leaf_seed);
        let info = mls
            .export_group_info(provider.crypto(), &own, true)
            .unwrap();
        let message: MlsMessageIn = decode_exact(&encode(&info)).unwrap();
        let MlsMessageBodyIn::GroupInfo(info) = message.extract() else {
            panic!("a GroupInfo")
        };
        let leaf = tx.new_leaf(&tx.registered()?)?;
        let parameters = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(leaf.extensions)
            .build();
        let receipt = tx.newest_receipt(group)?.unwrap();
        let (_, bundle) = ExternalCommitBuilder::new()
            .with_config(join_config())
            .with_aad(encode(&receipt))
            .skip_lifetime_validation()
            .build_group(&provider, info, leaf.credential)
            .unwrap()
            .leaf_node_parameters(parameters)
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(
                provider.rand(),
                provider.crypto(),
                &signer(&leaf.seed),
                |_| true,
            )
            .unwrap()
            .finalize(&provider)
            .unwrap();
        let (commit, ..) = bundle.into_messages();
        let event = CommitEvent {
            commit: Opaque::new(encode(&commit)).unwrap(),
            link_keys: Vec::new(),
        };
        let state_key = tx.state_key(group, Epoch(mls.epoch().as_u64()))?;
        Ok((GroupEventContent::Commit(event), state_key))
    });
    made.unwrap()
}

/// [SDK-CONNECTION-3]
#[test]
fn nobody_enters_a_group_from_outside_whatever_the_service_lets_pass() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    aspen.send(&world, &group, "hello");
    birch.sync(&world);
    let epoch = birch.core.group_epoch(&group).unwrap();
    let (content, state_key) = entry(&birch, &group);
    let mut service = Hostile::after(&birch, group);
    let event = service.number(content);
    service.tell_under(&world, &mut birch, &state_key, &event);
    let events = birch.events();
    assert_eq!(problems(&events), [Problem::CommitRefused]);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::MembersChanged { .. }))
    );
    assert_eq!(birch.core.group_epoch(&group).unwrap(), epoch);
    assert_eq!(birch.core.members(&group).unwrap().len(), 3);
}

/// [SDK-CONNECTION-3]
#[test]
fn nobody_enters_a_connection_group_in_which_two_are() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = open(&world, &mut aspen, contact);
    assert!(enters(&world, &mut birch, group));
    aspen.sync(&world);
    let mut people = [aspen, birch];
    talk(&world, &mut people, group);
    let [mut aspen, birch] = people;
    let (content, state_key) = entry(&birch, &group);
    let mut service = Hostile::after(&aspen, group);
    let event = service.number(content);
    service.tell_under(&world, &mut aspen, &state_key, &event);
    assert_eq!(problems(&aspen.events()), [Problem::CommitRefused]);
    assert_eq!(aspen.core.members(&group).unwrap().len(), 2);
}

/// A resync follows the service to wherever it is, but nothing is said to a stranger there.
/// [SDK-CONNECTION-1] [SDK-CONNECTION-4]
#[test]
fn a_stranger_whom_a_resync_leads_to_is_told_and_hears_nothing() {
    let world = World::new();
    let ([mut aspen, _], _, group) = entered_instead(&world);
    let lost = aspen.core.transact(world.now, |tx| tx.lost_track(&group));
    lost.unwrap();
    let resync = job_of(&mut aspen, &world, JobKind::Resync).unwrap();
    aspen.finish(&world, resync).unwrap();
    assert_eq!(problems(&aspen.events()), [Problem::MemberUnverified]);
    let said = aspen.core.send(&group, b"hello", world.now);
    assert!(matches!(said, Err(Error::Stranger)));
}
