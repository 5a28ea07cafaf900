//! A member that encrypts the secrets of a commit's path to nonsense for those whom it picks.

use garbler::{Garble, Garbler};
use openmls::prelude::OpenMlsProvider as _;
use protocol::codec::{Opaque, encode};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{CommitGroup, SealedIdentityKey, WelcomeForAdded};

use super::client::Client;

/// Against the leaves of these.
pub(super) fn against(how: Garble, victims: &[&Client]) -> Garbler {
    let key = |victim: &&Client| {
        let group = victim.group.as_ref().unwrap();
        let key = encode(group.own_leaf_node().unwrap().encryption_key());
        // Behind its length.
        key[1..].to_vec()
    };
    Garbler::new(how, Some(victims.iter().map(key).collect()))
}

/// A commit of new keys that stays pending.
pub(super) fn garbled(by: &mut Client, how: Garble, victims: &[&Client]) -> CommitGroup {
    garbled_by(by, &against(how, victims))
}

pub(super) fn garbled_by(by: &mut Client, garbler: &Garbler) -> CommitGroup {
    let (id, sender, state_key) = (by.id(), by.index(), by.state_key());
    let Client {
        group,
        provider,
        signer,
        ..
    } = by;
    let group = group.as_mut().unwrap();
    let bundle = group
        .commit_builder()
        .force_self_update(true)
        .load_psks(provider.storage())
        .unwrap()
        .create_group_info(true)
        .build(provider.rand(), garbler, signer, |_| true)
        .unwrap()
        .stage_commit(provider)
        .unwrap();
    let (commit, _, described) = bundle.into_messages();
    let pending = group.pending_commit().unwrap();
    let key = pending.export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32);
    CommitGroup {
        group: id,
        sender,
        state_key,
        next_state_key: SymmetricKey(key.unwrap().try_into().unwrap()),
        commit: Opaque::new(commit.to_bytes().unwrap()).unwrap(),
        group_info: Opaque::new(described.unwrap().to_bytes().unwrap()).unwrap(),
        welcome: WelcomeForAdded {
            welcome: Opaque::default(),
        },
        added: Vec::new(),
        identity_key: SealedIdentityKey { sealed: [2; 60] },
    }
}
