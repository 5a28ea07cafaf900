//! A member's commit, from bytes to the state that results.
//!
//! ```text
//! Received --validate (pure)--> Validated --apply--> Applied
//! ```
//!
//! Which of the rules of RFC 9420 OpenMLS checks and which are checked here: spec/delivery.md#validation.

use std::collections::{BTreeMap, BTreeSet};

use openmls::prelude::{
    LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, PublicMessageIn,
    Sender, StagedCommit, Welcome,
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
use crate::group::outline::{Author, CommitOutline, PathOutline};
use crate::group::path::check_path;
use crate::group::proposals::Waiting;
use crate::group::roles::{Roles, allow_members, removes};
use crate::group::roster::RosterMember;
use crate::group::rules::{self, CIPHERSUITE, Rules};

/// A commit and what accompanies it: decoded, nothing believed.
pub(crate) struct Received<'r> {
    request: &'r CommitGroup,
    path: Option<PathOutline>,
    commit: PublicMessageIn,
    group_info: InfoIn,
    welcome: Option<Welcome>,
}

/// A commit that MLS and the rules allow.
pub(crate) struct Validated<'r> {
    request: &'r CommitGroup,
    path: Option<PathOutline>,
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
        let CommitOutline { author, path } = CommitOutline::read(request.commit.as_slice())?;
        if author != Author::Member(request.sender.0) {
            return Err(Rule::Framing);
        }
        let commit = decode_commit(request.commit.as_slice())?;
        let group_info = InfoIn::decode(request.group_info.as_slice())?;
        let welcome = match request.welcome.welcome.as_slice() {
            [] => None,
            bytes => Some(decode_welcome(bytes)?),
        };
        Ok(Self {
            request,
            path,
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
            path,
            commit,
            group_info,
            welcome,
        } = self;
        let sender = LeafNodeIndex::new(request.sender.0);
        if commit.group_id().as_slice() != request.group.0
            || commit.epoch().as_u64() != epoch.0
            || *commit.sender() != Sender::Member(sender)
        {
            return Err(Rule::Framing);
        }
        let staged = stage(state, commit, crypto)?;
        let committer = state.group.leaf(sender).ok_or(Rule::Commit)?;
        let context = state.group.group_context();
        Roles::of(context)?.allow_commit(&staged, committer, context)?;
        Waiting::of(state)?.check_commit(&staged, request.sender)?;
        if let Some(new) = staged.update_path_leaf_node()
            && !rules::allow_update(committer, new)
        {
            return Err(Rule::Policy);
        }
        let added = allow_added(&staged, &request.added, welcome.as_ref(), rules, crypto)?;
        let removed = removed(&staged)?;
        let members = state.group.treesync().full_leaves().count() + added.len();
        if members.saturating_sub(removed.len()) > rules.members_max {
            return Err(Rule::GroupSize);
        }
        Ok(Validated {
            request,
            path,
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
            path,
            staged,
            group_info,
            added,
            removed,
        } = self;
        let roles = Roles::of(state.group.group_context())?;
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
        if let Some(path) = path {
            let added = members.iter().map(|member| member.leaf).collect();
            check_path(&state.group, request.sender, &added, &path.ciphertexts)?;
        }
        allow_members(&state.group, &roles)?;
        state.identity_key = request.identity_key;
        state.wishes.clear();
        state.group_info = request.group_info.clone();
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

/// Check a commit as a client does that knows the public state (RFC 9420 section 12.4.2).
pub(crate) fn stage(
    state: &State,
    commit: PublicMessageIn,
    crypto: &RustCrypto,
) -> Result<Box<StagedCommit>, Rule> {
    let processed = state.group.process_message(crypto, commit);
    let content = processed.map_err(|_| Rule::Commit)?.into_content();
    let ProcessedMessageContent::StagedCommitMessage(staged) = content else {
        return Err(Rule::Commit);
    };
    Ok(staged)
}

/// Whom a commit removes: each by one proposal (RFC 9420 section 12.2), which OpenMLS does not check
/// where a SelfRemove is one of two.
pub(crate) fn removed(staged: &StagedCommit) -> Result<Vec<LeafIndex>, Rule> {
    let mut removed = BTreeSet::new();
    for queued in staged.queued_proposals() {
        let leaf = removes(queued.proposal(), queued.sender());
        if leaf.is_some_and(|leaf| !removed.insert(leaf)) {
            return Err(Rule::Commit);
        }
    }
    Ok(removed.into_iter().collect())
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
    let members = state.group.treesync().full_leaves();
    let leaf = |(index, leaf): (LeafNodeIndex, _)| {
        Some((rules::signature_key(leaf)?, LeafIndex(index.u32())))
    };
    members.filter_map(leaf).collect()
}

pub(crate) fn decode_commit(bytes: &[u8]) -> Result<PublicMessageIn, Rule> {
    let message = decode_exact::<MlsMessageIn>(bytes).map_err(|_| Rule::WireFormat)?;
    let MlsMessageBodyIn::PublicMessage(commit) = message.extract() else {
        return Err(Rule::WireFormat);
    };
    Ok(commit)
}

fn decode_welcome(bytes: &[u8]) -> Result<Welcome, Rule> {
    let message = decode_exact::<MlsMessageIn>(bytes).map_err(|_| Rule::WireFormat)?;
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
        return Err(Rule::WireFormat);
    };
    Ok(welcome)
}
