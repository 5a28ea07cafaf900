//! What a commit's path says: read from the commit's bytes as far as judging the path takes
//! (RFC 9420 sections 6, 7.2, 7.6 and 12.4).

use tls_codec::{DeserializeBytes, Error, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::codec::{decode_exact, encode};
use crate::id::LeafIndex;

/// The beginning of an `MLSMessage` with a commit, down to its path.
#[derive(TlsSize, TlsDeserializeBytes)]
struct Commit {
    _version: u16,
    _wire_format: u16,
    _group: VLBytes,
    _epoch: u64,
    _sender: Sender,
    _authenticated_data: VLBytes,
    _content_type: u8,
    _proposals: VLBytes,
    path: Option<Path>,
}

#[derive(TlsSize, TlsDeserializeBytes)]
#[repr(u8)]
enum Sender {
    #[tls_codec(discriminant = 1)]
    Member(LeafIndex),
    #[tls_codec(discriminant = 4)]
    NewMember,
}

/// ```text
/// struct { LeafNode leaf_node; UpdatePathNode nodes<V>; } UpdatePath;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
struct Path {
    _leaf: Leaf,
    nodes: Vec<PathNode>,
}

/// A leaf node with the source `commit`.
#[derive(TlsSize, TlsDeserializeBytes)]
struct Leaf {
    _encryption_key: VLBytes,
    _signature_key: VLBytes,
    _credential_type: u16,
    _credential: VLBytes,
    _versions: VLBytes,
    _ciphersuites: VLBytes,
    _supported_extensions: VLBytes,
    _supported_proposals: VLBytes,
    _supported_credentials: VLBytes,
    _source: u8,
    _parent_hash: VLBytes,
    _extensions: VLBytes,
    _signature: VLBytes,
}

/// ```text
/// struct { HPKEPublicKey encryption_key; HPKECiphertext encrypted_path_secret<V>; } UpdatePathNode;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
pub(super) struct PathNode {
    pub(super) encryption_key: VLBytes,
    pub(super) secrets: Vec<Sealed>,
}

/// ```text
/// struct { opaque kem_output<V>; opaque ciphertext<V>; } HPKECiphertext;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
pub(super) struct Sealed {
    pub(super) kem_output: VLBytes,
    pub(super) ciphertext: VLBytes,
}

/// A GroupContext (RFC 9420 section 8.1).
#[derive(TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct GroupContext {
    version: u16,
    ciphersuite: u16,
    group: VLBytes,
    epoch: u64,
    tree_hash: VLBytes,
    transcript_hash: VLBytes,
    extensions: VLBytes,
}

/// The nodes of a commit's path, from the leaf's parent up.
pub(super) fn path_nodes(commit: &[u8]) -> Result<Vec<PathNode>, Error> {
    let (commit, _) = Commit::tls_deserialize_bytes(commit)?;
    Ok(commit.path.map_or_else(Vec::new, |path| path.nodes))
}

/// The GroupContext that path secrets are encrypted with: that of the epoch that a commit leads to,
/// with the transcript of the one that it ends (RFC 9420 section 12.4.1).
pub(super) fn provisional(before: &[u8], after: &[u8]) -> Result<Vec<u8>, Error> {
    let before: GroupContext = decode_exact(before)?;
    let after: GroupContext = decode_exact(after)?;
    Ok(encode(&GroupContext {
        transcript_hash: before.transcript_hash,
        ..after
    }))
}
