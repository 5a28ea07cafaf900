//! What members ask for besides sending and committing, and how it reaches the server.

use openmls::prelude::{
    LeafNodeParameters, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    OpenMlsProvider as _, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, PublicMessageIn,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use protocol::codec::{Opaque, decode_exact};
use protocol::contact::QualifiedTicket;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{
    DeleteGroup, DeleteGroupReply, FetchExternalState, GroupState, JoinGroup, JoinGroupReply,
    Propose, ProposeReply, SealedIdentityKey, SendMessage, SendToMember, SendToMemberReply,
    UpdateTicket,
};
use protocol::id::{Epoch, GroupId, LeafIndex};

use super::World;
use super::client::{Client, capabilities};
use crate::{Error, Outbox};

/// What who joins by an external commit has fetched.
#[derive(Clone)]
pub(super) struct Fetched {
    pub(super) group: GroupId,
    pub(super) epoch: Epoch,
    pub(super) state_key: SymmetricKey,
    group_info: Vec<u8>,
    state: GroupState,
}

impl Client {
    /// The wish to leave, which waits with the client too.
    pub(super) fn leave(&mut self) -> Propose {
        let (group, sender, epoch) = (self.id(), self.index(), self.epoch());
        let state_key = self.state_key();
        let Self {
            group: mls,
            provider,
            signer,
            ..
        } = self;
        let mls = mls.as_mut().unwrap();
        let proposal = mls.leave_group_via_self_remove(provider, signer).unwrap();
        Propose {
            group,
            sender,
            epoch,
            state_key,
            proposal: Opaque::new(proposal.to_bytes().unwrap()).unwrap(),
        }
    }

    pub(super) fn direct(&mut self, recipient: LeafIndex, text: &[u8]) -> SendToMember {
        let SendMessage {
            group,
            sender,
            epoch,
            state_key,
            message,
        } = self.message(text);
        SendToMember {
            group,
            sender,
            epoch,
            state_key,
            recipient,
            message,
        }
    }

    pub(super) fn end(&mut self) -> DeleteGroup {
        let SendMessage {
            group,
            sender,
            epoch,
            state_key,
            message,
        } = self.message(b"the end");
        DeleteGroup {
            group,
            sender,
            epoch,
            state_key,
            message,
        }
    }

    pub(super) fn move_to(&self, ticket: QualifiedTicket) -> UpdateTicket {
        UpdateTicket {
            group: self.id(),
            sender: self.index(),
            epoch: self.epoch(),
            state_key: self.state_key(),
            ticket,
        }
    }

    /// Join by an external commit, with the wishes to leave that the client knows of.
    pub(super) fn enter(&mut self, fetched: &Fetched, wishes: &[&Propose]) -> JoinGroup {
        self.enter_by(&RustCrypto::default(), fetched, wishes)
    }

    /// The same with a cryptography of its own.
    pub(super) fn enter_by(
        &mut self,
        crypto: &impl OpenMlsCrypto,
        fetched: &Fetched,
        wishes: &[&Propose],
    ) -> JoinGroup {
        let info: MlsMessageIn = decode_exact(&fetched.group_info).unwrap();
        let MlsMessageBodyIn::GroupInfo(info) = info.extract() else {
            panic!("no GroupInfo")
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(self.leaf_extensions())
            .build();
        let tree = decode_exact(fetched.state.ratchet_tree.as_slice()).unwrap();
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(config)
            .with_proposals(wishes.iter().map(|wish| public(wish)).collect())
            .build_group(&self.provider, info, self.credential())
            .unwrap()
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(self.provider.rand(), crypto, &self.signer, |_| true)
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        let crypto = self.provider.crypto();
        let key = group.export_secret(crypto, label::GROUP_STATE_KEY, &[], 32);
        self.group = Some(group);
        let (commit, _, info) = bundle.into_messages();
        JoinGroup {
            group: fetched.group,
            epoch: fetched.epoch,
            state_key: fetched.state_key.clone(),
            next_state_key: SymmetricKey(key.unwrap().try_into().unwrap()),
            commit: Opaque::new(commit.to_bytes().unwrap()).unwrap(),
            group_info: Opaque::new(info.unwrap().to_bytes().unwrap()).unwrap(),
            ticket: self.ticket.clone(),
            link_key: self.link_key,
            identity_key: SealedIdentityKey { sealed: [3; 60] },
            proof: None,
        }
    }
}

impl World {
    pub(super) fn propose(
        &self,
        by: &Client,
        request: &Propose,
    ) -> Result<(ProposeReply, Outbox), Error> {
        let request = by.sign(request.clone(), &self.binding);
        self.delivery
            .propose(request, &self.binding, self.now, &self.entropy)
    }

    pub(super) fn tell(
        &self,
        by: &Client,
        request: &SendToMember,
    ) -> Result<(SendToMemberReply, Outbox), Error> {
        let request = by.sign(request.clone(), &self.binding);
        self.delivery
            .send_to_member(request, &self.binding, self.now, &self.entropy)
    }

    pub(super) fn update_ticket(&self, by: &Client, request: &UpdateTicket) -> Result<(), Error> {
        let request = by.sign(request.clone(), &self.binding);
        let delivery = &self.delivery;
        delivery.update_ticket(request, &self.binding, self.now, &self.entropy)?;
        Ok(())
    }

    pub(super) fn delete(
        &self,
        by: &Client,
        request: &DeleteGroup,
    ) -> Result<(DeleteGroupReply, Outbox), Error> {
        let request = by.sign(request.clone(), &self.binding);
        self.delivery
            .delete_group(request, &self.binding, self.now, &self.entropy)
    }

    pub(super) fn join(
        &self,
        by: &Client,
        request: &JoinGroup,
    ) -> Result<(JoinGroupReply, Outbox), Error> {
        let request = by.sign(request.clone(), &self.binding);
        self.delivery
            .join_group(request, &self.binding, self.now, &self.entropy)
    }

    pub(super) fn fetch_external(
        &self,
        group: GroupId,
        state_key: SymmetricKey,
    ) -> Result<Fetched, Error> {
        let mut whole = Vec::new();
        loop {
            let reply = self.delivery.fetch_external_state(FetchExternalState {
                group,
                state_key: state_key.clone(),
                from: u32::try_from(whole.len()).unwrap(),
            })?;
            whole.extend_from_slice(reply.window.bytes.as_slice());
            if whole.len() == usize::try_from(reply.window.total).unwrap() {
                return Ok(Fetched {
                    group,
                    epoch: reply.epoch,
                    state_key,
                    group_info: reply.group_info.as_slice().to_vec(),
                    state: decode_exact(&whole).unwrap(),
                });
            }
        }
    }

    /// Deliver everything and have everybody take it; the numbers that each learned.
    pub(super) fn settle(&self, everybody: &mut [&mut Client]) -> Vec<Vec<u64>> {
        let readers: Vec<&Client> = everybody.iter().map(|client| &**client).collect();
        let inboxes = self.deliver(&readers);
        let take = |(client, inbox): (&mut &mut Client, Vec<Vec<u8>>)| {
            let taken = inbox.iter().filter_map(|payload| client.receive(payload));
            taken.map(|(number, _)| number).collect()
        };
        everybody.iter_mut().zip(inboxes).map(take).collect()
    }
}

fn public(wish: &Propose) -> PublicMessageIn {
    let message: MlsMessageIn = decode_exact(wish.proposal.as_slice()).unwrap();
    let MlsMessageBodyIn::PublicMessage(message) = message.extract() else {
        panic!("no proposal")
    };
    message
}
