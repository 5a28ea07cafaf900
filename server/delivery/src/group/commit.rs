//! A commit, from bytes to the state that results.
//!
//! ```text
//! Received --validate (pure)--> Validated --apply--> Applied
//! ```

use std::collections::{BTreeMap, BTreeSet};

use openmls::prelude::{
    ContentType, LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent,
    PublicMessageIn, Sender, StagedCommit, Welcome,
};
use openmls_rust_crypto::RustCrypto;
use protocol::codec::decode_exact;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{AddedMember, CommitGroup};
use protocol::entry::LeafLinkKey;
use protocol::error::Rule;
use protocol::id::{Epoch, LeafIndex};
use protocol::limit::COMMIT_ADDS_MAX;

use crate::group::info::InfoIn;
use crate::group::mls::State;
use crate::group::roster::RosterMember;
use crate::group::rules::{self, CIPHERSUITE, Rules};

/// A commit and what accompanies it: decoded, nothing believed.
pub(crate) struct Received<'r> {
    request: &'r CommitGroup,
    commit: PublicMessageIn,
    group_info: InfoIn,
    welcome: Option<Welcome>,
}

/// A commit that MLS and the rules allow.
pub(crate) struct Validated<'r> {
    request: &'r CommitGroup,
    staged: Box<StagedCommit>,
    group_info: InfoIn,
    /// The signature keys of those added, in the order of their proposals.
    added: Vec<PublicKey>,
    removed: Vec<LeafIndex>,
}

/// The state that a commit leads to, and what changes for the members.
pub(crate) struct Applied {
    pub(crate) state: State,
    pub(crate) added: Vec<RosterMember>,
    pub(crate) link_keys: Vec<LeafLinkKey>,
    pub(crate) removed: Vec<LeafIndex>,
}

impl<'r> Received<'r> {
    pub(crate) fn decode(request: &'r CommitGroup) -> Result<Self, Rule> {
        if request.added.len() > COMMIT_ADDS_MAX {
            return Err(Rule::GroupSize);
        }
        let commit = decode_exact::<MlsMessageIn>(request.commit.as_slice());
        let MlsMessageBodyIn::PublicMessage(commit) =
            commit.map_err(|_| Rule::WireFormat)?.extract()
        else {
            return Err(Rule::WireFormat);
        };
        let group_info = InfoIn::decode(request.group_info.as_slice())?;
        let welcome = match request.welcome.welcome.as_slice() {
            [] => None,
            bytes => Some(decode_welcome(bytes)?),
        };
        Ok(Self {
            request,
            commit,
            group_info,
            welcome,
        })
    }

    /// Check everything that a member's client would, and the rules, without changing the state.
    /// [DS-COMMIT-2] [DS-COMMIT-3]
    pub(crate) fn validate(
        self,
        state: &State,
        epoch: Epoch,
        rules: &Rules,
        crypto: &RustCrypto,
    ) -> Result<Validated<'r>, Rule> {
        let Self {
            request,
            commit,
            group_info,
            welcome,
        } = self;
        if commit.content_type() != ContentType::Commit {
            return Err(Rule::WireFormat);
        }
        let sender = LeafNodeIndex::new(request.sender.0);
        if commit.group_id().as_slice() != request.group.0
            || commit.epoch().as_u64() != epoch.0
            || *commit.sender() != Sender::Member(sender)
        {
            return Err(Rule::Framing);
        }
        let processed = state
            .group
            .process_message(crypto, commit)
            .map_err(|_| Rule::Commit)?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(Rule::Commit);
        };
        if !staged
            .queued_proposals()
            .all(|queued| rules::allow_proposal(queued.proposal()))
        {
            return Err(Rule::Policy);
        }
        if let Some(new) = staged.update_path_leaf_node() {
            let old = state.group.leaf(sender).ok_or(Rule::Commit)?;
            if !rules::allow_update(old, new) {
                return Err(Rule::Policy);
            }
        }
        let added = allow_added(&staged, &request.added, welcome.as_ref(), rules, crypto)?;
        let removed = staged.remove_proposals();
        let removed = removed.map(|queued| LeafIndex(queued.remove_proposal().removed().u32()));
        let removed: Vec<_> = removed.collect();
        let members = state.group.members().count() + added.len();
        if members.saturating_sub(removed.len()) > rules.members_max {
            return Err(Rule::GroupSize);
        }
        Ok(Validated {
            request,
            staged,
            group_info,
            added,
            removed,
        })
    }
}

impl Validated<'_> {
    /// Make the state what the commit leads to, and check that the committer describes the same.
    /// The stored state is untouched: this one was opened for the request.
    pub(crate) fn apply(self, mut state: State, crypto: &RustCrypto) -> Result<Applied, Rule> {
        let Self {
            request,
            staged,
            group_info,
            added,
            removed,
        } = self;
        state
            .group
            .merge_commit(&state.parts, *staged)
            .map_err(|_| Rule::Commit)?;
        group_info.verify(&state.group, request.sender, crypto)?;
        for leaf in &removed {
            state.link_keys.remove(leaf);
        }
        let (mut members, mut link_keys) = (Vec::new(), Vec::new());
        let leaves = if added.is_empty() {
            BTreeMap::new()
        } else {
            leaves(&state)
        };
        for (key, AddedMember { ticket, link_key }) in added.iter().zip(&request.added) {
            let leaf = *leaves.get(key).ok_or(Rule::Members)?;
            members.push(RosterMember {
                leaf,
                key: *key,
                ticket: ticket.clone(),
            });
            link_keys.push(LeafLinkKey {
                leaf,
                key: *link_key,
            });
            state.link_keys.insert(leaf, *link_key);
        }
        state.identity_key = request.identity_key;
        if !members.is_empty() && !state.fits_joiners() {
            return Err(Rule::GroupSize);
        }
        Ok(Applied {
            state,
            added: members,
            link_keys,
            removed,
        })
    }
}

/// Check those added one by one, and that the Welcome is for them and nobody else.
fn allow_added(
    staged: &StagedCommit,
    described: &[AddedMember],
    welcome: Option<&Welcome>,
    rules: &Rules,
    crypto: &RustCrypto,
) -> Result<Vec<PublicKey>, Rule> {
    let mut added = Vec::new();
    let mut invited = BTreeSet::new();
    for queued in staged.add_proposals() {
        let package = queued.add_proposal().key_package();
        if !rules.allow_key_package(package) {
            return Err(Rule::KeyPackage);
        }
        let key = package.leaf_node().signature_key().as_slice().try_into();
        added.push(PublicKey(key.map_err(|_| Rule::KeyPackage)?));
        let reference = package.hash_ref(crypto).map_err(|_| Rule::KeyPackage)?;
        invited.insert(reference.as_slice().to_vec());
    }
    if added.len() != described.len() {
        return Err(Rule::Members);
    }
    let welcomed: BTreeSet<_> = match welcome {
        None => BTreeSet::new(),
        Some(welcome) if welcome.ciphersuite() != CIPHERSUITE => return Err(Rule::Members),
        // A secret twice, or none: a Welcome has as many secrets as it has readers.
        Some(welcome) if welcome.secrets().len() != added.len() || added.is_empty() => {
            return Err(Rule::Members);
        }
        Some(welcome) => welcome
            .secrets()
            .iter()
            .map(|secret| secret.new_member().as_slice().to_vec())
            .collect(),
    };
    if welcomed == invited {
        Ok(added)
    } else {
        Err(Rule::Members)
    }
}

/// The leaf of every signature key.
fn leaves(state: &State) -> BTreeMap<PublicKey, LeafIndex> {
    let leaf = |member: openmls::prelude::Member| {
        let key = member.signature_key.as_slice().try_into().ok()?;
        Some((PublicKey(key), LeafIndex(member.index.u32())))
    };
    state.group.members().filter_map(leaf).collect()
}

fn decode_welcome(bytes: &[u8]) -> Result<Welcome, Rule> {
    let message = decode_exact::<MlsMessageIn>(bytes).map_err(|_| Rule::WireFormat)?;
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
        return Err(Rule::WireFormat);
    };
    Ok(welcome)
}
