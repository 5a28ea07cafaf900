//! A member with a real MLS group, and the valid requests that it can make.

use openmls::prelude::tls_codec::Serialize as _;
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CommitBuilder, CredentialWithKey, Extension,
    ExtensionType, Extensions, ExternalSender, GroupContext, GroupId as MlsGroupId, Initial,
    KeyPackage, LeafNode, Lifetime, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    ProcessedMessageContent, ProposalType, RequiredCapabilitiesExtension, SignatureScheme,
    StagedWelcome, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::contact::{QualifiedTicket, Ticket};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::{SEALED_IDENTITY_EXTENSION, WrappedLinkKey};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{
    AddedMember, CommitGroup, CreateGroup, JoinGroup, Propose, SealedIdentityKey, SendMessage,
    WelcomeForAdded,
};
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupKind, GroupPolicy};
use protocol::id::{Domain, Epoch, GroupId, LeafIndex, Pseudonym};

use crate::group::anvil::Info;

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Data of a sealed identity's extension: a length and what nobody here can open.
const IDENTITY_BYTES: usize = 604;

/// What every leaf supports.
const EXTENSIONS: [u16; 2] = [SEALED_IDENTITY_EXTENSION, GROUP_POLICY_EXTENSION];

/// Somebody in the group, or about to be.
pub(super) struct Member {
    pub(super) number: u8,
    provider: OpenMlsRustCrypto,
    pub(super) signer: SignatureKeyPair,
    pub(super) key: PrivateKey,
    domain: Domain,
    group: Option<MlsGroup>,
}

impl Member {
    pub(super) fn new(number: u8, domain: Domain) -> Self {
        let (signer, key) = keys(number);
        Self {
            number,
            provider: OpenMlsRustCrypto::default(),
            signer,
            key,
            domain,
            group: None,
        }
    }

    pub(super) fn pseudonym(&self) -> Pseudonym {
        Pseudonym([self.number; 16])
    }

    pub(super) fn ticket(&self) -> QualifiedTicket {
        QualifiedTicket {
            domain: self.domain.clone(),
            ticket: Ticket([self.number; 64]),
        }
    }

    fn link_key(&self) -> WrappedLinkKey {
        WrappedLinkKey([self.number; 60])
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.pseudonym().0.to_vec()).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    fn extensions(&self) -> Extensions<LeafNode> {
        let sealed = encode(&tls_codec::VLByteSlice(&[self.number; IDENTITY_BYTES]));
        let kind = SEALED_IDENTITY_EXTENSION;
        Extensions::single(Extension::Unknown(kind, UnknownExtension(sealed))).unwrap()
    }

    pub(super) fn mls(&self) -> &MlsGroup {
        self.group.as_ref().unwrap()
    }

    /// The present epoch: what its handshakes are signed with, and what they follow.
    pub(super) fn group_info(&self) -> Info {
        let crypto = self.provider.crypto();
        let group_info = self.mls().export_group_info(crypto, &self.signer, false);
        Info::take(&group_info.unwrap().to_bytes().unwrap()).unwrap()
    }

    pub(super) fn index(&self) -> LeafIndex {
        LeafIndex(self.mls().own_leaf_index().u32())
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.mls().epoch().as_u64())
    }

    pub(super) fn state_key(&self) -> SymmetricKey {
        let crypto = self.provider.crypto();
        let key = self
            .mls()
            .export_secret(crypto, label::GROUP_STATE_KEY, &[], 32);
        SymmetricKey(key.unwrap().try_into().unwrap())
    }

    pub(super) fn key_package(&self) -> KeyPackage {
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(self.extensions())
            .key_package_lifetime(Lifetime::new(30 * 86_400))
            .build(CIPHERSUITE, &self.provider, &self.signer, self.credential());
        bundle.unwrap().into_key_package()
    }

    pub(super) fn create(&mut self, id: GroupId, service: &DeliveryCredential) -> CreateGroup {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .capabilities(capabilities())
            .with_leaf_node_extensions(self.extensions())
            .unwrap()
            .with_group_context_extensions(context(service, &[self.pseudonym()]))
            .lifetime(Lifetime::new(30 * 86_400))
            .build();
        let group = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config,
            MlsGroupId::from_slice(&id.0),
            self.credential(),
        );
        self.group = Some(group.unwrap());
        let tree = self.mls().export_ratchet_tree().tls_serialize_detached();
        let group_info = self
            .mls()
            .export_group_info(self.provider.crypto(), &self.signer, false);
        CreateGroup {
            group: id,
            state_key: self.state_key(),
            group_info: opaque(group_info.unwrap().to_bytes().unwrap()),
            ratchet_tree: opaque(tree.unwrap()),
            ticket: self.ticket(),
            link_key: self.link_key(),
            identity_key: SealedIdentityKey { sealed: [1; 60] },
        }
    }

    /// A commit; it stays pending.
    pub(super) fn commit(
        &mut self,
        change: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
        added: &[&Self],
    ) -> CommitGroup {
        let (state_key, sender) = (self.state_key(), self.index());
        let group = self.group.as_mut().unwrap();
        let id = GroupId(group.group_id().as_slice().try_into().unwrap());
        let provider = &self.provider;
        let builder = change(group.commit_builder().consume_proposal_store(true));
        let bundle = builder
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let (commit, welcome, group_info) = bundle.into_messages();
        let pending = group.pending_commit().unwrap();
        let key = pending.export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32);
        let welcome = welcome.map(|welcome| welcome.to_bytes().unwrap());
        CommitGroup {
            group: id,
            sender,
            state_key,
            next_state_key: SymmetricKey(key.unwrap().try_into().unwrap()),
            commit: opaque(commit.to_bytes().unwrap()),
            group_info: opaque(group_info.unwrap().to_bytes().unwrap()),
            welcome: WelcomeForAdded {
                welcome: opaque(welcome.unwrap_or_default()),
            },
            added: added.iter().map(|other| other.as_added()).collect(),
            identity_key: SealedIdentityKey { sealed: [2; 60] },
        }
    }

    fn as_added(&self) -> AddedMember {
        AddedMember {
            ticket: self.ticket(),
            link_key: self.link_key(),
        }
    }

    /// A commit that is not merged, so that another one can follow.
    pub(super) fn tried(
        &mut self,
        change: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
        added: &[&Self],
    ) -> CommitGroup {
        let request = self.commit(change, added);
        let group = self.group.as_mut().unwrap();
        group.clear_pending_commit(self.provider.storage()).unwrap();
        request
    }

    pub(super) fn merge(&mut self) {
        let group = self.group.as_mut().unwrap();
        group.merge_pending_commit(&self.provider).unwrap();
    }

    /// Enter by a Welcome for the epoch that `inviter` is in.
    pub(super) fn join(&mut self, welcome: &[u8], inviter: &Self) {
        let welcome: MlsMessageIn = decode_exact(welcome).unwrap();
        let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else {
            panic!("no Welcome")
        };
        let tree = inviter.mls().export_ratchet_tree().tls_serialize_detached();
        let tree = decode_exact(&tree.unwrap()).unwrap();
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let provider = &self.provider;
        let staged = StagedWelcome::new_from_welcome(provider, &config, welcome, Some(tree));
        self.group = Some(staged.unwrap().into_group(provider).unwrap());
    }

    /// The wish to leave; the member itself forgets it.
    pub(super) fn propose(&mut self) -> Propose {
        let (state_key, sender, epoch) = (self.state_key(), self.index(), self.epoch());
        let group = self.group.as_mut().unwrap();
        let id = GroupId(group.group_id().as_slice().try_into().unwrap());
        let proposal = group.leave_group_via_self_remove(&self.provider, &self.signer);
        let storage = self.provider.storage();
        group.clear_pending_proposals(storage).unwrap();
        Propose {
            group: id,
            sender,
            epoch,
            state_key,
            proposal: opaque(proposal.unwrap().to_bytes().unwrap()),
        }
    }

    /// Take somebody else's proposal.
    pub(super) fn learn(&mut self, proposal: &[u8]) {
        let message: MlsMessageIn = decode_exact(proposal).unwrap();
        let message = message.try_into_protocol_message().unwrap();
        let group = self.group.as_mut().unwrap();
        let processed = group.process_message(&self.provider, message).unwrap();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else {
            panic!("no proposal")
        };
        let storage = self.provider.storage();
        group.store_pending_proposal(storage, *proposal).unwrap();
    }

    pub(super) fn message(&mut self) -> SendMessage {
        let (state_key, sender, epoch) = (self.state_key(), self.index(), self.epoch());
        let group = self.group.as_mut().unwrap();
        let id = GroupId(group.group_id().as_slice().try_into().unwrap());
        let message = group.create_message(&self.provider, &self.signer, b"text");
        SendMessage {
            group: id,
            sender,
            epoch,
            state_key,
            message: opaque(message.unwrap().to_bytes().unwrap()),
        }
    }

    /// An external commit that replaces the member's own leaf, from another member's view.
    pub(super) fn resync(&self, seen_by: &Self) -> JoinGroup {
        let fresh = Self::new(self.number, self.domain.clone());
        let provider = &fresh.provider;
        let crypto = seen_by.provider.crypto();
        let group_info = seen_by
            .mls()
            .export_group_info(crypto, &seen_by.signer, false);
        let group_info: MlsMessageIn =
            decode_exact(&group_info.unwrap().to_bytes().unwrap()).unwrap();
        let MlsMessageBodyIn::GroupInfo(group_info) = group_info.extract() else {
            panic!("no GroupInfo")
        };
        let tree = seen_by.mls().export_ratchet_tree().tls_serialize_detached();
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let leaf = openmls::prelude::LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(self.extensions())
            .build();
        let builder = MlsGroup::external_commit_builder()
            .with_ratchet_tree(decode_exact(&tree.unwrap()).unwrap())
            .with_config(config)
            .build_group(provider, group_info, self.credential())
            .unwrap()
            .leaf_node_parameters(leaf)
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), &self.signer, |_| true)
            .unwrap();
        let (group, bundle) = builder.finalize(provider).unwrap();
        let (commit, _, group_info) = bundle.into_messages();
        let key = group.export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32);
        JoinGroup {
            group: GroupId(group.group_id().as_slice().try_into().unwrap()),
            epoch: seen_by.epoch(),
            state_key: seen_by.state_key(),
            next_state_key: SymmetricKey(key.unwrap().try_into().unwrap()),
            commit: opaque(commit.to_bytes().unwrap()),
            group_info: opaque(group_info.unwrap().to_bytes().unwrap()),
            ticket: self.ticket(),
            link_key: self.link_key(),
            identity_key: SealedIdentityKey { sealed: [3; 60] },
            proof: None,
        }
    }
}

/// A member's signature key, for MLS and for requests.
pub(super) fn keys(number: u8) -> (SignatureKeyPair, PrivateKey) {
    let key = PrivateKey::from_seed(&[number; 32]);
    let public = key.public_key().0.to_vec();
    let seed = vec![number; 32];
    let signer = SignatureKeyPair::from_raw(SignatureScheme::ED25519, seed, public);
    (signer, key)
}

/// What the GroupContext of every group has.
pub(super) fn context(
    service: &DeliveryCredential,
    admins: &[Pseudonym],
) -> Extensions<GroupContext> {
    let credential = BasicCredential::new(encode(service));
    let key = service.tbs.public_key.0.to_vec();
    let sender = ExternalSender::new(key.into(), credential.into());
    let policy = GroupPolicy::new(GroupKind::Group, admins.iter().copied());
    let required = RequiredCapabilitiesExtension::new(
        &EXTENSIONS.map(ExtensionType::Unknown),
        &[ProposalType::SelfRemove],
        &[],
    );
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::ExternalSenders(vec![sender]),
        Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(encode(&policy))),
    ])
    .unwrap()
}

fn capabilities() -> Capabilities {
    Capabilities::builder()
        .extensions(EXTENSIONS.map(ExtensionType::Unknown).to_vec())
        .proposals(vec![ProposalType::SelfRemove])
        .build()
}

/// Bytes that fit.
pub(super) fn opaque<const MAX: usize>(bytes: Vec<u8>) -> Opaque<MAX> {
    Opaque::new(bytes).unwrap()
}
