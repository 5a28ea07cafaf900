//! A member's client with a real MLS group, for tests and measurements.

use std::sync::atomic::{AtomicU64, Ordering};

use openmls::prelude::tls_codec::Serialize as _;
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CommitBuilder, CredentialWithKey, Extension,
    ExtensionType, Extensions, ExternalSender, GroupContext, GroupId as MlsGroupId, KeyPackage,
    LeafNode, LeafNodeIndex, LeafNodeParameters, Lifetime, LoadedPsks, MlsGroup,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, NewSignerBundle,
    OpenMlsProvider as _, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProposalType,
    RequiredCapabilitiesExtension, SignatureScheme, StagedWelcome, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::contact::{QualifiedTicket, Ticket};
use protocol::crypto::credential::{IntermediateCredential, RootCredential};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::{SEALED_IDENTITY_EXTENSION, WrappedLinkKey};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{
    AddedMember, CommitGroup, CreateGroup, FetchWelcomeState, GroupState, SealedIdentityKey,
    SendMessage, WelcomeForAdded,
};
use protocol::entry::{FanOutKey, GroupEvent, GroupEventContent, Payload};
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupKind, GroupPolicy};
use protocol::id::{Epoch, GroupId, LeafIndex, Pseudonym};
use protocol::request::Operation;
use protocol::time::{Lifetime as Validity, Timestamp};

pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// What a published KeyPackage gives away about its leaf; tests break it piece by piece.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) pseudonym: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) package_extensions: Vec<Extension>,
    pub(crate) lifetime: Lifetime,
}

pub(crate) struct Client {
    pub(crate) provider: OpenMlsRustCrypto,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) key: PrivateKey,
    pub(crate) leaf: Leaf,
    pub(crate) ticket: QualifiedTicket,
    pub(crate) link_key: WrappedLinkKey,
    pub(crate) group: Option<MlsGroup>,
    /// Beside its last commit.
    info: Vec<u8>,
}

/// Unpredictable enough for tests: never the same bytes twice in a process.
pub(crate) struct Counter;

impl store::Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let key = SymmetricKey([9; 32]).derive("counter", &count);
        let bytes = key.0.iter().cycle();
        out.iter_mut()
            .zip(bytes)
            .for_each(|(out, byte)| *out = *byte);
    }
}

/// The time that OpenMLS's own clock shows.
pub(crate) fn now() -> Timestamp {
    Timestamp(Lifetime::new(0).not_after())
}

pub(crate) fn sealed_identity(byte: u8, length: usize) -> Extension {
    Extension::Unknown(
        SEALED_IDENTITY_EXTENSION,
        UnknownExtension(encode(&tls_codec::VLByteSlice(&vec![byte; length]))),
    )
}

pub(crate) fn capabilities() -> Capabilities {
    let extensions = [SEALED_IDENTITY_EXTENSION, GROUP_POLICY_EXTENSION];
    Capabilities::builder()
        .extensions(extensions.map(ExtensionType::Unknown).to_vec())
        .proposals(vec![ProposalType::SelfRemove])
        .build()
}

/// The signature key of the delivery service of all tests.
pub(crate) fn delivery_key() -> PrivateKey {
    PrivateKey::from_seed(&[6; 32])
}

/// Its credential.
pub(crate) fn delivery_credential() -> DeliveryCredential {
    let valid = Validity::starting(Timestamp(0), std::time::Duration::from_secs(1 << 40));
    let [root_key, key] = [[4; 32], [5; 32]].map(|seed| PrivateKey::from_seed(&seed));
    let root = RootCredential::new("here.example".parse().unwrap(), &root_key, valid);
    let intermediate = IntermediateCredential::new(&root, &root_key, &key, valid);
    DeliveryCredential::new(&intermediate, &key, &delivery_key())
}

/// What the GroupContext of every group has.
pub(crate) fn context(kind: GroupKind, admins: &[&Client]) -> Extensions<GroupContext> {
    let credential = BasicCredential::new(encode(&delivery_credential()));
    let key = delivery_key().public_key().0.to_vec();
    let sender = ExternalSender::new(key.into(), credential.into());
    let policy = GroupPolicy::new(kind, admins.iter().map(|admin| admin.pseudonym()));
    let required = [SEALED_IDENTITY_EXTENSION, GROUP_POLICY_EXTENSION];
    let required = required.map(ExtensionType::Unknown);
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
            &required,
            &[ProposalType::SelfRemove],
            &[],
        )),
        Extension::ExternalSenders(vec![sender]),
        Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(encode(&policy))),
    ])
    .unwrap()
}

impl Client {
    pub(crate) fn new(number: u16, domain: &str) -> Self {
        let [high, low] = number.to_be_bytes();
        let seed = SymmetricKey([8; 32]).derive("seed", &[high, low]).0;
        let key = PrivateKey::from_seed(&seed);
        let public = key.public_key().0.to_vec();
        let signer = SignatureKeyPair::from_raw(SignatureScheme::ED25519, seed.to_vec(), public);
        let mut ticket = [high; 64];
        ticket[63] = low;
        let ticket = Ticket(ticket);
        Self {
            provider: OpenMlsRustCrypto::default(),
            signer,
            key,
            leaf: Leaf {
                pseudonym: [[high; 8], [low; 8]].concat(),
                extensions: vec![sealed_identity(low, 604)],
                package_extensions: vec![],
                lifetime: Lifetime::new(30 * 86_400),
            },
            ticket: QualifiedTicket {
                domain: domain.parse().unwrap(),
                ticket,
            },
            link_key: WrappedLinkKey([low; 60]),
            group: None,
            info: Vec::new(),
        }
    }

    pub(crate) fn group(&mut self) -> &mut MlsGroup {
        self.group.as_mut().unwrap()
    }

    pub(crate) fn pseudonym(&self) -> Pseudonym {
        Pseudonym(self.leaf.pseudonym.as_slice().try_into().unwrap())
    }

    pub(crate) fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.leaf.pseudonym.clone()).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    pub(crate) fn leaf_extensions(&self) -> Extensions<LeafNode> {
        Extensions::from_vec(self.leaf.extensions.clone()).unwrap()
    }

    pub(crate) fn key_package(&self) -> KeyPackage {
        self.key_package_with(capabilities())
    }

    pub(crate) fn key_package_with(&self, capabilities: Capabilities) -> KeyPackage {
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .leaf_node_extensions(self.leaf_extensions())
            .key_package_extensions(
                Extensions::from_vec(self.leaf.package_extensions.clone()).unwrap(),
            )
            .key_package_lifetime(self.leaf.lifetime)
            .build(CIPHERSUITE, &self.provider, &self.signer, self.credential())
            .unwrap();
        bundle.into_key_package()
    }

    pub(crate) fn create(&mut self, id: GroupId) -> CreateGroup {
        let context = context(GroupKind::Group, &[self]);
        self.create_with(id, capabilities(), context)
    }

    pub(crate) fn create_with(
        &mut self,
        id: GroupId,
        capabilities: Capabilities,
        context: Extensions<GroupContext>,
    ) -> CreateGroup {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .capabilities(capabilities)
            .with_leaf_node_extensions(self.leaf_extensions())
            .unwrap()
            .with_group_context_extensions(context)
            .lifetime(self.leaf.lifetime)
            .build();
        let (provider, signer) = (&self.provider, &self.signer);
        let mls_id = MlsGroupId::from_slice(&id.0);
        let credential = self.credential();
        let group = MlsGroup::new_with_group_id(provider, signer, &config, mls_id, credential);
        self.group = Some(group.unwrap());
        let (group_info, ratchet_tree) = (self.group_info(false), self.tree());
        CreateGroup {
            group: id,
            state_key: self.state_key(),
            group_info: Opaque::new(group_info).unwrap(),
            ratchet_tree: Opaque::new(ratchet_tree).unwrap(),
            ticket: self.ticket.clone(),
            link_key: self.link_key,
            identity_key: SealedIdentityKey { sealed: [1; 60] },
        }
    }

    pub(crate) fn tree(&mut self) -> Vec<u8> {
        self.group()
            .export_ratchet_tree()
            .tls_serialize_detached()
            .unwrap()
    }

    /// Of the present epoch.
    pub(crate) fn group_info(&mut self, with_tree: bool) -> Vec<u8> {
        let Self {
            group,
            provider,
            signer,
            ..
        } = self;
        let group = group.as_ref().unwrap();
        let described = group
            .export_group_info(provider.crypto(), signer, with_tree)
            .unwrap();
        described.to_bytes().unwrap()
    }

    /// The GroupInfo beside its last commit.
    pub(crate) fn committed_info(&self) -> Vec<u8> {
        self.info.clone()
    }

    pub(crate) fn state_key(&self) -> SymmetricKey {
        let group = self.group.as_ref().unwrap();
        let crypto = self.provider.crypto();
        let key = group
            .export_secret(crypto, label::GROUP_STATE_KEY, &[], 32)
            .unwrap();
        SymmetricKey(key.try_into().unwrap())
    }

    pub(crate) fn id(&self) -> GroupId {
        GroupId(
            self.group
                .as_ref()
                .unwrap()
                .group_id()
                .as_slice()
                .try_into()
                .unwrap(),
        )
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.group.as_ref().unwrap().epoch().as_u64())
    }

    pub(crate) fn index(&self) -> LeafIndex {
        LeafIndex(self.group.as_ref().unwrap().own_leaf_index().u32())
    }

    pub(crate) fn sign<T: Operation + tls_codec::Serialize>(
        &self,
        request: T,
        binding: &Binding,
    ) -> Signed<T> {
        Signed::new(request, &self.key, binding)
    }

    /// A commit that stays pending; `change` says what is in it.
    pub(crate) fn commit(
        &mut self,
        change: impl FnOnce(
            CommitBuilder<'_, openmls::prelude::Initial>,
        ) -> CommitBuilder<'_, openmls::prelude::Initial>,
        added: &[AddedMember],
    ) -> CommitGroup {
        self.commit_with(change, |builder| builder, added)
    }

    pub(crate) fn commit_with(
        &mut self,
        change: impl FnOnce(
            CommitBuilder<'_, openmls::prelude::Initial>,
        ) -> CommitBuilder<'_, openmls::prelude::Initial>,
        describe: impl FnOnce(CommitBuilder<'_, LoadedPsks>) -> CommitBuilder<'_, LoadedPsks>,
        added: &[AddedMember],
    ) -> CommitGroup {
        let state_key = self.state_key();
        let (id, sender) = (self.id(), self.index());
        let Self {
            group,
            provider,
            signer,
            ..
        } = self;
        let group = group.as_mut().unwrap();
        let builder = change(group.commit_builder())
            .load_psks(provider.storage())
            .unwrap();
        let bundle = describe(builder.create_group_info(true))
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let (commit, welcome, described) = bundle.into_messages();
        let pending = group.pending_commit().unwrap();
        let key = pending.export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32);
        let described = described.unwrap().to_bytes().unwrap();
        self.info.clone_from(&described);
        let welcome = welcome
            .map(|welcome| welcome.to_bytes().unwrap())
            .unwrap_or_default();
        CommitGroup {
            group: id,
            sender,
            state_key,
            next_state_key: SymmetricKey(key.unwrap().try_into().unwrap()),
            commit: Opaque::new(commit.to_bytes().unwrap()).unwrap(),
            group_info: Opaque::new(described).unwrap(),
            welcome: WelcomeForAdded {
                welcome: Opaque::new(welcome).unwrap(),
            },
            added: added.to_vec(),
            identity_key: SealedIdentityKey { sealed: [2; 60] },
        }
    }

    pub(crate) fn add(&mut self, others: &[&Self]) -> CommitGroup {
        let packages: Vec<_> = others.iter().map(|other| other.key_package()).collect();
        let added: Vec<_> = others.iter().map(|other| other.as_added()).collect();
        self.commit(|builder| builder.propose_adds(packages), &added)
    }

    pub(crate) fn as_added(&self) -> AddedMember {
        AddedMember {
            ticket: self.ticket.clone(),
            link_key: self.link_key,
        }
    }

    pub(crate) fn remove(&mut self, leaf: LeafIndex) -> CommitGroup {
        self.commit(
            |builder| builder.propose_removals([LeafNodeIndex::new(leaf.0)]),
            &[],
        )
    }

    pub(crate) fn update(&mut self) -> CommitGroup {
        self.update_with(LeafNodeParameters::default())
    }

    pub(crate) fn update_with(&mut self, leaf: LeafNodeParameters) -> CommitGroup {
        self.commit(
            |builder| builder.force_self_update(true).leaf_node_parameters(leaf),
            &[],
        )
    }

    /// An update to another signature key, which OpenMLS makes without a GroupInfo.
    pub(crate) fn update_signer(&mut self) -> CommitGroup {
        let request = self.update();
        self.drop_commit();
        let key = PrivateKey::from_seed(&[77; 32]);
        let public = key.public_key().0.to_vec();
        let new = SignatureKeyPair::from_raw(SignatureScheme::ED25519, vec![77; 32], public);
        let mut credential_with_key = self.credential();
        credential_with_key.signature_key = new.to_public_vec().into();
        let bundle = NewSignerBundle {
            signer: &new,
            credential_with_key,
        };
        let leaf = LeafNodeParameters::default();
        let Self {
            group,
            provider,
            signer,
            ..
        } = self;
        let group = group.as_mut().unwrap();
        let bundle = group
            .self_update_with_new_signer(provider, signer, bundle, leaf)
            .unwrap();
        let commit = Opaque::new(bundle.commit().to_bytes().unwrap()).unwrap();
        CommitGroup { commit, ..request }
    }

    /// A proposal, as a message; the server takes none.
    pub(crate) fn propose_update(&mut self) -> Vec<u8> {
        let Self {
            group,
            provider,
            signer,
            ..
        } = self;
        let group = group.as_mut().unwrap();
        let leaf = LeafNodeParameters::default();
        let (proposal, _) = group.propose_self_update(provider, signer, leaf).unwrap();
        proposal.to_bytes().unwrap()
    }

    /// As if nothing had been proposed.
    pub(crate) fn forget_proposals(&mut self) {
        let Self {
            group, provider, ..
        } = self;
        group
            .as_mut()
            .unwrap()
            .clear_pending_proposals(provider.storage())
            .unwrap();
    }

    /// Have somebody's proposal ready to be committed.
    pub(crate) fn learn_proposal(&mut self, proposal: &[u8]) {
        let message: MlsMessageIn = decode_exact(proposal).unwrap();
        let message = message.try_into_protocol_message().unwrap();
        let Self {
            group, provider, ..
        } = self;
        let group = group.as_mut().unwrap();
        let processed = group
            .process_message(provider, message)
            .unwrap()
            .into_content();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed else {
            panic!("no proposal")
        };
        group
            .store_pending_proposal(provider.storage(), *proposal)
            .unwrap();
    }

    /// The server took the pending commit.
    pub(crate) fn merge(&mut self) {
        let Self {
            group, provider, ..
        } = self;
        group
            .as_mut()
            .unwrap()
            .merge_pending_commit(provider)
            .unwrap();
    }

    /// The server did not.
    pub(crate) fn drop_commit(&mut self) {
        let Self {
            group, provider, ..
        } = self;
        group
            .as_mut()
            .unwrap()
            .clear_pending_commit(provider.storage())
            .unwrap();
    }

    pub(crate) fn message(&mut self, text: &[u8]) -> SendMessage {
        let (group, sender) = (self.id(), self.index());
        let (epoch, state_key) = (self.epoch(), self.state_key());
        let Self {
            group: mls,
            provider,
            signer,
            ..
        } = self;
        let message = mls
            .as_mut()
            .unwrap()
            .create_message(provider, signer, text)
            .unwrap();
        let message = Opaque::new(message.to_bytes().unwrap()).unwrap();
        SendMessage {
            group,
            sender,
            epoch,
            state_key,
            message,
        }
    }

    /// Take what a parcel brought: an event's number and, for a message, its text.
    pub(crate) fn receive(&mut self, payload: &[u8]) -> Option<(u64, Vec<u8>)> {
        let Ok(Payload::Group(sealed)) = decode_exact::<Payload>(payload) else {
            return None;
        };
        let event = GroupEvent::open(&FanOutKey::of(&self.state_key()), sealed.as_slice()).ok()?;
        let bytes = match &event.content {
            GroupEventContent::Message(message) => message.as_slice(),
            GroupEventContent::Commit(commit) => commit.commit.as_slice(),
            GroupEventContent::Proposal(proposal) => proposal.as_slice(),
            GroupEventContent::Deleted(message) | GroupEventContent::Direct(message) => {
                message.as_slice()
            }
            GroupEventContent::Reverted(_) | GroupEventContent::Complaint(_) => return None,
        };
        let message: MlsMessageIn = decode_exact(bytes).unwrap();
        let message = message.try_into_protocol_message().unwrap();
        let Self {
            group, provider, ..
        } = self;
        let group = group.as_mut().unwrap();
        let processed = group.process_message(provider, message).unwrap();
        let text = match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => text.into_bytes(),
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(provider, *commit).unwrap();
                Vec::new()
            }
            ProcessedMessageContent::ProposalMessage(proposal) => {
                let stored = group.store_pending_proposal(provider.storage(), *proposal);
                stored.unwrap();
                Vec::new()
            }
            ProcessedMessageContent::ExternalJoinProposalMessage(_)
            | ProcessedMessageContent::OwnPendingCommit
            | ProcessedMessageContent::OwnPrivateMessage => return None,
        };
        Some((event.receipt.number.0, text))
    }

    /// What to ask for, after a Welcome; the state comes with [`Self::join`].
    pub(crate) fn welcome_request(&self, inviter: &Self) -> FetchWelcomeState {
        let (group, epoch) = (inviter.id(), inviter.epoch());
        FetchWelcomeState {
            group,
            epoch,
            state_key: inviter.state_key(),
            from: 0,
        }
    }

    pub(crate) fn join(&mut self, payload: &[u8], state: &GroupState) {
        let Ok(Payload::Welcome(welcome)) = decode_exact::<Payload>(payload) else {
            panic!("no Welcome")
        };
        let welcome: MlsMessageIn = decode_exact(welcome.as_slice()).unwrap();
        let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else {
            panic!("no Welcome")
        };
        let tree = decode_exact(state.ratchet_tree.as_slice()).unwrap();
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let provider = &self.provider;
        let staged = StagedWelcome::new_from_welcome(provider, &config, welcome, Some(tree));
        self.group = Some(staged.unwrap().into_group(provider).unwrap());
    }
}
