//! What OpenMLS stores of a public group, in memory.
//!
//! OpenMLS gives its values as they are to be stored; here they become bytes (postcard: a fraction
//! of JSON's size and time) that belong to one group, so ids say nothing.

use std::cell::RefCell;

use openmls_traits::public_storage::PublicStorageProvider;
use openmls_traits::storage::{CURRENT_VERSION, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The parts of one public group; `RefCell` because OpenMLS stores through shared references.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) tree: Part,
    pub(crate) context: Part,
    pub(crate) transcript: Part,
    pub(crate) tag: Part,
}

/// One encoded value; empty if there is none.
#[derive(Default)]
pub(crate) struct Part(RefCell<Zeroizing<Vec<u8>>>);

impl Part {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(RefCell::new(Zeroizing::new(bytes.to_vec())))
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.0.borrow().to_vec()
    }

    fn write(&self, value: &impl Serialize) -> Result<(), postcard::Error> {
        *self.0.borrow_mut() = Zeroizing::new(postcard::to_stdvec(value)?);
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, postcard::Error> {
        let bytes = self.0.borrow();
        if bytes.is_empty() {
            return Ok(None);
        }
        match postcard::take_from_bytes(&bytes)? {
            (value, []) => Ok(Some(value)),
            (_, _) => Err(postcard::Error::DeserializeBadEncoding),
        }
    }

    fn delete(&self) -> Result<(), postcard::Error> {
        *self.0.borrow_mut() = Zeroizing::default();
        Ok(())
    }
}

impl PublicStorageProvider<CURRENT_VERSION> for Parts {
    type PublicError = postcard::Error;

    fn write_tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        TreeSync: traits::TreeSync<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        tree: &TreeSync,
    ) -> Result<(), postcard::Error> {
        self.tree.write(tree)
    }

    fn write_interim_transcript_hash<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        transcript: &InterimTranscriptHash,
    ) -> Result<(), postcard::Error> {
        self.transcript.write(transcript)
    }

    fn write_context<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        context: &GroupContext,
    ) -> Result<(), postcard::Error> {
        self.context.write(context)
    }

    fn write_confirmation_tag<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        tag: &ConfirmationTag,
    ) -> Result<(), postcard::Error> {
        self.tag.write(tag)
    }

    /// No proposal is ever queued: commits carry theirs by value.
    fn queue_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &ProposalRef,
        _: &QueuedProposal,
    ) -> Result<(), postcard::Error> {
        Err(postcard::Error::WontImplement)
    }

    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, postcard::Error> {
        Ok(Vec::new())
    }

    fn tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        TreeSync: traits::TreeSync<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<TreeSync>, postcard::Error> {
        self.tree.read()
    }

    fn group_context<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<GroupContext>, postcard::Error> {
        self.context.read()
    }

    fn interim_transcript_hash<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<InterimTranscriptHash>, postcard::Error> {
        self.transcript.read()
    }

    fn confirmation_tag<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<ConfirmationTag>, postcard::Error> {
        self.tag.read()
    }

    fn delete_tree<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), postcard::Error> {
        self.tree.delete()
    }

    fn delete_confirmation_tag<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), postcard::Error> {
        self.tag.delete()
    }

    fn delete_context<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), postcard::Error> {
        self.context.delete()
    }

    fn delete_interim_transcript_hash<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), postcard::Error> {
        self.transcript.delete()
    }

    fn remove_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &ProposalRef,
    ) -> Result<(), postcard::Error> {
        Ok(())
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<(), postcard::Error> {
        Ok(())
    }
}
