//! A member that encrypts the secrets of a commit's path to nonsense for those whom it picks.
//!
//! Everything else about the commit is right: signatures, hashes, tags, GroupInfo. No server can see
//! what is wrong with it, and those who were not picked follow it.

use std::collections::BTreeSet;

use garbler::{Garble, Garbler};
use openmls::prelude::{MlsGroup, OpenMlsProvider, PublicGroup};
use protocol::codec::{Opaque, encode};
use protocol::crypto::label;
use protocol::delivery::{CommitGroup, SealedIdentityKey, WelcomeForAdded};
use protocol::id::{Epoch, GroupId, LeafIndex};
use tls_codec::Serialize;

use crate::group::exported;
use crate::group::leaf::signer;
use crate::state::{CommitState, JobState, SentCommit};
use crate::testing::{Person, World};
use crate::tx::Tx;
use crate::{Error, JobId};

/// Whom a commit is to lock out.
pub(crate) enum Victims {
    Everybody,
    Leaves(Vec<LeafIndex>),
    /// The leaves, and the nodes of the tree that have no others below them.
    Subtree(Vec<LeafIndex>),
}

impl Person {
    /// Commit new keys of ours, with nonsense for the victims.
    pub(crate) fn garble(&mut self, world: &World, group: &GroupId, victims: &Victims) -> JobId {
        let made = self
            .core
            .transact(world.now, |tx| tx.garble(group, victims));
        made.unwrap()
    }
}

impl Tx<'_> {
    fn garble(&self, id: &GroupId, victims: &Victims) -> Result<JobId, Error> {
        let (group, mut mls) = (self.active_group(id)?, self.mls_group(id)?);
        let keys = self.keys_of(id, &mls, victims)?;
        let garbler = Garbler::new(Garble::Nonsense, keys);
        let (provider, epoch) = (self.provider(), mls.epoch().as_u64());
        let bundle = mls
            .commit_builder()
            .force_self_update(true)
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(provider.rand(), &garbler, &signer(&group.leaf_seed), |_| {
                true
            })
            .unwrap()
            .stage_commit(&provider)
            .unwrap();
        let pending = mls.pending_commit().unwrap();
        let next = pending.export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32);
        let (commit, _, group_info) = bundle.into_messages();
        let body = CommitGroup {
            group: *id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            state_key: self.state_key(id, Epoch(epoch))?,
            next_state_key: exported(next.unwrap())?,
            commit: opaque(&commit),
            group_info: opaque(&group_info.unwrap()),
            welcome: WelcomeForAdded {
                welcome: Opaque::default(),
            },
            added: Vec::new(),
            identity_key: SealedIdentityKey { sealed: [0; 60] },
        };
        let sent = SentCommit {
            epoch,
            body: encode(&body).into(),
            added: Vec::new(),
            last: 0,
        };
        let commit = CommitState {
            sent: Some(sent),
            ..CommitState::new()
        };
        self.add_job(&JobState::CommitGroup(commit), Some(id))
    }

    fn keys_of(
        &self,
        id: &GroupId,
        mls: &MlsGroup,
        victims: &Victims,
    ) -> Result<Option<BTreeSet<Vec<u8>>>, Error> {
        let (Victims::Leaves(leaves) | Victims::Subtree(leaves)) = victims else {
            return Ok(None);
        };
        let is_victim = |leaf: u32| leaves.contains(&LeafIndex(leaf));
        let members = mls.members();
        let victims_leaves = members.filter(|member| is_victim(member.index.u32()));
        let mut keys: BTreeSet<_> = victims_leaves.map(|member| member.encryption_key).collect();
        if matches!(victims, Victims::Subtree(_)) {
            let public = PublicGroup::load(self.provider().storage(), &group_id(id))?.unwrap();
            for (index, parent) in public.treesync().full_parents() {
                // Parents lie between the leaves: 0 between leaves 0 and 1, and so on.
                let node = 2 * index.u32() + 1;
                let level = node.trailing_ones();
                let first = node >> (level + 1) << level;
                if (first..first + (1 << level)).all(is_victim) {
                    // Behind its length.
                    keys.insert(encode(parent)[1..33].to_vec());
                }
            }
        }
        Ok(Some(keys))
    }
}

fn group_id(id: &GroupId) -> openmls::prelude::GroupId {
    openmls::prelude::GroupId::from_slice(&id.0)
}

fn opaque<const MAX: usize>(value: &impl Serialize) -> Opaque<MAX> {
    Opaque::new(value.tls_serialize_detached().unwrap()).unwrap()
}
