//! A real MLS group with one active member: the others are KeyPackages with queues behind them.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Extension, ExtensionType,
    Extensions, ExternalSender, GroupContext, KeyPackage, Lifetime, MlsGroup,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProposalType, RequiredCapabilitiesExtension,
    UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::types::SignatureScheme;
use protocol::codec::{Opaque, encode};
use protocol::contact::QualifiedTicket;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::{IDENTITY_BYTES, SEALED_IDENTITY_EXTENSION, WrappedLinkKey};
use protocol::crypto::label;
use protocol::crypto::sealed::{OVERHEAD_BYTES, SymmetricKey};
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{
    AddedMember, CommitGroup, CreateGroup, RequestGroupId, RequestGroupIdReply, SealedIdentityKey,
    SendMessage, WelcomeForAdded,
};
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupKind, GroupPolicy};
use protocol::id::{Domain, Epoch, GroupId, LeafIndex, Pseudonym};
use tls_codec::Serialize;

use crate::connection::{Connection, Failure};
use crate::person::Person;

pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
/// Members added by one commit: it must fit a frame with its Welcome.
const ADDS: usize = 250;

/// A group and its sender.
pub struct Group {
    provider: OpenMlsRustCrypto,
    mls: MlsGroup,
    signer: SignatureKeyPair,
    key: PrivateKey,
    id: GroupId,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Group(..)")
    }
}

pub(crate) struct Leaf {
    pseudonym: Pseudonym,
    key: PrivateKey,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) credential: CredentialWithKey,
}

impl Leaf {
    pub(crate) fn new() -> Self {
        let seed: [u8; 32] = rand::random();
        let key = PrivateKey::from_seed(&seed);
        let public = key.public_key().0.to_vec();
        let signer =
            SignatureKeyPair::from_raw(SignatureScheme::ED25519, seed.to_vec(), public.clone());
        let pseudonym: [u8; 16] = rand::random();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(pseudonym.to_vec()).into(),
            signature_key: public.into(),
        };
        Self {
            pseudonym: Pseudonym(pseudonym),
            key,
            signer,
            credential,
        }
    }
}

/// What every leaf supports, and every group requires.
const EXTENSIONS: [ExtensionType; 2] = [
    ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION),
    ExtensionType::Unknown(GROUP_POLICY_EXTENSION),
];

pub(crate) fn capabilities() -> Capabilities {
    let extensions = [EXTENSIONS.as_slice(), &[ExtensionType::LastResort]].concat();
    Capabilities::builder()
        .ciphersuites(vec![CIPHERSUITE])
        .extensions(extensions)
        .proposals(vec![ProposalType::SelfRemove])
        .build()
}

/// Of a group with one admin.
fn context(
    delivery: &DeliveryCredential,
    admin: Pseudonym,
) -> Result<Extensions<GroupContext>, Failure> {
    let key = delivery.tbs.public_key.0.as_slice().into();
    let sender = ExternalSender::new(key, BasicCredential::new(encode(delivery)).into());
    let policy = encode(&GroupPolicy::new(GroupKind::Group, [admin]));
    let required =
        RequiredCapabilitiesExtension::new(&EXTENSIONS, &[ProposalType::SelfRemove], &[]);
    Ok(Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::ExternalSenders(vec![sender]),
        Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(policy)),
    ])?)
}

/// Random bytes of an identity's length: no server can tell the difference.
pub(crate) fn identity() -> Extension {
    let sealed: Vec<u8> = (0..IDENTITY_BYTES + OVERHEAD_BYTES)
        .map(|_| rand::random())
        .collect();
    let encoded = Opaque::<{ IDENTITY_BYTES + OVERHEAD_BYTES }>::new(sealed).unwrap_or_default();
    Extension::Unknown(
        SEALED_IDENTITY_EXTENSION,
        UnknownExtension(encode(&encoded)),
    )
}

pub(crate) fn link_key() -> WrappedLinkKey {
    WrappedLinkKey(std::array::from_fn(|_| rand::random()))
}

fn identity_key() -> SealedIdentityKey {
    SealedIdentityKey {
        sealed: std::array::from_fn(|_| rand::random()),
    }
}

impl Group {
    /// Create a group and add a member for each of `others`.
    pub async fn new(
        connection: &Connection,
        domain: &Domain,
        owner: &Person,
        others: &[Person],
    ) -> Result<Self, Failure> {
        let RequestGroupIdReply {
            group: id,
            delivery,
        } = connection.request(&RequestGroupId {}).await?;
        let provider = OpenMlsRustCrypto::default();
        let leaf = Leaf::new();
        let mls = MlsGroup::builder()
            .with_group_id(openmls::prelude::GroupId::from_slice(&id.0))
            .ciphersuite(CIPHERSUITE)
            .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .with_capabilities(capabilities())
            .with_leaf_node_extensions(Extensions::single(identity())?)?
            .with_group_context_extensions(context(&delivery, leaf.pseudonym)?)
            .build(&provider, &leaf.signer, leaf.credential)?;
        let mut group = Self {
            provider,
            mls,
            signer: leaf.signer,
            key: leaf.key,
            id,
        };
        group
            .create(
                connection,
                owner.qualified_ticket(connection, domain).await?,
            )
            .await?;
        for others in others.chunks(ADDS) {
            let mut tickets = Vec::with_capacity(others.len());
            for person in others {
                tickets.push(person.qualified_ticket(connection, domain).await?);
            }
            group.add(connection, tickets).await?;
        }
        Ok(group)
    }

    fn state_key(&self) -> Result<SymmetricKey, Failure> {
        let crypto = self.provider.crypto();
        let key = self
            .mls
            .export_secret(crypto, label::GROUP_STATE_KEY, &[], 32)?;
        Ok(SymmetricKey(
            key.try_into()
                .map_err(|_| "the exporter gave another length")?,
        ))
    }

    async fn create(
        &self,
        connection: &Connection,
        ticket: QualifiedTicket,
    ) -> Result<(), Failure> {
        let group_info = self
            .mls
            .export_group_info(self.provider.crypto(), &self.signer, false)?;
        let tree = self.mls.export_ratchet_tree();
        let request = CreateGroup {
            group: self.id,
            state_key: self.state_key()?,
            group_info: Opaque::new(group_info.tls_serialize_detached()?)?,
            ratchet_tree: Opaque::new(tree.tls_serialize_detached()?)?,
            ticket,
            link_key: link_key(),
            identity_key: identity_key(),
        };
        connection.signed(request, &self.key).await?;
        Ok(())
    }

    async fn add(
        &mut self,
        connection: &Connection,
        tickets: Vec<QualifiedTicket>,
    ) -> Result<(), Failure> {
        let mut key_packages = Vec::with_capacity(tickets.len());
        for _ in &tickets {
            let leaf = Leaf::new();
            let bundle = KeyPackage::builder()
                .leaf_node_capabilities(capabilities())
                .leaf_node_extensions(Extensions::single(identity())?)
                .key_package_lifetime(Lifetime::new(30 * 86_400))
                .build(
                    CIPHERSUITE,
                    &OpenMlsRustCrypto::default(),
                    &leaf.signer,
                    leaf.credential,
                )?;
            key_packages.push(bundle.key_package().clone());
        }
        self.commit(connection, key_packages, tickets).await
    }

    async fn commit(
        &mut self,
        connection: &Connection,
        key_packages: Vec<KeyPackage>,
        tickets: Vec<QualifiedTicket>,
    ) -> Result<(), Failure> {
        let state_key = self.state_key()?;
        let bundle = self
            .mls
            .commit_builder()
            .force_self_update(key_packages.is_empty())
            .propose_adds(key_packages)
            .load_psks(self.provider.storage())?
            .create_group_info(true)
            .build(
                self.provider.rand(),
                self.provider.crypto(),
                &self.signer,
                |_| true,
            )?
            .stage_commit(&self.provider)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        let welcome = welcome
            .map(|welcome| welcome.tls_serialize_detached())
            .transpose()?;
        let group_info = group_info
            .ok_or("no group info was made")?
            .tls_serialize_detached()?;
        let sender = LeafIndex(self.mls.own_leaf_index().u32());
        self.mls.merge_pending_commit(&self.provider)?;
        let added = |ticket| AddedMember {
            ticket,
            link_key: link_key(),
        };
        let request = CommitGroup {
            group: self.id,
            sender,
            state_key,
            next_state_key: self.state_key()?,
            commit: Opaque::new(commit.tls_serialize_detached()?)?,
            group_info: Opaque::new(group_info)?,
            welcome: WelcomeForAdded {
                welcome: Opaque::new(welcome.unwrap_or_default())?,
            },
            added: tickets.into_iter().map(added).collect(),
            identity_key: identity_key(),
        };
        connection.signed(request, &self.key).await?;
        Ok(())
    }

    /// Rotate the sender's own keys.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn update(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.commit(connection, Vec::new(), Vec::new()).await
    }

    /// The request that sends a fresh message of `bytes` random bytes.
    ///
    /// # Errors
    /// The message is longer than allowed.
    pub fn message(&mut self, bytes: usize) -> Result<SendMessage, Failure> {
        let text: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
        let message = self
            .mls
            .create_message(&self.provider, &self.signer, &text)?;
        Ok(SendMessage {
            group: self.id,
            sender: LeafIndex(self.mls.own_leaf_index().u32()),
            epoch: self.epoch(),
            state_key: self.state_key()?,
            message: Opaque::new(message.tls_serialize_detached()?)?,
        })
    }

    /// Send one message of `bytes` random bytes; when this returns it is durable.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn send(&mut self, connection: &Connection, bytes: usize) -> Result<(), Failure> {
        let request = self.message(bytes)?;
        connection.signed(request, &self.key).await?;
        Ok(())
    }

    /// The sender's leaf key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// The group's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.mls.epoch().as_u64())
    }
}
