//! What a handshake message contains, read before OpenMLS parses it: only proposals and extensions
//! that the registry allows, of the sizes that it allows, get that far. Spec: registry.md.
//!
//! The structures are those of RFC 9420 sections 6, 7, 10, 12 and 12.4.3. What they mean is for
//! OpenMLS and the rules to judge.

use std::collections::BTreeSet;

use protocol::crypto::identity::{SEALED_IDENTITY_EXTENSION, SEALED_IDENTITY_EXTENSION_BYTES};
use protocol::crypto::signature::PublicKey;
use protocol::error::Rule;
use protocol::group_policy::GROUP_POLICY_EXTENSION;
use protocol::limit::{
    COMMIT_ADDS_MAX, EXTENSIONS_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, PENDING_PROPOSALS_MAX,
};
use tls_codec::{DeserializeBytes, Size, TlsVarInt};

use crate::group::rules::PSEUDONYM_BYTES;

#[cfg(test)]
mod tests;

const MLS10: u16 = 1;
const PUBLIC_MESSAGE: u16 = 1;
const GROUP_INFO: u16 = 4;
const PROPOSAL_CONTENT: u8 = 2;
const COMMIT_CONTENT: u8 = 3;
const MEMBER: u8 = 1;
const NEW_MEMBER_COMMIT: u8 = 4;
const BASIC_CREDENTIAL: u16 = 1;

/// Proposal types (RFC 9420 section 17.4; SelfRemove of the MLS extensions).
mod proposal {
    pub(super) const ADD: u16 = 1;
    pub(super) const REMOVE: u16 = 3;
    pub(super) const EXTERNAL_INIT: u16 = 6;
    pub(super) const GROUP_CONTEXT_EXTENSIONS: u16 = 7;
    pub(super) const SELF_REMOVE: u16 = 10;
}

/// Extension types (spec/registry.md#mls-extensions).
mod extension {
    pub(super) const REQUIRED_CAPABILITIES: u16 = 3;
    pub(super) const EXTERNAL_PUB: u16 = 4;
    pub(super) const EXTERNAL_SENDERS: u16 = 5;
    pub(super) const LAST_RESORT: u16 = 10;
}

/// Bytes of a content type's last extension: nothing is in `last_resort`.
const LAST_RESORT_BYTES: usize = 0;
/// An X25519 key, as DHKEM encapsulates it.
const HPKE_KEY_BYTES: usize = 32;
/// An encoded `external_pub`: a key with its length.
const EXTERNAL_PUB_BYTES: usize = 1 + HPKE_KEY_BYTES;
/// A path secret of SHA-256's length with its AEAD tag.
const PATH_SECRET_BYTES: usize = 32 + 16;

/// Who says that it sends a message (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// The member at a leaf.
    Member(u32),
    /// Who joins by the commit that the message is.
    Joiner,
}

/// A commit that contains nothing that is never allowed.
#[derive(Debug)]
pub(crate) struct CommitOutline {
    pub(crate) author: Author,
    pub(crate) path: Option<PathOutline>,
}

/// The visible shape of an update path (RFC 9420 section 7.6).
#[derive(Debug)]
pub(crate) struct PathOutline {
    /// The new leaf's signature key.
    pub(crate) key: PublicKey,
    /// For each node, how many others it is encrypted to.
    pub(crate) ciphertexts: Vec<usize>,
}

impl CommitOutline {
    /// Read an `MLSMessage` with a `PublicMessage` with a commit.
    ///
    /// # Errors
    /// `WireFormat` if it is none, otherwise the rule that what it contains breaks.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Rule> {
        let mut bytes = Reader(bytes);
        let author = bytes.framing(COMMIT_CONTENT)?;
        let proposals = bytes.vector()?;
        check_proposals(proposals, author)?;
        let path = match bytes.u8()? {
            0 => None,
            1 => Some(bytes.path()?),
            _ => return Err(Rule::WireFormat),
        };
        // Signature and confirmation tag; of a member, the membership tag too.
        bytes.vector()?;
        bytes.vector()?;
        bytes.authentication(author)?;
        Ok(Self { author, path })
    }
}

/// Check that an `MLSMessage` is a `PublicMessage` by which a member proposes its own removal.
///
/// # Errors
/// `WireFormat` if it is no proposal, `Policy` if it is another one.
pub(crate) fn check_self_remove(bytes: &[u8]) -> Result<(), Rule> {
    let mut bytes = Reader(bytes);
    let author = bytes.framing(PROPOSAL_CONTENT)?;
    if author == Author::Joiner || bytes.u16()? != proposal::SELF_REMOVE {
        return Err(Rule::Policy);
    }
    bytes.vector()?;
    bytes.authentication(author)
}

/// Check the extensions of an `MLSMessage` with a GroupInfo: its own and the context's.
///
/// # Errors
/// `WireFormat` if it is none, `Policy` if there are others or larger ones.
pub(crate) fn check_group_info(bytes: &[u8]) -> Result<(), Rule> {
    let mut bytes = Reader(bytes);
    if (bytes.u16()?, bytes.u16()?) != (MLS10, GROUP_INFO) {
        return Err(Rule::WireFormat);
    }
    bytes.group_context()?;
    let own = bytes.extensions(Rule::Policy)?;
    // Confirmation tag, signer, signature.
    bytes.vector()?;
    bytes.take(4)?;
    bytes.vector()?;
    bytes.end()?;
    match own.as_slice() {
        [(extension::EXTERNAL_PUB, EXTERNAL_PUB_BYTES)] => Ok(()),
        _ => Err(Rule::Policy),
    }
}

/// Check that a tree has one node, a leaf that may be a member's.
///
/// # Errors
/// `WireFormat` if it is no tree, otherwise the rule that it breaks.
pub(crate) fn check_first_tree(bytes: &[u8]) -> Result<(), Rule> {
    let mut bytes = Reader(bytes);
    let mut nodes = bytes.vector()?;
    bytes.end()?;
    let Ok((1, 1)) = nodes.u8().and_then(|present| Ok((present, nodes.u8()?))) else {
        return Err(Rule::Members);
    };
    nodes.leaf(Rule::Policy)?;
    nodes.end().map_err(|_| Rule::Members)
}

/// Check each proposal of a commit. The same proposal twice is one too many (RFC 9420 section
/// 12.2), which OpenMLS would not see: it keeps one of them.
fn check_proposals(mut proposals: Reader<'_>, author: Author) -> Result<(), Rule> {
    let (mut seen, mut adds, mut references) = (BTreeSet::new(), 0, 0);
    while !proposals.0.is_empty() {
        let all = proposals.0;
        match proposals.u8()? {
            1 => {
                let kind = proposals.proposal(author)?;
                adds += usize::from(kind == proposal::ADD);
            }
            2 => {
                proposals.vector()?;
                references += 1;
            }
            _ => return Err(Rule::WireFormat),
        }
        let length = all.len().saturating_sub(proposals.0.len());
        if !seen.insert(all.get(..length).ok_or(Rule::WireFormat)?) {
            return Err(Rule::Commit);
        }
        if adds > COMMIT_ADDS_MAX || references > PENDING_PROPOSALS_MAX {
            return Err(Rule::GroupSize);
        }
    }
    Ok(())
}

/// Bytes that nobody has looked at, read from the front.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Rule> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Rule::WireFormat)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Rule> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Rule::WireFormat)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Rule> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Rule> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Rule> {
        self.array().map(u32::from_be_bytes)
    }

    /// `<V>` (RFC 9420 section 2.1.2): the length must be in its shortest form.
    fn vector(&mut self) -> Result<Self, Rule> {
        let read = TlsVarInt::tls_deserialize_bytes(self.0);
        let (length, rest) = read.map_err(|_| Rule::WireFormat)?;
        if length.tls_serialized_len() + rest.len() != self.0.len() {
            return Err(Rule::WireFormat);
        }
        self.0 = rest;
        let length = usize::try_from(length.value()).map_err(|_| Rule::WireFormat)?;
        self.take(length).map(Self)
    }

    fn end(&self) -> Result<(), Rule> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Rule::WireFormat)
        }
    }

    /// Up to the content of a `PublicMessage` of this content type.
    fn framing(&mut self, content: u8) -> Result<Author, Rule> {
        if (self.u16()?, self.u16()?) != (MLS10, PUBLIC_MESSAGE) {
            return Err(Rule::WireFormat);
        }
        // Group id, epoch.
        self.vector()?;
        self.take(8)?;
        let author = match self.u8()? {
            MEMBER => Author::Member(self.u32()?),
            NEW_MEMBER_COMMIT => Author::Joiner,
            _ => return Err(Rule::Framing),
        };
        // Authenticated data.
        self.vector()?;
        if self.u8()? == content {
            Ok(author)
        } else {
            Err(Rule::WireFormat)
        }
    }

    /// The rest of a `PublicMessage` after what its content type adds to the signature: members
    /// add a membership tag.
    fn authentication(&mut self, author: Author) -> Result<(), Rule> {
        if let Author::Member(_) = author {
            self.vector()?;
        }
        self.end()
    }

    /// A proposal by value, of the types that may be in a commit of this author. An Update is the
    /// commit's path, and nobody commits its own SelfRemove.
    fn proposal(&mut self, author: Author) -> Result<u16, Rule> {
        let kind = self.u16()?;
        match (kind, author) {
            (proposal::ADD, Author::Member(_)) => self.key_package()?,
            (proposal::REMOVE, _) => {
                self.take(4)?;
            }
            (proposal::EXTERNAL_INIT, Author::Joiner) => self.hpke_key(Rule::Commit)?,
            (proposal::GROUP_CONTEXT_EXTENSIONS, Author::Member(_)) => self.context_extensions()?,
            (_, _) => return Err(Rule::Policy),
        }
        Ok(kind)
    }

    fn key_package(&mut self) -> Result<(), Rule> {
        let all = self.0.len();
        // Version, ciphersuite, init key.
        self.take(4)?;
        self.hpke_key(Rule::KeyPackage)?;
        self.leaf(Rule::KeyPackage)?;
        let extensions = self.extensions(Rule::KeyPackage)?;
        self.vector()?;
        let length = all.saturating_sub(self.0.len());
        match extensions.as_slice() {
            [] | [(extension::LAST_RESORT, LAST_RESORT_BYTES)]
                if length <= KEY_PACKAGE_BYTES_MAX =>
            {
                Ok(())
            }
            _ => Err(Rule::KeyPackage),
        }
    }

    /// A leaf with a pseudonym and, for an extension, the sealed identity alone; its signature key.
    fn leaf(&mut self, rule: Rule) -> Result<PublicKey, Rule> {
        let all = self.0.len();
        self.hpke_key(rule)?;
        let key = self.vector()?;
        if self.u16()? != BASIC_CREDENTIAL || self.vector()?.0.len() != PSEUDONYM_BYTES {
            return Err(rule);
        }
        // Capabilities: versions, ciphersuites, extensions, proposals, credentials.
        for _ in 0..5 {
            self.vector()?;
        }
        match self.u8()? {
            // Of a KeyPackage: a lifetime.
            1 => {
                self.take(16)?;
            }
            // Of an Update.
            2 => {}
            // Of a commit: a parent hash.
            3 => {
                self.vector()?;
            }
            _ => return Err(Rule::WireFormat),
        }
        let extensions = self.extensions(rule)?;
        self.vector()?;
        let fits = all.saturating_sub(self.0.len()) <= KEY_PACKAGE_BYTES_MAX;
        let identity = (SEALED_IDENTITY_EXTENSION, SEALED_IDENTITY_EXTENSION_BYTES);
        if !fits || extensions != [identity] {
            return Err(rule);
        }
        key.0.try_into().map(PublicKey).map_err(|_| rule)
    }

    /// A public key of the ciphersuite's KEM, or what it encapsulates, which OpenMLS takes of any
    /// length: nothing could be encrypted to another one. [DS-COMMIT-8]
    fn hpke_key(&mut self, rule: Rule) -> Result<(), Rule> {
        match self.vector()?.0.len() {
            HPKE_KEY_BYTES => Ok(()),
            _ => Err(rule),
        }
    }

    fn path(&mut self) -> Result<PathOutline, Rule> {
        let key = self.leaf(Rule::Policy)?;
        let mut nodes = self.vector()?;
        let mut ciphertexts = Vec::new();
        while !nodes.0.is_empty() {
            nodes.hpke_key(Rule::Commit)?;
            let mut encrypted = nodes.vector()?;
            let mut count = 0;
            while !encrypted.0.is_empty() {
                let sizes = (encrypted.vector()?.0.len(), encrypted.vector()?.0.len());
                if sizes != (HPKE_KEY_BYTES, PATH_SECRET_BYTES) {
                    return Err(Rule::Commit);
                }
                count += 1;
            }
            ciphertexts.push(count);
        }
        Ok(PathOutline { key, ciphertexts })
    }

    fn group_context(&mut self) -> Result<(), Rule> {
        // Version, ciphersuite, group id, epoch, tree hash, confirmed transcript hash.
        self.take(4)?;
        self.vector()?;
        self.take(8)?;
        self.vector()?;
        self.vector()?;
        self.context_extensions()
    }

    /// Each of the extensions that every group has, once, in any order.
    fn context_extensions(&mut self) -> Result<(), Rule> {
        let extensions = self.extensions(Rule::Policy)?;
        let mut types: Vec<_> = extensions.into_iter().map(|(kind, _)| kind).collect();
        types.sort_unstable();
        let expected = [
            extension::REQUIRED_CAPABILITIES,
            extension::EXTERNAL_SENDERS,
            GROUP_POLICY_EXTENSION,
        ];
        if types == expected {
            Ok(())
        } else {
            Err(Rule::Policy)
        }
    }

    /// Type and length of each of an object's extensions.
    fn extensions(&mut self, rule: Rule) -> Result<Vec<(u16, usize)>, Rule> {
        let mut all = self.vector()?;
        if all.0.len() > EXTENSIONS_BYTES_MAX {
            return Err(rule);
        }
        let mut found = Vec::new();
        while !all.0.is_empty() {
            found.push((all.u16()?, all.vector()?.0.len()));
        }
        Ok(found)
    }
}
