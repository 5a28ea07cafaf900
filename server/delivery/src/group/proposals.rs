//! Proposals that wait for the next commit: of members to leave, of the service to remove them.

use std::collections::{BTreeMap, BTreeSet};

use openmls::prelude::{
    ExternalProposal, LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent,
    Proposal, ProposalOrRefType, PublicMessageIn, QueuedProposal, Sender, SenderExtensionIndex,
    SignatureScheme, StagedCommit,
};
use openmls_rust_crypto::{OpenMlsRustCrypto, RustCrypto};
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use protocol::codec::{Opaque, decode_exact};
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::Propose;
use protocol::error::Rule;
use protocol::id::LeafIndex;
use protocol::limit::{PENDING_PROPOSALS_MAX, PROPOSAL_BYTES_MAX};

use crate::error::Error;
use crate::group::mls::State;
use crate::group::outline::check_self_remove;
use crate::group::roles::{Roles, removes};

/// The service's index in `external_senders`, where it is alone.
const SERVICE: u32 = 0;

/// A proposal as members are told it: an `MLSMessage` with a `PublicMessage`.
pub(crate) type ProposalMessage = Opaque<PROPOSAL_BYTES_MAX>;

/// By leaf, the proposal that removes it. A member's own wish comes before the service's, as in
/// every client that chooses between the two (RFC 9420 section 12.2 allows one per leaf).
pub(crate) struct Waiting(BTreeMap<LeafIndex, QueuedProposal>);

impl Waiting {
    pub(crate) fn of(state: &State) -> Result<Self, Rule> {
        let queued = state.group.queued_proposals(&state.parts);
        let mut waiting = BTreeMap::new();
        for (_, queued) in queued.map_err(|_| Rule::Commit)? {
            let leaf = removes(queued.proposal(), queued.sender()).ok_or(Rule::Policy)?;
            let is_wish = matches!(queued.proposal(), Proposal::SelfRemove);
            if is_wish || !waiting.contains_key(&leaf) {
                waiting.insert(leaf, queued);
            }
        }
        Ok(Self(waiting))
    }

    /// Who is to go.
    pub(crate) fn leaving(&self) -> BTreeSet<LeafIndex> {
        self.0.keys().copied().collect()
    }

    /// Whom the service wants to go.
    pub(crate) fn removed_by_service(&self) -> BTreeSet<LeafIndex> {
        let by_service = |queued: &QueuedProposal| matches!(queued.sender(), Sender::External(_));
        let entries = self.0.iter().filter(|(_, queued)| by_service(queued));
        entries.map(|(leaf, _)| *leaf).collect()
    }

    /// Check that a member's commit carries all that waits. Who is to go cannot commit: its own
    /// proposal would be missing, or remove the committer (RFC 9420 section 12.2). [DS-COMMIT-7]
    pub(crate) fn check_commit(
        &self,
        staged: &StagedCommit,
        committer: LeafIndex,
    ) -> Result<(), Rule> {
        if self.0.contains_key(&committer) {
            return Err(Rule::PendingProposals);
        }
        check_references(self.0.values(), staged)
    }

    /// Check that an external commit carries all wishes to leave, but for that of the leaf that it
    /// replaces, and nothing else by reference (RFC 9420 section 12.2). [DS-COMMIT-7]
    pub(crate) fn check_external_commit(
        &self,
        staged: &StagedCommit,
        replaced: Option<LeafIndex>,
    ) -> Result<(), Rule> {
        let others = self.0.iter().filter(|(leaf, _)| Some(**leaf) != replaced);
        let wishes = others.filter(|(_, queued)| matches!(queued.proposal(), Proposal::SelfRemove));
        check_references(wishes.map(|(_, queued)| queued), staged)
    }
}

/// The commit's references are to these and no others.
fn check_references<'q>(
    expected: impl Iterator<Item = &'q QueuedProposal>,
    staged: &StagedCommit,
) -> Result<(), Rule> {
    let is_reference =
        |queued: &&QueuedProposal| queued.proposal_or_ref_type() == ProposalOrRefType::Reference;
    let committed = staged.queued_proposals().filter(is_reference);
    let committed: BTreeSet<_> = committed.map(reference).collect();
    let expected: BTreeSet<_> = expected.map(reference).collect();
    if expected.is_subset(&committed) && committed.is_subset(&expected) {
        Ok(())
    } else {
        Err(Rule::PendingProposals)
    }
}

fn reference(queued: &QueuedProposal) -> &[u8] {
    queued.proposal_reference_ref().as_slice()
}

impl State {
    /// Who is to go with the next commit.
    pub(crate) fn leaving(&self) -> Result<BTreeSet<LeafIndex>, Rule> {
        Ok(Waiting::of(self)?.leaving())
    }

    /// Have a member's wish to leave wait for the next commit. It is judged as members do (MLS
    /// extensions, SelfRemove; RFC 9420 sections 6.1 and 12.1). [DS-PROPOSE-1] [DS-ROLE-2]
    ///
    /// # Errors
    /// The sender's: the rule that it breaks. `Backlog` if too many wait.
    pub(crate) fn queue_wish(
        &mut self,
        request: &Propose,
        crypto: &RustCrypto,
    ) -> Result<(), Error> {
        check_self_remove(request.proposal.as_slice())?;
        let message = decode_proposal(request.proposal.as_slice())?;
        let sender = Sender::Member(LeafNodeIndex::new(request.sender.0));
        if message.group_id().as_slice() != request.group.0
            || message.epoch().as_u64() != request.epoch.0
            || *message.sender() != sender
        {
            return Err(Rule::Framing.into());
        }
        let waiting = Waiting::of(self)?;
        let has_wished =
            |queued: &QueuedProposal| matches!(queued.proposal(), Proposal::SelfRemove);
        if waiting.0.get(&request.sender).is_some_and(has_wished) {
            return Err(Rule::PendingProposals.into());
        }
        let mut leaving = waiting.leaving();
        leaving.insert(request.sender);
        if !Roles::of(self.group.group_context())?.outlast(&self.group, &leaving) {
            return Err(Rule::Role.into());
        }
        self.queue(message, crypto)?;
        self.wishes.push(request.proposal.clone());
        Ok(())
    }

    /// Have the service's proposal to remove a member wait for the next commit; the message that
    /// tells the members. None if it cannot be: the member is to go already, nobody would be admin
    /// any more, or too many wait. [DS-PROPOSE-2] [DS-ROLE-2]
    ///
    /// # Errors
    /// None that depends on a request: the service's own proposal did not pass.
    pub(crate) fn propose_removal(
        &mut self,
        leaf: LeafIndex,
        key: &PrivateKey,
        crypto: &RustCrypto,
    ) -> Result<Option<ProposalMessage>, Error> {
        let removed = LeafNodeIndex::new(leaf.0);
        let mut leaving = Waiting::of(self)?.leaving();
        let roles = Roles::of(self.group.group_context())?;
        if !leaving.insert(leaf)
            || leaving.len() > PENDING_PROPOSALS_MAX
            || self.group.leaf(removed).is_none()
            || !roles.outlast(&self.group, &leaving)
        {
            return Ok(None);
        }
        let context = self.group.group_context();
        let message = ExternalProposal::new_remove::<OpenMlsRustCrypto>(
            removed,
            context.group_id().clone(),
            context.epoch(),
            &ServiceSigner { key, crypto },
            SenderExtensionIndex::new(SERVICE),
        );
        let message = message.map_err(|_| Rule::Commit)?;
        let message = message.to_bytes().map_err(|_| Rule::Commit)?;
        self.queue(decode_proposal(&message)?, crypto)?;
        Ok(Some(Opaque::new(message).map_err(|_| Rule::Commit)?))
    }

    fn queue(&mut self, message: PublicMessageIn, crypto: &RustCrypto) -> Result<(), Error> {
        let waiting = self.group.queued_proposals(&self.parts);
        if waiting.map_err(|_| Rule::Commit)?.len() >= PENDING_PROPOSALS_MAX {
            return Err(Error::Backlog);
        }
        let processed = self.group.process_message(crypto, message);
        let content = processed.map_err(|_| Rule::Commit)?.into_content();
        let ProcessedMessageContent::ProposalMessage(queued) = content else {
            return Err(Rule::Policy.into());
        };
        let stored = self.group.add_proposal(&self.parts, *queued);
        stored.map_err(|_| Rule::GroupSize)?;
        Ok(())
    }
}

fn decode_proposal(bytes: &[u8]) -> Result<PublicMessageIn, Rule> {
    let message = decode_exact::<MlsMessageIn>(bytes).map_err(|_| Rule::WireFormat)?;
    let MlsMessageBodyIn::PublicMessage(message) = message.extract() else {
        return Err(Rule::WireFormat);
    };
    Ok(message)
}

/// The service's key, as OpenMLS signs with it.
struct ServiceSigner<'k> {
    key: &'k PrivateKey,
    crypto: &'k RustCrypto,
}

impl Signer for ServiceSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let seed = self.key.seed();
        let signature = self.crypto.sign(SignatureScheme::ED25519, payload, &*seed);
        signature.map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
