//! The ratchet tree as joiners are sent it (RFC 9420 section 12.4.3.3), from the tree as OpenMLS
//! stores it. To have OpenMLS decode the one and make the other costs several times as much.
//!
//! ```text
//! stored:    Option<LeafNode> leaves<>; Option<ParentNode> parents<>; ...          (postcard)
//! for joiners: optional<Node> ratchet_tree<V>;   leaf, parent, leaf, parent, ...        (TLS)
//! ```
//!
//! The stored form is that of the version of OpenMLS that is built with; a test compares what is
//! made here with what members have.

use openmls::prelude::{Capabilities, Credential};
use openmls::treesync::LeafNodeSource;
use serde::Deserialize;
use tls_codec::vlen::write_length;
use tls_codec::{Serialize, Size, TlsSerialize, TlsSize, VLByteSlice};

/// Of `optional<Node>`: that there is one, and of which type.
const LEAF: [u8; 2] = [1, 1];
const PARENT: [u8; 2] = [1, 2];
const BLANK: [u8; 1] = [0];

/// OpenMLS's number of extensions that are its user's.
const UNKNOWN_EXTENSION: u32 = 6;

/// Bytes of the longest length of a vector (RFC 9420 section 2.1.2).
const LENGTH_BYTES_MAX: usize = 4;

/// The nodes of a tree.
#[derive(Deserialize)]
pub(crate) struct Tree<'a> {
    #[serde(borrow)]
    leaves: Vec<Option<Leaf<'a>>>,
    #[serde(borrow)]
    parents: Vec<Option<Parent<'a>>>,
}

/// `LeafNode` (RFC 9420 section 7.2).
#[derive(Deserialize, TlsSize, TlsSerialize)]
struct Leaf<'a> {
    #[serde(borrow)]
    encryption_key: Bytes<'a>,
    #[serde(borrow)]
    signature_key: Bytes<'a>,
    credential: Credential,
    capabilities: Capabilities,
    source: LeafNodeSource,
    #[serde(borrow)]
    extensions: Vec<Extension<'a>>,
    #[serde(borrow)]
    signature: Bytes<'a>,
}

/// An extension of a leaf: rules allow none that OpenMLS has a type for.
#[derive(Debug, Deserialize, TlsSize, TlsSerialize)]
struct Extension<'a> {
    #[tls_codec(skip)]
    variant: u32,
    kind: u16,
    #[serde(borrow)]
    data: Bytes<'a>,
}

/// `ParentNode` (RFC 9420 section 7.1).
#[derive(Deserialize, TlsSize, TlsSerialize)]
struct Parent<'a> {
    #[serde(borrow)]
    encryption_key: Bytes<'a>,
    #[serde(borrow)]
    parent_hash: Bytes<'a>,
    unmerged_leaves: Vec<u32>,
}

/// `opaque<V>`.
#[derive(Debug, Deserialize)]
struct Bytes<'a>(#[serde(borrow)] &'a [u8]);

impl<'a> Tree<'a> {
    /// Read the tree as OpenMLS stores it; nothing if it is none.
    pub(crate) fn read(stored: &'a [u8]) -> Option<Self> {
        // Defaults of nodes and the tree's hash follow.
        let (tree, _) = postcard::take_from_bytes::<Self>(stored).ok()?;
        let mut extensions = tree
            .leaves
            .iter()
            .flatten()
            .flat_map(|leaf| &leaf.extensions);
        let is_known = extensions.all(|extension| extension.variant == UNKNOWN_EXTENSION);
        is_known.then_some(tree)
    }

    /// The tree for joiners.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let content = self.content_bytes();
        let mut out = Vec::with_capacity(LENGTH_BYTES_MAX + content);
        write_length(&mut out, content).ok()?;
        for node in self.nodes() {
            node.write(&mut out).ok()?;
        }
        Some(out)
    }

    /// How long it is, encoded.
    pub(crate) fn encoded_bytes(&self) -> usize {
        LENGTH_BYTES_MAX + self.content_bytes()
    }

    fn content_bytes(&self) -> usize {
        self.nodes().map(|node| node.bytes()).sum()
    }

    /// In the array representation (RFC 9420 appendix C), up to the last leaf that is not blank:
    /// parents beyond it are blank.
    fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        let last = self.leaves.iter().rposition(Option::is_some);
        let count = last.map_or(0, |last| 2 * last + 1);
        let leaves = self.leaves.iter().map(|leaf| Node::Leaf(leaf.as_ref()));
        let parents = self.parents.iter().map(Option::as_ref);
        let parents = parents.chain(std::iter::repeat(None)).map(Node::Parent);
        let pairs = leaves.zip(parents);
        pairs.flat_map(|(leaf, parent)| [leaf, parent]).take(count)
    }
}

/// A node of either type, or blank.
enum Node<'a> {
    Leaf(Option<&'a Leaf<'a>>),
    Parent(Option<&'a Parent<'a>>),
}

impl Node<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Leaf(Some(leaf)) => LEAF.len() + leaf.tls_serialized_len(),
            Self::Parent(Some(parent)) => PARENT.len() + parent.tls_serialized_len(),
            Self::Leaf(None) | Self::Parent(None) => BLANK.len(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), tls_codec::Error> {
        match self {
            Self::Leaf(Some(leaf)) => {
                out.extend_from_slice(&LEAF);
                leaf.tls_serialize(out)?;
            }
            Self::Parent(Some(parent)) => {
                out.extend_from_slice(&PARENT);
                parent.tls_serialize(out)?;
            }
            Self::Leaf(None) | Self::Parent(None) => out.extend_from_slice(&BLANK),
        }
        Ok(())
    }
}

impl Size for Bytes<'_> {
    fn tls_serialized_len(&self) -> usize {
        VLByteSlice(self.0).tls_serialized_len()
    }
}

impl Serialize for Bytes<'_> {
    fn tls_serialize<W: std::io::Write>(&self, writer: &mut W) -> Result<usize, tls_codec::Error> {
        VLByteSlice(self.0).tls_serialize(writer)
    }
}
