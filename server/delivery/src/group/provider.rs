//! What OpenMLS stores of a public group, in memory.
//!
//! OpenMLS gives its values as they are to be stored; here they become bytes (postcard: a fraction
//! of JSON's size and time) that belong to one group, so ids say nothing.

use std::cell::{Ref, RefCell};
use std::ops::Range;
use std::sync::Arc;

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
    /// [`Proposals`], or nothing.
    pub(crate) proposals: Part,
}

/// Proposals that wait for the next commit, in the order of their acceptance: reference and
/// proposal, each encoded.
type Proposals = Vec<(Vec<u8>, Vec<u8>)>;

/// One encoded value; empty if there is none.
#[derive(Default)]
pub(crate) struct Part(RefCell<Piece>);

/// A value within what it was read with: a tree is most of a state, and need not be copied.
#[derive(Default)]
struct Piece {
    whole: Arc<Zeroizing<Vec<u8>>>,
    range: Range<usize>,
}

/// Room that a value finds which replaces another: what a commit changes seldom makes it longer by
/// more, and where it does, the value is encoded once more.
const GROWTH_BYTES: usize = 64 * 1024;

/// No value is longer: a state is not (`STATE_BYTES_MAX`), and encoding ends somewhere.
const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Part {
    /// The value that `range` of a content holds; none if it has no such range.
    pub(crate) fn within(whole: &Arc<Zeroizing<Vec<u8>>>, range: Range<usize>) -> Option<Self> {
        whole.get(range.clone())?;
        let whole = Arc::clone(whole);
        Some(Self(RefCell::new(Piece { whole, range })))
    }

    /// The encoded value.
    pub(crate) fn bytes(&self) -> Ref<'_, [u8]> {
        Ref::map(self.0.borrow(), Piece::bytes)
    }

    /// Encode into room made beforehand: a buffer that grew would leave copies behind.
    fn write(&self, value: &impl Serialize) -> Result<(), postcard::Error> {
        let mut room = self.bytes().len().saturating_add(GROWTH_BYTES);
        loop {
            let mut bytes = Zeroizing::new(vec![0; room]);
            match postcard::to_slice(value, &mut bytes).map(|used| used.len()) {
                Ok(used) => {
                    bytes.truncate(used);
                    self.0.replace(Piece::all(bytes));
                    return Ok(());
                }
                Err(postcard::Error::SerializeBufferFull) if room < VALUE_BYTES_MAX => room *= 4,
                Err(error) => return Err(error),
            }
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, postcard::Error> {
        let bytes = self.bytes();
        if bytes.is_empty() {
            return Ok(None);
        }
        match postcard::take_from_bytes(&bytes)? {
            (value, []) => Ok(Some(value)),
            (_, _) => Err(postcard::Error::DeserializeBadEncoding),
        }
    }

    fn delete(&self) -> Result<(), postcard::Error> {
        self.0.replace(Piece::default());
        Ok(())
    }
}

impl Piece {
    fn all(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self {
            range: 0..bytes.len(),
            whole: Arc::new(bytes),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.whole.get(self.range.clone()).unwrap_or_default()
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

    fn queue_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        reference: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), postcard::Error> {
        let mut queued = self.proposals.read::<Proposals>()?.unwrap_or_default();
        let reference = postcard::to_stdvec(reference)?;
        queued.push((reference, postcard::to_stdvec(proposal)?));
        self.proposals.write(&queued)
    }

    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, postcard::Error> {
        let queued = self.proposals.read::<Proposals>()?.unwrap_or_default();
        let decode = |(reference, proposal): &(Vec<u8>, Vec<u8>)| {
            Ok((
                postcard::from_bytes(reference)?,
                postcard::from_bytes(proposal)?,
            ))
        };
        queued.iter().map(decode).collect()
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
        reference: &ProposalRef,
    ) -> Result<(), postcard::Error> {
        let mut queued = self.proposals.read::<Proposals>()?.unwrap_or_default();
        let reference = postcard::to_stdvec(reference)?;
        queued.retain(|(queued, _)| *queued != reference);
        self.proposals.write(&queued)
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<(), postcard::Error> {
        self.proposals.delete()
    }
}
