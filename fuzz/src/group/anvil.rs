//! MLS messages in parts (RFC 9420 sections 6 and 12): taken apart, changed, put together and signed
//! again, so that a change gets past the signature. OpenMLS makes none that is wrong.
//!
//! Tags are left as they are: no server can check one.

use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::signatures::Signer;
use openmls_traits::types::HashType;

use crate::group::bytes::{Reader, put_u32, put_u64, put_vector};

/// What is signed with, by the labels of RFC 9420.
const CONTENT: &str = "FramedContentTBS";
const LEAF: &str = "LeafNodeTBS";
const KEY_PACKAGE: &str = "KeyPackageTBS";
const GROUP_INFO: &str = "GroupInfoTBS";

/// Version and wire format of a `PublicMessage` in an `MLSMessage`.
const PUBLIC_MESSAGE: [u8; 4] = [0, 1, 0, 1];

/// Numbers of proposals on the wire.
pub(super) const ADD: u16 = 1;
pub(super) const UPDATE: u16 = 2;
pub(super) const REMOVE: u16 = 3;
pub(super) const EXTERNAL_INIT: u16 = 6;
pub(super) const CONTEXT_EXTENSIONS: u16 = 7;
pub(super) const SELF_REMOVE: u16 = 10;

/// A `PublicMessage` with a commit or a proposal.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) group: Vec<u8>,
    pub(super) epoch: u64,
    pub(super) sender: Sender,
    pub(super) authenticated: Vec<u8>,
    pub(super) content: Content,
    confirmation: Vec<u8>,
    membership: Vec<u8>,
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Member(u32),
    External(u32),
    NewMemberProposal,
    NewMemberCommit,
}

/// What is sent.
#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and most are commits"
)]
pub(super) enum Content {
    /// A proposal: its type, then the rest.
    Proposal(Vec<u8>),
    Commit(Commit),
}

/// A commit.
#[derive(Clone)]
pub(super) struct Commit {
    /// Each a `ProposalOrRef`.
    pub(super) proposals: Vec<Vec<u8>>,
    pub(super) path: Option<Path>,
}

/// An update path.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) leaf: Leaf,
    pub(super) nodes: Vec<PathNode>,
}

/// A node of an update path.
#[derive(Clone)]
pub(super) struct PathNode {
    pub(super) key: Vec<u8>,
    /// Each an `HPKECiphertext`.
    pub(super) secrets: Vec<Vec<u8>>,
}

/// A leaf node.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) encryption_key: Vec<u8>,
    pub(super) signature_key: Vec<u8>,
    pub(super) credential_type: u16,
    pub(super) identity: Vec<u8>,
    /// Versions, ciphersuites, extensions, proposals, credentials.
    pub(super) capabilities: [Vec<u8>; 5],
    pub(super) source: Source,
    pub(super) extensions: Vec<u8>,
    signature: Vec<u8>,
}

/// Where a leaf comes from.
#[derive(Clone)]
pub(super) enum Source {
    KeyPackage(u64, u64),
    Update,
    Commit(Vec<u8>),
}

/// A KeyPackage.
#[derive(Clone)]
pub(super) struct Package {
    pub(super) version: u16,
    pub(super) ciphersuite: u16,
    pub(super) init_key: Vec<u8>,
    pub(super) leaf: Leaf,
    pub(super) extensions: Vec<u8>,
    signature: Vec<u8>,
}

/// A GroupInfo.
#[derive(Clone)]
pub(super) struct Info {
    pub(super) version: u16,
    pub(super) ciphersuite: u16,
    pub(super) group: Vec<u8>,
    pub(super) epoch: u64,
    pub(super) tree_hash: Vec<u8>,
    pub(super) transcript_hash: Vec<u8>,
    pub(super) context_extensions: Vec<u8>,
    pub(super) extensions: Vec<u8>,
    pub(super) confirmation: Vec<u8>,
    pub(super) signer: u32,
}

impl Message {
    /// Take an `MLSMessage` apart; none if it is no `PublicMessage` that we make.
    pub(super) fn take(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.take(4)? != PUBLIC_MESSAGE {
            return None;
        }
        let (group, epoch) = (reader.vector()?, reader.u64()?);
        let sender = match reader.u8()? {
            1 => Sender::Member(reader.u32()?),
            2 => Sender::External(reader.u32()?),
            3 => Sender::NewMemberProposal,
            _ => Sender::NewMemberCommit,
        };
        let authenticated = reader.vector()?;
        let is_commit = reader.u8()? == 3;
        let content = match is_commit {
            true => Content::Commit(Commit::take(&mut reader)?),
            false => Content::Proposal(proposal(&mut reader)?),
        };
        reader.vector()?;
        let confirmation = if is_commit {
            reader.vector()?
        } else {
            Vec::new()
        };
        let membership = match sender {
            Sender::Member(_) => reader.vector()?,
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => Vec::new(),
        };
        Some(Self {
            group,
            epoch,
            sender,
            authenticated,
            content,
            confirmation,
            membership,
        })
    }

    /// Put it together, signed in a context.
    pub(super) fn signed(&self, key: &SignatureKeyPair, context: &[u8]) -> Vec<u8> {
        let content = self.framed();
        let mut message = [&PUBLIC_MESSAGE, content.as_slice()].concat();
        put_vector(&mut message, &self.signature(key, context, &content));
        if matches!(self.content, Content::Commit(_)) {
            put_vector(&mut message, &self.confirmation);
        }
        if matches!(self.sender, Sender::Member(_)) {
            put_vector(&mut message, &self.membership);
        }
        message
    }

    /// The transcript hash with it (RFC 9420 section 8.2), after everything up to `interim`.
    pub(super) fn transcript_hash(
        &self,
        key: &SignatureKeyPair,
        context: &[u8],
        interim: &[u8],
    ) -> Vec<u8> {
        let content = self.framed();
        let mut input = [interim, &PUBLIC_MESSAGE[2..], content.as_slice()].concat();
        put_vector(&mut input, &self.signature(key, context, &content));
        hash(&input)
    }

    fn signature(&self, key: &SignatureKeyPair, context: &[u8], content: &[u8]) -> Vec<u8> {
        let mut tbs = [&PUBLIC_MESSAGE, content].concat();
        if matches!(self.sender, Sender::Member(_) | Sender::NewMemberCommit) {
            tbs.extend_from_slice(context);
        }
        sign(key, CONTENT, &tbs)
    }

    /// The commit in it, to be changed.
    pub(super) fn commit(&mut self) -> Option<&mut Commit> {
        match &mut self.content {
            Content::Commit(commit) => Some(commit),
            Content::Proposal(_) => None,
        }
    }

    fn framed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_vector(&mut out, &self.group);
        put_u64(&mut out, self.epoch);
        match self.sender {
            Sender::Member(leaf) => {
                out.push(1);
                put_u32(&mut out, leaf);
            }
            Sender::External(index) => {
                out.push(2);
                put_u32(&mut out, index);
            }
            Sender::NewMemberProposal => out.push(3),
            Sender::NewMemberCommit => out.push(4),
        }
        put_vector(&mut out, &self.authenticated);
        match &self.content {
            Content::Proposal(proposal) => {
                out.push(2);
                out.extend_from_slice(proposal);
            }
            Content::Commit(commit) => {
                out.push(3);
                out.extend_from_slice(&commit.bytes());
            }
        }
        out
    }
}

impl Commit {
    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let listed = reader.vector()?;
        let mut list = Reader::new(&listed);
        let mut proposals = Vec::new();
        while !list.is_empty() {
            proposals.push(proposal_or_reference(&mut list)?);
        }
        let path = match reader.u8()? {
            0 => None,
            _ => Some(Path::take(reader)?),
        };
        Some(Self { proposals, path })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_vector(&mut out, &self.proposals.concat());
        match &self.path {
            None => out.push(0),
            Some(path) => {
                out.push(1);
                out.extend_from_slice(&path.bytes());
            }
        }
        out
    }
}

impl Path {
    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let leaf = Leaf::take(reader)?;
        let listed = reader.vector()?;
        let mut list = Reader::new(&listed);
        let mut nodes = Vec::new();
        while !list.is_empty() {
            let key = list.vector()?;
            let secrets = list.vector()?;
            let mut ciphertexts = Reader::new(&secrets);
            let mut node = PathNode {
                key,
                secrets: Vec::new(),
            };
            while !ciphertexts.is_empty() {
                let mut secret = Vec::new();
                put_vector(&mut secret, &ciphertexts.vector()?);
                put_vector(&mut secret, &ciphertexts.vector()?);
                node.secrets.push(secret);
            }
            nodes.push(node);
        }
        Some(Self { leaf, nodes })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = self.leaf.bytes();
        let mut nodes = Vec::new();
        for node in &self.nodes {
            put_vector(&mut nodes, &node.key);
            put_vector(&mut nodes, &node.secrets.concat());
        }
        put_vector(&mut out, &nodes);
        out
    }
}

impl Leaf {
    pub(super) fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let (encryption_key, signature_key) = (reader.vector()?, reader.vector()?);
        let (credential_type, identity) = (reader.u16()?, reader.vector()?);
        let mut capabilities: [Vec<u8>; 5] = Default::default();
        for capability in &mut capabilities {
            *capability = reader.vector()?;
        }
        let source = match reader.u8()? {
            1 => Source::KeyPackage(reader.u64()?, reader.u64()?),
            2 => Source::Update,
            _ => Source::Commit(reader.vector()?),
        };
        Some(Self {
            encryption_key,
            signature_key,
            credential_type,
            identity,
            capabilities,
            source,
            extensions: reader.vector()?,
            signature: reader.vector()?,
        })
    }

    /// Sign it, as the leaf of a KeyPackage or, with a group's id and a place, as that of a group.
    pub(super) fn sign(&mut self, key: &SignatureKeyPair, place: Option<(&[u8], u32)>) {
        let mut tbs = self.unsigned();
        if let Some((group, leaf)) = place {
            put_vector(&mut tbs, group);
            put_u32(&mut tbs, leaf);
        }
        self.signature = sign(key, LEAF, &tbs);
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = self.unsigned();
        put_vector(&mut out, &self.signature);
        out
    }

    fn unsigned(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_vector(&mut out, &self.encryption_key);
        put_vector(&mut out, &self.signature_key);
        out.extend_from_slice(&self.credential_type.to_be_bytes());
        put_vector(&mut out, &self.identity);
        for capability in &self.capabilities {
            put_vector(&mut out, capability);
        }
        match &self.source {
            Source::KeyPackage(from, until) => {
                out.push(1);
                put_u64(&mut out, *from);
                put_u64(&mut out, *until);
            }
            Source::Update => out.push(2),
            Source::Commit(parent_hash) => {
                out.push(3);
                put_vector(&mut out, parent_hash);
            }
        }
        put_vector(&mut out, &self.extensions);
        out
    }
}

impl Package {
    pub(super) fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            version: reader.u16()?,
            ciphersuite: reader.u16()?,
            init_key: reader.vector()?,
            leaf: Leaf::take(reader)?,
            extensions: reader.vector()?,
            signature: reader.vector()?,
        })
    }

    /// Sign the leaf and the whole.
    pub(super) fn sign(&mut self, key: &SignatureKeyPair) {
        self.leaf.sign(key, None);
        self.sign_whole(key);
    }

    /// Sign the whole and leave its leaf.
    pub(super) fn sign_whole(&mut self, key: &SignatureKeyPair) {
        self.signature = sign(key, KEY_PACKAGE, &self.unsigned());
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = self.unsigned();
        put_vector(&mut out, &self.signature);
        out
    }

    fn unsigned(&self) -> Vec<u8> {
        let mut out = self.version.to_be_bytes().to_vec();
        out.extend_from_slice(&self.ciphersuite.to_be_bytes());
        put_vector(&mut out, &self.init_key);
        out.extend_from_slice(&self.leaf.bytes());
        put_vector(&mut out, &self.extensions);
        out
    }
}

impl Info {
    /// Take an `MLSMessage` with a GroupInfo apart.
    pub(super) fn take(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        reader.take(4)?;
        Some(Self {
            version: reader.u16()?,
            ciphersuite: reader.u16()?,
            group: reader.vector()?,
            epoch: reader.u64()?,
            tree_hash: reader.vector()?,
            transcript_hash: reader.vector()?,
            context_extensions: reader.vector()?,
            extensions: reader.vector()?,
            confirmation: reader.vector()?,
            signer: reader.u32()?,
        })
    }

    /// The interim transcript hash of the epoch that it describes (RFC 9420 section 8.2).
    pub(super) fn interim_hash(&self) -> Vec<u8> {
        let mut input = self.transcript_hash.clone();
        put_vector(&mut input, &self.confirmation);
        hash(&input)
    }

    /// The GroupContext in it.
    pub(super) fn context(&self) -> Vec<u8> {
        let mut out = self.version.to_be_bytes().to_vec();
        out.extend_from_slice(&self.ciphersuite.to_be_bytes());
        put_vector(&mut out, &self.group);
        put_u64(&mut out, self.epoch);
        put_vector(&mut out, &self.tree_hash);
        put_vector(&mut out, &self.transcript_hash);
        put_vector(&mut out, &self.context_extensions);
        out
    }

    /// Put it together, signed, as an `MLSMessage`.
    pub(super) fn signed(&self, key: &SignatureKeyPair) -> Vec<u8> {
        let mut tbs = self.context();
        put_vector(&mut tbs, &self.extensions);
        put_vector(&mut tbs, &self.confirmation);
        put_u32(&mut tbs, self.signer);
        let mut message = [&[0, 1, 0, 4], tbs.as_slice()].concat();
        put_vector(&mut message, &sign(key, GROUP_INFO, &tbs));
        message
    }
}

/// A proposal by value in a commit.
pub(super) fn by_value(kind: u16, body: &[u8]) -> Vec<u8> {
    [&[1], kind.to_be_bytes().as_slice(), body].concat()
}

/// A proposal by reference in a commit.
pub(super) fn by_reference(reference: &[u8]) -> Vec<u8> {
    let mut out = vec![2];
    put_vector(&mut out, reference);
    out
}

fn proposal_or_reference(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    match reader.u8()? {
        1 => Some([&[1], proposal(reader)?.as_slice()].concat()),
        _ => Some(by_reference(&reader.vector()?)),
    }
}

/// A proposal, type included.
fn proposal(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let kind = reader.u16()?;
    let body = match kind {
        ADD => Package::take(reader)?.bytes(),
        UPDATE => Leaf::take(reader)?.bytes(),
        REMOVE => reader.u32()?.to_be_bytes().to_vec(),
        EXTERNAL_INIT | CONTEXT_EXTENSIONS => {
            let mut body = Vec::new();
            put_vector(&mut body, &reader.vector()?);
            body
        }
        SELF_REMOVE => Vec::new(),
        _ => return None,
    };
    Some([kind.to_be_bytes().as_slice(), &body].concat())
}

#[expect(clippy::expect_used, reason = "every provider has SHA-256")]
fn hash(input: &[u8]) -> Vec<u8> {
    let crypto = RustCrypto::default();
    let hashed = crypto.hash(HashType::Sha2_256, input);
    hashed.expect("SHA-256 takes any input")
}

/// `SignWithLabel` of RFC 9420 section 5.1.2.
#[expect(clippy::expect_used, reason = "the key is one of ours")]
fn sign(key: &SignatureKeyPair, label: &str, content: &[u8]) -> Vec<u8> {
    let mut signed = Vec::new();
    put_vector(&mut signed, format!("MLS 1.0 {label}").as_bytes());
    put_vector(&mut signed, content);
    key.sign(&signed).expect("an Ed25519 key signs")
}
